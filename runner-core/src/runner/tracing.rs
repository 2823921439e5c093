//! Where a runner's time line goes: what the builder was told, else what the environment says.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use crate::event_loop::EventLoop;
use crate::logging::{Level, say};
use crate::timeline::{DEFAULT_LIMIT, Timeline};

/// Looked up once in a process: a runner is made and closed in less time than that takes.
static FROM_ENVIRONMENT: OnceLock<Option<OsString>> = OnceLock::new();

/// What cannot be recorded does not keep the program from running.
pub(super) fn begin(event_loop: &EventLoop, path: Option<&Path>) {
    let look_up = || env::var_os("ASYNCIO_TRACE").filter(|path| !path.is_empty());
    let from_environment = || FROM_ENVIRONMENT.get_or_init(look_up).as_deref();
    let path = path.or_else(|| from_environment().map(Path::new));
    if let Some(path) = path {
        begin_at(event_loop, path);
    }
}

#[cold]
fn begin_at(event_loop: &EventLoop, path: &Path) {
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
