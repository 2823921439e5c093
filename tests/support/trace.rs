//! What happened, as a list of strings that a test compares; and what makes such lists: guards that note their end,
//! exception handlers that note their calls, and processes that a test has for itself.
//!
//! A trace may be written by any thread. It knows no time: only the order counts.

use std::future::Future;
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use asyncio::EventLoop;

/// What happened, in order. Clones write to the same list.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace::default()
    }

    /// Appends a line.
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.lock().push(line.into());
    }

    /// Takes all lines out.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns a callback that appends a line.
    pub(crate) fn noter(&self, line: &str) -> impl FnOnce() + Send + use<> {
        let (trace, line) = (self.clone(), String::from(line));
        move || trace.note(line)
    }

    /// Returns a guard that appends a line when it is dropped.
    pub(crate) fn on_drop(&self, line: impl Into<String>) -> NoteOnDrop {
        NoteOnDrop {
            trace: self.clone(),
            line: line.into(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes its end; see [`Trace::on_drop`].
pub(crate) struct NoteOnDrop {
    trace: Trace,
    line: String,
}

impl Drop for NoteOnDrop {
    fn drop(&mut self) {
        self.trace.note(std::mem::take(&mut self.line));
    }
}

/// From now on the loop's reports are lines: `message: exception [task's name]`, with a dash for what is not there.
pub(crate) fn reports_of(event_loop: &EventLoop) -> Trace {
    let trace = Trace::new();
    let reports = trace.clone();
    event_loop.set_exception_handler(move |_event_loop, context| {
        let exception = context.exception().unwrap_or_else(|| "-".into());
        let task = context.task().map_or("-", |task| task.name());
        reports.note(format!("{}: {exception} [{task}]", context.message()));
    });
    trace
}

/// Panics when it is dropped, unless the thread is panicking already.
pub(crate) struct PanicOnDrop(pub(crate) &'static str);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// A future that notes each poll and its drop, and is never done.
pub(crate) struct Untouched {
    trace: Trace,
    _dropped: NoteOnDrop,
}

impl Untouched {
    pub(crate) fn new(trace: &Trace) -> Untouched {
        Untouched {
            trace: trace.clone(),
            _dropped: trace.on_drop("dropped"),
        }
    }
}

impl Future for Untouched {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        self.trace.note("polled");
        Poll::Pending
    }
}

const ALONE: &str = "ASYNCIO_TEST_ALONE";

/// Plays the test named `test` again in a process that runs nothing else, for what belongs to the whole process.
///
/// In that process this returns `None`, and the test goes on; its parent gets what the process said and how it ended.
pub(crate) fn alone(test: &str, environment: &[(&str, &str)]) -> Option<Output> {
    if std::env::var_os(ALONE).is_some_and(|name| name == test) {
        return None;
    }
    let binary = std::env::current_exe().expect("the path of the test binary");
    let output = Command::new(binary)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .env_remove("ASYNCIO_DEBUG")
        .envs(environment.iter().copied())
        .output()
        .expect("starting the test binary");
    Some(output)
}

/// What a process of [`alone`] wrote to stderr; fails if it did not succeed.
#[track_caller]
pub(crate) fn stderr_of(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}\n{stderr}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    stderr
}
