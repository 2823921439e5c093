//! `Queue`: from those who put items to those who get them, with bounds, priorities, `join` and `shutdown`.
//!
//! An item stays in the queue until a getter runs that takes it: what was granted to a getter is only its turn. So a getter
//! that is cancelled has nothing to give back, and its turn goes on to the next. The same holds for putters and room.

mod error;
mod items;

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll, Waker};

pub use self::error::{GetError, PutError, QueueShutDown};
use self::items::Items;
use super::waiter_queue::{Key, WaiterQueue};
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// A queue between tasks of one thread, with any number of producers and consumers.
///
/// With a bound, [`put`](Queue::put) waits for room. [`task_done`](Queue::task_done) and [`join`](Queue::join) tell when
/// everything that was put has been worked on, and [`shutdown`](Queue::shutdown) ends it.
///
/// # Differences from asyncio
///
/// `put` and `get` leave alone what others were woken for. In asyncio a newcomer may take the item that a waiting task has just
/// been woken for, which then waits again behind all others. Here only the calls that do not wait can do that, because what
/// [`len`](Queue::len) says must hold; the other one then waits again in its old place.
///
/// A priority queue gives equal items in the order in which they were put; there that is undefined.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::rc::Rc;
/// use asyncio::sync::Queue;
///
/// asyncio::run(async {
///     let jobs = Rc::new(Queue::unbounded());
///     let worker = asyncio::spawn({
///         let jobs = jobs.clone();
///         async move {
///             let mut seen = Vec::new();
///             while let Ok(job) = jobs.get().await {
///                 seen.push(job);
///                 jobs.task_done();
///             }
///             seen
///         }
///     });
///     jobs.put("sweep").await.unwrap();
///     jobs.put("polish").await.unwrap();
///     jobs.join().await;
///     jobs.shutdown(false);
///     assert_eq!(worker.await.unwrap(), ["sweep", "polish"]);
/// })
/// .unwrap();
/// ```
#[doc(alias = "PriorityQueue")]
#[doc(alias = "LifoQueue")]
pub struct Queue<T> {
    state: RefCell<State<T>>,
}

struct State<T> {
    items: Items<T>,
    /// How many items may lie in it.
    maxsize: usize,
    /// Items that were put, less calls of `task_done`.
    unfinished: usize,
    is_shut_down: bool,
    getters: WaiterQueue,
    putters: WaiterQueue,
    /// Those who wait for the last `task_done`.
    joiners: WaiterQueue,
}

const UNBOUNDED: usize = usize::MAX;

impl<T> Queue<T> {
    /// Makes a queue with room for so many items, the oldest of which comes out first.
    ///
    /// # Panics
    ///
    /// When `maxsize` is zero, which asyncio takes for "without a bound".
    #[track_caller]
    pub const fn bounded(maxsize: usize) -> Queue<T> {
        assert!(
            maxsize > 0,
            "a queue without room; use `Queue::unbounded` for one without a bound"
        );
        Queue::of(Items::fifo(), maxsize)
    }

    /// Makes a queue without a bound, the oldest item of which comes out first.
    pub const fn unbounded() -> Queue<T> {
        Queue::of(Items::fifo(), UNBOUNDED)
    }

    /// Makes a queue without a bound, the newest item of which comes out first.
    #[doc(alias = "LifoQueue")]
    pub const fn lifo() -> Queue<T> {
        Queue::of(Items::lifo(), UNBOUNDED)
    }

    /// Makes a queue without a bound, the least item of which comes out first.
    ///
    /// # Examples
    ///
    /// ```
    /// use runner_core::sync::Queue;
    ///
    /// let queue = Queue::priority();
    /// queue.put_nowait((2, "later")).unwrap();
    /// queue.put_nowait((1, "first")).unwrap();
    /// assert_eq!(queue.get_nowait().unwrap(), (1, "first"));
    /// ```
    #[doc(alias = "PriorityQueue")]
    pub fn priority() -> Queue<T>
    where
        T: Ord,
    {
        Queue::of(Items::priority(), UNBOUNDED)
    }

    /// Gives a new queue of any order a bound.
    ///
    /// # Panics
    ///
    /// When `maxsize` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use runner_core::sync::Queue;
    ///
    /// let queue = Queue::lifo().with_maxsize(1);
    /// queue.put_nowait("plate").unwrap();
    /// assert!(queue.is_full());
    /// ```
    #[must_use]
    #[track_caller]
    pub fn with_maxsize(mut self, maxsize: usize) -> Queue<T> {
        assert!(
            maxsize > 0,
            "a queue without room; leave `with_maxsize` out for one without a bound"
        );
        self.state.get_mut().maxsize = maxsize;
        self
    }

    const fn of(items: Items<T>, maxsize: usize) -> Queue<T> {
        Queue {
            state: RefCell::new(State {
                items,
                maxsize,
                unfinished: 0,
                is_shut_down: false,
                getters: WaiterQueue::new(),
                putters: WaiterQueue::new(),
                joiners: WaiterQueue::new(),
            }),
        }
    }

    /// Puts an item into the queue, and waits for room if it is full.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue was shut down, also while this waits. It gives the item back.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, the item is dropped and nothing was put; room that was granted already goes to the next one.
    ///
    /// # Examples
    ///
    /// See [`Queue`].
    pub fn put(&self, item: T) -> impl Future<Output = Result<(), QueueShutDown<T>>> {
        Put {
            queue: self,
            item: Some(item),
            place: None,
        }
    }

    /// Puts an item into the queue, which must have room.
    ///
    /// # Errors
    ///
    /// [`PutError`] if the queue is full or was shut down. It gives the item back.
    pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
        let mut state = self.state.borrow_mut();
        if state.is_shut_down {
            return Err(PutError::QueueShutDown(item));
        }
        if state.is_full() {
            return Err(PutError::QueueFull(item));
        }
        let waker = state.put(item);
        drop(state);
        wake(waker);
        Ok(())
    }

    /// Takes the next item out of the queue, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue was shut down and nothing is left in it, also while this waits.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, nothing was taken: the item is still there, and if this one was woken for it the next is.
    ///
    /// # Examples
    ///
    /// See [`Queue`].
    pub fn get(&self) -> impl Future<Output = Result<T, QueueShutDown>> {
        Get {
            queue: self,
            place: None,
        }
    }

    /// Takes the next item out of the queue, which must have one.
    ///
    /// # Errors
    ///
    /// [`GetError`] if there is none; it says whether there may be one later.
    pub fn get_nowait(&self) -> Result<T, GetError> {
        let mut state = self.state.borrow_mut();
        let Some((item, waker)) = state.get() else {
            return Err(match state.is_shut_down {
                true => GetError::QueueShutDown,
                false => GetError::QueueEmpty,
            });
        };
        drop(state);
        wake(waker);
        Ok(item)
    }

    /// Returns how many items lie in the queue.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.state.borrow().items.len()
    }

    /// Returns `true` if there is no item in the queue.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns `true` if the queue has a bound and no room.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.state.borrow().is_full()
    }

    /// Returns for how many items there is room, or `None` without a bound.
    pub fn maxsize(&self) -> Option<usize> {
        let maxsize = self.state.borrow().maxsize;
        (maxsize != UNBOUNDED).then_some(maxsize)
    }

    /// Says that the work on one item that was got is done.
    ///
    /// # Panics
    ///
    /// When it is called more often than items were put.
    #[track_caller]
    pub fn task_done(&self) {
        let mut state = self.state.borrow_mut();
        let is_too_often = state.unfinished == 0;
        if !is_too_often {
            state.unfinished -= 1;
        }
        let is_last = state.unfinished == 0 && state.joiners.is_anybody_waiting();
        let granted = is_last.then(|| state.joiners.grant_all());
        drop(state);
        assert!(
            !is_too_often,
            "task_done() called too many times; call it once for each item that was got"
        );
        if let Some(granted) = granted {
            granted.wake();
        }
    }

    /// Waits until [`task_done`](Queue::task_done) was called for every item that was put.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, it leaves nothing behind.
    ///
    /// # Examples
    ///
    /// See [`Queue`].
    pub fn join(&self) -> impl Future<Output = ()> {
        Join {
            queue: self,
            place: None,
        }
    }

    /// Ends the queue: from now on nothing can be put, and nothing can be got that is not there already.
    ///
    /// All who wait to put or to get go on, with an error. With `immediate`, what is in the queue is dropped, and counts as
    /// done for [`join`](Queue::join).
    pub fn shutdown(&self, immediate: bool) {
        let mut state = self.state.borrow_mut();
        state.is_shut_down = true;
        let mut dropped = Vec::new();
        if immediate {
            dropped = state.items.take_all();
            state.unfinished = state.unfinished.saturating_sub(dropped.len());
        }
        let joined = (state.unfinished == 0).then(|| state.joiners.grant_all());
        let (getters, putters) = (state.getters.grant_all(), state.putters.grant_all());
        drop(state);
        if let Some(joined) = joined {
            joined.wake();
        }
        getters.wake();
        putters.wake();
        drop(dropped);
    }

    /// Returns `true` once the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        self.state.borrow().is_shut_down
    }
}

impl<T> State<T> {
    #[inline]
    fn is_full(&self) -> bool {
        self.items.len() >= self.maxsize
    }

    /// Puts an item in. Returns who is to be woken for it.
    #[inline]
    fn put(&mut self, item: T) -> Option<Waker> {
        self.items.push(item);
        self.unfinished += 1;
        self.grant_item()
    }

    /// Takes an item out. Returns with it who is to be woken for the room.
    #[inline]
    fn get(&mut self) -> Option<(T, Option<Waker>)> {
        let item = self.items.pop()?;
        Some((item, self.grant_room()))
    }

    /// Lets the next getter have its turn if there is an item for it.
    #[inline]
    fn grant_item(&mut self) -> Option<Waker> {
        let has_item = self.items.len() > self.getters.granted();
        has_item.then(|| self.getters.grant()).flatten()
    }

    /// Lets the next putter have its turn if there is room for it.
    #[inline]
    fn grant_room(&mut self) -> Option<Waker> {
        let has_room = self.has_room_for_newcomers();
        has_room.then(|| self.putters.grant()).flatten()
    }

    #[inline]
    fn has_room_for_newcomers(&self) -> bool {
        self.items.len().saturating_add(self.putters.granted()) < self.maxsize
    }

    /// Puts the item if it is this putter's turn, or waits at `place`.
    #[inline]
    fn poll_put(
        &mut self,
        item: &mut Option<T>,
        place: &mut Option<Key>,
        waker: &Waker,
    ) -> Turn<Result<(), QueueShutDown<T>>> {
        let may_put = match *place {
            None => self.is_shut_down || self.has_room_for_newcomers(),
            Some(key) if self.is_shut_down || !self.is_full() => {
                if let Some(earlier) = self.putters.give_way(key, waker) {
                    return Turn::Passed(earlier);
                }
                self.putters.take_grant(place).is_some()
            }
            Some(key) => {
                if self.putters.is_granted(key) {
                    self.putters.wait_again(key, waker.clone());
                }
                false
            }
        };
        if !may_put {
            return Turn::Waits(self.putters.wait(place, waker));
        }
        let item = taken(item);
        if self.is_shut_down {
            return Turn::Came(Err(QueueShutDown::new(item)), None);
        }
        Turn::Came(Ok(()), self.put(item))
    }

    /// Takes an item if it is this getter's turn, or waits at `place`.
    #[inline]
    fn poll_get(
        &mut self,
        place: &mut Option<Key>,
        waker: &Waker,
    ) -> Turn<Result<T, QueueShutDown>> {
        let may_get = match *place {
            None => self.is_shut_down || self.items.len() > self.getters.granted(),
            Some(key) if self.is_shut_down || self.items.len() > 0 => {
                if let Some(earlier) = self.getters.give_way(key, waker) {
                    return Turn::Passed(earlier);
                }
                self.getters.take_grant(place).is_some()
            }
            Some(key) => {
                if self.getters.is_granted(key) {
                    self.getters.wait_again(key, waker.clone());
                }
                false
            }
        };
        if !may_get {
            return Turn::Waits(self.getters.wait(place, waker));
        }
        match self.get() {
            Some((item, waker)) => Turn::Came(Ok(item), waker),
            None => Turn::Came(Err(QueueShutDown::new(())), None),
        }
    }
}

/// What came of asking for one's turn, and the waker that is to be used or dropped when nothing is borrowed.
enum Turn<R> {
    /// Somebody else is to be woken for what was done.
    Came(R, Option<Waker>),
    /// The waker is of no use any more.
    Waits(Option<Waker>),
    /// Somebody came first whose turn had come in vain: it is to be woken.
    Passed(Waker),
}

impl<R> Turn<R> {
    #[inline]
    fn into_poll(self) -> Poll<R> {
        match self {
            Turn::Came(result, waker) => {
                wake(waker);
                Poll::Ready(result)
            }
            Turn::Waits(_stale) => Poll::Pending,
            Turn::Passed(earlier) => {
                earlier.wake();
                Poll::Pending
            }
        }
    }
}

#[inline]
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[track_caller]
fn taken<T>(item: &mut Option<T>) -> T {
    item.take()
        .expect("`Queue::put` was polled after it was done; await it only once")
}

impl<T> Default for Queue<T> {
    /// asyncio's `Queue()`: without a bound.
    fn default() -> Queue<T> {
        Queue::unbounded()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        write!(f, "<Queue len={}", state.items.len())?;
        if state.maxsize != UNBOUNDED {
            write!(f, " maxsize={}", state.maxsize)?;
        }
        if state.unfinished > 0 {
            write!(f, " tasks={}", state.unfinished)?;
        }
        f.write_str(if state.is_shut_down {
            " shutdown>"
        } else {
            ">"
        })
    }
}

// ----- the futures -----

/// The future of [`Queue::put`].
struct Put<'a, T> {
    queue: &'a Queue<T>,
    /// Until it lies in the queue.
    item: Option<T>,
    /// Once it had to wait.
    place: Option<Key>,
}

// The item is only moved, never pinned.
impl<T> Unpin for Put<'_, T> {}

impl<T> Future for Put<'_, T> {
    type Output = Result<(), QueueShutDown<T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if must_look_away(cx, || WaitsOn::new("room in a queue")) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let mut state = this.queue.state.borrow_mut();
        let turn = state.poll_put(&mut this.item, &mut this.place, cx.waker());
        drop(state);
        turn.into_poll()
    }
}

impl<T> Drop for Put<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.queue.leave_putters(place);
        }
    }
}

/// The future of [`Queue::get`].
struct Get<'a, T> {
    queue: &'a Queue<T>,
    /// Once it had to wait.
    place: Option<Key>,
}

impl<T> Future for Get<'_, T> {
    type Output = Result<T, QueueShutDown>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if must_look_away(cx, || WaitsOn::new("an item of a queue")) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let mut state = this.queue.state.borrow_mut();
        let turn = state.poll_get(&mut this.place, cx.waker());
        drop(state);
        turn.into_poll()
    }
}

impl<T> Drop for Get<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.queue.leave_getters(place);
        }
    }
}

impl<T> Queue<T> {
    /// A turn that had come goes to the next putter.
    #[cold]
    fn leave_putters(&self, place: Key) {
        let mut state = self.state.borrow_mut();
        let left = state.putters.leave(place);
        let waker = left.is_err().then(|| state.grant_room()).flatten();
        drop(state);
        drop(left);
        wake(waker);
    }

    /// A turn that had come goes to the next getter.
    #[cold]
    fn leave_getters(&self, place: Key) {
        let mut state = self.state.borrow_mut();
        let left = state.getters.leave(place);
        let waker = left.is_err().then(|| state.grant_item()).flatten();
        drop(state);
        drop(left);
        wake(waker);
    }
}

/// The future of [`Queue::join`].
struct Join<'a, T> {
    queue: &'a Queue<T>,
    /// Once it had to wait.
    place: Option<Key>,
}

impl<T> Future for Join<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        if must_look_away(cx, || WaitsOn::new("the end of a queue's work")) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let mut state = this.queue.state.borrow_mut();
        if this.place.is_none() && state.unfinished == 0 {
            return Poll::Ready(());
        }
        if state.joiners.take_grant(&mut this.place).is_some() {
            return Poll::Ready(());
        }
        let stale = state.joiners.wait(&mut this.place, cx.waker());
        drop(state);
        drop(stale);
        Poll::Pending
    }
}

impl<T> Drop for Join<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let left = self.queue.state.borrow_mut().joiners.leave(place);
            // All who wait for the end go on together: there is nobody to pass it on to.
            drop(left);
        }
    }
}
