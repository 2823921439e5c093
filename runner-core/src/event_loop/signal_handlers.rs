//! Callbacks for signals, as asyncio's `add_signal_handler`.
//!
//! A callback runs on the loop's thread like any other, once for each signal that the process received. The loop hears of
//! signals through its inbox.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::{EventLoop, LoopCore, running_loop, sources};
use crate::signals::{Subscription, subscribe};

/// The handlers of one loop, one for a signal; few.
pub(super) type SignalHandlers = RefCell<Vec<SignalHandler>>;

/// One callback; gives its signal back when dropped.
pub(super) struct SignalHandler {
    signal: i32,
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
        let mut handlers = core.signal_handlers.borrow_mut();
        if let Some(handler) = handlers.iter_mut().find(|it| it.signal == signal) {
            let replaced = mem::replace(&mut handler.callback, callback);
            // What it holds may call this very function as it goes.
            drop(handlers);
            drop(replaced);
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
        handlers.push(SignalHandler {
            signal,
            callback,
            _subscription: subscription,
        });
        Ok(())
    }

    /// Removes the callback for `signal`; `false` if there is none.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        let mut handlers = self.core().signal_handlers.borrow_mut();
        let place = handlers.iter().position(|it| it.signal == signal);
        let removed = place.map(|place| handlers.swap_remove(place));
        // What the callback holds may call this very function as it goes.
        drop(handlers);
        removed.is_some()
    }
}

impl LoopCore {
    fn call_signal_handler(&self, signal: i32) {
        let callback = self
            .signal_handlers
            .borrow()
            .iter()
            .find(|handler| handler.signal == signal)
            .map(|handler| handler.callback.clone());
        if let Some(callback) = callback {
            (callback.borrow_mut())();
        }
    }
}
