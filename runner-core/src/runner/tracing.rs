//! Where a runner's time line goes: what the builder was told, else what the environment says.

use std::env;
use std::path::Path;

use crate::event_loop::EventLoop;
use crate::logging::{Level, say};
use crate::timeline::{DEFAULT_LIMIT, Timeline};

/// What cannot be recorded does not keep the program from running.
pub(super) fn begin(event_loop: &EventLoop, path: Option<&Path>) {
    let from_environment = || env::var_os("ASYNCIO_TRACE").filter(|path| !path.is_empty());
    let Some(path) = path
        .map(|path| path.as_os_str().to_owned())
        .or_else(from_environment)
    else {
        return;
    };
    let path = Path::new(&path);
    match Timeline::open(path, limit()) {
        Ok(timeline) => event_loop.core().set_timeline(timeline),
        Err(error) => {
            let path = path.display();
            let why = format_args!("There will be no trace: cannot write {path}: {error}");
            say(Level::Warning, why);
        }
    }
}

fn limit() -> u64 {
    let limit = env::var("ASYNCIO_TRACE_LIMIT").ok();
    let limit = limit.and_then(|limit| limit.parse().ok());
    limit.unwrap_or(DEFAULT_LIMIT)
}
