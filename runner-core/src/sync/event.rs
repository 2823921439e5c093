//! `Event`: a flag that tasks wait for.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use super::waiter_queue::{Key, WaiterQueue};
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// A flag that tasks can wait for: once it is set, all who wait go on.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::rc::Rc;
/// use asyncio::sync::Event;
///
/// asyncio::run(async {
///     let ready = Rc::new(Event::new());
///     let waiter = asyncio::spawn({
///         let ready = ready.clone();
///         async move { ready.wait().await }
///     });
///     asyncio::yield_now().await;
///     assert!(!waiter.is_finished());
///     ready.set();
///     waiter.await.unwrap();
/// })
/// .unwrap();
/// ```
pub struct Event {
    is_set: Cell<bool>,
    waiters: RefCell<WaiterQueue>,
}

impl Event {
    /// Makes an event that is not set.
    pub const fn new() -> Event {
        Event {
            is_set: Cell::new(false),
            waiters: RefCell::new(WaiterQueue::new()),
        }
    }

    /// Returns `true` if the event is set.
    pub fn is_set(&self) -> bool {
        self.is_set.get()
    }

    /// Sets the event, and lets all who wait go on, in the order in which they came.
    ///
    /// They go on also if the event is cleared before their next turn.
    pub fn set(&self) {
        if !self.is_set.replace(true) {
            let granted = self.waiters.borrow_mut().grant_all();
            granted.wake();
        }
    }

    /// Takes the event back: whoever waits from now on waits for the next [`set`](Event::set).
    pub fn clear(&self) {
        self.is_set.set(false);
    }

    /// Waits until the event is set. Does not suspend if it is.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, it leaves nothing behind.
    pub fn wait(&self) -> impl Future<Output = ()> {
        Wait {
            event: self,
            place: None,
        }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_set() { "set" } else { "unset" };
        write!(f, "<Event {state}>")
    }
}

/// The future of [`Event::wait`].
struct Wait<'a> {
    event: &'a Event,
    /// Once it had to wait.
    place: Option<Key>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        if must_look_away(cx, || WaitsOn::new("an event")) {
            return Poll::Pending;
        }
        let this = &mut *self;
        if this.place.is_none() && this.event.is_set() {
            return Poll::Ready(());
        }
        let mut waiters = this.event.waiters.borrow_mut();
        if waiters.take_grant(&mut this.place).is_some() {
            return Poll::Ready(());
        }
        let stale = waiters.wait(&mut this.place, cx.waker());
        drop(waiters);
        drop(stale);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let left = self.event.waiters.borrow_mut().leave(place);
            // An event's grant is for all: there is nobody to pass it on to.
            drop(left);
        }
    }
}
