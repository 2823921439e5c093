//! Callbacks for signals, as asyncio's `add_signal_handler`.
//!
//! A callback runs on the loop's thread like any other, once for each signal that the process received. The loop hears of
//! signals through its inbox.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::{EventLoop, LoopCore, running_loop, sources};
use crate::signals::{Subscription, subscribe};

/// The handlers of one loop, by signal.
pub(super) type SignalHandlers = RefCell<BTreeMap<i32, SignalHandler>>;

/// One callback; gives its signal back when dropped.
pub(super) struct SignalHandler {
    callback: Rc<RefCell<dyn FnMut()>>,
    _subscription: Subscription,
}

impl EventLoop {
    /// Calls `callback` on the loop's thread for every `signal` (its number) that the process receives.
    ///
    /// A second call for the same signal replaces the callback. While a handler for SIGINT is set, Ctrl-C does not cancel
    /// the main task. The handlers are removed when the loop is closed; then, or after
    /// [`remove_signal_handler`](EventLoop::remove_signal_handler), the signal does what it did before: in a run, Ctrl-C
    /// cancels the main task again. Code that would rather await signals finds them in [`signal`](crate::signal).
    ///
    /// # Errors
    ///
    /// When the loop is closed, when there is no such signal, when it cannot be caught (SIGKILL, SIGSTOP) or means that the
    /// program is broken (SIGSEGV and the like), or when the thread that listens cannot be started.
    ///
    /// # Differences from asyncio
    ///
    /// Works on every thread, and for several loops at once: each is told. Removing a handler brings back what was there
    /// before, not the default.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// const SIGUSR1: i32 = 10;
    /// let event_loop = asyncio::EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.add_signal_handler(SIGUSR1, move || stopper.stop())?;
    /// # #[cfg(target_os = "linux")]
    /// std::process::Command::new("kill").args(["-USR1", &std::process::id().to_string()]).status()?;
    /// # #[cfg(target_os = "linux")]
    /// event_loop.run_forever()?;
    /// assert!(event_loop.remove_signal_handler(SIGUSR1));
    /// event_loop.close()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn add_signal_handler(
        &self,
        signal: i32,
        callback: impl FnMut() + 'static,
    ) -> io::Result<()> {
        let core = self.core();
        if core.is_closed() {
            return Err(sources::closed_error());
        }
        let callback = Rc::new(RefCell::new(callback));
        if let Some(handler) = core.signal_handlers.borrow_mut().get_mut(&signal) {
            handler.callback = callback;
            return Ok(());
        }
        let (handle, location) = (self.handle(), Location::caller());
        let listener = Arc::new(move || {
            // A loop that is just being closed hears no more signals.
            let _ = handle.call_soon_at(location, move || {
                running_loop().core().call_signal_handler(signal)
            });
        });
        let subscription = subscribe(signal, listener)?;
        let handler = SignalHandler {
            callback,
            _subscription: subscription,
        };
        core.signal_handlers.borrow_mut().insert(signal, handler);
        Ok(())
    }

    /// Removes the callback for `signal`; `false` if there is none.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        self.core()
            .signal_handlers
            .borrow_mut()
            .remove(&signal)
            .is_some()
    }
}

impl LoopCore {
    fn call_signal_handler(&self, signal: i32) {
        let callback = self
            .signal_handlers
            .borrow()
            .get(&signal)
            .map(|handler| handler.callback.clone());
        if let Some(callback) = callback {
            (callback.borrow_mut())();
        }
    }
}
