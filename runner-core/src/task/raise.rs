//! Raising a request (again) from inside of a task.
//!
//! Whoever raises stays suspended: the scope around that takes the request drops it. But a sibling, in a sub-executor or a
//! `join!`, may take the request first. While the sibling holds it, for example during its cleanup, nothing is to be done;
//! if it lets go of it without raising it again, it is raised here once more, because it still has to get out.

use std::sync::{Arc, Weak};
use std::task::Context as Cx;

use super::cell::TaskCell;
use super::inquiry::{WaitsOn, answer};
use super::is_cancel_pending;
use super::raw::with_current;
use crate::error::{CancelledError, Hold};

/// A request that is being raised; polled by a future that returns `Pending`.
pub(crate) struct Raising {
    request: CancelledError,
    /// Alive while the request is pending, or somebody has it.
    hold: Weak<Hold>,
}

impl Raising {
    pub(crate) fn new(request: CancelledError) -> Raising {
        Raising {
            request,
            hold: Weak::new(),
        }
    }

    /// Makes the request pending, unless it still is, or somebody has it. `false` outside of a task.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>) -> bool {
        if let Some(hold) = self.hold.upgrade() {
            hold.wake_later(cx.waker());
            return true;
        }
        if answer(|| WaitsOn::new("its own cancellation")) {
            return true;
        }
        with_current(|current| {
            let Some(current) = current else {
                return false;
            };
            self.raise_in(current, cx);
            true
        })
    }

    /// Somebody beside this one has taken the request, and still has it.
    pub(crate) fn is_taken(&self) -> bool {
        self.hold.strong_count() > 0 && !is_cancel_pending()
    }

    fn raise_in(&mut self, task: &TaskCell, cx: &mut Cx<'_>) {
        task.redeliver(&self.request);
        task.hold_request(|with| {
            let hold = Hold::new(cx.waker(), with);
            self.hold = Arc::downgrade(&hold);
            Some(hold)
        });
        task.wake_to_cancel();
    }
}

impl Drop for Raising {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.upgrade() {
            hold.wake_nobody();
        }
    }
}
