//! A request that a scope makes for the code inside of it only, and how it knows its own when it comes back out.
//!
//! The counting is asyncio's (`timeouts.py`): the request is one more on the task, withdrawn on the way out; if more are
//! left than there were on entry, somebody else asked as well, and what came out is theirs.
//!
//! The code inside receives it at its next poll, which the owner of the delivery does right after sending.

use crate::error::CancelReason;
use crate::task::cell::TaskCell;
use crate::task::raw::with_current;

/// One scope's dealings with the task's cancel state.
pub(crate) struct Delivery {
    /// The task's count of requests on entry.
    requests_at_entry: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was asked yet.
    Idle,
    /// The request is under way inside.
    Sent,
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
        self.state == State::Idle
    }

    /// Makes the request, and wakes the scopes that may take it.
    pub(crate) fn send(&mut self, reason: CancelReason) {
        self.state = State::Sent;
        with_current(|current| {
            if let Some(cell) = current {
                cell.request_from_inside(reason);
            }
        });
    }

    /// After the code inside returned `Pending`: `true` if the request came back out, and the scope is to drop it.
    ///
    /// Without a current task (a foreign executor) nothing can be delivered inside, and it comes back at once.
    pub(crate) fn came_back(&mut self) -> bool {
        if self.state != State::Sent {
            return false;
        }
        with_current(|current| {
            let Some(cell) = current else { return true };
            if !cell.is_cancel_pending() {
                return false;
            }
            self.state = State::Settled;
            if cell.uncancel() > self.requests_at_entry {
                return false;
            }
            cell.take_cancel();
            true
        })
    }

    /// The code inside is done: a request that it kept to itself is withdrawn.
    pub(crate) fn settle(&mut self) {
        if self.state == State::Sent {
            with_current(|current| current.map(TaskCell::uncancel));
        }
        self.state = State::Settled;
    }
}
