//! A callback that waits for its turn, and the handle that can still call it off.
//!
//! The callback runs at most once, in the context in which it was scheduled. This file knows neither the queue it waits
//! in nor the loop that runs it.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::context::Snapshot;

/// A callback scheduled with `call_soon`; dropping the handle changes nothing.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let handle = asyncio::running_loop().call_soon(|| unreachable!("was called off"));
///     handle.cancel();
///     assert!(handle.cancelled());
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct Handle {
    callback: Rc<Callback>,
}

/// What a handle and the queue share.
pub(crate) struct Callback {
    /// Gone once it has run or was called off.
    run: Cell<Option<Box<dyn FnOnce()>>>,
    /// Somebody called it off.
    cancelled: Cell<bool>,
    /// The context at the time of scheduling.
    context: Cell<Snapshot>,
    /// The line that scheduled it.
    location: &'static Location<'static>,
}

impl Handle {
    /// To be run in a copy of the current context.
    pub(crate) fn new(run: Box<dyn FnOnce()>, location: &'static Location<'static>) -> Handle {
        Handle::in_context(Snapshot::current(), run, location)
    }

    pub(crate) fn in_context(
        context: Snapshot,
        run: Box<dyn FnOnce()>,
        location: &'static Location<'static>,
    ) -> Handle {
        Handle {
            callback: Rc::new(Callback {
                run: Cell::new(Some(run)),
                cancelled: Cell::new(false),
                context: Cell::new(context),
                location,
            }),
        }
    }

    /// Calls the callback off and drops it; does nothing when it has run already.
    pub fn cancel(&self) {
        self.callback.cancelled.set(true);
        drop(self.callback.run.take());
    }

    /// Returns `true` if the callback was called off.
    pub fn cancelled(&self) -> bool {
        self.callback.cancelled.get()
    }

    /// The reference itself, for the queue.
    pub(crate) fn into_callback(self) -> Rc<Callback> {
        self.callback
    }

    /// The opposite of [`into_callback`](Handle::into_callback).
    pub(crate) fn from_callback(callback: Rc<Callback>) -> Handle {
        Handle { callback }
    }

    /// Takes the callback out, together with the context to run it in.
    pub(crate) fn take(&self) -> Option<(Box<dyn FnOnce()>, Snapshot)> {
        let run = self.callback.run.take()?;
        Some((run, self.callback.context.take()))
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.callback.location
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.cancelled() { "cancelled, " } else { "" };
        write!(
            f,
            "<Handle {state}created at {}:{}>",
            self.callback.location.file(),
            self.callback.location.line()
        )
    }
}
