//! What other threads hand to a loop: a locked list, and two flags that keep both sides from system calls.
//!
//! The rule: whoever puts something in and finds the loop asleep wakes it, exactly once; while the loop is awake
//! nobody makes a system call. An inbox is never freed, only reused by a later loop, so that a thread that is still on
//! its way out of [`Inbox::push`] when the loop closes touches nothing but living memory. Generations tell the loops
//! apart that used one inbox.
//!
//! This file knows neither what is handed over nor who takes it out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::Notify;

#[cfg(test)]
mod tests;

/// The door of one loop for other threads.
pub(crate) struct Inbox<T> {
    /// Something is in `mail`, or a signal asks for attention. Read by the loop without a lock, once per turn.
    has_mail: AtomicBool,
    /// The loop is about to wait, or waits: the next push must notify it.
    asleep: AtomicBool,
    /// A signal arrived: the only thing that is handed over without the lock, because a signal's thread may not wait.
    interrupted: AtomicBool,
    /// Everything that needs the lock.
    state: Mutex<State<T>>,
}

/// The locked part of an inbox.
struct State<T> {
    /// Counts the loops that used this inbox; a handle of an earlier loop finds another number here.
    generation: u64,
    /// The loop takes mail.
    open: bool,
    /// In the order of arrival.
    mail: VecDeque<T>,
    /// Ends the loop's wait.
    notifier: Option<Arc<dyn Notify>>,
}

impl<T> Inbox<T> {
    pub(crate) const fn new() -> Inbox<T> {
        Inbox {
            has_mail: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            state: Mutex::new(State {
                generation: 0,
                open: false,
                mail: VecDeque::new(),
                notifier: None,
            }),
        }
    }

    /// No user code runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new generation, whose loop is woken through `notifier`.
    pub(crate) fn open(&self, notifier: Arc<dyn Notify>) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.open = true;
        state.notifier = Some(notifier);
        self.interrupted.store(false, Ordering::SeqCst);
        state.generation
    }

    /// Ends the current generation and returns what nobody took out.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.open = false;
        state.notifier = None;
        self.has_mail.store(false, Ordering::SeqCst);
        std::mem::take(&mut state.mail)
    }

    /// Returns `true` as long as the loop of `generation` takes mail.
    pub(crate) fn is_open(&self, generation: u64) -> bool {
        let state = self.lock();
        state.open && state.generation == generation
    }

    /// The generation of the loop that uses, or last used, this inbox.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Hands `item` to the loop of `generation`, or back if that loop is closed.
    pub(crate) fn push(&self, generation: u64, item: T) -> Result<(), T> {
        let state = self.lock();
        if !state.open || state.generation != generation {
            return Err(item);
        }
        self.deliver(state, item);
        Ok(())
    }

    /// Hands `item` to whatever loop owns the inbox now. For items that keep their loop from closing, which therefore
    /// can only be its own.
    pub(crate) fn push_unchecked(&self, item: T) {
        self.deliver(self.lock(), item);
    }

    fn deliver(&self, mut state: MutexGuard<'_, State<T>>, item: T) {
        state.mail.push_back(item);
        self.has_mail.store(true, Ordering::SeqCst);
        // Pairs with `fall_asleep`: either the loop sees `has_mail` and does not wait, or this sees `asleep`. Without
        // the swap's order the item would lie there until something else ended the wait.
        let notifier = if self.asleep.swap(false, Ordering::SeqCst) {
            state.notifier.clone()
        } else {
            None
        };
        drop(state);
        if let Some(notifier) = notifier {
            notifier.notify();
        }
    }

    /// Asks for the loop's attention from a signal's thread: no lock, no allocation. The caller notifies the driver.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.has_mail.store(true, Ordering::SeqCst);
    }

    /// Takes the signal's request for attention. Before `collect`, so that the flag for both does not outlive it.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.interrupted.swap(false, Ordering::SeqCst)
    }

    /// Returns `true` if something waits to be taken out.
    pub(crate) fn has_mail(&self) -> bool {
        // A push that this misses is seen on the next turn, or by `fall_asleep`, which reads with full order.
        self.has_mail.load(Ordering::Relaxed)
    }

    /// Takes everything out, and appends it to `mail`. A signal's request for attention stays, and stays announced: whoever
    /// collects between two turns does not answer it.
    pub(crate) fn collect(&self, mail: &mut VecDeque<T>) {
        let mut state = self.lock();
        self.has_mail.store(false, Ordering::SeqCst);
        // Second: of a request that came before the step above, `interrupt` has set this flag already, and a later one sets
        // the other flag after it.
        if self.interrupted.load(Ordering::SeqCst) {
            self.has_mail.store(true, Ordering::SeqCst);
        }
        if mail.is_empty() {
            // The emptied storage is left for the next arrivals.
            std::mem::swap(&mut state.mail, mail);
        } else {
            mail.append(&mut state.mail);
        }
    }

    /// Announces a wait; `false` if there is mail, and the loop must not wait.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        if self.has_mail.load(Ordering::SeqCst) {
            self.wake_up();
            return false;
        }
        true
    }

    /// The wait is over; nobody needs to notify any more.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}
