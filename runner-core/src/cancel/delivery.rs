//! A request that a scope makes for the code inside of it only, and how it knows its own when it comes back out.
//!
//! It is counted on the task as asyncio counts it (`timeouts.py`), and withdrawn on the way out. asyncio claims by the count:
//! whoever finds no more requests than on entry takes what comes out for its own. That goes wrong when a request is older
//! than the scope (gh-134471), or when two scopes of one task are left at the same time. Here each request carries its
//! scope's number, also when it is raised again, so that no other can claim it.
//!
//! The code inside receives it at its next poll, which the owner of the delivery does right after sending.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::CancelReason;
use crate::task::cell::TaskCell;
use crate::task::stand::Standing;
use crate::task::{TaskRef, current_task};

/// The next delivery's number. Process-wide, because an error may be carried to another task and raised there.
static NEXT_ORIGIN: AtomicU64 = AtomicU64::new(1);

/// One scope's dealings with the task's cancel state.
#[derive(Default)]
pub(crate) struct Delivery {
    state: State,
}

#[derive(Default)]
enum State {
    /// Nothing was asked yet.
    #[default]
    Idle,
    /// The request of this number is under way inside of the task; without a task nothing is.
    Sent { origin: u64, task: Option<TaskRef> },
    /// It is withdrawn: it came out, or the code inside kept it.
    Settled,
}

impl Delivery {
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Makes the request, and wakes the scopes that may take it. No other request may be pending.
    pub(crate) fn send(&mut self, reason: CancelReason) {
        let origin = NEXT_ORIGIN.fetch_add(1, Ordering::Relaxed);
        let task = current_task();
        if let Some(task) = &task {
            task.cell().deliver_inside(reason, origin);
        }
        self.state = State::Sent { origin, task };
    }

    /// After the code inside returned `Pending`: `true` if the request came back out, and the scope is to drop it.
    ///
    /// Without a current task (a foreign executor) nothing can be delivered inside, and it comes back at once.
    pub(crate) fn came_back(&mut self, standing: &Standing) -> bool {
        let State::Sent { origin, task } = &self.state else {
            return false;
        };
        let came_back = task.as_ref().is_none_or(|task| {
            task.cell().pending_origin() == Some(*origin) && standing.may_take(task.cell())
        });
        if came_back {
            self.settle();
        }
        came_back
    }

    /// The scope is over: a request that is still inside, or has just come out, is withdrawn.
    pub(crate) fn settle(&mut self) {
        let state = mem::replace(&mut self.state, State::Settled);
        // From the task that the request was made in, whoever drops the scope.
        if let State::Sent {
            origin,
            task: Some(task),
        } = state
        {
            withdraw(task.cell(), origin);
        }
    }
}

fn withdraw(task: &TaskCell, origin: u64) {
    if task.pending_origin() == Some(origin) {
        drop(task.take_cancel());
    }
    task.uncancel();
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle();
    }
}
