//! A request that a scope makes for the code inside of it only, and how it knows its own when it comes back out.
//!
//! It is counted on the task as asyncio counts it (`timeouts.py`), and withdrawn on the way out. asyncio claims by the count:
//! whoever finds no more requests than on entry takes what comes out for its own. That goes wrong when a request is older
//! than the scope (gh-134471), or when two scopes of one task are left at the same time. Here each request carries its
//! scope's number, also when it is raised again, so that no other can claim it.
//!
//! The code inside receives it at its next poll, which the owner of the delivery does right after sending. If that does not
//! reach everybody inside (see `stand.rs`), the request is suspended whenever the scope is not being polled, because
//! everybody else in the task has nothing to do with it.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context as Cx;

use crate::error::CancelReason;
use crate::task::cell::TaskCell;
use crate::task::inquiry::WaitsOn;
use crate::task::stand::Standing;
use crate::task::{TaskRef, current_task, must_look_away};

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
    /// It is, and the scope is not being polled.
    Suspended { origin: u64, task: TaskRef },
    /// It is withdrawn: it came out, or the code inside kept it.
    Settled,
}

impl Delivery {
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Makes the request, and wakes the scopes that may take it. No other request may be pending.
    pub(crate) fn send(&mut self, reason: CancelReason, scope: &Standing) {
        let origin = NEXT_ORIGIN.fetch_add(1, Ordering::Relaxed);
        let task = current_task();
        if let Some(task) = &task {
            task.cell().deliver_inside(reason, origin, scope);
        }
        self.state = State::Sent { origin, task };
    }

    /// Before the code inside is polled: it is to see the request, if that was suspended.
    #[inline]
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>) {
        if let State::Suspended { .. } = self.state {
            self.resume_suspended(cx);
        }
    }

    #[cold]
    fn resume_suspended(&mut self, cx: &mut Cx<'_>) {
        // Another one goes first; whoever takes that has this polled again.
        if must_look_away(cx, || WaitsOn::new("the end of a scope")) {
            return;
        }
        if let State::Suspended { origin, task } = mem::take(&mut self.state) {
            task.cell().resume_cancel(origin);
            let task = Some(task);
            self.state = State::Sent { origin, task };
        }
    }

    /// The scope returns `Pending`: if the request is still to reach somebody inside, nobody else is to take it.
    pub(crate) fn suspend(&mut self) {
        let State::Sent {
            origin,
            task: Some(task),
        } = &self.state
        else {
            return;
        };
        if task.cell().pending_origin() == Some(*origin) {
            let (origin, task) = (*origin, task.clone());
            task.cell().suspend_cancel();
            self.state = State::Suspended { origin, task };
        }
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
    #[inline]
    pub(crate) fn settle(&mut self) {
        match self.state {
            State::Idle | State::Settled => self.state = State::Settled,
            State::Sent { .. } | State::Suspended { .. } => self.settle_sent(),
        }
    }

    #[cold]
    fn settle_sent(&mut self) {
        // From the task that the request was made in, whoever drops the scope.
        match mem::replace(&mut self.state, State::Settled) {
            State::Sent {
                origin,
                task: Some(task),
            } => withdraw(task.cell(), origin),
            State::Suspended { origin, task } => {
                drop(task.cell().forget_suspended(origin));
                task.cell().uncancel();
            }
            _ => {}
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
    #[inline]
    fn drop(&mut self) {
        if let State::Sent { .. } | State::Suspended { .. } = self.state {
            self.settle_sent();
        }
    }
}
