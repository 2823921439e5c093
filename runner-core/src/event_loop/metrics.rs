//! What a loop has done so far, in numbers.
//!
//! Counted all the time is only what costs an increment where something costly happens anyway. Polls are counted by the
//! number that decides when the loop next looks around; what needs a clock is counted only while somebody wants it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{EventLoop, LoopCore, LoopHandle, RemoteTask, running_loop};
use crate::task::observed::Interest;

/// What a loop has done and has to do, at one moment; made by [`EventLoop::metrics`].
///
/// Further fields may be added.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks and callbacks that are ready and wait for their turn.
    pub ready: usize,
    /// Polls of tasks and calls of callbacks, ever.
    pub polls: u64,
    /// How often the loop has waited for something to happen.
    pub parks: u64,
    /// Wake-ups and calls that came from other threads.
    pub remote_wakes: u64,
    /// Tasks that are not done.
    pub tasks: usize,
    /// Tasks that were spawned, ever.
    pub spawned: u64,
    /// Deadlines that are set: sleeps, timeouts and delayed calls.
    pub timers: usize,
    /// Timers that fired too late, by [`slow_callback_duration`](EventLoop::slow_callback_duration) or more. Counted since
    /// [`set_metrics`](EventLoop::set_metrics) was called or debug mode was switched on, and 0 before.
    pub late_timers: u64,
    /// The part of the time in which the loop did not wait, from 0 to 1, since [`set_metrics`](EventLoop::set_metrics) was
    /// called; `None` without that.
    pub busy: Option<f64>,
    /// Threads of the default executor.
    pub executor_threads: usize,
    /// Jobs for the default executor that no thread has taken yet.
    pub executor_queue: usize,
}

/// The counters of one loop.
#[derive(Default)]
pub(super) struct Counters {
    /// Those that `LoopCore::since_look` does not hold any more.
    polls: Cell<u64>,
    parks: Cell<u64>,
    late_timers: Cell<u64>,
    /// The time spent waiting since `measured_since`.
    waited: Cell<Duration>,
    measured_since: Cell<Option<Instant>>,
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get().wrapping_add(count));
}

impl Counters {
    pub(super) fn count_polls(&self, count: u32) {
        add(&self.polls, u64::from(count));
    }

    pub(super) fn count_park(&self) {
        add(&self.parks, 1);
    }

    pub(super) fn count_wait(&self, waited: Duration) {
        self.waited.set(self.waited.get().saturating_add(waited));
    }

    pub(super) fn count_late_timers(&self, count: u64) {
        add(&self.late_timers, count);
    }

    fn begin(&self) {
        self.waited.set(Duration::ZERO);
        self.measured_since.set(Some(Instant::now()));
    }

    fn busy(&self) -> Option<f64> {
        let elapsed = self.measured_since.get()?.elapsed().as_secs_f64();
        let waited = self.waited.get().as_secs_f64();
        // A moment after the beginning there is nothing to divide by.
        Some(if elapsed > waited {
            1.0 - waited / elapsed
        } else {
            0.0
        })
    }
}

impl LoopCore {
    fn metrics(&self) -> Metrics {
        let (executor_threads, executor_queue) = self
            .executor
            .borrow()
            .as_ref()
            .map_or((0, 0), |executor| executor.threads_and_queue());
        let counters = &self.metrics;
        Metrics {
            ready: self.scheduler.ready_len(),
            polls: counters.polls.get() + u64::from(self.since_look.get()),
            parks: counters.parks.get(),
            remote_wakes: self.scheduler.received(),
            tasks: self.scheduler.task_count(),
            spawned: self.scheduler.spawned(),
            timers: self.timers.borrow().len(),
            late_timers: counters.late_timers.get(),
            busy: counters.busy(),
            executor_threads,
            executor_queue,
        }
    }
}

impl EventLoop {
    /// Returns what the loop has done and has to do. Cheap enough for every request of a service.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(async {
    ///     let event_loop = asyncio::running_loop();
    ///     let sleeper = asyncio::spawn(asyncio::sleep(std::time::Duration::from_secs(60)));
    ///     asyncio::yield_now().await;
    ///     let metrics = event_loop.metrics();
    ///     assert_eq!((metrics.tasks, metrics.timers), (2, 1)); // this one and the sleeper
    ///     sleeper.cancel();
    /// })
    /// .unwrap();
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.core().metrics()
    }

    /// Switches the metrics on, or off again, that need a clock: [`Metrics::busy`] and [`Metrics::late_timers`]. They begin
    /// anew with each call.
    pub fn set_metrics(&self, wanted: bool) {
        let core = self.core();
        core.scheduler.observed.set(Interest::METRICS, wanted);
        core.metrics.late_timers.set(0);
        match wanted {
            true => core.metrics.begin(),
            false => core.metrics.measured_since.set(None),
        }
    }
}

impl LoopHandle {
    /// Asks the loop for its metrics, from any thread. It answers in its turn, so that this costs it nothing until then; one
    /// that is blocked does not answer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(async {
    ///     let handle = asyncio::running_loop().handle();
    ///     let metrics = asyncio::to_thread(move || handle.metrics().join().unwrap()).await.unwrap();
    ///     assert!(metrics.remote_wakes > 0);
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn metrics(&self) -> RemoteTask<Metrics> {
        self.spawn_with(|| async { running_loop().metrics() })
    }
}
