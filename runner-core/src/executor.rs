//! Blocking jobs: the bridge from the loop to its pool of threads.
//!
//! A job runs in a copy of the context of whoever submitted it; its end wakes the loop through the job's own waker. This
//! file knows the pool and the loop, and neither of them this file.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use crate::cancel::timeout;
use crate::context::{Identity, Snapshot};
use crate::error::JoinError;
use crate::event_loop::{EventLoop, running_loop};
use crate::pool::{Job, RunningJob, StopToken, ThreadPoolExecutor};
use crate::task::is_cancel_pending;

/// Runs a blocking function in a thread of the running loop's default executor, and waits for its result.
///
/// Nothing happens before it is awaited. The function runs in a copy of the current context; what it sets there is not
/// seen outside.
///
/// # Errors
///
/// [`JoinError`] if the function panics, if no thread can be started, or if the executor was shut down.
///
/// # Panics
///
/// When it is awaited outside of a running loop.
///
/// # Cancel safety
///
/// A job that has not begun is dropped. One that is running goes on, as a thread cannot be stopped, and its result is
/// dropped; give it a [`StopToken`] with [`to_thread_with`] if it can end early.
///
/// # Differences from asyncio
///
/// The result is a `Result`: a panic does not go on in the awaiting task by itself.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let thread = asyncio::to_thread(|| std::thread::current().name().map(String::from)).await.unwrap();
///     assert_eq!(thread.as_deref(), Some("asyncio_0"));
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn to_thread<F, T>(function: F) -> impl Future<Output = Result<T, JoinError>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let location = Location::caller();
    async move { running_loop().submit(location, function).await }
}

/// The same, with a token that tells the function when the shutdown has begun.
///
/// # Errors
///
/// As [`to_thread`].
///
/// # Panics
///
/// As [`to_thread`].
///
/// # Cancel safety
///
/// As [`to_thread`].
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     // Left behind: the runner's close begins the shutdown, and the job ends.
///     drop(asyncio::spawn(asyncio::to_thread_with(|stop| while !stop.sleep(Duration::from_secs(60)) {})));
///     asyncio::yield_now().await;
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn to_thread_with<F, T>(function: F) -> impl Future<Output = Result<T, JoinError>>
where
    F: FnOnce(StopToken) -> T + Send + 'static,
    T: Send + 'static,
{
    let location = Location::caller();
    async move {
        let event_loop = running_loop();
        let stop = event_loop.core().default_executor().stop_token();
        event_loop.submit(location, move || function(stop)).await
    }
}

impl EventLoop {
    /// Starts a blocking function in a thread of the default executor; the result is awaited.
    ///
    /// The function is submitted at once, and runs in a copy of the current context. Dropping the future before the
    /// function has begun drops the function.
    ///
    /// # Cancel safety
    ///
    /// As [`to_thread`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(async {
    ///     let job = asyncio::running_loop().run_in_executor(|| 6 * 7);
    ///     assert_eq!(job.await.unwrap(), 42);
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn run_in_executor<F, T>(&self, function: F) -> ExecutorJob<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit(Location::caller(), function)
    }

    fn submit<F, T>(&self, location: &'static Location<'static>, function: F) -> ExecutorJob<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let context = Snapshot::current();
        let job = move || {
            let context = Cell::new(context);
            let _entered = Snapshot::enter(&context, Identity::Unassigned);
            function()
        };
        ExecutorJob {
            job: self.core().default_executor().submit_at(location, job),
        }
    }

    /// Replaces the default executor. The one before finishes what was submitted to it.
    pub fn set_default_executor(&self, executor: ThreadPoolExecutor) {
        self.core().replace_executor(executor);
    }

    /// Shuts the default executor down: jobs that have not begun are dropped, running ones awaited for at most `timeout`.
    ///
    /// From the first await on, every further job is refused. Returns the jobs that are still running when the time is
    /// over; their threads go on, but do not keep the process alive.
    ///
    /// # Cancel safety
    ///
    /// The shutdown goes on in the background.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// asyncio::run(async {
    ///     let event_loop = asyncio::running_loop();
    ///     assert!(event_loop.shutdown_default_executor(Duration::from_secs(1)).await.is_empty());
    ///     assert!(asyncio::to_thread(|| ()).await.unwrap_err().is_executor_shutdown());
    /// })
    /// .unwrap();
    /// ```
    pub fn shutdown_default_executor(
        &self,
        timeout_after: impl Into<Option<Duration>>,
    ) -> impl Future<Output = Vec<RunningJob>> + 'static {
        let core = self.core().clone();
        let limit = timeout_after.into();
        async move {
            let Some(executor) = core.retire_executor() else {
                return Vec::new();
            };
            let idle = poll_fn(|cx| executor.poll_idle(cx));
            match limit {
                None => idle.await,
                Some(limit) => timeout(limit, idle).await.unwrap_or_default(),
            }
            executor.running_jobs()
        }
    }
}

/// A job submitted with [`EventLoop::run_in_executor`]; awaiting it gives the function's result.
#[must_use = "a job that has not begun is dropped with this"]
#[derive(Debug)]
pub struct ExecutorJob<T> {
    job: Job<T>,
}

impl<T> ExecutorJob<T> {
    /// Lets the job run without anybody waiting for it.
    pub fn detach(self) {
        self.job.detach();
    }

    /// Returns `true` if the function has returned.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.job.is_finished()
    }
}

impl<T> Future for ExecutorJob<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if is_cancel_pending() {
            return Poll::Pending;
        }
        Pin::new(&mut self.job).poll(cx)
    }
}
