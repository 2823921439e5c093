//! Which jobs an executor is running, and which its shutdown has left behind.

use std::fmt;
use std::panic::Location;
use std::time::Instant;

use crate::decimal::Seconds;

/// A job that a worker is running, or was when the list it comes from was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// The line that submitted it.
    pub(super) location: &'static Location<'static>,
    /// When a worker took it from the queue.
    pub(super) since: Instant,
}

impl RunningJob {
    /// Returns the line of the program that submitted the job.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns when a worker began to run the job.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl fmt::Display for RunningJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Seconds(self.since.elapsed());
        write!(
            f,
            "executor job (submitted at {}), running for {seconds:.1} s",
            self.location
        )
    }
}

/// How a [`shutdown`](super::ThreadPoolExecutor::shutdown) ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the report names the jobs that outlived the shutdown"]
pub struct ExecutorReport {
    /// The jobs that outlived the wait, but for the one that asked for it.
    pub(super) running: Vec<RunningJob>,
}

impl ExecutorReport {
    /// Returns the jobs that were running when the wait was over.
    pub fn running(&self) -> &[RunningJob] {
        &self.running
    }

    /// Returns `true` if no job outlived the shutdown.
    pub fn is_complete(&self) -> bool {
        self.running.is_empty()
    }
}
