//! Who looks on while a runner is initialised: the watchdog, the time line, `asyncio-ps`, and signals that ask.
//!
//! What cannot be looked at does not keep the program from running. Nobody looks on in most programs: that costs two tests.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::builder::Options;
use super::crew::{Crew, Settings};
use super::dumps::Dumps;
use super::inspection::Inspection;
use crate::event_loop::{EventLoop, running_loop};
use crate::logging::{Level, say};
use crate::timeline::{DEFAULT_LIMIT, Timeline};

/// Those who are there until the runner is closed.
#[derive(Default)]
pub(super) struct Observers {
    _dumps: Option<Dumps>,
    _inspection: Option<Box<Inspection>>,
}

/// What the environment asks for.
struct Wishes {
    trace: Option<PathBuf>,
    inspect: bool,
}

/// Looked up once in a process: a runner is made and closed in less time than that takes.
static WISHES: OnceLock<Option<Box<Wishes>>> = OnceLock::new();

fn look_up() -> Option<Box<Wishes>> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let wishes = Wishes {
        trace: set("ASYNCIO_TRACE").map(PathBuf::from),
        inspect: set("ASYNCIO_INSPECT").is_some_and(|value| value != "0" && value != "false"),
    };
    (wishes.trace.is_some() || wishes.inspect).then(|| Box::new(wishes))
}

impl Observers {
    /// Lets those look on that the builder or the environment asks for.
    #[inline]
    pub(super) fn begin(event_loop: &EventLoop, options: &Options) -> Observers {
        if let Some(limit) = options.blocked_loop_after {
            begin_watchdog(event_loop, limit);
        }
        let wishes = WISHES.get_or_init(look_up).as_deref();
        let dumps = options.answers_dumps(event_loop.debug());
        if wishes.is_none() && options.trace.is_none() && !dumps {
            return Observers::default();
        }
        Observers::of(event_loop, options, wishes, dumps)
    }

    /// Lets those look on that are asked for, but for the time line: that is [`draw_siblings`].
    pub(super) fn of_sibling(event_loop: &EventLoop, settings: &Settings) -> Observers {
        if let Some(limit) = settings.blocked_loop_after {
            begin_watchdog(event_loop, limit);
        }
        let inspect = WISHES
            .get_or_init(look_up)
            .as_deref()
            .is_some_and(|wishes| wishes.inspect);
        Observers {
            _dumps: settings
                .dump_on_signal
                .then(|| Dumps::begin(event_loop, false)),
            _inspection: begin_inspection(event_loop, inspect),
        }
    }

    #[cold]
    #[inline(never)]
    fn of(
        event_loop: &EventLoop,
        options: &Options,
        wishes: Option<&Wishes>,
        dumps: bool,
    ) -> Observers {
        let by_environment = || wishes.and_then(|wishes| wishes.trace.as_deref());
        if let Some(path) = options.trace.as_deref().or_else(by_environment) {
            begin_trace(event_loop, path);
        }
        let inspect = wishes.is_some_and(|wishes| wishes.inspect);
        Observers {
            _inspection: begin_inspection(event_loop, inspect),
            _dumps: dumps.then(|| Dumps::begin(event_loop, !options.has_other_threads())),
        }
    }
}

fn begin_inspection(event_loop: &EventLoop, is_wanted: bool) -> Option<Box<Inspection>> {
    match is_wanted {
        true => Inspection::begin_or_say(event_loop).map(Box::new),
        false => None,
    }
}

fn begin_watchdog(event_loop: &EventLoop, limit: Duration) {
    if let Err(error) = event_loop.set_blocked_loop_after(limit) {
        let why = format_args!("Blocked loops will not be reported: {error}");
        say(Level::Warning, why);
    }
}

fn begin_trace(event_loop: &EventLoop, path: &Path) {
    match Timeline::open(path, trace_limit()) {
        Ok(timeline) => event_loop.core().set_timeline(timeline),
        Err(error) => {
            let path = path.display();
            let why = format_args!("There will be no trace: cannot write {path}: {error}");
            say(Level::Warning, why);
        }
    }
}

/// The siblings are on the time line of the first loop, if there is one. Called before they are introduced to each
/// other, so that nothing of the program's is missed.
#[cold]
pub(super) fn draw_siblings(first: &EventLoop, crew: &Crew) {
    let Some(timeline) = first.core().timeline() else {
        return;
    };
    for handle in crew.handles() {
        let timeline = timeline.clone();
        let draw = move || running_loop().core().set_timeline(timeline);
        // One that is gone by now has nothing to show.
        let _ = handle.call_soon_threadsafe(draw);
    }
}

fn trace_limit() -> u64 {
    let limit = env::var("ASYNCIO_TRACE_LIMIT").ok();
    let limit = limit.and_then(|limit| limit.parse().ok());
    limit.unwrap_or(DEFAULT_LIMIT)
}
