//! What debug mode says about tasks: cancellations that were swallowed, and results that nobody has looked at.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::Location;

use super::cell::TaskCell;
use super::observed::Interest;
use super::scheduler::Scheduler;
use crate::logging::{Level, say};

/// The task was asked to stop, and returned a value as if it had not been. A shutdown asks for no more than an end.
#[cold]
pub(super) fn report_swallowed(cell: &TaskCell, scheduler: &Scheduler) {
    if scheduler.observed.has(Interest::DEBUG) && !cell.is_shut_down() {
        let task = cell.info();
        say(
            Level::Warning,
            format_args!(
                "Task swallowed its cancellation: {task} was asked to stop and returned a value, without `uncancel`"
            ),
        );
    }
}

/// Returns `true` if `T` is a `Result`. Good enough for a message: the name of a type is not promised to stay what it is.
pub(super) fn is_result<T>() -> bool {
    type_name::<T>().starts_with("core::result::Result<")
}

impl TaskCell {
    /// The handle of a task goes that returns a `Result`, and nobody has asked for that.
    #[cold]
    pub(super) fn leave_result(&self) {
        let scheduler = Scheduler::current().filter(|it| it.observed.has(Interest::DEBUG));
        let Some(scheduler) = scheduler else { return };
        if !self.is_done() {
            self.mark_result_unseen();
        } else if !self.is_cancelled() && !self.is_failed() {
            report_unseen_result(self, &scheduler);
        }
    }
}

/// Whether it is an error cannot be told from here: the type is the task's own. So it is said as the compiler says it of a
/// `Result` that is not used, and once per line that spawns.
#[cold]
pub(super) fn report_unseen_result(cell: &TaskCell, scheduler: &Scheduler) {
    if scheduler.observed.has(Interest::DEBUG) && scheduler.unseen_results.insert(cell.location()) {
        let task = cell.info();
        say(
            Level::Warning,
            format_args!(
                "Task result was never retrieved: {task} returned a `Result`, which may be an error"
            ),
        );
    }
}

/// The lines that were said to spawn tasks whose results nobody looks at.
#[derive(Default)]
pub(super) struct UnseenResults(RefCell<HashSet<(&'static str, u32, u32)>>);

impl UnseenResults {
    /// `false` if it is known.
    fn insert(&self, location: &'static Location<'static>) -> bool {
        let place = (location.file(), location.line(), location.column());
        self.0.borrow_mut().insert(place)
    }
}
