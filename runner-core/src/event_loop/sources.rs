//! The descriptors that the loop watches, and who waits for them.
//!
//! A source is registered once, for both directions, edge-triggered, and stays registered for its life. Readiness is
//! remembered until an operation finds nothing (`WouldBlock`) and clears it, so an event that comes early is not lost.
//! Callbacks (`add_reader`) are level-triggered, as asyncio's are. A stale event of a descriptor that was closed in the
//! same turn can only make somebody try once in vain.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::{Context as Cx, Poll, Waker};

use slab::Slab;

use super::belief::Belief;
use super::{EventLoop, LoopCore};
use crate::context::Snapshot;
use crate::driver::{Interest, Readiness, Token};
use crate::handle::Handle;
use crate::task::scheduler::{Ready, Scheduler};

/// One direction of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Everything that the loop watches.
#[derive(Default)]
pub(super) struct Sources {
    /// By token.
    entries: RefCell<Slab<Entry>>,
    /// The tokens of the descriptors that have callbacks, by the descriptor's number.
    callbacks: RefCell<Vec<Option<usize>>>,
}

/// A descriptor that is still watched when the loop is closed.
pub(super) enum LeftOver {
    /// By an I/O object.
    Object(RawFd),
    /// By a callback that was added there.
    Callback(RawFd, &'static Location<'static>),
}

#[derive(Clone)]
enum Entry {
    Waiters(Rc<SourceState>),
    Callbacks(Rc<FdCallbacks>),
}

/// What an I/O object and the loop share.
#[derive(Default)]
pub(crate) struct SourceState {
    read: DirectionState,
    write: DirectionState,
    /// The loop is closed: nothing will become ready any more.
    closed: Cell<bool>,
    /// What is watched, for messages.
    fd: Cell<RawFd>,
}

#[derive(Default)]
struct DirectionState {
    /// The last operation found nothing to do. Starts out false: the first thing is always to try.
    blocked: Cell<bool>,
    /// The peer has closed this direction, and no other event will tell so.
    ended: Cell<bool>,
    /// How far it is believed that an operation has used up what there was.
    belief: Belief,
    /// All of them are woken; each tries, and waits again if it comes too late.
    waiters: RefCell<VecDeque<Waker>>,
}

impl SourceState {
    fn direction(&self, direction: Direction) -> &DirectionState {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Returns `Ready` if an operation is worth trying, else keeps the waker.
    pub(crate) fn poll_ready(&self, direction: Direction, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        let state = self.direction(direction);
        if self.closed.get() {
            return Poll::Ready(Err(closed_error()));
        }
        if !state.blocked.get() {
            return Poll::Ready(Ok(()));
        }
        let mut waiters = state.waiters.borrow_mut();
        if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiters.push_back(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Notes that an operation found nothing to do (`WouldBlock`): the next event will say when there is.
    pub(crate) fn set_blocked(&self, direction: Direction) {
        let state = self.direction(direction);
        state.blocked.set(true);
        state.belief.note_nothing();
    }

    /// Notes that an operation used up what there was without running into `WouldBlock`, which saves the call that
    /// would. Not believed when the peer's end came in the same event, as nothing else will announce it, and not always otherwise
    /// (see [`Belief`]).
    pub(crate) fn set_drained(&self, direction: Direction) {
        let state = self.direction(direction);
        state
            .blocked
            .set(!state.ended.get() && state.belief.holds());
    }

    fn apply(&self, readiness: Readiness, scheduler: &Scheduler) {
        if readiness.read_closed {
            self.read.ended.set(true);
        }
        if readiness.write_closed {
            self.write.ended.set(true);
        }
        if readiness.readable || readiness.read_closed {
            self.read.unblock(|waker| scheduler.wake(waker));
        }
        if readiness.writable || readiness.write_closed {
            self.write.unblock(|waker| scheduler.wake(waker));
        }
    }

    fn close(&self) {
        self.closed.set(true);
        self.read.unblock(Waker::wake);
        self.write.unblock(Waker::wake);
    }
}

impl DirectionState {
    /// Wakes everybody who waits now. One by one, as a waker may come from anywhere and call back into the source.
    fn unblock(&self, wake: impl Fn(Waker)) {
        self.blocked.set(false);
        let waiting = self.waiters.borrow().len();
        for _ in 0..waiting {
            let waker = self.waiters.borrow_mut().pop_front();
            waker.into_iter().for_each(&wake);
        }
    }
}

/// The error of an operation on a source whose loop is closed.
pub(crate) fn closed_error() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "Event loop is closed")
}

/// The reader and the writer of one descriptor.
#[derive(Default)]
struct FdCallbacks {
    reader: RefCell<Option<FdCallback>>,
    writer: RefCell<Option<FdCallback>>,
}

#[derive(Clone)]
struct FdCallback {
    run: Rc<RefCell<dyn FnMut()>>,
    /// Waits in the ready queue; not queued twice, as the descriptor stays ready until the callback has run.
    queued: Rc<Cell<bool>>,
    /// The queued call, to be called off by `remove_reader`.
    handle: Rc<RefCell<Option<Handle>>>,
    location: &'static Location<'static>,
    /// The context of `add_reader`, for every call.
    context: Snapshot,
}

impl FdCallback {
    fn new(run: impl FnMut() + 'static, location: &'static Location<'static>) -> FdCallback {
        FdCallback {
            run: Rc::new(RefCell::new(run)),
            queued: Rc::default(),
            handle: Rc::default(),
            location,
            context: Snapshot::current(),
        }
    }

    fn queue(&self, scheduler: &Scheduler) {
        if self.queued.replace(true) {
            return;
        }
        let callback = self.clone();
        let call = move || {
            callback.queued.set(false);
            (callback.run.borrow_mut())();
        };
        let handle = Handle::in_context(self.context.clone(), Box::new(call), self.location);
        *self.handle.borrow_mut() = Some(handle.clone());
        scheduler.push(Ready::Callback(handle));
    }

    fn call_off(&self) {
        if let Some(handle) = self.handle.borrow_mut().take() {
            handle.cancel();
        }
    }
}

impl FdCallbacks {
    fn interest(&self) -> Interest {
        Interest::level(
            self.reader.borrow().is_some(),
            self.writer.borrow().is_some(),
        )
    }

    fn slot(&self, direction: Direction) -> &RefCell<Option<FdCallback>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }
}

impl Sources {
    /// Applies one event: wakes waiters, queues callbacks, the reader before the writer.
    pub(super) fn apply(&self, readiness: Readiness, scheduler: &Scheduler) {
        let entry = self.entries.borrow().get(readiness.token.0).cloned();
        match entry {
            Some(Entry::Waiters(state)) => state.apply(readiness, scheduler),
            Some(Entry::Callbacks(callbacks)) => {
                let reader = callbacks.reader.borrow().clone();
                let writer = callbacks.writer.borrow().clone();
                if let Some(reader) = reader.filter(|_| readiness.readable || readiness.read_closed)
                {
                    reader.queue(scheduler);
                }
                if let Some(writer) =
                    writer.filter(|_| readiness.writable || readiness.write_closed)
                {
                    writer.queue(scheduler);
                }
            }
            None => {}
        }
    }

    /// The token of a descriptor that has callbacks.
    fn callbacks_of(&self, fd: BorrowedFd<'_>) -> Option<usize> {
        let index = fd.as_raw_fd() as usize;
        self.callbacks.borrow().get(index).copied().flatten()
    }

    /// Everything that is watched.
    pub(super) fn left_over(&self) -> Vec<LeftOver> {
        let mut left = Vec::new();
        for (_, entry) in self.entries.borrow().iter() {
            if let Entry::Waiters(state) = entry {
                left.push(LeftOver::Object(state.fd.get()));
            }
        }
        for (fd, token) in (0..).zip(self.callbacks.borrow().iter()) {
            let Some(token) = *token else { continue };
            if let Some(Entry::Callbacks(callbacks)) = self.entries.borrow().get(token) {
                let slots = [&callbacks.reader, &callbacks.writer];
                let locations = slots.map(|slot| slot.borrow().as_ref().map(|it| it.location));
                let locations = locations.into_iter().flatten();
                left.extend(locations.map(|location| LeftOver::Callback(fd, location)));
            }
        }
        left
    }

    /// Tells everybody that nothing will become ready any more.
    pub(super) fn close(&self) {
        self.callbacks.borrow_mut().clear();
        let entries: Vec<Entry> = self.entries.borrow_mut().drain().collect();
        for entry in entries {
            if let Entry::Waiters(state) = entry {
                state.close();
            }
        }
    }
}

/// One registration of a source with its loop; ends when dropped.
pub(crate) struct Registration {
    pub(crate) state: Rc<SourceState>,
    token: Token,
    core: Weak<LoopCore>,
}

impl Registration {
    /// Registers `source` for both directions.
    pub(crate) fn new(event_loop: &EventLoop, source: BorrowedFd<'_>) -> io::Result<Registration> {
        let core = event_loop.core();
        let state = Rc::<SourceState>::default();
        state.fd.set(source.as_raw_fd());
        let token = Token(
            core.sources
                .entries
                .borrow_mut()
                .insert(Entry::Waiters(state.clone())),
        );
        if let Err(error) =
            core.with_driver(|driver| driver.register(source, token, Interest::edge()))
        {
            core.sources.entries.borrow_mut().remove(token.0);
            return Err(error);
        }
        Ok(Registration {
            state,
            token,
            core: Rc::downgrade(core),
        })
    }

    /// Waits for an operation to be worth trying, if this is the loop that would tell.
    pub(crate) fn poll_ready(&self, direction: Direction, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        let polled = self.state.poll_ready(direction, cx);
        if polled.is_pending() && !self.is_of_running_loop() {
            return Poll::Ready(Err(io::Error::other(
                "the I/O object belongs to another event loop: use it in the loop in which it was first awaited",
            )));
        }
        polled
    }

    fn is_of_running_loop(&self) -> bool {
        super::try_running_loop()
            .is_some_and(|running| std::ptr::eq(self.core.as_ptr(), Rc::as_ptr(running.core())))
    }

    /// Takes the source out of the loop, while its descriptor is still open.
    pub(crate) fn remove(&self, source: BorrowedFd<'_>) {
        if let Some(core) = self.core.upgrade() {
            if self.state.closed.get() {
                return;
            }
            core.sources.entries.borrow_mut().try_remove(self.token.0);
            // A descriptor that somebody closed behind our back is out of the poller already.
            let _ = core.with_driver(|driver| driver.deregister(source, self.token));
        }
        // Whoever still waits (through another handle of the object) must find out.
        self.state.close();
    }
}

impl EventLoop {
    /// Calls `callback` whenever `fd` is readable, until [`remove_reader`](EventLoop::remove_reader).
    ///
    /// A second call replaces the callback. Remove the reader before the descriptor is closed.
    ///
    /// # Errors
    ///
    /// When the loop is closed, when the system refuses to watch the descriptor (a regular file), or when it belongs to
    /// an I/O object of this loop.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::io::{Read as _, Write as _};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let event_loop = asyncio::EventLoop::new()?;
    /// let (mut ours, mut theirs) = UnixStream::pair()?;
    /// let (reader, stopper) = (ours.try_clone()?, event_loop.clone());
    /// event_loop.add_reader(&reader, move || {
    ///     let mut byte = [0];
    ///     ours.read_exact(&mut byte).unwrap();
    ///     stopper.stop();
    /// })?;
    /// theirs.write_all(b"!")?;
    /// event_loop.run_forever()?;
    /// assert!(event_loop.remove_reader(&reader));
    /// event_loop.close()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn add_reader(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        self.add_fd_callback(
            fd.as_fd(),
            Direction::Read,
            FdCallback::new(callback, Location::caller()),
        )
    }

    /// Calls `callback` whenever `fd` is writable, until [`remove_writer`](EventLoop::remove_writer).
    ///
    /// # Errors
    ///
    /// As [`add_reader`](EventLoop::add_reader).
    #[track_caller]
    pub fn add_writer(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        self.add_fd_callback(
            fd.as_fd(),
            Direction::Write,
            FdCallback::new(callback, Location::caller()),
        )
    }

    /// Stops watching `fd` for reading; `false` if it was not watched.
    pub fn remove_reader(&self, fd: impl AsFd) -> bool {
        self.remove_fd_callback(fd.as_fd(), Direction::Read)
    }

    /// Stops watching `fd` for writing; `false` if it was not watched.
    pub fn remove_writer(&self, fd: impl AsFd) -> bool {
        self.remove_fd_callback(fd.as_fd(), Direction::Write)
    }

    fn add_fd_callback(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        callback: FdCallback,
    ) -> io::Result<()> {
        let core = self.core();
        if core.is_closed() {
            return Err(closed_error());
        }
        if let Some(token) = core.sources.callbacks_of(fd) {
            let entry = core.sources.entries.borrow().get(token).cloned();
            if let Some(Entry::Callbacks(callbacks)) = entry {
                if let Some(replaced) = callbacks.slot(direction).borrow_mut().replace(callback) {
                    replaced.call_off();
                }
                return update(core, fd, Token(token), &callbacks);
            }
        }
        let callbacks = Rc::new(FdCallbacks::default());
        *callbacks.slot(direction).borrow_mut() = Some(callback);
        let token = core
            .sources
            .entries
            .borrow_mut()
            .insert(Entry::Callbacks(callbacks.clone()));
        let interest = callbacks.interest();
        if let Err(error) = core.with_driver(|driver| driver.register(fd, Token(token), interest)) {
            core.sources.entries.borrow_mut().remove(token);
            return Err(error);
        }
        let mut callbacks = core.sources.callbacks.borrow_mut();
        let index = fd.as_raw_fd() as usize;
        if callbacks.len() <= index {
            callbacks.resize(index + 1, None);
        }
        callbacks[index] = Some(token);
        Ok(())
    }

    fn remove_fd_callback(&self, fd: BorrowedFd<'_>, direction: Direction) -> bool {
        let core = self.core();
        let Some(token) = core.sources.callbacks_of(fd) else {
            return false;
        };
        let entry = core.sources.entries.borrow().get(token).cloned();
        let Some(Entry::Callbacks(callbacks)) = entry else {
            return false;
        };
        let Some(removed) = callbacks.slot(direction).borrow_mut().take() else {
            return false;
        };
        removed.call_off();
        if callbacks.reader.borrow().is_none() && callbacks.writer.borrow().is_none() {
            core.sources.callbacks.borrow_mut()[fd.as_raw_fd() as usize] = None;
            core.sources.entries.borrow_mut().remove(token);
            let _ = core.with_driver(|driver| driver.deregister(fd, Token(token)));
        } else {
            let _ = update(core, fd, Token(token), &callbacks);
        }
        true
    }
}

/// Tells the driver what is still of interest. A descriptor that was closed and opened anew under the same number is
/// unknown to it, and is registered again.
fn update(
    core: &LoopCore,
    fd: BorrowedFd<'_>,
    token: Token,
    callbacks: &FdCallbacks,
) -> io::Result<()> {
    let interest = callbacks.interest();
    core.with_driver(|driver| match driver.modify(fd, token, interest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            driver.register(fd, token, interest)
        }
        result => result,
    })
}
