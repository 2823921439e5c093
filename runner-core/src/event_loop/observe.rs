//! What is told of the loop's own work while somebody wants to know: slow steps, long waits, late timers.
//!
//! A poll begins and ends in [`LoopCore::run_observed`], and nowhere else as far as an observer is concerned; the loop comes
//! here only if one of the flags is set that `task/observed.rs` lists. Debug mode's messages are asyncio's where it has one.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stopwatch::{Clock, Taken};
use super::{EventLoop, LoopCore};
use crate::decimal::{Millis, Seconds};
use crate::driver::Wait;
use crate::exception::{ExceptionContext, TaskInfo};
use crate::handle::Handle;
use crate::logging::{Level, is_heard, say};
use crate::task::cell::TaskCell;
use crate::task::observed::Interest;
use crate::task::raw::Runnable;
use crate::task::ready::{Packed, Ready};
use crate::watchdog::{Beat, Watchdog, note_name};

impl LoopCore {
    /// Runs one entry of the ready queue for those who want to know. Each kind of them has a function with the stack frame that
    /// it needs.
    #[inline(never)]
    pub(super) fn run_observed(&self, entry: Packed) {
        if self.scheduler.observed.has(Interest::RECORDED) {
            self.run_recorded(entry);
        } else {
            self.run_unrecorded(entry);
        }
    }

    /// Runs one entry, with a stopwatch in debug mode.
    #[inline(always)]
    pub(super) fn run_unrecorded(&self, entry: Packed) {
        if self.scheduler.observed.has(Interest::DEBUG) {
            self.run_timed(entry);
        } else {
            self.run_watched(entry);
        }
    }

    #[inline(never)]
    fn run_watched(&self, entry: Packed) {
        let entry = entry.open();
        match &entry {
            Ready::Task(runnable) => self.beat_poll(runnable.metadata()),
            Ready::Callback(handle) => self.beat_call(handle),
        }
        self.run_entry(entry);
    }

    #[inline(always)]
    fn beat_poll(&self, cell: &TaskCell) {
        if let Some(beat) = self.watched_beat() {
            beat.poll(cell.id(), cell.location());
        }
    }

    #[inline(always)]
    fn beat_call(&self, handle: &Handle) {
        if let Some(beat) = self.watched_beat() {
            beat.call(handle.location());
        }
    }

    /// Where those look who watch from other threads what runs now.
    #[inline(always)]
    fn watched_beat(&self) -> Option<&Arc<Beat>> {
        let is_watched = self.scheduler.observed.has(Interest::WATCHED);
        self.beat.get().filter(|_| is_watched)
    }

    /// With a stopwatch. What is not a spawned task is run elsewhere: to tell the kinds apart at each step costs more than a
    /// copy of what they have in common.
    #[inline(never)]
    fn run_timed(&self, entry: Packed) {
        match entry.open() {
            Ready::Task(runnable @ Runnable::Spawned(_)) => self.time_poll(runnable),
            other => self.time_other(other),
        }
    }

    #[inline(never)]
    fn time_other(&self, entry: Ready) {
        match entry {
            Ready::Task(runnable) => self.time_poll(runnable),
            Ready::Callback(handle) => self.time_callback(&handle),
        }
    }

    #[inline(always)]
    fn time_poll(&self, runnable: Runnable) {
        let cell = runnable.metadata();
        self.beat_poll(cell);
        // Kept in memory: registers that outlive the poll would have to be saved before, and restored after it.
        self.timed_task.set(cell);
        let step = self.stopwatch.begin_step();
        runnable.run();
        if let Some(taken) = self.stopwatch.end_step(step) {
            self.note_step(&taken);
        }
    }

    fn time_callback(&self, handle: &Handle) {
        self.beat_call(handle);
        self.current_callback.set(Some(handle.location()));
        let step = self.stopwatch.begin_step();
        self.run_callback(handle);
        let slow = self.stopwatch.end_step(step);
        self.current_callback.set(None);
        if let Some(taken) = slow.filter(|taken| taken.is_slow) {
            self.tell_step(&format_args!("{handle:?}"), taken.time);
        }
    }

    /// Counts the time of a task's step, and tells of one that was slow.
    #[cold]
    fn note_step(&self, taken: &Taken) {
        let TimedTask {
            id,
            place,
            location,
        } = &self.timed_task;
        let (id, Some(location)) = (id.get(), location.get()) else {
            return;
        };
        let task = self.scheduler.task_at(place.get(), id);
        if !self.scheduler.observed.has(Interest::TIMES) {
            self.count_time(id, task.is_none(), taken.time);
        }
        if taken.is_slow {
            let name = match task {
                Some(task) => task.cell().given_name(),
                None => self.scheduler.name_at_end(id),
            };
            self.tell_step(&TaskInfo::new(id, name, location), taken.time);
        }
    }

    #[cold]
    fn tell_step(&self, subject: &dyn fmt::Display, taken: Duration) {
        let seconds = Seconds(taken);
        say(
            Level::Warning,
            format_args!("Executing {subject} took {seconds:.3} seconds"),
        );
        self.forget_step();
        self.note_time();
    }

    /// Tells the scheduler the time, in hundredths of a second, for those who may ask how old a task is.
    ///
    /// Once per look at the system, and so at least once in some sixty polls: a clock for each task would cost more than the
    /// last digit of its age is worth.
    #[inline]
    pub(super) fn note_time(&self) {
        if self.scheduler.observed.has(Interest::AGES) {
            self.scheduler.set_time(self.hundredths());
        }
    }

    /// The same when the loop begins to run; the look at the clock is also the first step's.
    pub(super) fn note_begin(&self) {
        if self.has_system_time && self.scheduler.observed.has(Interest::DEBUG) {
            let tick = Clock::coarse().now();
            self.scheduler.set_time(hundredths(tick));
            self.stopwatch.begin_steps_at(tick);
        } else {
            self.note_time();
        }
    }

    /// Since some moment of the past; never 0. Where the clock is the system's, its tick is exact enough.
    pub(crate) fn hundredths(&self) -> u32 {
        if self.has_system_time {
            return hundredths(Clock::coarse().now());
        }
        let elapsed = self.now().saturating_duration_since(self.epoch);
        hundredths(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// What comes now is no part of the next step: its begin has to be looked up.
    pub(super) fn forget_step(&self) {
        self.stopwatch.forget_step();
    }

    /// A report made by a callback names it in debug mode, if it names nobody else.
    pub(super) fn name_reporter(&self, context: ExceptionContext) -> ExceptionContext {
        match self.current_callback.get() {
            Some(location) => context.with_callback_if_none(location),
            None => context,
        }
    }

    /// Waits, for those who want to know.
    #[inline(never)]
    pub(super) fn wait_observed(&self, wait: Wait) -> std::io::Result<()> {
        let observed = &self.scheduler.observed;
        if observed.has(Interest::WATCHED) {
            self.beat().rest();
        }
        let timer = observed.has(Interest::METRICS).then(Instant::now);
        // Debug mode has nothing to say of a wait without end, unless somebody hears how long each took.
        let is_told =
            observed.has(Interest::DEBUG) && (wait.deadline().is_some() || is_heard(Level::Info));
        let began = is_told.then(|| self.now());
        let span = self.span("loop", "wait");
        let count = self.wait(wait)?;
        drop(span);
        if let Some(timer) = timer {
            self.metrics.count_wait(timer.elapsed());
        }
        if let Some(began) = began {
            self.tell_wait(wait, began, count);
        }
        self.forget_step();
        Ok(())
    }

    /// asyncio's words, up to 3.7. A wait that took longer than it was asked to is the machine's doing, and worth a warning.
    fn tell_wait(&self, wait: Wait, began: Instant, count: usize) {
        let now = self.now();
        let taken = now.saturating_duration_since(began);
        let deadline = wait.deadline();
        let is_late = deadline.is_some_and(|deadline| {
            now.saturating_duration_since(deadline.max(began)) >= self.slow_callback_duration.get()
        });
        let level = match taken {
            _ if is_late => Level::Warning,
            taken if taken >= Duration::from_secs(1) => Level::Info,
            _ => Level::Debug,
        };
        if !is_heard(level) {
            return;
        }
        let taken = Millis(taken);
        let asked = deadline.map(|deadline| Millis(deadline.saturating_duration_since(began)));
        match asked {
            None => say(
                level,
                format_args!("poll took {taken:.3} ms: {count} events"),
            ),
            Some(asked) if count > 0 => say(
                level,
                format_args!("poll {asked:.3} ms took {taken:.3} ms: {count} events"),
            ),
            Some(asked) => say(
                level,
                format_args!("poll {asked:.3} ms took {taken:.3} ms: timeout"),
            ),
        }
    }

    /// Counts, and tells of, what fired too late, given how late each was.
    pub(super) fn note_late_timers(&self, late: &LateTimers) {
        if late.count == 0 {
            return;
        }
        if self.scheduler.observed.has(Interest::LATENESS) {
            self.metrics.count_late_timers(late.count);
        }
        if self.scheduler.observed.has(Interest::DEBUG) {
            self.forget_step();
            let seconds = Seconds(late.worst);
            let (count, were) = match late.count {
                1 => (String::from("A timer"), "was"),
                count => (format!("{count} timers"), "were"),
            };
            say(
                Level::Warning,
                format_args!("{count} {were} late, by {seconds:.3} seconds at most"),
            );
        }
    }

    /// Where it is told which poll is under way; made at the first use.
    pub(super) fn beat(&self) -> &Arc<Beat> {
        self.beat.get_or_init(Beat::begin)
    }

    /// The loop is not run any more.
    pub(super) fn rest(&self) {
        self.forget_step();
        if self.scheduler.observed.has(Interest::WATCHED) {
            self.beat().rest();
        }
    }

    /// From now on, or no longer, it is told which poll is under way.
    fn set_watched(&self, interest: Interest, wanted: bool) {
        if wanted && !self.scheduler.observed.has(Interest::WATCHED) {
            self.beat();
        }
        if wanted && self.scheduler.task_count() > 0 {
            for task in self.scheduler.tasks() {
                if let Some(name) = task.cell().given_name() {
                    note_name(task.id(), &name);
                }
            }
        }
        self.scheduler.observed.set(interest, wanted);
    }
}

impl LoopCore {
    /// Publishes which poll is under way, for dumps that the loop cannot answer itself.
    pub(crate) fn begin_dumps(&self) -> Arc<Beat> {
        self.set_watched(Interest::DUMPS, true);
        self.beat().clone()
    }

    /// The same, for those who look on from outside of the process.
    pub(crate) fn begin_inspection(&self) -> Arc<Beat> {
        self.set_watched(Interest::INSPECTION, true);
        self.beat().clone()
    }

    pub(crate) fn end_inspection(&self) {
        self.set_watched(Interest::INSPECTION, false);
        self.set_run_times(false);
    }

    pub(crate) fn end_dumps(&self) {
        self.set_watched(Interest::DUMPS, false);
    }
}

/// Begins again after a year, but not with 0, which is no time.
fn hundredths(nanos: u64) -> u32 {
    ((nanos / 10_000_000) as u32).wrapping_add(1).max(1)
}

/// What fired too late, in one look at the timers.
pub(super) struct LateTimers {
    limit: Duration,
    count: u64,
    worst: Duration,
}

impl LateTimers {
    /// For those who are late by `limit`.
    pub(super) fn new(limit: Duration) -> LateTimers {
        LateTimers {
            limit,
            count: 0,
            worst: Duration::ZERO,
        }
    }

    /// A timer fires, so long after its deadline.
    pub(super) fn add(&mut self, late: Duration) {
        if late >= self.limit {
            self.count += 1;
            self.worst = self.worst.max(late);
        }
    }
}

impl EventLoop {
    /// Has a thread report when this loop is blocked for so long: when one poll or callback keeps its thread, by computing or
    /// by waiting for something. `None` ends that.
    ///
    /// Debug mode is not needed. Each block is told once while it lasts, with what blocks, since when and, on Linux, whether
    /// its thread computes or which system call it waits in; and once more when it is over. A loop that is not watched pays
    /// nothing, one that is pays two stores per poll. The limit may be set at any time, and again.
    ///
    /// With the crate's feature `backtrace` a second message follows the first: the blocked thread's backtrace, from where it is
    /// out to the task or the callback. That needs Linux on x86-64 or AArch64 with the GNU C library, 2.35 or newer. Functions
    /// are named as far as the program's debug information goes, as in the backtrace of a panic; an optimised program without
    /// any may name the task's code by nothing but the `poll` around it, or not at all. The first backtrace of a program may
    /// take seconds, in a thread of its own, in which the debug information is read.
    ///
    /// The blocked thread is interrupted for it by SIGURG, once per block. As with any signal, a system call that does not go
    /// on by itself (`nanosleep`, `poll`, a socket with a timeout) then fails with `EINTR`. If the program has a handler for
    /// SIGURG, that is left alone, and a message says that there is no backtrace; so it is with a thread that has blocked
    /// SIGURG, or does not react within 100 ms, and in a process that was forked from one that took backtraces.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// asyncio::run(async {
    ///     asyncio::running_loop().set_blocked_loop_after(Duration::from_secs(1))?;
    ///     // From here on, a call of `std::thread::sleep` for two seconds would be reported after one, with this line.
    ///     asyncio::spawn(async { "quick" }).await.unwrap();
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap()
    /// .unwrap();
    /// ```
    pub fn set_blocked_loop_after(
        &self,
        limit: impl Into<Option<Duration>>,
    ) -> std::io::Result<()> {
        let core = self.core();
        let watchdog = match limit.into() {
            Some(limit) if !core.is_closed() => Some(Watchdog::start(core.beat().clone(), limit)?),
            _ => None,
        };
        core.set_watched(Interest::WATCHDOG, watchdog.is_some());
        drop(core.watchdog.replace(watchdog));
        Ok(())
    }

    /// Returns the limit set by [`set_blocked_loop_after`](EventLoop::set_blocked_loop_after).
    pub fn blocked_loop_after(&self) -> Option<Duration> {
        let watchdog = self.core().watchdog.borrow();
        watchdog.as_ref().map(Watchdog::limit)
    }
}

/// The task that is polled now, in debug mode. It may be gone after the poll.
#[derive(Default)]
pub(super) struct TimedTask {
    id: Cell<u64>,
    /// In the registry.
    place: Cell<u32>,
    location: Cell<Option<&'static Location<'static>>>,
}

impl TimedTask {
    #[inline(always)]
    fn set(&self, cell: &TaskCell) {
        self.id.set(cell.id());
        self.place.set(cell.place());
        self.location.set(Some(cell.location()));
    }
}

/// The line that scheduled the callback that runs now, in debug mode.
pub(super) type CurrentCallback = Cell<Option<&'static Location<'static>>>;
