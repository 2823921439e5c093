//! `Barrier`: a fixed number of tasks that wait for each other.
//!
//! The states are asyncio's. The barrier *fills* until all have come; then it *drains* until the last one has gone on, and
//! who comes meanwhile waits outside. `reset` sends those inside away, and `abort` all, for good.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll, Waker};

use super::waiter_queue::{Granted, Key, WaiterQueue};
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// A point that a fixed number of tasks pass together, again and again.
///
/// # Differences from asyncio
///
/// [`reset`](Barrier::reset) and [`abort`](Barrier::abort) need not be awaited. The index that [`wait`](Barrier::wait) gives
/// is unique in its round also if another task has left, cancelled.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::rc::Rc;
/// use asyncio::sync::Barrier;
///
/// asyncio::run(async {
///     let barrier = Rc::new(Barrier::new(3));
///     let parties = (0..3).map(|_| {
///         let barrier = barrier.clone();
///         async move { barrier.wait().await.unwrap() }
///     });
///     assert_eq!(asyncio::gather(parties).await.unwrap(), [0, 1, 2]);
/// })
/// .unwrap();
/// ```
pub struct Barrier {
    parties: usize,
    state: RefCell<State>,
}

struct State {
    phase: Phase,
    /// How many are inside: they wait for the others, or were let go and have not run since.
    inside: usize,
    /// Those inside who wait for the others.
    waiters: WaiterQueue,
    /// Those who wait until the barrier has drained.
    outside: WaiterQueue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Filling,
    Draining,
    Resetting,
    Broken,
}

/// The barrier was aborted, or it was reset while this task waited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BrokenBarrierError {
    is_aborted: bool,
}

impl Barrier {
    /// Makes a barrier for so many tasks.
    ///
    /// # Panics
    ///
    /// When `parties` is zero.
    #[track_caller]
    pub const fn new(parties: usize) -> Barrier {
        assert!(parties > 0, "parties must be > 0");
        Barrier {
            parties,
            state: RefCell::new(State {
                phase: Phase::Filling,
                inside: 0,
                waiters: WaiterQueue::new(),
                outside: WaiterQueue::new(),
            }),
        }
    }

    /// Waits until all tasks have come. Returns the place among them in the order of arrival, from zero.
    ///
    /// While the tasks of the round before have not all gone on, it waits for that first.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrierError`] if the barrier was aborted, or is reset while this waits.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, the task is not inside any more, and the others wait for one more. If all had come already, the
    /// others go on.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    pub fn wait(&self) -> impl Future<Output = Result<usize, BrokenBarrierError>> {
        Wait {
            barrier: self,
            place: Place::Nowhere,
        }
    }

    /// Sends everybody away who waits inside, with an error, and begins a new round.
    pub fn reset(&self) {
        self.change(|state| {
            state.phase = match state.inside {
                0 => Phase::Filling,
                _ => Phase::Resetting,
            };
        });
    }

    /// Breaks the barrier: everybody who waits gets an error, and so does whoever comes, until a
    /// [`reset`](Barrier::reset).
    pub fn abort(&self) {
        self.change(|state| state.phase = Phase::Broken);
    }

    /// Changes the state, and lets all look at it who wait.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.borrow_mut();
        change(&mut state);
        let (inside, outside) = (state.waiters.grant_all(), state.outside.grant_all());
        drop(state);
        inside.wake();
        outside.wake();
    }

    /// Returns how many tasks the barrier is for.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Returns how many tasks wait for the others.
    pub fn n_waiting(&self) -> usize {
        let state = self.state.borrow();
        match state.phase {
            Phase::Filling => state.inside,
            _ => 0,
        }
    }

    /// Returns `true` if the barrier was aborted.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.state.borrow().phase == Phase::Broken
    }
}

impl State {
    /// One task goes in. Returns its index and who is to be woken if it was the last, or its place.
    fn enter(&mut self, parties: usize, waker: &Waker) -> Result<(usize, Vec<Waker>), Key> {
        self.inside += 1;
        if self.inside < parties {
            return Err(self.waiters.enter(waker.clone()));
        }
        self.phase = Phase::Draining;
        let mut wakers = Vec::with_capacity(parties - 1);
        let mut index = 0;
        while let Some(waker) = self.waiters.grant_with(index) {
            wakers.push(waker);
            index += 1;
        }
        Ok((index as usize, wakers))
    }

    /// One task goes out. Returns who waits outside, if it was the last.
    fn exit(&mut self) -> Option<Granted> {
        self.inside -= 1;
        if self.inside > 0 {
            return None;
        }
        if let Phase::Resetting | Phase::Draining = self.phase {
            self.phase = Phase::Filling;
        }
        Some(self.outside.grant_all())
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.state.borrow().phase {
            Phase::Filling => "filling",
            Phase::Draining => "draining",
            Phase::Resetting => "resetting",
            Phase::Broken => return f.write_str("<Barrier broken>"),
        };
        let (waiting, parties) = (self.n_waiting(), self.parties);
        write!(f, "<Barrier {phase}, waiters:{waiting}/{parties}>")
    }
}

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_aborted {
            true => "the barrier that was to be passed was aborted",
            false => "the barrier that was waited at was reset or aborted",
        })
    }
}

impl fmt::Debug for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokenBarrierError")
    }
}

impl Error for BrokenBarrierError {}

/// The future of [`Barrier::wait`].
struct Wait<'a> {
    barrier: &'a Barrier,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// Not come yet, or gone.
    Nowhere,
    /// The round before has not drained.
    Outside(Key),
    /// With the others.
    Inside(Key),
}

impl Wait<'_> {
    /// Waits outside while the barrier drains, then goes in.
    fn poll_enter(&mut self, cx: &mut Cx<'_>) -> Poll<Result<usize, BrokenBarrierError>> {
        let mut state = self.barrier.state.borrow_mut();
        let mut place = match self.place {
            Place::Outside(place) => Some(place),
            _ => None,
        };
        let is_turn = place.is_none() || state.outside.take_grant(&mut place).is_some();
        if !is_turn || matches!(state.phase, Phase::Draining | Phase::Resetting) {
            let stale = state.outside.wait(&mut place, cx.waker());
            drop(state);
            drop(stale);
            self.place = place.map_or(Place::Nowhere, Place::Outside);
            return Poll::Pending;
        }
        self.place = Place::Nowhere;
        if state.phase == Phase::Broken {
            return Poll::Ready(Err(BrokenBarrierError { is_aborted: true }));
        }
        match state.enter(self.barrier.parties, cx.waker()) {
            Err(place) => {
                self.place = Place::Inside(place);
                Poll::Pending
            }
            Ok((index, wakers)) => {
                let outside = state.exit();
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
                wake(outside);
                Poll::Ready(Ok(index))
            }
        }
    }

    /// Goes out when all have come.
    fn poll_exit(
        &mut self,
        place: Key,
        cx: &mut Cx<'_>,
    ) -> Poll<Result<usize, BrokenBarrierError>> {
        let mut state = self.barrier.state.borrow_mut();
        let mut place = Some(place);
        let Some(index) = state.waiters.take_grant(&mut place) else {
            let stale = state.waiters.wait(&mut place, cx.waker());
            drop(state);
            drop(stale);
            return Poll::Pending;
        };
        self.place = Place::Nowhere;
        let phase = state.phase;
        let outside = state.exit();
        drop(state);
        wake(outside);
        Poll::Ready(match phase {
            Phase::Resetting | Phase::Broken => Err(BrokenBarrierError { is_aborted: false }),
            Phase::Filling | Phase::Draining => Ok(index as usize),
        })
    }
}

fn wake(granted: Option<Granted>) {
    if let Some(granted) = granted {
        granted.wake();
    }
}

impl Future for Wait<'_> {
    type Output = Result<usize, BrokenBarrierError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if must_look_away(cx, || WaitsOn::new("a barrier")) {
            return Poll::Pending;
        }
        match self.place {
            Place::Inside(place) => self.poll_exit(place, cx),
            Place::Nowhere | Place::Outside(_) => self.poll_enter(cx),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.state.borrow_mut();
        let (left, outside) = match self.place {
            Place::Nowhere => return,
            Place::Outside(place) => (state.outside.leave(place), None),
            Place::Inside(place) => (state.waiters.leave(place), state.exit()),
        };
        drop(state);
        drop(left);
        wake(outside);
    }
}
