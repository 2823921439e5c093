//! A request that a scope makes for the code inside of it only, and how it knows its own when it comes back out.
//!
//! The counting is asyncio's (`timeouts.py`): the request is one more on the task, withdrawn on the way out; if more are
//! left than there were on entry, somebody else asked as well, and what came out is theirs.
//!
//! The code inside receives it at its next poll, which the owner of the delivery does right after sending.

use std::mem;

use crate::error::CancelReason;
use crate::task::cell::TaskCell;
use crate::task::raw::with_current;
use crate::task::{TaskRef, current_task};

/// One scope's dealings with the task's cancel state. Dropped, it withdraws what is still under way: a panic, or whoever
/// drops the scope, leaves it as well.
pub(crate) struct Delivery {
    /// The task's count of requests on entry.
    requests_at_entry: u32,
    state: State,
}

enum State {
    /// Nothing was asked yet.
    Idle,
    /// The request is under way inside, in this task. A foreign executor has none.
    Sent(Option<TaskRef>),
    /// It is withdrawn: the code inside kept it, or somebody else's request came out instead.
    Settled,
}

impl Delivery {
    /// To be made when the scope is first polled.
    pub(crate) fn enter() -> Delivery {
        let requests_at_entry = with_current(|current| current.map_or(0, TaskCell::cancelling));
        Delivery {
            requests_at_entry,
            state: State::Idle,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Makes the request, and wakes the scopes that may take it.
    pub(crate) fn send(&mut self, reason: CancelReason) {
        let task = current_task();
        if let Some(task) = &task {
            task.cell().request_from_inside(reason);
        }
        self.state = State::Sent(task);
    }

    /// After the code inside returned `Pending`: `true` if the request came back out, and the scope is to drop it.
    ///
    /// Without a current task (a foreign executor) nothing can be delivered inside, and it comes back at once.
    pub(crate) fn came_back(&mut self) -> bool {
        let State::Sent(task) = &self.state else {
            return false;
        };
        if task
            .as_ref()
            .is_some_and(|it| !it.cell().is_cancel_pending())
        {
            return false;
        }
        let State::Sent(Some(task)) = mem::replace(&mut self.state, State::Settled) else {
            return true;
        };
        if task.uncancel() > self.requests_at_entry {
            return false;
        }
        task.cell().take_cancel();
        true
    }

    /// The code inside is done: a request that it kept to itself is withdrawn.
    pub(crate) fn settle(&mut self) {
        if let State::Sent(Some(task)) = mem::replace(&mut self.state, State::Settled) {
            task.uncancel();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle();
    }
}
