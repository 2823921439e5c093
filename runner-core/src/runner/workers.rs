//! The workers of a runner, as its program sees them: which there are, which one this is, and tasks on the others.
//!
//! A worker is one event loop in one thread. This file starts no thread and ends none; that is the crew's.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Cx, Poll};

use super::exit::ExitRequest;
use super::program::Program;
use crate::cancel::catch_cancelled;
use crate::error::{CancelReason, CancelledError, JoinError};
use crate::event_loop::{LoopHandle, RemoteControl, RemoteTask, running_loop, try_running_loop};
use crate::task::inquiry::WaitsOn;
use crate::task::raise::Raising;
use crate::task::{is_handed_round, must_look_away};

/// One of the event loops of a [`Runner`](crate::Runner), each in a thread of its own; see
/// [`workers`](crate::RunnerBuilder::workers).
///
/// A name that can be sent anywhere, and is harmless after the loop is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    index: usize,
    handle: LoopHandle,
}

impl Worker {
    pub(super) fn new(index: usize, handle: LoopHandle) -> Worker {
        Worker { index, handle }
    }

    /// Returns its place in [`workers`]: 0 for the one that runs main.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the remote control of its loop.
    pub fn handle(&self) -> LoopHandle {
        self.handle
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.index)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.handle.is_closed();
        write!(f, "<Worker {} closed={closed}>", self.index)
    }
}

/// What all of a runner's threads know of each other, once all loops are there.
pub(super) struct Crewmates {
    pub(super) workers: Arc<[Worker]>,
    pub(super) exit: Arc<ExitRequest>,
}

thread_local! {
    /// In a sibling's thread: the others.
    static MATES: RefCell<Option<Arc<OnceLock<Crewmates>>>> = const { RefCell::new(None) };
}

/// Says that this is a sibling's thread, whose crewmates will be told there.
pub(super) fn enter_sibling(mates: Arc<OnceLock<Crewmates>>) {
    MATES.set(Some(mates));
}

/// Asks for the crewmates, if the loop that runs here is a sibling.
pub(super) fn with_crewmates<T>(ask: impl FnOnce(&Crewmates) -> T) -> Option<T> {
    let handle = try_running_loop()?.handle();
    let mates = MATES.try_with(|mates| mates.borrow().clone()).ok()??;
    let mates = mates.get()?;
    let is_one = |worker: &Worker| worker.handle == handle;
    mates.workers.iter().any(is_one).then(|| ask(mates))
}

/// Returns the workers of the runner whose loop runs here, the one that runs main first. A loop that has no siblings is the
/// only one of its kind.
///
/// # Panics
///
/// When no loop runs on this thread.
#[track_caller]
pub fn workers() -> Vec<Worker> {
    let handle = running_loop().handle();
    with_crewmates(|mates| mates.workers.to_vec())
        .or_else(|| Some(Program::here()?.workers.get()?.to_vec()))
        .unwrap_or_else(|| vec![Worker::new(0, handle)])
}

/// Returns the worker whose loop runs here.
///
/// # Panics
///
/// When no loop runs on this thread.
#[track_caller]
pub fn worker() -> Worker {
    let handle = running_loop().handle();
    let index = with_crewmates(|mates| {
        let is_this = |worker: &Worker| worker.handle == handle;
        mates.workers.iter().position(is_this)
    });
    Worker::new(index.flatten().unwrap_or(0), handle)
}

/// Starts a task on the loop of `worker`, in its thread, and returns a handle that is awaited here.
///
/// `make` is sent there and makes the future, which therefore need not be `Send`; only what `make` holds and what the future
/// gives in the end cross over. The task runs in a copy of the current context. It belongs to its own loop: dropping the
/// handle detaches it. A worker whose loop is closed drops `make`, and the task ends cancelled.
///
/// Nothing is taken from a worker that has much to do: a task stays where it was started.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::rc::Rc;
///
/// let runner = asyncio::Runner::builder().workers(2).build();
/// let sum = runner.run(async {
///     let other = asyncio::workers()[1];
///     let task = asyncio::spawn_on(other, || async {
///         let numbers = Rc::new([1, 2, 3]);
///         asyncio::yield_now().await;
///         (asyncio::worker().index(), numbers.iter().sum::<i32>())
///     });
///     task.await.unwrap()
/// });
/// assert_eq!(sum.unwrap(), (1, 6));
/// ```
#[track_caller]
pub fn spawn_on<M, F>(worker: Worker, make: M) -> WorkerTask<F::Output>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    // Made by the task itself: a panic of `make` is the task's.
    let remote = worker
        .handle
        .spawn_with(move || async move { make().await });
    WorkerTask {
        worker,
        control: remote.control(),
        end: Box::pin(await_end(remote)),
    }
}

/// A task on another worker's loop; awaiting it gives its output. Made by [`spawn_on`].
///
/// Dropping the handle detaches the task. A panic arrives as [`JoinError`], as that of a [`Task`](crate::Task) does; if the
/// handle is gone, the exception handler of the task's loop is told.
///
/// # Cancel safety
///
/// As for [`Task`](crate::Task): who is cancelled while it awaits one passes the request on, and waits for that one's own
/// cleanup. If it swallows the request and returns a value, the value is received.
pub struct WorkerTask<T> {
    worker: Worker,
    control: RemoteControl<T>,
    end: Pin<Box<dyn Future<Output = Result<T, JoinError>>>>,
}

impl<T> WorkerTask<T> {
    /// Returns where the task runs.
    pub fn worker(&self) -> Worker {
        self.worker
    }

    /// Returns `true` if the task has ended.
    pub fn is_finished(&self) -> bool {
        self.control.is_finished()
    }

    /// Asks the task to stop; returns `false` if it has ended already.
    pub fn cancel(&self) -> bool {
        self.control.cancel_for(CancelReason::User, None)
    }

    /// The same, with a text for the one who receives the cancellation.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        let message = Some(message.into().into());
        self.control.cancel_for(CancelReason::User, message)
    }
}

impl<T> Future for WorkerTask<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        self.end.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for WorkerTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = self.is_finished();
        write!(f, "<WorkerTask on {} finished={finished}>", self.worker)
    }
}

/// Waits for the task's end, with a `Task`'s rules for requests.
async fn await_end<T>(mut remote: RemoteTask<T>) -> Result<T, JoinError> {
    let mut passed = None;
    loop {
        match catch_cancelled(&mut remote).await {
            Ok(Err(error)) if error.is_cancelled() => {
                if let Some(request) = passed.take() {
                    raise(request).await;
                }
                return Err(error);
            }
            Ok(output) => return output,
            // The output stays where it is, for whoever awaits after the cancellation was delivered.
            Err(request) if remote.is_finished() || is_handed_round() => raise(request).await,
            Err(request) => {
                let message = request.message().map(Arc::from);
                remote.control().cancel_for(CancelReason::Parent, message);
                passed = Some(request);
            }
        }
    }
}

/// Sends the request on outwards. Returns only if other code of the awaiting task takes it and keeps it.
async fn raise(request: CancelledError) {
    let mut raising = Raising::new(request);
    let mut is_raised = false;
    poll_fn(|cx| {
        if !is_raised {
            is_raised = true;
            raising.poll(cx);
            return Poll::Pending;
        }
        match must_look_away(cx, || WaitsOn::new("its own cancellation")) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
}
