//! One job: what its awaiter holds, and what a worker runs.
//!
//! No panic of a job, of its value or of a payload leaves here. This file knows neither queue nor threads, only that the
//! worker it may run on wants to be told before a destructor takes long.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};
use std::thread;

use async_task::FallibleTask;

use super::{QueuedJob, Worker};
use crate::error::{JoinError, JoinErrorKind, Origin, Subject};

/// A job given to a [`ThreadPoolExecutor`]; await it for the job's value.
///
/// Dropping it while the job is queued takes the job back: it is never run, and what it captured is dropped by the worker
/// that comes across it. A job that has begun runs to its end, and its value is dropped in the worker.
///
/// # Errors
///
/// The awaiting code gets a [`JoinError`] if the job panicked, if the executor was shut down before the job had begun,
/// or if not even one thread could be started to run it.
///
/// # Panics
///
/// When polled again after it has given its output.
///
/// # Cancel safety
///
/// The output is delivered once; a poll that is not the last loses nothing. Dropping the future gives the output up.
#[must_use = "a job is taken back when it is dropped before it has begun; await it, or call `detach`"]
pub(crate) struct PoolJob<T> {
    /// Where the job's output is to come from.
    pub(super) state: JobState<T>,
    /// The line that submitted it.
    pub(super) location: &'static Location<'static>,
}

/// Where the output of a [`PoolJob`] is to come from.
pub(super) enum JobState<T> {
    /// From a worker, or from whoever drops the queue: no output means that the job was dropped with it.
    Submitted(FallibleTask<Contained<thread::Result<T>>, &'static Location<'static>>),
    /// From here; the job was never queued.
    Refused(JoinErrorKind),
    /// It was given already.
    Finished,
}

impl<T> PoolJob<T> {
    /// Returns the line that submitted it.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Lets the job run even if nobody awaits it; its value, or its panic, is dropped in the worker.
    pub(crate) fn detach(self) {
        if let JobState::Submitted(task) = self.state {
            task.detach();
        }
    }

    /// Returns `true` if awaiting the job would give its output at once.
    pub(crate) fn is_finished(&self) -> bool {
        match &self.state {
            JobState::Submitted(task) => task.is_finished(),
            JobState::Refused(_) | JobState::Finished => true,
        }
    }

    fn error(&self, kind: JoinErrorKind) -> JoinError {
        let origin = Origin {
            subject: Subject::Job,
            location: self.location,
        };
        JoinError::new(kind, origin)
    }
}

impl<T> Future for PoolJob<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            JobState::Submitted(task) => ready!(Pin::new(task).poll(cx)),
            JobState::Refused(_) => None,
            JobState::Finished => panic!("a job was polled again after it has given its output"),
        };
        let kind = match (mem::replace(&mut self.state, JobState::Finished), outcome) {
            (_, Some(outcome)) => match outcome.into_inner() {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(payload) => JoinErrorKind::Panic(Mutex::new(payload)),
            },
            (JobState::Refused(kind), None) => kind,
            (_, None) => JoinErrorKind::ExecutorShutdown,
        };
        Poll::Ready(Err(self.error(kind)))
    }
}

impl<T> fmt::Debug for PoolJob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("location", &format_args!("{}", self.location))
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// The future that runs a job's closure in its first and only poll.
pub(super) struct Work<F>(pub(super) Contained<F>);

impl<F, T> Future for Work<F>
where
    F: FnOnce() -> T,
{
    type Output = Contained<thread::Result<T>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let job = self.0.0.take();
        let job = job.expect("a job run twice: this is a bug in asyncio");
        // Nothing that the closure may have left in disorder stays behind: it is consumed, and the payload goes to
        // the awaiter, who learns of the panic.
        let outcome = panic::catch_unwind(AssertUnwindSafe(job));
        // Offered before the awaiter is woken: what it submits next is run by this very worker, not by a new thread.
        Worker::with_current(Worker::offer);
        Poll::Ready(Contained(Some(outcome)))
    }
}

// The closure is moved out to be called, never pinned.
impl<F> Unpin for Work<F> {}

/// The schedule function of a job. A job is pushed by hand and done after one poll, its waker given to nobody: there is
/// nothing to schedule it again, and a function without captures costs nothing in the job's allocation.
pub(super) fn never_scheduled(job: QueuedJob) {
    drop(job);
}

/// A value of the user's whose destructor may panic without harm.
///
/// async-task aborts the process when the destructor of a future or of an output panics.
pub(super) struct Contained<V>(pub(super) Option<V>);

impl<V> Contained<V> {
    fn into_inner(mut self) -> V {
        let value = self.0.take();
        value.expect("a value taken twice: this is a bug in asyncio")
    }
}

impl<V> Drop for Contained<V> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else {
            return;
        };
        // In a worker this is the value of a job that nobody awaits any more. The worker was offered already, but its
        // destructor may take long, or even wait for another job.
        Worker::with_current(Worker::withdraw);
        contain(|| drop(value));
    }
}

/// Calls foreign code that has nobody above it to panic to; the panic hook has reported a panic by then.
pub(super) fn contain(call: impl FnOnce()) {
    let drop_payload = |payload: Box<dyn Any + Send>| {
        panic::catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(mem::forget)
    };
    // A payload whose destructor panics throws another payload. That one is leaked: there could be no end to it.
    let _ = panic::catch_unwind(AssertUnwindSafe(call)).or_else(drop_payload);
}
