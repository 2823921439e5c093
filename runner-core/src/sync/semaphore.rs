//! `Semaphore`: at most so many at a time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use super::waiter_queue::{Key, WaiterQueue};
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// A number of permits: each [`acquire`](Semaphore::acquire) takes one, and waits while there is none.
///
/// Whoever waits longest is next; nobody overtakes, also not when a permit is free and its new owner has yet to run.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use asyncio::sync::Semaphore;
///
/// asyncio::run(async {
///     let (two, busy) = (Rc::new(Semaphore::new(2)), Rc::new(Cell::new(0)));
///     let jobs = (0..5).map(|_| {
///         let (two, busy) = (two.clone(), busy.clone());
///         async move {
///             let _permit = two.acquire().await;
///             busy.set(busy.get() + 1);
///             asyncio::yield_now().await;
///             let seen = busy.get();
///             busy.set(seen - 1);
///             seen
///         }
///     });
///     assert!(asyncio::gather(jobs).await.unwrap().into_iter().all(|busy| busy <= 2));
/// })
/// .unwrap();
/// ```
pub struct Semaphore {
    /// The permits that nobody has, and that nobody was granted.
    value: Cell<usize>,
    /// How many there may be at most.
    bound: usize,
    waiters: RefCell<WaiterQueue>,
}

impl Semaphore {
    /// Makes a semaphore with so many permits. [`release`](Semaphore::release) can add others.
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore::with_bound(permits, usize::MAX)
    }

    /// Makes a semaphore that never has more permits than these.
    #[doc(alias = "BoundedSemaphore")]
    pub const fn bounded(permits: usize) -> Semaphore {
        Semaphore::with_bound(permits, permits)
    }

    const fn with_bound(permits: usize, bound: usize) -> Semaphore {
        Semaphore {
            value: Cell::new(permits),
            bound,
            waiters: RefCell::new(WaiterQueue::new()),
        }
    }

    /// Waits for a permit. Does not suspend if one is free and nobody is before this task.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, it leaves the queue; a permit that was granted already goes to the next one.
    ///
    /// # Examples
    ///
    /// See [`Semaphore`].
    pub fn acquire(&self) -> impl Future<Output = SemaphorePermit<'_>> {
        Acquire {
            semaphore: self,
            place: None,
        }
    }

    /// Takes a permit if one is free and nobody waits for it.
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.try_take().then(|| SemaphorePermit { semaphore: self })
    }

    /// Returns `true` if [`acquire`](Semaphore::acquire) would have to wait.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        let waiters = self.waiters.borrow();
        self.value.get() == 0 || waiters.granted() > 0 || waiters.is_anybody_waiting()
    }

    /// Returns how many permits are free.
    pub fn available(&self) -> usize {
        self.value.get()
    }

    /// Adds a permit; the counterpart of [`SemaphorePermit::forget`].
    ///
    /// # Panics
    ///
    /// When a bounded semaphore has all its permits already.
    #[track_caller]
    pub fn release(&self) {
        assert!(
            self.value.get() < self.bound,
            "BoundedSemaphore released too many times; a permit that is dropped releases itself"
        );
        self.give_back();
    }

    #[inline]
    fn try_take(&self) -> bool {
        let is_free = !self.is_locked();
        if is_free {
            self.value.set(self.value.get() - 1);
        }
        is_free
    }

    #[inline]
    fn give_back(&self) {
        self.value.set(self.value.get() + 1);
        self.grant();
    }

    /// Gives what is free to those who wait.
    #[inline]
    fn grant(&self) {
        while self.value.get() > 0 {
            let Some(waker) = self.waiters.borrow_mut().grant() else {
                break;
            };
            self.value.set(self.value.get() - 1);
            waker.wake();
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_locked() {
            true => f.write_str("<Semaphore locked>"),
            false => write!(f, "<Semaphore unlocked, value:{}>", self.value.get()),
        }
    }
}

/// One of a [`Semaphore`]'s permits; dropped, it goes back.
#[must_use = "the permit goes back at once if it is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
}

impl SemaphorePermit<'_> {
    /// Does not give the permit back. [`Semaphore::release`] can do so later.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.semaphore.give_back();
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<SemaphorePermit of {:?}>", self.semaphore)
    }
}

/// The future of [`Semaphore::acquire`].
struct Acquire<'a> {
    semaphore: &'a Semaphore,
    /// Once it had to wait.
    place: Option<Key>,
}

impl<'a> Future for Acquire<'a> {
    type Output = SemaphorePermit<'a>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<SemaphorePermit<'a>> {
        if must_look_away(cx, || WaitsOn::new("a semaphore")) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let semaphore = this.semaphore;
        if this.place.is_none() && semaphore.try_take() {
            return Poll::Ready(SemaphorePermit { semaphore });
        }
        let mut waiters = semaphore.waiters.borrow_mut();
        if waiters.take_grant(&mut this.place).is_some() {
            drop(waiters);
            let permit = SemaphorePermit { semaphore };
            // Others may have come while a permit was free, and had to wait behind this one.
            semaphore.grant();
            return Poll::Ready(permit);
        }
        let stale = waiters.wait(&mut this.place, cx.waker());
        drop(waiters);
        drop(stale);
        Poll::Pending
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let left = self.semaphore.waiters.borrow_mut().leave(place);
            if left.is_err() {
                self.semaphore.give_back();
            }
        }
    }
}
