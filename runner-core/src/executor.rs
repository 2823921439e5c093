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
use crate::event_loop::{EventLoop, running_loop, try_running_loop};
use crate::pool::{PoolJob, RunningJob, StopToken, ThreadPoolExecutor};
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away_from_thread;

/// Runs a blocking function in a thread of the running loop's default executor, and waits for its result.
///
/// Nothing happens before it is awaited. The function runs in a copy of the current context; what it sets there is not
/// seen outside.
///
/// This is also how files are read and written: there are no functions for that here, because the system's calls for files
/// block, and a thread with [`std::fs`] is what any such function would be. What takes microseconds, such as a rename, may as
/// well be called directly.
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
///
///     let manifest = asyncio::to_thread(|| std::fs::read_to_string("Cargo.toml")).await.unwrap();
///     assert!(manifest.unwrap().contains("[package]"));
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
    pub fn run_in_executor<F, T>(&self, function: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit(Location::caller(), function)
    }

    fn submit<F, T>(&self, location: &'static Location<'static>, function: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit_in_context(&self.core().default_executor(), location, function)
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

/// Submits a job that runs in a copy of the current context.
fn submit_in_context<F, T>(
    executor: &ThreadPoolExecutor,
    location: &'static Location<'static>,
    function: F,
) -> Job<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let context = Snapshot::current();
    let seen = try_running_loop().and_then(|event_loop| event_loop.core().record_job(location));
    let job = executor.submit_at(location, move || {
        let _underway = seen.map(|begin| begin());
        let context = Cell::new(context);
        let _entered = Snapshot::enter(&context, Identity::UNASSIGNED);
        function()
    });
    Job { job }
}

impl ThreadPoolExecutor {
    /// Submits a job, which runs in a copy of the current context; awaiting what is returned gives its value.
    ///
    /// The job is queued before `submit` returns, it need not be awaited to begin. It never fails here: that nobody
    /// could or would run the job is told by the [`Job`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// let executor = asyncio::ThreadPoolExecutor::new();
    /// asyncio::run(async {
    ///     let error = executor.submit(|| panic!("out of cheese")).await.unwrap_err();
    ///     assert!(error.is_panic());
    ///     assert_eq!(error.spawn_location().file(), file!());
    ///     assert_eq!(executor.submit(|| 7).await.unwrap(), 7); // the worker survived
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn submit<F, T>(&self, job: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit_in_context(self, Location::caller(), job)
    }

    /// Submits a job that wants to know when the executor shuts down.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// let executor = asyncio::ThreadPoolExecutor::new();
    /// let job = executor.submit_with(|stop| {
    ///     let mut rounds = 0;
    ///     while !stop.sleep(Duration::from_millis(1)) {
    ///         rounds += 1;
    ///     }
    ///     rounds
    /// });
    /// # while executor.running_jobs().is_empty() { std::thread::yield_now(); }
    /// assert!(executor.shutdown(true, None).is_complete());
    /// # asyncio::run(async {
    /// let rounds: u32 = job.await.unwrap();
    /// # let _ = rounds;
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn submit_with<F, T>(&self, job: F) -> Job<T>
    where
        F: FnOnce(StopToken) -> T + Send + 'static,
        T: Send + 'static,
    {
        let stop = self.stop_token();
        submit_in_context(self, Location::caller(), move || job(stop))
    }
}

/// A blocking job; awaiting it gives the function's result. Dropped before the function has begun, it takes it back.
#[must_use = "a job that has not begun is dropped with this"]
#[derive(Debug)]
pub struct Job<T> {
    job: PoolJob<T>,
}

impl<T> Job<T> {
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

fn describe<T>(job: &PoolJob<T>) -> WaitsOn {
    let location = job.location();
    WaitsOn::new(format!(
        "the job submitted at {}:{}",
        location.file(),
        location.line()
    ))
}

impl<T> Future for Job<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if must_look_away_from_thread(cx, || describe(&self.job), || self.job.is_finished()) {
            return Poll::Pending;
        }
        Pin::new(&mut self.job).poll(cx)
    }
}
