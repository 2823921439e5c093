//! What a loop finds when it is closed that should have been brought to an end before. Said in debug mode only.
//!
//! An orderly shutdown names the tasks, generators and jobs that it could not end by itself; those are not named again.

use super::LoopCore;
use super::sources::LeftOver;
use crate::exception::ExceptionContext;
use crate::logging::{Level, say};
use crate::task::observed::Interest;

/// So many tasks are told of one by one. Who leaves more behind will hardly read on.
const TOLD_ONE_BY_ONE: usize = 100;

impl LoopCore {
    fn tells_leftovers(&self) -> bool {
        // What a forked child finds is its parent's.
        self.scheduler.observed.has(Interest::DEBUG) && !self.is_forked()
    }

    /// Before anything is dropped.
    pub(super) fn tell_leftovers(&self) {
        let exceptions = &self.scheduler.exceptions;
        if !self.tells_leftovers() || exceptions.is_shutting_down() {
            return;
        }
        let (tasks, others) = self.scheduler.some_tasks(TOLD_ONE_BY_ONE);
        for task in tasks {
            let context = ExceptionContext::new("Task was destroyed but it is pending!");
            exceptions.report(context.with_task(task.info()));
        }
        if others > 0 {
            let message = format!("{others} more tasks were destroyed but are pending!");
            exceptions.report(ExceptionContext::new(message));
        }
        for location in self.asyncgens_left() {
            say(
                Level::Warning,
                format_args!(
                    "unclosed asynchronous generator <created at {}:{}>",
                    location.file(),
                    location.line()
                ),
            );
        }
        for job in self.running_jobs() {
            say(
                Level::Warning,
                format_args!("unclosed executor: {job} is not waited for"),
            );
        }
    }

    /// When tasks and callbacks are gone: whoever is registered now outlives the loop.
    pub(super) fn tell_left_sources(&self) {
        if !self.tells_leftovers() {
            return;
        }
        for source in self.sources.left_over() {
            match source {
                LeftOver::Object(fd) => {
                    say(Level::Warning, format_args!("unclosed transport <fd={fd}>"))
                }
                LeftOver::Callback(fd, at) => say(
                    Level::Warning,
                    format_args!(
                        "unclosed reader or writer <fd={fd} added at {}:{}>",
                        at.file(),
                        at.line()
                    ),
                ),
            }
        }
    }

    /// The last handle is gone, and nobody has closed the loop.
    pub(super) fn tell_unclosed(&self) {
        if self.tells_leftovers() && !self.is_closed() {
            say(
                Level::Warning,
                format_args!(
                    "unclosed event loop <EventLoop running=false closed=false debug=true>"
                ),
            );
        }
    }
}
