//! `Condition`: waiting, with the lock released, until the locked value is as it should be.
//!
//! A wait ends only when the lock was taken again, whatever ended it. So it is a scope: it takes a request from its task,
//! waits for the lock, and raises the request again. Dropped without that, it cannot wait; see [`LockGuard`].

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};

use super::lock::{Lock, LockGuard};
use super::waiter_queue::{Key, WaiterQueue};
use crate::error::CancelledError;
use crate::task::inquiry::WaitsOn;
use crate::task::raise::Raising;
use crate::task::stand::Standing;
use crate::task::{is_cancel_pending, must_look_away};

/// A lock, and a queue of tasks that wait until its value was changed.
///
/// # Differences from asyncio
///
/// A task that is cancelled while it waits, and that had not been notified, does not cause another one to be woken for
/// nothing.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::rc::Rc;
/// use asyncio::sync::Condition;
///
/// asyncio::run(async {
///     let count = Rc::new(Condition::new(0));
///     let waiter = asyncio::spawn({
///         let count = count.clone();
///         async move {
///             let mut guard = count.lock().await;
///             count.wait_for(&mut guard, |count| *count >= 3).await;
///             *guard
///         }
///     });
///     for _ in 0..3 {
///         asyncio::yield_now().await;
///         *count.lock().await += 1;
///         let guard = count.lock().await;
///         count.notify_all();
///         drop(guard);
///     }
///     assert_eq!(waiter.await.unwrap(), 3);
/// })
/// .unwrap();
/// ```
pub struct Condition<T: ?Sized = ()> {
    waiters: RefCell<WaiterQueue>,
    lock: Rc<Lock<T>>,
}

impl<T> Condition<T> {
    /// Makes a condition with a lock of its own.
    pub fn new(value: T) -> Condition<T> {
        Condition::with_lock(Rc::new(Lock::new(value)))
    }
}

impl<T: ?Sized> Condition<T> {
    /// Makes a condition of a lock that others use as well, for example a second condition.
    pub fn with_lock(lock: Rc<Lock<T>>) -> Condition<T> {
        Condition {
            waiters: RefCell::new(WaiterQueue::new()),
            lock,
        }
    }

    /// Waits for the lock, as [`Lock::lock`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::lock`].
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> impl Future<Output = LockGuard<'_, T>> {
        self.lock.lock()
    }

    /// Returns `true` if somebody holds the lock.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Releases the lock, waits to be notified, and takes the lock again.
    ///
    /// It may return without a notification, so look at the value again; [`wait_for`](Condition::wait_for) does.
    ///
    /// # Panics
    ///
    /// When `guard` belongs to another lock, or does not hold it.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it takes the lock again before the request goes on: where it is caught, with the guard outside of the
    /// scope, the guard holds. A notification that had come goes to the next one. Until the lock is free, further requests
    /// wait as well.
    ///
    /// Dropped without being cancelled, it takes the lock only if it is free. Otherwise the guard is worth nothing any more,
    /// and using it panics.
    #[track_caller]
    pub fn wait<'a>(&'a self, guard: &'a mut LockGuard<'_, T>) -> impl Future<Output = ()> {
        self.assert_is_ours(guard);
        Wait {
            condition: self,
            guard,
            phase: Phase::New,
            was_notified: false,
            request: None,
            standing: Standing::default(),
        }
    }

    /// Waits until `predicate` holds for the value; at once, if it does.
    ///
    /// # Panics
    ///
    /// As [`wait`](Condition::wait).
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Condition::wait).
    pub async fn wait_for(
        &self,
        guard: &mut LockGuard<'_, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
    ) {
        while !predicate(&mut *guard) {
            self.wait(guard).await;
        }
    }

    /// Wakes the `n` tasks that wait longest. Each goes on when it gets the lock.
    ///
    /// # Panics
    ///
    /// When nobody holds the lock: the change that is told of was made without it.
    #[track_caller]
    pub fn notify(&self, n: usize) {
        self.assert_is_locked();
        for _ in 0..n {
            if !self.notify_next() {
                break;
            }
        }
    }

    /// Wakes all tasks that wait. Each goes on when it gets the lock.
    ///
    /// # Panics
    ///
    /// As [`notify`](Condition::notify).
    #[track_caller]
    pub fn notify_all(&self) {
        self.assert_is_locked();
        let granted = self.waiters.borrow_mut().grant_all();
        granted.wake();
    }

    /// Returns `false` if there was nobody to wake.
    fn notify_next(&self) -> bool {
        let waker = self.waiters.borrow_mut().grant();
        let is_anybody = waker.is_some();
        if let Some(waker) = waker {
            waker.wake();
        }
        is_anybody
    }

    #[track_caller]
    fn assert_is_locked(&self) {
        assert!(
            self.is_locked(),
            "cannot notify on un-acquired lock; notify while you hold the guard"
        );
    }

    #[track_caller]
    fn assert_is_ours(&self, guard: &LockGuard<'_, T>) {
        assert!(
            guard.is_held() && std::ptr::eq(guard.lock(), &*self.lock),
            "cannot wait on un-acquired lock; give the guard of this condition's own lock"
        );
    }
}

impl<T: Default> Default for Condition<T> {
    fn default() -> Condition<T> {
        Condition::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Condition of {:?}>", self.lock)
    }
}

/// The future of [`Condition::wait`].
struct Wait<'a, 'g, T: ?Sized> {
    condition: &'a Condition<T>,
    guard: &'a mut LockGuard<'g, T>,
    phase: Phase,
    /// A notification has come, which is to be passed on if the wait does not return.
    was_notified: bool,
    /// What is to be raised when the lock is there.
    request: Option<CancelledError>,
    standing: Standing,
}

enum Phase {
    /// The lock is still held.
    New,
    /// It is released, and a notification awaited.
    Notification(Key),
    /// The lock is awaited.
    Lock(Option<Key>),
    /// The lock is held, and the request that ended the wait goes out.
    Raising(Raising),
    /// The lock was given up, because somebody beside this one has taken the request, and may need it for the cleanup.
    Yielding(Raising, Option<Key>),
    /// The lock is held.
    Done,
}

impl<T: ?Sized> Wait<'_, '_, T> {
    /// Takes a request for later. Returns `true` if this must look away from its event instead: others are to be polled
    /// before, or the task is only being asked what it waits for.
    fn must_look_away(&mut self, what: &'static str, cx: &mut Cx<'_>) -> bool {
        if !is_cancel_pending() {
            return false;
        }
        if let Some(request) = self.standing.take_cancel() {
            self.request = Some(request);
            return false;
        }
        must_look_away(cx, || WaitsOn::new(what))
    }

    fn release(&mut self, cx: &mut Cx<'_>) {
        let place = self
            .condition
            .waiters
            .borrow_mut()
            .enter(cx.waker().clone());
        self.phase = Phase::Notification(place);
        self.guard.release();
    }

    /// Returns `true` while neither a notification nor a request has come.
    fn waits_for_notification(&mut self, cx: &mut Cx<'_>) -> bool {
        let Phase::Notification(place) = self.phase else {
            return false;
        };
        if self.must_look_away("a condition", cx) {
            return true;
        }
        let mut waiters = self.condition.waiters.borrow_mut();
        let mut kept = Some(place);
        let mut stale = None;
        if waiters.take_grant(&mut kept).is_some() {
            self.was_notified = true;
        } else if self.request.is_some() {
            stale = waiters.leave(place).ok();
        } else {
            stale = waiters.wait(&mut kept, cx.waker());
            drop(waiters);
            drop(stale);
            return true;
        }
        drop(waiters);
        drop(stale);
        self.phase = Phase::Lock(None);
        false
    }

    fn waits_for_lock(&mut self, cx: &mut Cx<'_>) -> bool {
        if !matches!(self.phase, Phase::Lock(_)) {
            return false;
        }
        if self.must_look_away("a condition's lock", cx) {
            return true;
        }
        let Phase::Lock(place) = &mut self.phase else {
            return false;
        };
        if self.condition.lock.poll_take(place, cx).is_pending() {
            return true;
        }
        self.guard.restore();
        self.phase = match self.request.take() {
            None => Phase::Done,
            Some(request) => {
                self.pass_notification_on();
                Phase::Raising(Raising::new(request))
            }
        };
        false
    }

    /// Raises the request. Whoever is still polled after that is not dropped yet: a sibling in the same task has taken the
    /// request. It gets the lock meanwhile, and this one takes it again before it raises again.
    fn poll_raising(&mut self, cx: &mut Cx<'_>) {
        if let Phase::Yielding(raising, place) = &mut self.phase {
            if raising.is_taken() {
                raising.poll(cx);
                return;
            }
            if self.condition.lock.poll_take(place, cx).is_pending() {
                return;
            }
            self.guard.restore();
        }
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Raising(mut raising) if raising.is_taken() => {
                raising.poll(cx);
                self.phase = Phase::Yielding(raising, None);
                self.guard.release();
            }
            Phase::Raising(mut raising) | Phase::Yielding(mut raising, _) => {
                raising.poll(cx);
                self.phase = Phase::Raising(raising);
                // In order to see whether this one is dropped.
                cx.waker().wake_by_ref();
            }
            other => self.phase = other,
        }
    }

    fn pass_notification_on(&mut self) {
        if std::mem::take(&mut self.was_notified) {
            self.condition.notify_next();
        }
    }
}

impl<T: ?Sized> Future for Wait<'_, '_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Phase::New = this.phase {
            if must_look_away(cx, || WaitsOn::new("a condition")) {
                return Poll::Pending;
            }
            this.release(cx);
        }
        if this.waits_for_notification(cx) || this.waits_for_lock(cx) {
            this.standing.wait(cx);
            return Poll::Pending;
        }
        this.standing.leave();
        if let Phase::Raising(_) | Phase::Yielding(..) = this.phase {
            this.poll_raising(cx);
            return Poll::Pending;
        }
        this.was_notified = false;
        Poll::Ready(())
    }
}

impl<T: ?Sized> Drop for Wait<'_, '_, T> {
    fn drop(&mut self) {
        match self.phase {
            Phase::New | Phase::Raising(_) | Phase::Done => return,
            Phase::Notification(place) => {
                let left = self.condition.waiters.borrow_mut().leave(place);
                self.was_notified = left.is_err();
            }
            Phase::Lock(None) | Phase::Yielding(_, None) => {}
            Phase::Lock(Some(place)) | Phase::Yielding(_, Some(place)) => {
                self.condition.lock.leave(place)
            }
        }
        self.guard.try_restore();
        self.pass_notification_on();
    }
}
