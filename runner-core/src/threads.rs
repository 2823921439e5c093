//! Threads of the runtime's own, and what one of them hands to another, once.
//!
//! Nothing of `std` is generic here over what a thread does or gives back: `std::thread` and `std::sync::mpsc` are compiled anew
//! for each type, at 5 KiB a thread and 18 a channel.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Starts a thread. Linux keeps 15 letters of its name.
pub(crate) fn start_thread(
    name: String,
    main: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(main)
}

/// Makes the two sides of one value's way from one thread to another.
pub(crate) fn handover<T>() -> (Giver<T>, Taker<T>) {
    let desk = Arc::new(Desk {
        state: Mutex::new(State::Awaited),
        settled: Condvar::new(),
    });
    (Giver(desk.clone()), Taker(desk))
}

struct Desk<T> {
    state: Mutex<State<T>>,
    /// The state is not `Awaited` any more.
    settled: Condvar,
}

enum State<T> {
    Awaited,
    Given(T),
    /// Nothing will come, or it was taken.
    Over,
}

impl<T> Desk<T> {
    /// Nothing of the user's runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a value, or by its drop says that none will come.
pub(crate) struct Giver<T>(Arc<Desk<T>>);

impl<T> Giver<T> {
    pub(crate) fn give(self, value: T) {
        *self.0.lock() = State::Given(value);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Awaited) {
            *state = State::Over;
        }
        self.0.settled.notify_one();
    }
}

/// Waits for the value.
pub(crate) struct Taker<T>(Arc<Desk<T>>);

/// Why there is no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotGiven {
    /// It may still come.
    TimedOut,
    /// It will not: the giver is gone.
    Abandoned,
}

impl<T> Taker<T> {
    /// Waits however long it takes; `None` if the giver is gone.
    pub(crate) fn take(self) -> Option<T> {
        let mut state = self.0.lock();
        while matches!(*state, State::Awaited) {
            let woken = self.0.settled.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        taken(&mut state).ok()
    }

    /// Waits for `patience` at most.
    pub(crate) fn take_within(&self, patience: Duration) -> Result<T, NotGiven> {
        let began = Instant::now();
        let mut state = self.0.lock();
        while matches!(*state, State::Awaited) {
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(NotGiven::TimedOut);
            }
            let woken = self.0.settled.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        taken(&mut state)
    }
}

fn taken<T>(state: &mut State<T>) -> Result<T, NotGiven> {
    match std::mem::replace(state, State::Over) {
        State::Given(value) => Ok(value),
        State::Awaited | State::Over => Err(NotGiven::Abandoned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_gives_is_taken() {
        let (giver, taker) = handover();
        let thread = start_thread("giver".into(), Box::new(move || giver.give(7)));
        assert_eq!(taker.take(), Some(7));
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn a_giver_that_goes_ends_the_wait() {
        let (giver, taker) = handover::<()>();
        let thread = start_thread("giver".into(), Box::new(move || drop(giver)));
        assert_eq!(taker.take(), None);
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn a_value_is_taken_once_and_may_come_after_a_wait_that_was_too_short() {
        let (giver, taker) = handover();
        let moment = Duration::from_millis(1);
        assert_eq!(taker.take_within(moment), Err(NotGiven::TimedOut));
        giver.give(7);
        assert_eq!(taker.take_within(moment), Ok(7));
        assert_eq!(taker.take_within(moment), Err(NotGiven::Abandoned));
    }

    #[test]
    fn a_thread_has_its_name() {
        let (giver, taker) = handover();
        let tell = move || giver.give(thread::current().name().map(str::to_owned));
        start_thread("by-name".into(), Box::new(tell)).unwrap();
        assert_eq!(taker.take().flatten().as_deref(), Some("by-name"));
    }
}
