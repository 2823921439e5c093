//! Reaching a future inside of a task that waits behind a sub-executor.
//!
//! A request wakes the task, and the task polls what is inside of it. A sub-executor (`FuturesUnordered`, `join_all`) polls
//! only what was woken itself. Whoever deals with requests and finds itself polled with another waker than the task's own
//! therefore takes a stand: it is then woken as well. Without a sub-executor this costs one comparison.

use std::task::Context as Cx;

use super::cell::TaskCell;
use super::raw::with_current;
use super::{TaskRef, current_task};
use crate::error::CancelledError;

/// A future's place on its task's list; given up when dropped.
#[derive(Default)]
pub(crate) struct Standing {
    /// The task, and the number in it.
    taken: Option<(TaskRef, u64)>,
}

impl Standing {
    /// Returns `true` if waking the current task does not reach whoever is polled with `cx`.
    pub(crate) fn is_needed(cx: &mut Cx<'_>) -> bool {
        with_current(|task| task.is_some_and(|task| !task.is_woken_by(cx.waker())))
    }

    /// Notes that the future waits. To be called each time before it returns `Pending`.
    pub(crate) fn wait(&mut self, cx: &mut Cx<'_>) {
        if let Some((task, number)) = &self.taken {
            task.cell().take_stand(Some(*number), cx.waker());
            return;
        }
        if !Standing::is_needed(cx) {
            return;
        }
        if let Some(task) = current_task() {
            let number = task.cell().take_stand(None, cx.waker());
            self.taken = Some((task, number));
        }
    }

    /// Takes a request that came out of what is inside. Whoever the root waker reaches lets those be polled first that are
    /// behind a sub-executor.
    pub(crate) fn take_cancel(&self) -> Option<CancelledError> {
        with_current(|task| {
            let task = task.filter(|task| self.may_take(task))?;
            task.take_cancel()
        })
    }

    pub(crate) fn may_take(&self, task: &TaskCell) -> bool {
        self.taken.is_some() || !task.awaits_answer()
    }

    pub(crate) fn leave(&mut self) {
        if let Some((task, number)) = self.taken.take() {
            task.cell().leave_stand(number);
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.leave();
    }
}
