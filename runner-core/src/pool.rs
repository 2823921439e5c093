//! Worker threads and the queue of blocking jobs that they take from.
//!
//! Every job that is submitted is run once or comes back as an error, whatever else happens: a panic in it, no thread
//! to be had, a shutdown under way. No code of a job (its body, a destructor, a waker) runs while the lock is held.
//!
//! This file knows neither loop nor task: whoever awaits a [`PoolJob`] is a plain waker to it.

mod builder;
mod job;
mod report;
mod stop_token;
mod waiting;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::Runnable;

pub use self::builder::ThreadPoolExecutorBuilder;
pub(crate) use self::job::PoolJob;
use self::job::{Contained, JobState, Work, contain, never_scheduled};
pub use self::report::{ExecutorReport, RunningJob};
pub use self::stop_token::StopToken;
use self::waiting::{deadline_after, has_passed, lock, wait_on};

use crate::error::JoinErrorKind;
use crate::threads::start_thread;

/// How long a worker stays without work.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A job in the queue; with it travels the line that submitted it.
type QueuedJob = Runnable<&'static Location<'static>>;

/// Worker threads for code that blocks.
///
/// A clone is another handle on the same threads. A thread is started when a job is submitted and no worker is free,
/// up to the maximum; it is used again for later jobs and ends after a time without any. Threads are named after
/// their place in the pool, `asyncio_0` first. They do not keep the process alive: a program whose `main` returns
/// ends, whatever its jobs are doing. When the last handle is dropped, the jobs already queued are still run.
///
/// A job that waits for another job of the same executor occupies a thread meanwhile. Once as many jobs as there may be
/// workers wait like this, none of them ever goes on.
///
/// # Differences from asyncio
///
/// * Idle threads end, and threads are never joined when the process exits; Python waits for them without any limit.
/// * Dropping the future of a job that has not begun takes it back, as cancelling does in Python.
/// * [`shutdown`](ThreadPoolExecutor::shutdown) always drops the jobs that have not begun (`cancel_futures=True`).
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// let executor = asyncio::ThreadPoolExecutor::new();
/// let sum = asyncio::run(async {
///     let job = executor.submit(|| (1..=100).sum::<u32>()); // begins at once, in a thread
///     job.await.unwrap()
/// });
/// assert_eq!(sum.unwrap(), 5050);
/// ```
#[derive(Clone)]
pub struct ThreadPoolExecutor {
    /// What the handles share and the workers do not, so that the last handle's end is noticed.
    owner: Arc<Owner>,
}

impl ThreadPoolExecutor {
    /// Creates an executor of at most `min(32, cpus + 4)` workers; no thread is started yet.
    pub fn new() -> ThreadPoolExecutor {
        ThreadPoolExecutor::builder().build()
    }

    /// Creates an executor of at most `max_workers` workers.
    ///
    /// # Panics
    ///
    /// When `max_workers` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// let one_after_the_other = asyncio::ThreadPoolExecutor::with_max_workers(1);
    /// # assert_eq!(one_after_the_other.outstanding(), 0);
    /// ```
    #[track_caller]
    pub fn with_max_workers(max_workers: usize) -> ThreadPoolExecutor {
        ThreadPoolExecutor::builder()
            .max_workers(max_workers)
            .build()
    }

    /// Returns a builder with all that can be chosen about an executor.
    pub fn builder() -> ThreadPoolExecutorBuilder {
        ThreadPoolExecutorBuilder {
            max_workers: None,
            thread_name_prefix: String::from("asyncio"),
            keep_alive: KEEP_ALIVE,
            #[cfg(test)]
            failpoint: None,
        }
    }

    /// Submits a job on behalf of the code at `location`.
    pub(crate) fn submit_at<F, T>(&self, location: &'static Location<'static>, job: F) -> PoolJob<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let work = Work(Contained(Some(job)));
        let (runnable, task) = async_task::Builder::new()
            .metadata(location)
            .spawn(move |_| work, never_scheduled);
        let state = match self.owner.pool.push(runnable) {
            Ok(()) => JobState::Submitted(task.fallible()),
            Err(kind) => JobState::Refused(kind),
        };
        PoolJob { state, location }
    }

    /// Returns the token that tells when this executor shuts down.
    pub fn stop_token(&self) -> StopToken {
        self.owner.pool.stop.clone()
    }

    /// Returns how many jobs are queued or running.
    ///
    /// A job counts as done just before its awaiter is woken. One that was taken back while it was queued counts until a
    /// worker comes across it.
    pub fn outstanding(&self) -> usize {
        let state = self.owner.pool.lock();
        state.queue.len() + state.workers - state.offered
    }

    /// Returns how many threads there are, and how many jobs that none of them has taken.
    pub(crate) fn threads_and_queue(&self) -> (usize, usize) {
        let state = self.owner.pool.lock();
        (state.workers, state.queue.len())
    }

    /// Returns the jobs that are being run at this moment.
    pub fn running_jobs(&self) -> Vec<RunningJob> {
        self.owner.pool.lock().running_jobs(None)
    }

    /// Refuses further jobs and drops those that have not begun, without waiting for those that have.
    ///
    /// The dropped jobs say so to their awaiters, the running ones are told through their [`StopToken`]s.
    /// Calling it again is harmless.
    #[doc(alias = "cancel_futures")]
    pub fn begin_shutdown(&self) {
        self.owner.pool.begin_shutdown();
    }

    /// Refuses further jobs, drops those that have not begun and, if `wait` is set, waits for those that have.
    ///
    /// Without a `timeout` the wait has no limit. The report lists the jobs that are running when it is over. The threads
    /// themselves are not joined. In async code, which must not block, the loop's own shutdown does this.
    ///
    /// It may be called again, and from a job of this very executor: the calling job is not waited for, nor any
    /// other that is waiting here too, for they would wait for each other.
    ///
    /// # Differences from asyncio
    ///
    /// Python's `shutdown(wait=True)` first runs what is queued, knows no limit, and cannot be called from a job.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// let executor = asyncio::ThreadPoolExecutor::new();
    /// let (sender, receiver) = std::sync::mpsc::channel::<()>();
    /// let stuck = executor.submit(move || receiver.recv());
    /// # while executor.running_jobs().is_empty() { std::thread::yield_now(); }
    ///
    /// let report = executor.shutdown(true, Some(Duration::from_millis(1)));
    /// assert_eq!(report.running().len(), 1);
    /// assert_eq!(report.running()[0].location().file(), file!());
    ///
    /// drop(sender);
    /// assert!(executor.shutdown(true, None).is_complete());
    /// # drop(stuck);
    /// ```
    pub fn shutdown(&self, wait: bool, timeout: Option<Duration>) -> ExecutorReport {
        self.begin_shutdown();
        let limit = if wait { timeout } else { Some(Duration::ZERO) };
        self.owner.pool.wait_until_quiet(limit)
    }

    /// Waits until no job is queued or running, without blocking.
    ///
    /// Polled from a job of this very executor it leaves that job out, as [`shutdown`](ThreadPoolExecutor::shutdown)
    /// does. Wakes may come early; poll again.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.owner.pool.poll_idle(cx.waker())
    }
}

impl Default for ThreadPoolExecutor {
    fn default() -> ThreadPoolExecutor {
        ThreadPoolExecutor::new()
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.owner.pool.lock();
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &self.owner.pool.max_workers)
            .field("workers", &state.workers)
            .field("queued", &state.queue.len())
            .field("closed", &state.closed)
            .finish()
    }
}

/// What the handles of one executor share; the workers hold only the pool, so its drop means that no handle is left.
struct Owner {
    /// The pool behind the handles.
    pool: Arc<Pool>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // No job can come any more. The workers finish the queue and go, instead of idling until their time is over.
        self.pool.lock().closed = true;
        self.pool.work.notify_all();
    }
}

/// Asked for permission to start the worker with the given index.
#[cfg(test)]
type Failpoint = Arc<dyn Fn(usize) -> io::Result<()> + Send + Sync>;

/// What the workers and the handles share.
struct Pool {
    /// All that changes.
    state: Mutex<State>,
    /// Where workers without work wait.
    work: Condvar,
    /// Where those wait who want no job to be running. Nobody is notified here before the pool is closed.
    quiet: Condvar,
    /// Set when the shutdown begins.
    stop: StopToken,
    /// How many workers there may be at once; at least one.
    max_workers: usize,
    /// What stands before `_0` in the threads' names; without NUL characters.
    thread_name_prefix: String,
    /// How long a worker stays without work.
    keep_alive: Duration,
    /// Asked before a thread is started.
    #[cfg(test)]
    failpoint: Option<Failpoint>,
}

/// What changes in a pool.
///
/// A worker is *offered* while it is sure to look at the queue without running code of a job before that: it waits,
/// or is on its way to the queue. As long as there are as many offered workers as queued jobs nobody needs a new thread.
#[derive(Default)]
struct State {
    /// The jobs that no worker has taken yet, oldest first.
    queue: VecDeque<QueuedJob>,
    /// How many workers there are.
    workers: usize,
    /// How many of the workers are offered.
    offered: usize,
    /// How many of the workers wait on `Pool::work`.
    waiting: usize,
    /// How many of the waiting ones were notified and have not come back to the lock. It may be too low, which costs
    /// a needless notification, never too high, which would lose one: every notified thread comes back and counts down.
    notified: usize,
    /// One seat per worker, by the number in its thread's name; `None` is free.
    seats: Vec<Option<Seat>>,
    /// No job is accepted, and workers go when the queue is empty.
    closed: bool,
    /// Who is to be woken when a job has ended and none is queued.
    idle_wakers: Vec<Waker>,
}

/// What the pool knows about one worker.
#[derive(Default)]
struct Seat {
    /// The job it took from the queue, until it comes back for another.
    job: Option<RunningJob>,
    /// It is counted in `State::offered`. With a job: the job's code is over, only its awaiter is still being woken.
    offered: bool,
    /// Its job waits for the pool to become quiet, so other such jobs must not wait for it.
    waits: bool,
}

impl State {
    fn seat(&mut self, index: usize) -> &mut Seat {
        self.seats[index]
            .as_mut()
            .expect("a worker without a seat: this is a bug in asyncio")
    }

    fn offer(&mut self, index: usize) {
        let seat = self.seat(index);
        if !mem::replace(&mut seat.offered, true) {
            self.offered += 1;
        }
    }

    /// Takes the offer of a worker back; returns whether there was one.
    fn withdraw(&mut self, index: usize) -> bool {
        let was_offered = mem::take(&mut self.seat(index).offered);
        self.offered -= usize::from(was_offered);
        was_offered
    }

    /// Gives the oldest job to an offered worker.
    fn take_job(&mut self, index: usize, now: Instant) -> Option<QueuedJob> {
        let job = self.queue.pop_front()?;
        self.withdraw(index);
        self.seat(index).job = Some(RunningJob {
            location: job.metadata(),
            since: now,
        });
        Some(job)
    }

    /// Notes that a worker is through with its job; returns who is to be woken.
    fn come_back(&mut self, index: usize) -> Vec<Waker> {
        // A job that was dropped instead of being run has not offered its worker.
        self.offer(index);
        let seat = self.seat(index);
        seat.waits = false;
        if seat.job.take().is_some() && self.queue.is_empty() {
            mem::take(&mut self.idle_wakers)
        } else {
            Vec::new()
        }
    }

    fn leave(&mut self, index: usize) {
        self.withdraw(index);
        self.seats[index] = None;
        self.workers -= 1;
    }

    /// Returns the lowest number that no worker has.
    fn free_index(&self) -> usize {
        let free = self.seats.iter().position(Option::is_none);
        free.unwrap_or(self.seats.len())
    }

    fn sit_down(&mut self, index: usize) {
        if index == self.seats.len() {
            self.seats.push(None);
        }
        self.seats[index] = Some(Seat::default());
        self.workers += 1;
        self.offer(index);
    }

    /// Returns whether nothing is queued or running that the asker, a job if it has a seat, has to wait for.
    fn is_quiet(&self, asker: Option<usize>) -> bool {
        let to_wait_for = |(index, seat): (usize, &Option<Seat>)| match (seat, asker) {
            (None, _) => false,
            (Some(seat), None) => seat.job.is_some(),
            (Some(seat), Some(asker)) => seat.job.is_some() && index != asker && !seat.waits,
        };
        self.queue.is_empty() && !self.seats.iter().enumerate().any(to_wait_for)
    }

    /// Lists the jobs whose code is being run, but for that of the asker.
    fn running_jobs(&self, asker: Option<usize>) -> Vec<RunningJob> {
        let seats = self.seats.iter().enumerate();
        seats
            .filter(|(index, _)| Some(*index) != asker)
            .filter_map(|(_, seat)| seat.as_ref())
            .filter(|seat| !seat.offered)
            .filter_map(|seat| seat.job.clone())
            .collect()
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Queues a job and sees to it that somebody comes for it, or drops it and says why.
    fn push(self: &Arc<Pool>, job: QueuedJob) -> Result<(), JoinErrorKind> {
        let mut state = self.lock();
        if state.closed {
            // The job's destructors are foreign code: not under the lock.
            drop(state);
            drop(job);
            return Err(JoinErrorKind::ExecutorShutdown);
        }
        state.queue.push_back(job);
        if let Err(error) = self.grow(&mut state) {
            // With other workers the job waits for one of them, and the next submit tries again.
            if state.workers == 0 {
                let job = state.queue.pop_back();
                drop(state);
                drop(job);
                return Err(JoinErrorKind::NoThread(error));
            }
        }
        let notify = state.waiting > state.notified;
        state.notified += usize::from(notify);
        // The notified worker needs the lock first of all.
        drop(state);
        if notify {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Starts a worker if there are more jobs queued than workers that will come for them.
    ///
    /// The thread is started with the lock held. Without it, two submitters could each count on the worker of
    /// the other, and jobs would be left that nobody runs if then no thread can be had.
    fn grow(self: &Arc<Pool>, state: &mut State) -> io::Result<()> {
        if state.queue.len() <= state.offered || state.workers >= self.max_workers {
            return Ok(());
        }
        let index = state.free_index();
        #[cfg(test)]
        if let Some(failpoint) = &self.failpoint {
            failpoint(index)?;
        }
        let worker = Worker {
            pool: Arc::clone(self),
            index,
        };
        let name = format!("{}_{index}", self.thread_name_prefix);
        start_thread(name, Box::new(move || worker.run()))?;
        // The new thread cannot have looked for its seat yet: it needs the lock for that.
        state.sit_down(index);
        Ok(())
    }

    fn begin_shutdown(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = mem::take(&mut state.queue);
        let wakers = mem::take(&mut state.idle_wakers);
        drop(state);
        self.work.notify_all();
        self.stop.stop();
        drop(dropped);
        wake_all(wakers);
    }

    /// Blocks until the pool is quiet or the time is over. The pool must be closed: nobody is notified before.
    fn wait_until_quiet(&self, limit: Option<Duration>) -> ExecutorReport {
        let deadline = limit.and_then(|limit| deadline_after(Instant::now(), limit));
        let asker = Worker::index_in(self);
        let mut state = self.lock();
        if let Some(index) = asker {
            // Another job that waits for this one must not any longer.
            state.seat(index).waits = true;
            let wakers = mem::take(&mut state.idle_wakers);
            drop(state);
            self.quiet.notify_all();
            wake_all(wakers);
            state = self.lock();
        }
        while !state.is_quiet(asker) && !has_passed(deadline, Instant::now()) {
            state = wait_on(&self.quiet, state, deadline);
        }
        let running = state.running_jobs(asker);
        ExecutorReport { running }
    }

    fn poll_idle(&self, waker: &Waker) -> Poll<()> {
        let asker = Worker::index_in(self);
        // Cloned before the lock is taken, and dropped after it is released: both are foreign code.
        let mut waker = Some(waker.clone());
        let mut state = self.lock();
        let begins_to_wait =
            asker.is_some_and(|index| !mem::replace(&mut state.seat(index).waits, true));
        let is_quiet = state.is_quiet(asker);
        let known = |known: &Waker| waker.as_ref().is_some_and(|waker| known.will_wake(waker));
        if !is_quiet && !state.idle_wakers.iter().any(known) {
            state.idle_wakers.extend(waker.take());
        }
        if begins_to_wait {
            // Another job that waits for this one must not any longer. The waker of this one may be among them.
            let wakers = mem::take(&mut state.idle_wakers);
            drop(state);
            self.quiet.notify_all();
            wake_all(wakers);
        }
        match is_quiet {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Settles a worker's last job and waits for the next; `None` means that the worker has left the pool.
    fn next_job(&self, index: usize) -> Option<QueuedJob> {
        let mut now = Instant::now();
        let deadline = deadline_after(now, self.keep_alive);
        let mut state = self.settle(index);
        loop {
            if let Some(job) = state.take_job(index, now) {
                return Some(job);
            }
            if state.closed || has_passed(deadline, now) {
                state.leave(index);
                return None;
            }
            state.waiting += 1;
            state = wait_on(&self.work, state, deadline);
            state.waiting -= 1;
            state.notified = state.notified.saturating_sub(1);
            now = Instant::now();
        }
    }

    fn settle(&self, index: usize) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let wakers = state.come_back(index);
        if state.closed {
            self.quiet.notify_all();
        }
        if wakers.is_empty() {
            return state;
        }
        drop(state);
        wake_all(wakers);
        self.lock()
    }
}

thread_local! {
    /// The worker that this thread is, if it is one.
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// A thread of the pool.
#[derive(Clone)]
struct Worker {
    /// The pool it belongs to.
    pool: Arc<Pool>,
    /// Its seat there.
    index: usize,
}

impl Worker {
    /// Runs jobs until there are none to come.
    fn run(self) {
        WORKER.set(Some(self.clone()));
        while let Some(job) = self.pool.next_job(self.index) {
            // Nothing gets out of a job (see `Work` and `Contained`); a worker lost to a mistake there would be
            // counted for ever and awaited by the shutdown.
            contain(|| {
                job.run();
            });
        }
        // The seat is given up: what thread-local destructors do from here on is not a worker's doing.
        WORKER.set(None);
    }

    /// Calls back with the worker that this thread is, if it is one.
    fn with_current<R>(call: impl FnOnce(&Worker) -> R) -> Option<R> {
        let result = WORKER.try_with(|worker| worker.borrow().as_ref().map(call));
        result.ok().flatten()
    }

    /// Returns the seat of this thread, if it is a worker of this pool.
    fn index_in(pool: &Pool) -> Option<usize> {
        let index = |worker: &Worker| ptr::eq(&*worker.pool, pool).then_some(worker.index);
        Worker::with_current(index).flatten()
    }

    /// Tells the pool that this worker is about to look at the queue.
    fn offer(&self) {
        self.pool.lock().offer(self.index);
    }

    /// Takes the offer back, if there is one, for code of a job is to run first.
    fn withdraw(&self) {
        let mut state = self.pool.lock();
        if state.withdraw(self.index) {
            // Without a new thread the queue waits for the other workers and then for this one, as usual.
            self.pool.grow(&mut state).ok();
        }
    }
}

fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        contain(|| waker.wake());
    }
}

#[cfg(test)]
mod tests;
