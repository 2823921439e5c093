//! `Future`: a value that somebody will set, for all who wait for it.
//!
//! The outcome is written once, and never changes. Those who wait are told in the order in which they came, tasks and
//! callbacks alike, as asyncio does it.

use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, Waker};

use super::waiter_queue::{Key, WaiterQueue};
use crate::context::{Identity, Snapshot};
use crate::error::{CancelReason, CancelledError};
use crate::handle::Handle;
use crate::task::cell::TaskCell;
use crate::task::inquiry::WaitsOn;
use crate::task::raw::with_current;
use crate::task::scheduler::{Ready, Scheduler};
use crate::task::{is_request_passing, must_look_away};

/// A value that is set by one piece of code and awaited by others: asyncio's `Future`.
///
/// It is a handle: clone it for each task that sets the value or waits for it. Each that waits gets a clone of the value, so
/// put one that cannot be cloned into an [`Rc`].
///
/// # Cancel safety
///
/// A task that is cancelled while it awaits the future cancels the future as well, as it does with a task: whoever was to set
/// the value sees that nobody wants it, and others who wait get the [`CancelledError`]. A value that is there stays there.
/// Dropping a handle cancels nothing.
///
/// # Differences from asyncio
///
/// There is no `set_exception`, because there are no exceptions: let the value be a `Result`. To await a cancelled future
/// gives the error as a value, and does not cancel whoever awaits; [`raise`](CancelledError::raise) does.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::sync::Future;
///
/// asyncio::run(async {
///     let answer = Future::new();
///     let asked = answer.clone();
///     asyncio::running_loop().call_soon(move || asked.set_result(42).unwrap());
///     assert_eq!(answer.await.unwrap(), 42);
/// })
/// .unwrap();
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Future<T> {
    shared: Rc<Shared<T>>,
    place: Place,
}

struct Shared<T> {
    outcome: OnceCell<Result<T, CancelledError>>,
    /// A task that waits, and that came when nobody else did. Most futures are awaited once: for them this is all.
    first: Cell<Option<Waker>>,
    /// The others.
    listeners: RefCell<Option<Box<WaiterQueue<Listener<T>>>>>,
}

/// Where a handle waits.
#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    First,
    Listed(Key),
}

/// Who is told of the outcome.
enum Listener<T> {
    Task(Waker),
    /// Makes the callback with the future in it, which meanwhile must not hold itself.
    Callback(Box<dyn FnOnce(Future<T>) -> Handle>),
}

impl<T> Future<T> {
    /// Makes a future without a value.
    #[doc(alias = "create_future")]
    pub fn new() -> Future<T> {
        Future {
            shared: Rc::new(Shared {
                outcome: OnceCell::new(),
                first: Cell::new(None),
                listeners: RefCell::new(None),
            }),
            place: Place::Nowhere,
        }
    }

    /// Sets the value, and wakes all who wait.
    ///
    /// # Errors
    ///
    /// [`InvalidStateError`], with the value, if the future has one already or was cancelled.
    pub fn set_result(&self, value: T) -> Result<(), InvalidStateError<T>> {
        self.finish(Ok(value)).map_err(|outcome| match outcome {
            Ok(value) => InvalidStateError {
                value,
                is_cancelled: self.is_cancelled(),
            },
            Err(_) => unreachable!("what could not be set is given back"),
        })
    }

    /// Says that there will be no value, and wakes all who wait. Returns `false` if the future is done already.
    pub fn cancel(&self) -> bool {
        self.cancel_for(CancelReason::User, None)
    }

    /// The same, with a text for those who wait.
    #[doc(alias = "msg")]
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.cancel_for(CancelReason::User, Some(message.into().into()))
    }

    /// Returns `true` if the future has a value or was cancelled.
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        self.result().is_some()
    }

    /// Returns `true` if the future was cancelled.
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.result(), Some(Err(_)))
    }

    /// Returns the value, or how the future was cancelled; `None` before it is done.
    pub fn result(&self) -> Option<&Result<T, CancelledError>> {
        self.shared.outcome.get()
    }

    /// Has the loop call `callback` soon after the future is done; soon, if it is done already.
    ///
    /// Tasks that wait and callbacks are told in the order in which they came. A callback is called in the context of
    /// whoever added it. If no loop runs when the future is done, it is called at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::sync::Future;
    ///
    /// asyncio::run(async {
    ///     let number = Future::new();
    ///     number.add_done_callback(|number| assert_eq!(number.result().unwrap(), &Ok(7)));
    ///     number.set_result(7).unwrap();
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + 'static)
    where
        T: 'static,
    {
        let (context, location) = (Snapshot::current(), Location::caller());
        let make = move |future: Future<T>| {
            Handle::in_context(context, Box::new(move || callback(&future)), location)
        };
        if self.is_done() {
            call_soon(make(self.clone()));
        } else {
            self.shared.enter(Listener::Callback(Box::new(make)));
        }
    }

    fn cancel_for(&self, reason: CancelReason, message: Option<Arc<str>>) -> bool {
        self.finish(Err(CancelledError::new(reason, message)))
            .is_ok()
    }

    /// Writes the outcome, and tells all; gives it back if there is one.
    fn finish(&self, outcome: Result<T, CancelledError>) -> Result<(), Result<T, CancelledError>> {
        self.shared.outcome.set(outcome)?;
        let first = self.shared.first.take();
        match self.shared.listeners.take() {
            None => {
                if let Some(first) = first {
                    first.wake();
                }
            }
            Some(others) => self.tell_all(first, *others),
        }
        Ok(())
    }

    #[cold]
    fn tell_all(&self, first: Option<Waker>, mut others: WaiterQueue<Listener<T>>) {
        let all = others.grant_all().preceded_by(first.map(Listener::Task));
        all.for_each(|listener| match listener {
            Listener::Task(waker) => waker.wake(),
            Listener::Callback(make) => call_soon(make(self.clone())),
        });
    }

    /// The task that awaits the future is cancelled: so is the future, unless it is done.
    #[cold]
    fn pass_request_on(&mut self) {
        if !is_request_passing() || self.is_done() {
            return;
        }
        self.leave();
        let request = with_current(|task| task.map(TaskCell::cancelled_error));
        let message = request.and_then(|request| request.message().map(Arc::from));
        self.cancel_for(CancelReason::Parent, message);
    }

    #[inline]
    fn wait(&mut self, waker: &Waker) {
        match self.place {
            Place::Nowhere => self.place = self.shared.wait(waker),
            Place::First => {
                let known = self.shared.first.take();
                let known = known.filter(|known| known.will_wake(waker));
                self.shared.first.set(known.or_else(|| Some(waker.clone())));
            }
            Place::Listed(key) => self.shared.wait_again(key, waker),
        }
    }

    /// Does not wait any longer. When the outcome is there, nobody does.
    #[inline]
    fn leave(&mut self) {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            _ if self.is_done() => {}
            Place::Nowhere => {}
            Place::First => drop(self.shared.first.take()),
            Place::Listed(key) => self.shared.leave(key),
        }
    }
}

impl<T> Shared<T> {
    #[inline]
    fn wait(&self, waker: &Waker) -> Place {
        let first = self.first.take();
        if first.is_none() && self.listeners.borrow().is_none() {
            self.first.set(Some(waker.clone()));
            return Place::First;
        }
        self.first.set(first);
        Place::Listed(self.enter(Listener::Task(waker.clone())))
    }

    #[cold]
    fn wait_again(&self, key: Key, waker: &Waker) {
        let mut listeners = self.listeners.borrow_mut();
        let known = listeners.as_mut().and_then(|known| known.waiting(key));
        let stale = match known {
            Some(Listener::Task(known)) if !known.will_wake(waker) => {
                Some(std::mem::replace(known, waker.clone()))
            }
            _ => None,
        };
        drop(listeners);
        drop(stale);
    }

    #[cold]
    fn enter(&self, listener: Listener<T>) -> Key {
        let mut listeners = self.listeners.borrow_mut();
        let listeners = listeners.get_or_insert_with(|| Box::new(WaiterQueue::new()));
        listeners.enter(listener)
    }

    #[cold]
    fn leave(&self, key: Key) {
        let left = match &mut *self.listeners.borrow_mut() {
            Some(listeners) => listeners.leave(key).ok(),
            None => None,
        };
        drop(left);
    }
}

/// Has the loop on this thread call it, or calls it at once if there is none.
fn call_soon(handle: Handle) {
    match Scheduler::current() {
        Some(scheduler) => scheduler.push(Ready::Callback(handle)),
        None => {
            if let Some((callback, context)) = handle.take() {
                let context = Cell::new(context);
                let _entered = Snapshot::enter(&context, Identity::UNASSIGNED);
                callback();
            }
        }
    }
}

impl<T: Clone> std::future::Future for Future<T> {
    type Output = Result<T, CancelledError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if must_look_away(cx, || WaitsOn::new("a future")) {
            self.pass_request_on();
            return Poll::Pending;
        }
        if let Some(outcome) = self.shared.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        self.wait(cx.waker());
        Poll::Pending
    }
}

// The value lies elsewhere.
impl<T> Unpin for Future<T> {}

impl<T> Clone for Future<T> {
    /// Makes another handle of the same future.
    fn clone(&self) -> Future<T> {
        Future {
            shared: self.shared.clone(),
            place: Place::Nowhere,
        }
    }
}

impl<T> Default for Future<T> {
    fn default() -> Future<T> {
        Future::new()
    }
}

impl<T> Drop for Future<T> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.result() {
            None => "<Future pending>",
            Some(Ok(_)) => "<Future finished>",
            Some(Err(_)) => "<Future cancelled>",
        })
    }
}

/// A future whose value was to be set has one already, or was cancelled.
pub struct InvalidStateError<T = ()> {
    value: T,
    is_cancelled: bool,
}

impl<T> InvalidStateError<T> {
    /// Returns the value that was not set.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns `true` if the future was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }
}

impl<T> fmt::Display for InvalidStateError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_cancelled {
            true => "the future whose value was to be set was cancelled",
            false => "the future whose value was to be set has one already",
        })
    }
}

// The value need not be `Debug` in order that a `Result` can be unwrapped.
impl<T> fmt::Debug for InvalidStateError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_cancelled {
            true => "InvalidStateError(cancelled)",
            false => "InvalidStateError(finished)",
        })
    }
}

impl<T> Error for InvalidStateError<T> {}
