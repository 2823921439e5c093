//! The loop's remote control, for other threads.
//!
//! Everything here may be called from any thread at any time. On a closed loop it fails quietly, with what was given
//! handed back or dropped, and never panics. This file knows the loop only as an inbox.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Cx, Poll, Waker};

use super::running_loop;
use crate::context::Snapshot;
use crate::error::{CancelReason, CancelledError, JoinError, JoinErrorKind, Origin, Subject};
use crate::exception::{ExceptionContext, log_failure};
use crate::handle::Handle;
use crate::inbox::Inbox;
use crate::task::cell::TaskOptions;
use crate::task::inquiry::WaitsOn;
use crate::task::scheduler::{Mail, Posted, Ready, Scheduler};
use crate::task::{Task, must_look_away_from_thread};

/// The remote control of an [`EventLoop`](crate::EventLoop): `Send`, `Sync`, and harmless after the loop is closed.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let handle = asyncio::running_loop().handle();
///     let thread = std::thread::spawn(move || {
///         handle.spawn(async { asyncio::current_task().is_some() }).join().unwrap()
///     });
///     let on_the_loop = asyncio::to_thread(move || thread.join().unwrap()).await.unwrap();
///     assert!(on_the_loop);
/// })
/// .unwrap();
/// ```
#[derive(Clone, Copy)]
pub struct LoopHandle {
    inbox: &'static Inbox<Mail>,
    /// Tells this loop from an earlier or later one with the same inbox.
    generation: u64,
}

/// The loop is closed, or belongs to another process: what was sent to it was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedError;

impl fmt::Display for ClosedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event loop is closed")
    }
}

impl std::error::Error for ClosedError {}

impl LoopHandle {
    pub(super) fn new(inbox: &'static Inbox<Mail>, generation: u64) -> LoopHandle {
        LoopHandle { inbox, generation }
    }

    /// Returns `true` if both are handles of one loop.
    pub(crate) fn is_same(&self, other: &LoopHandle) -> bool {
        std::ptr::eq(self.inbox, other.inbox) && self.generation == other.generation
    }

    /// Returns `true` once the loop was closed. It may be closed right after this returned `false`.
    pub fn is_closed(&self) -> bool {
        !self.inbox.is_open(self.generation)
    }

    /// Has `callback` called on the loop's thread, after everything that is scheduled already, and wakes the loop.
    ///
    /// # Errors
    ///
    /// [`ClosedError`] if the loop is closed; the callback is dropped here then.
    ///
    /// # Differences from asyncio
    ///
    /// No handle is returned: a callback on its way to another thread cannot be called off without a race.
    #[track_caller]
    pub fn call_soon_threadsafe(
        &self,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<(), ClosedError> {
        self.call_soon_at(Location::caller(), callback)
    }

    pub(super) fn call_soon_at(
        &self,
        location: &'static Location<'static>,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<(), ClosedError> {
        if let Some(scheduler) = self.scheduler_of_this_thread() {
            // The loop's own thread: straight into the queue, in order with `call_soon`.
            if scheduler.is_closing() {
                return Err(ClosedError);
            }
            scheduler.push(Ready::Callback(Handle::new(Box::new(callback), location)));
            return Ok(());
        }
        let posted = Posted {
            run: Box::new(callback),
            context: Snapshot::current(),
            location,
        };
        self.inbox
            .push(self.generation, Mail::Callback(posted))
            .map_err(|_returned| ClosedError)
    }

    /// The loop's queue, if this is its thread and it runs.
    fn scheduler_of_this_thread(&self) -> Option<Rc<Scheduler>> {
        Scheduler::current().filter(|scheduler| {
            std::ptr::eq(scheduler.inbox, self.inbox) && scheduler.generation == self.generation
        })
    }

    /// Starts a task on the loop, and returns a handle that can be waited for in any thread or on any runtime.
    ///
    /// Dropping the handle detaches the task. If the loop is closed, the future is dropped and the handle says so. This
    /// crate's own futures are not `Send`; for those, see [`spawn_with`](LoopHandle::spawn_with).
    #[doc(alias = "run_coroutine_threadsafe")]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> RemoteTask<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(Location::caller(), move || future)
    }

    /// The same with a function that makes the future on the loop's thread, so that the future itself need not be `Send`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// asyncio::run(async {
    ///     let handle = asyncio::running_loop().handle();
    ///     let slept = asyncio::to_thread(move || {
    ///         handle.spawn_with(|| asyncio::sleep(Duration::from_millis(1))).join()
    ///     });
    ///     slept.await.unwrap().unwrap();
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_with<M, F>(&self, make: M) -> RemoteTask<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.start(Location::caller(), make)
    }

    fn start<M, F>(&self, location: &'static Location<'static>, make: M) -> RemoteTask<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let shared = Arc::new(Shared::new());
        let remote = RemoteTask {
            shared: shared.clone(),
            handle: *self,
        };
        let end = End { shared, location };
        // Whatever becomes of the callback, dropping `end` tells the waiting side.
        let _ = self.call_soon_at(location, move || end.start(make()));
        remote
    }
}

impl PartialEq for LoopHandle {
    /// Two handles are equal if they are of the same loop.
    fn eq(&self, other: &LoopHandle) -> bool {
        std::ptr::eq(self.inbox, other.inbox) && self.generation == other.generation
    }
}

impl Eq for LoopHandle {}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<LoopHandle closed={}>", self.is_closed())
    }
}

/// A task on a loop, seen from another thread: a future on any runtime, or joined by blocking.
pub struct RemoteTask<T> {
    shared: Arc<Shared<T>>,
    handle: LoopHandle,
}

/// What the loop and the waiting thread share.
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when the output is there.
    finished: Condvar,
}

struct State<T> {
    output: Option<Result<T, JoinError>>,
    /// The output is here, or was taken.
    is_finished: bool,
    /// The handle is gone: nobody will ask for the output.
    is_detached: bool,
    /// `cancel` was called before the task was started: why, and with which text.
    cancel_requested: Option<(CancelReason, Option<Arc<str>>)>,
    /// The task's number, once it is started.
    task: Option<u64>,
    /// Of the future that awaits the task.
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn new() -> Shared<T> {
        let state = State {
            output: None,
            is_finished: false,
            is_detached: false,
            cancel_requested: None,
            task: None,
            waker: None,
        };
        Shared {
            state: Mutex::new(state),
            finished: Condvar::new(),
        }
    }

    /// No user code runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the output over; gives it back if nobody will ask. Whether somebody will is known only under the lock, in which
    /// the handle's destructor looks for it: else a panic could fall between the two.
    fn finish(&self, output: Result<T, JoinError>) -> Option<Result<T, JoinError>> {
        let mut state = self.lock();
        if state.is_finished || state.is_detached {
            return Some(output);
        }
        state.is_finished = true;
        state.output = Some(output);
        let waker = state.waker.take();
        drop(state);
        self.finished.notify_all();
        waker.into_iter().for_each(Waker::wake);
        None
    }
}

/// The loop's end of a remote task: hands the output over, or says when it is dropped that there will be none.
struct End<T> {
    shared: Arc<Shared<T>>,
    location: &'static Location<'static>,
}

impl<T: Send + 'static> End<T> {
    /// On the loop's thread: starts the task.
    fn start(self, future: impl Future<Output = T> + 'static) {
        let mut task = Task::spawn(
            &running_loop().core().scheduler,
            TaskOptions::at(self.location),
            future,
        );
        let reference = task.task_ref();
        let mut state = self.shared.lock();
        state.task = Some(reference.id());
        let cancel_requested = state.cancel_requested.take();
        drop(state);
        if let Some((reason, message)) = cancel_requested {
            reference.cancel_for(reason, message);
        }
        reference.add_done_callback(move |_task| {
            if self.shared.lock().is_detached {
                // The output is dropped here, where a panic in it reports itself.
                return drop(task);
            }
            if let Poll::Ready(output) =
                Pin::new(&mut task).poll(&mut Cx::from_waker(Waker::noop()))
            {
                if let Some(Err(error)) = self.shared.finish(output) {
                    report_unseen(error);
                }
            }
        });
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        let cancelled =
            CancelledError::new(CancelReason::Shutdown, Some("Event loop is closed".into()));
        let origin = Origin {
            subject: Subject::RemoteTask,
            location: self.location,
        };
        drop(self.shared.finish(Err(JoinError::new(
            JoinErrorKind::Cancelled(cancelled),
            origin,
        ))));
    }
}

/// On the loop's thread: a panic that nobody retrieved is reported, as that of any task.
fn report_unseen(error: JoinError) {
    if error.is_panic() {
        let event_loop = running_loop();
        let exceptions = &event_loop.core().scheduler.exceptions;
        exceptions.report_unseen_error(error);
    }
}

impl<T> RemoteTask<T> {
    /// Returns `true` if the task has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.lock().is_finished
    }

    /// Asks the task to stop; returns `false` if it has ended already.
    pub fn cancel(&self) -> bool {
        self.control().cancel_for(CancelReason::User, None)
    }

    /// What can be done with the task while somebody else awaits it.
    pub(crate) fn control(&self) -> RemoteControl<T> {
        RemoteControl {
            shared: self.shared.clone(),
            handle: self.handle,
        }
    }

    /// Blocks until the task has ended, and returns its output.
    ///
    /// # Errors
    ///
    /// As for [`Task`]; cancelled as well if the loop is closed before the task has ended.
    ///
    /// # Panics
    ///
    /// On the loop's own thread, which would wait for itself for ever; await the handle there.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        let on_own_loop =
            super::try_running_loop().is_some_and(|running| running.handle() == self.handle);
        assert!(
            !on_own_loop,
            "`RemoteTask::join` on the loop's own thread would block it for ever; await the handle"
        );
        let mut state = self.shared.lock();
        loop {
            if let Some(output) = state.output.take() {
                return output;
            }
            state = self
                .shared
                .finished
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A remote task that somebody else awaits.
pub(crate) struct RemoteControl<T> {
    shared: Arc<Shared<T>>,
    handle: LoopHandle,
}

impl<T> RemoteControl<T> {
    pub(crate) fn is_finished(&self) -> bool {
        self.shared.lock().is_finished
    }

    /// Asks the task to stop; returns `false` if it has ended already.
    pub(crate) fn cancel_for(&self, reason: CancelReason, message: Option<Arc<str>>) -> bool {
        let mut state = self.shared.lock();
        if state.is_finished {
            return false;
        }
        let Some(task) = state.task else {
            state.cancel_requested = Some((reason, message));
            return true;
        };
        drop(state);
        self.handle.cancel_task(task, reason, message)
    }
}

impl<T> Drop for RemoteTask<T> {
    /// A panic that was never retrieved is reported, as that of any task.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_detached = true;
        let output = state.output.take();
        drop(state);
        let Some(Err(error)) = output else { return };
        if !error.is_panic() {
            return;
        }
        if self.handle.is_closed() {
            let context = ExceptionContext::new("Task exception was never retrieved");
            return log_failure(&context.with_error(error));
        }
        let _ = self
            .handle
            .call_soon_threadsafe(move || report_unseen(error));
    }
}

impl<T> Future for RemoteTask<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let what = || WaitsOn::new("a task of another thread's call");
        if must_look_away_from_thread(cx, what, || self.shared.lock().output.is_some()) {
            return Poll::Pending;
        }
        let mut state = self.shared.lock();
        if let Some(output) = state.output.take() {
            return Poll::Ready(output);
        }
        assert!(
            !state.is_finished,
            "`RemoteTask` was polled after it had given its output; await it only once"
        );
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            waker => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for RemoteTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<RemoteTask finished={}>", self.is_finished())
    }
}

impl LoopHandle {
    /// Sends a cancellation to the task with this number; `false` if the loop is closed.
    fn cancel_task(&self, id: u64, reason: CancelReason, message: Option<Arc<str>>) -> bool {
        let cancel = move || {
            if let Some(task) = running_loop().core().scheduler.task(id) {
                task.cancel_for(reason, message);
            }
        };
        self.call_soon_threadsafe(cancel).is_ok()
    }
}

/// Cancels one task from any thread: `Send`, `Sync` and `Clone`, harmless after the task's or the loop's end.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let task = asyncio::spawn(std::future::pending::<()>());
///     let handle = task.cancel_handle();
///     std::thread::spawn(move || handle.cancel());
///     assert!(task.await.unwrap_err().is_cancelled());
/// })
/// .unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct CancelHandle {
    handle: LoopHandle,
    task: u64,
}

impl CancelHandle {
    pub(super) fn new(handle: LoopHandle, task: u64) -> CancelHandle {
        CancelHandle { handle, task }
    }

    /// Sends the request to the task's loop; returns `false` if that loop is closed.
    ///
    /// Whether the task takes it is decided on the loop's thread: it may be done by then.
    pub fn cancel(&self) -> bool {
        self.handle.cancel_task(self.task, CancelReason::User, None)
    }

    /// The same, with a text for the one who receives the cancellation.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        let message = Some(message.into().into());
        self.handle
            .cancel_task(self.task, CancelReason::User, message)
    }
}
