//! `Lock`: one task at a time, and the value that only it may touch.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use super::waiter_queue::{Key, WaiterQueue};
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// A value that one task at a time may use, also across its awaits.
///
/// Whoever waits longest is next; nobody overtakes. Without a value, `Lock::new(())` guards a piece of code.
///
/// Between tasks of one thread a `RefCell` or a `Cell` is enough wherever no await lies between taking and giving back.
///
/// # Differences from asyncio
///
/// The lock is released by its guard, so it cannot be released by somebody who does not hold it.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::rc::Rc;
/// use asyncio::sync::Lock;
///
/// asyncio::run(async {
///     let total = Rc::new(Lock::new(0));
///     let adds = (1..=3).map(|number| {
///         let total = total.clone();
///         async move {
///             let mut total = total.lock().await;
///             let before = *total;
///             asyncio::yield_now().await;
///             *total = before + number;
///         }
///     });
///     asyncio::gather(adds).await.unwrap();
///     assert_eq!(*total.lock().await, 6);
/// })
/// .unwrap();
/// ```
pub struct Lock<T: ?Sized = ()> {
    state: Cell<State>,
    waiters: RefCell<WaiterQueue>,
    /// Borrowed by whoever holds the lock.
    value: RefCell<T>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// Released, and granted to a waiter that has not run since. It counts as unlocked, as in asyncio, but nobody else gets it.
    HandedOver,
    Locked,
}

impl<T> Lock<T> {
    /// Makes a lock that nobody holds.
    pub const fn new(value: T) -> Lock<T> {
        Lock {
            state: Cell::new(State::Free),
            waiters: RefCell::new(WaiterQueue::new()),
            value: RefCell::new(value),
        }
    }

    /// Returns the value; nobody else knows the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits until the lock is this task's. Does not suspend if the lock is free.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, it leaves the queue; a lock that was granted already goes to the next one.
    ///
    /// # Examples
    ///
    /// See [`Lock`].
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> impl Future<Output = LockGuard<'_, T>> {
        Acquire {
            lock: self,
            place: None,
        }
    }

    /// Takes the lock if it is free and nobody waits for it.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.try_take().then(|| LockGuard::of(self))
    }

    /// Returns `true` if somebody holds the lock.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.state.get() == State::Locked
    }

    /// Returns the value; nobody else knows the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[inline]
    fn try_take(&self) -> bool {
        let is_free = self.state.get() == State::Free;
        if is_free {
            self.state.set(State::Locked);
        }
        is_free
    }

    /// Takes the lock, or waits for it at `place`.
    #[inline]
    pub(super) fn poll_take(&self, place: &mut Option<Key>, cx: &mut Cx<'_>) -> Poll<()> {
        if place.is_none() && self.try_take() {
            return Poll::Ready(());
        }
        let mut waiters = self.waiters.borrow_mut();
        if waiters.take_grant(place).is_some() {
            self.state.set(State::Locked);
            return Poll::Ready(());
        }
        let stale = waiters.wait(place, cx.waker());
        drop(waiters);
        drop(stale);
        Poll::Pending
    }

    /// Does not wait for the lock any longer.
    pub(super) fn leave(&self, place: Key) {
        let left = self.waiters.borrow_mut().leave(place);
        if left.is_err() {
            self.hand_over();
        }
    }

    /// Whoever holds the lock, or was granted it, gives it to the next.
    #[inline]
    fn hand_over(&self) {
        let waker = self.waiters.borrow_mut().grant();
        match waker {
            None => self.state.set(State::Free),
            Some(waker) => {
                self.state.set(State::HandedOver);
                waker.wake();
            }
        }
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Lock<T> {
        Lock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.try_borrow() {
            Ok(value) => write!(f, "<Lock unlocked {:?}>", &*value),
            Err(_) => f.write_str("<Lock locked>"),
        }
    }
}

/// The right to use a [`Lock`]'s value; dropped, it releases the lock.
///
/// # Panics
///
/// Using the value panics after a [`Condition::wait`](super::Condition::wait) with this guard was dropped while it waited,
/// without being cancelled: the lock was given up then, and may be another task's.
#[must_use = "the lock is released at once if the guard is dropped"]
pub struct LockGuard<'a, T: ?Sized = ()> {
    lock: &'a Lock<T>,
    /// Gone while a condition is waited for.
    value: Option<RefMut<'a, T>>,
}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    /// For whoever has just taken the lock.
    #[inline]
    fn of(lock: &'a Lock<T>) -> LockGuard<'a, T> {
        LockGuard {
            lock,
            value: Some(lock.value.borrow_mut()),
        }
    }

    pub(super) fn lock(&self) -> &'a Lock<T> {
        self.lock
    }

    pub(super) fn is_held(&self) -> bool {
        self.value.is_some()
    }

    /// Releases the lock, and keeps the guard.
    #[inline]
    pub(super) fn release(&mut self) {
        if self.value.take().is_some() {
            self.lock.hand_over();
        }
    }

    /// The lock was taken again.
    pub(super) fn restore(&mut self) {
        self.value = Some(self.lock.value.borrow_mut());
    }

    /// Takes the lock again if that is possible without waiting.
    pub(super) fn try_restore(&mut self) {
        if self.lock.try_take() {
            self.restore();
        }
    }
}

#[cold]
#[track_caller]
fn not_held() -> ! {
    panic!(
        "the lock is not held: `Condition::wait` was dropped while it waited; \
         put a `timeout` around it, or cancel its task, and it comes back with the lock"
    )
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => not_held(),
        }
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => not_held(),
        }
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => value.fmt(f),
            None => f.write_str("<LockGuard not held>"),
        }
    }
}

/// The future of [`Lock::lock`].
struct Acquire<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// Once it had to wait.
    place: Option<Key>,
}

impl<'a, T: ?Sized> Future for Acquire<'a, T> {
    type Output = LockGuard<'a, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<LockGuard<'a, T>> {
        if must_look_away(cx, || WaitsOn::new("a lock")) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let lock = this.lock;
        lock.poll_take(&mut this.place, cx)
            .map(|()| LockGuard::of(lock))
    }
}

impl<T: ?Sized> Drop for Acquire<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.lock.leave(place);
        }
    }
}
