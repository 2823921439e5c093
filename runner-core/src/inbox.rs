//! What other threads hand to a loop: a word, a locked list behind it, and marks that keep both sides from system calls.
//!
//! The rule: whoever puts something in and finds the loop asleep wakes it, exactly once; while the loop is awake
//! nobody makes a system call. An inbox is never freed, only reused by a later loop, so that a thread that is still on
//! its way out of [`Inbox::push`] when the loop closes touches nothing but living memory. Generations tell the loops
//! apart that used one inbox.
//!
//! What is a pointer may lie in front ([`put_first`](Inbox::put_first)), which takes no lock; everything else, and all that comes
//! before the loop has looked, is in the list.
//!
//! This file knows neither what is handed over nor who takes it out.

mod front;

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

pub(crate) use self::front::FREE_BITS;
use self::front::Front;
use crate::driver::Notify;

#[cfg(test)]
mod tests;

/// The door of one loop for other threads.
pub(crate) struct Inbox<T> {
    /// What the loop looks at in each turn.
    door: OwnLine<Door>,
    /// Everything that needs the lock.
    state: OwnLine<Mutex<State<T>>>,
}

/// What lies in a cache line of its own, on processors with lines of 64 bytes: who is at the list does not slow down who looks at
/// the door.
#[repr(align(64))]
struct OwnLine<T>(T);

struct Door {
    front: Front,
    /// A signal arrived: handed over without the lock, because a signal's thread may not wait. Announced as more.
    interrupted: AtomicBool,
    /// A handler has interrupted the loop, and somebody else had the lock.
    owes_notification: AtomicBool,
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
            door: OwnLine(Door {
                front: Front::new(),
                interrupted: AtomicBool::new(false),
                owes_notification: AtomicBool::new(false),
            }),
            state: OwnLine(Mutex::new(State {
                generation: 0,
                open: false,
                mail: VecDeque::new(),
                notifier: None,
            })),
        }
    }

    /// No user code runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new generation, whose loop is woken through `notifier`.
    pub(crate) fn open(&self, notifier: Arc<dyn Notify>) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.open = true;
        state.notifier = Some(notifier);
        self.door.0.interrupted.store(false, Ordering::SeqCst);
        state.generation
    }

    /// Ends the current generation and returns what nobody took out. What lies in front must have been taken: it is of those that
    /// keep the loop from closing.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.open = false;
        state.notifier = None;
        let in_front = self.door.0.front.take();
        debug_assert!(in_front.is_none());
        std::mem::take(&mut state.mail)
    }

    /// Returns `true` as long as the loop of `generation` takes mail.
    pub(crate) fn is_open(&self, generation: u64) -> bool {
        self.look(|state| state.open && state.generation == generation)
    }

    /// The generation of the loop that uses, or last used, this inbox.
    pub(crate) fn generation(&self) -> u64 {
        self.look(|state| state.generation)
    }

    /// Looks at the locked part, for a moment in which a signal's handler may come.
    fn look<R>(&self, look: impl FnOnce(&State<T>) -> R) -> R {
        let seen = look(&self.lock());
        self.pay_notification();
        seen
    }

    /// Hands `item` to the loop of `generation`, or back if that loop is closed.
    pub(crate) fn push(&self, generation: u64, item: T) -> Result<(), T> {
        let state = self.lock();
        if !state.open || state.generation != generation {
            drop(state);
            self.pay_notification();
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
        if self.door.0.front.add_more() {
            notify(state);
        }
    }

    /// Hands a pointer over that leaves the [`FREE_BITS`] free, without a lock, or gives it back if there is something already.
    /// For those that may be pushed unchecked. Each comes out once, by [`take_only`](Inbox::take_only) or
    /// [`collect`](Inbox::collect).
    #[inline]
    pub(crate) fn put_first(&self, item: NonNull<()>) -> Result<(), NonNull<()>> {
        let was_asleep = self.door.0.front.put(item).map_err(|_occupied| item)?;
        if was_asleep {
            notify(self.lock());
        }
        Ok(())
    }

    /// Asks for the loop's attention from a signal's thread: no lock, no allocation. The caller notifies the driver.
    pub(crate) fn interrupt(&self) {
        let Door {
            front, interrupted, ..
        } = &self.door.0;
        interrupted.store(true, Ordering::Relaxed);
        // Releases the step above.
        front.ask_for_attention();
    }

    /// The same inside of a signal's handler, and notifies the driver, whose notifier must be fit for that.
    ///
    /// A handler cannot wait for the lock: who has it may be the code that it interrupted. If that is the loop, it is awake and will
    /// look; a sender that finds the loop asleep notifies it; and all others [pay](Inbox::pay_notification) what is owed.
    pub(crate) fn interrupt_in_handler(&self) {
        self.interrupt();
        self.door.0.owes_notification.store(true, Ordering::Relaxed);
        self.pay_notification();
    }

    /// Notifies the driver for a handler, unless somebody has the lock, who will. To be called after the lock, or by the handler.
    fn pay_notification(&self) {
        let owed = &self.door.0.owes_notification;
        loop {
            // Of "say that it is owed, try the lock" and "give the lock back, look what is owed" one sees the other.
            fence(Ordering::SeqCst);
            if !owed.load(Ordering::Relaxed) {
                return;
            }
            let state = match self.state.0.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            owed.store(false, Ordering::Relaxed);
            // Under the lock: a reference of its own could be the last one, and freeing is nothing for a handler.
            if let Some(notifier) = &state.notifier {
                notifier.notify();
            }
        }
    }

    /// Takes the signal's request for attention. Before `collect`, so that it is not announced for longer than it lasts.
    pub(crate) fn take_interrupt(&self) -> bool {
        let interrupted = &self.door.0.interrupted;
        interrupted.load(Ordering::Relaxed) && interrupted.swap(false, Ordering::Acquire)
    }

    /// Returns `true` if something waits to be taken out.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        !self.door.0.front.is_empty()
    }

    /// Takes the pointer in front, if that is all there is.
    #[inline]
    pub(crate) fn take_only(&self) -> Option<NonNull<()>> {
        self.door.0.front.take_only()
    }

    /// Takes everything out, and appends it to `mail`; `open` makes an item of the pointer in front. A signal's request for
    /// attention stays, and stays announced: whoever collects between two turns does not answer it.
    pub(crate) fn collect(&self, mail: &mut VecDeque<T>, open: impl FnOnce(NonNull<()>) -> T) {
        let Door {
            front, interrupted, ..
        } = &self.door.0;
        let mut state = self.lock();
        let first = front.take().map(open);
        // Second: of a request that was announced before the step above, this is set already, and a later one is announced after it.
        if interrupted.load(Ordering::Relaxed) {
            front.ask_for_attention();
        }
        if mail.is_empty() {
            // The emptied storage is left for the next arrivals.
            std::mem::swap(&mut state.mail, mail);
            drop(state);
            first.into_iter().for_each(|first| mail.push_front(first));
        } else {
            mail.extend(first);
            mail.append(&mut state.mail);
        }
    }

    /// Announces a wait; `false` if there is mail, and the loop must not wait.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.door.0.front.fall_asleep()
    }

    /// The wait is over; nobody needs to notify any more.
    pub(crate) fn wake_up(&self) {
        self.door.0.front.wake_up();
    }
}

/// Ends the loop's wait.
fn notify<T>(state: MutexGuard<'_, State<T>>) {
    let notifier = state.notifier.clone();
    drop(state);
    if let Some(notifier) = notifier {
        notifier.notify();
    }
}
