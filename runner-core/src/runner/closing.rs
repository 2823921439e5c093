//! What the loop's thread does about the presses of Ctrl-C while the runner closes.
//!
//! Everything is being cancelled already; what is left to give up is time. So the first press here hurries the close, unless
//! the last run's second press had done that. Every press is part of the close's outcome.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal as _, Write as _};
use std::rc::Rc;

use super::interrupt::{self, Armed, Presses};
use super::ladder::{attention, interruption};
use crate::error::RunError;
use crate::event_loop::EventLoop;

/// One close's dealings with signals. Disarmed when dropped.
pub(super) struct Closing {
    event_loop: EventLoop,
    state: Rc<State>,
}

/// Shared with the callback that the loop calls.
struct State {
    armed: RefCell<Option<Armed>>,
    /// The presses of the run before.
    before: Presses,
    /// No more than a second is left.
    hurried: Cell<bool>,
}

impl Closing {
    #[inline]
    pub(super) fn new(event_loop: &EventLoop, before: Presses) -> Closing {
        let state = State {
            armed: RefCell::new(None),
            before,
            hurried: Cell::new(before.count >= 2),
        };
        Closing {
            event_loop: event_loop.clone(),
            state: Rc::new(state),
        }
    }

    /// From now on a press hurries the close, if signals are this runner's to handle. Where they are not, or cannot be, a
    /// signal does what it did before. They may be `inherited` from the run.
    #[inline]
    pub(super) fn arm(&self, wanted: &[i32], inherited: Option<Armed>) {
        if wanted.is_empty() {
            return;
        }
        // The loop must listen before the first signal can come.
        let state = self.state.clone();
        let react = move || state.react();
        self.event_loop
            .core()
            .set_on_interrupt(Some(Rc::new(react)));
        *self.state.armed.borrow_mut() = inherited.or_else(|| self.try_arm(wanted));
    }

    fn try_arm(&self, wanted: &[i32]) -> Option<Armed> {
        let attention = attention(&self.event_loop)?;
        interrupt::try_arm_close(attention, wanted, self.state.before).ok()
    }

    /// Returns `true` once nothing is waited for longer than a second.
    pub(super) fn is_hurried(&self) -> bool {
        self.state.hurried.get()
    }

    /// Gives the signals back, and tells what the presses in this close come to: the error, and how many presses there were
    /// in run and close together.
    #[inline]
    pub(super) fn outcome(self) -> Option<(RunError, u32)> {
        let armed = self.state.armed.take()?;
        // Also those that came after the loop's last turn, in a destructor.
        let presses = armed.disarm();
        (presses.count > self.state.before.count)
            .then(|| (interruption(presses.signal), presses.count))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.event_loop.core().set_on_interrupt(None);
    }
}

impl State {
    /// On the loop's thread, in its turn.
    fn react(&self) {
        let armed = self.armed.borrow();
        let Some(armed) = &*armed else { return };
        let presses = armed.presses();
        if presses > self.before.count && !self.hurried.replace(true) {
            say_what_comes_next();
        }
        // Last: a loop that hangs while it writes to a terminal that was stopped has not reacted.
        armed.acknowledge(presses);
    }
}

/// One line for the person at the terminal; programs that read stderr get none.
fn say_what_comes_next() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ =
            stderr.write_all(b"\nStopping within a second. Press Ctrl-C again to stop at once.\n");
    }
}
