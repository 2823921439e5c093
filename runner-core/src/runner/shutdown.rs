//! The orderly end of a loop, phase by phase, and the report about it.
//!
//! The order is always the same, whatever fails on the way: (1) every task is cancelled and awaited, (2) async generators
//! are closed, (3) the default executor is shut down, (4) the loop is closed. One deadline bounds all of it, if one is set.

use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe, Location};
use std::time::{Duration, Instant};

use crate::cancel::timeout_at;
use crate::error::{CancelReason, RunError, panic_text};
use crate::event_loop::EventLoop;
use crate::exception::TaskInfo;
use crate::pool::RunningJob;
use crate::task::TaskRef;

/// How long the default executor is waited for; CPython's constant since 3.12.
const EXECUTOR_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a close waits that follows a second press of Ctrl-C.
const HURRIED_TIMEOUT: Duration = Duration::from_secs(1);

/// After this, and then ever more rarely, a close without a limit says whom it waits for.
const FIRST_NOTICE: Duration = Duration::from_secs(10);

/// What bounds one shutdown.
pub(super) struct Limits {
    pub(super) timeout: Option<Duration>,
    pub(super) hurried: bool,
}

impl Limits {
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let timeout = match self.timeout {
            Some(timeout) if self.hurried => Some(timeout.min(HURRIED_TIMEOUT)),
            None if self.hurried => Some(HURRIED_TIMEOUT),
            timeout => timeout,
        };
        now.checked_add(timeout?)
    }
}

/// What an orderly shutdown did, and what it could not do.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runner = asyncio::Runner::new();
/// runner.run(async { drop(asyncio::task().name("left over").spawn(std::future::pending::<()>())) })?;
/// let report = runner.close()?;
/// assert!(report.is_clean());
/// assert_eq!(report.cancelled()[0].name(), "left over");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct ShutdownReport {
    cancelled: Vec<TaskInfo>,
    survivors: Vec<Survivor>,
    errors: Vec<String>,
    abandoned_jobs: Vec<AbandonedJob>,
}

/// A task that was still running when the shutdown's time was over. Its future was dropped.
#[derive(Debug, Clone)]
pub struct Survivor {
    task: TaskInfo,
    cancels_swallowed: u32,
}

/// A blocking job that was still running when the executor's time was over. Its thread goes on.
#[derive(Debug, Clone)]
pub struct AbandonedJob {
    location: &'static Location<'static>,
    running_for: Duration,
}

impl ShutdownReport {
    /// Returns the tasks that were left and were cancelled, in the order in which they were asked: latest first.
    pub fn cancelled(&self) -> &[TaskInfo] {
        &self.cancelled
    }

    /// Returns the tasks that outlived the deadline.
    pub fn survivors(&self) -> &[Survivor] {
        &self.survivors
    }

    /// Returns what failed during the shutdown, each as it was reported to the exception handler.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Returns the blocking jobs that outlived the deadline.
    pub fn abandoned_jobs(&self) -> &[AbandonedJob] {
        &self.abandoned_jobs
    }

    /// Returns `true` if everything ended in time and nothing failed.
    pub fn is_clean(&self) -> bool {
        self.survivors.is_empty() && self.errors.is_empty() && self.abandoned_jobs.is_empty()
    }
}

impl Survivor {
    /// Returns which task it is.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// Returns how many cancellations it was sent in all.
    pub fn cancels_swallowed(&self) -> u32 {
        self.cancels_swallowed
    }
}

impl AbandonedJob {
    fn new(job: &RunningJob) -> AbandonedJob {
        AbandonedJob {
            location: job.location(),
            running_for: job.since().elapsed(),
        }
    }

    /// Returns the line of the program that submitted the job.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns for how long it had been running.
    pub fn running_for(&self) -> Duration {
        self.running_for
    }
}

/// Goes through all phases.
///
/// # Errors
///
/// When the loop cannot wait any more. What had to be awaited was dropped then.
pub(super) fn shut_down(
    event_loop: &EventLoop,
    limits: Limits,
) -> Result<ShutdownReport, RunError> {
    let exceptions = event_loop.core().scheduler.exceptions.clone();
    exceptions.begin_shutdown();
    let mut shutdown = Shutdown {
        event_loop,
        deadline: limits.deadline(event_loop.time()),
        hurried: limits.hurried,
        report: ShutdownReport::default(),
    };
    let mut failure = None;
    for phase in [Phase::Tasks, Phase::AsyncGens, Phase::Executor] {
        match panic::catch_unwind(AssertUnwindSafe(|| shutdown.go_through(phase))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                failure.get_or_insert(error);
            }
            Err(payload) => shutdown
                .report
                .errors
                .push(panic_text(&*payload).to_owned()),
        }
    }
    let mut report = shutdown.report;
    let closed = event_loop.close();
    report.errors.extend(exceptions.end_shutdown());
    match failure {
        Some(error) => Err(error),
        None => closed.map(|()| report),
    }
}

/// What is ended before the loop itself is closed.
#[derive(Clone, Copy)]
enum Phase {
    Tasks,
    AsyncGens,
    Executor,
}

/// One shutdown under way.
struct Shutdown<'a> {
    event_loop: &'a EventLoop,
    deadline: Option<Instant>,
    hurried: bool,
    report: ShutdownReport,
}

impl Shutdown<'_> {
    fn go_through(&mut self, phase: Phase) -> Result<(), RunError> {
        match phase {
            Phase::Tasks => self.cancel_tasks(),
            Phase::AsyncGens => self.close_asyncgens(),
            Phase::Executor => self.stop_executor(),
        }
    }

    /// Cancels every task once, and waits for all of them; also for those that are spawned meanwhile.
    ///
    /// Latest first: a task is spawned after its parent, so children are asked before parents.
    fn cancel_tasks(&mut self) -> Result<(), RunError> {
        let event_loop = self.event_loop;
        let scheduler = event_loop.core().scheduler.clone();
        let mut asked_until = 0;
        let mut notice = Notice::new(event_loop.time());
        while scheduler.task_count() > 0 && !self.is_over() {
            let spawned = scheduler.spawned();
            asked_until = self.ask_tasks_to_stop(asked_until);
            let limit = self
                .deadline
                .map_or(notice.due, |deadline| deadline.min(notice.due));
            event_loop.run_while(Some(limit), || {
                scheduler.task_count() > 0 && scheduler.spawned() == spawned
            })?;
            if scheduler.task_count() > 0 && event_loop.time() >= notice.due {
                notice.say_whom_we_wait_for(event_loop);
            }
        }
        for task in event_loop.all_tasks() {
            self.report.survivors.push(Survivor {
                task: task.info(),
                cancels_swallowed: task.cancelling(),
            });
        }
        self.name_survivors();
        Ok(())
    }

    /// Runs a phase that is a future; a survivor that calls `stop` does not cut it short.
    fn run_to_its_end<T: 'static>(
        &self,
        phase: impl Future<Output = T> + 'static,
    ) -> Result<T, RunError> {
        let mut phase = Box::pin(phase);
        loop {
            match self.event_loop.run_until_complete(phase.as_mut()) {
                Err(RunError::Stopped) => {}
                output => return output,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| self.event_loop.time() >= deadline)
    }

    /// Asks the tasks with numbers above `asked_until`, and returns the highest number: numbers rise, so that those
    /// above it are tasks that were spawned afterwards.
    fn ask_tasks_to_stop(&mut self, asked_until: u64) -> u64 {
        let tasks = self.event_loop.all_tasks();
        let latest = tasks.last().map_or(0, TaskRef::id);
        let scheduler = &self.event_loop.core().scheduler;
        // What has arrived comes first. Then the woken tasks go straight into the queue, as they do while the loop runs.
        scheduler.collect_all_mail();
        let _entered = scheduler.enter();
        let is_new = |task: &TaskRef| task.id() > asked_until;
        for task in tasks.into_iter().rev().take_while(is_new) {
            if !task.cell().is_background() {
                self.report.cancelled.push(task.info());
                task.cancel_for(CancelReason::Shutdown, None);
            }
        }
        latest.max(asked_until)
    }

    fn name_survivors(&self) {
        if self.report.survivors.is_empty() {
            return;
        }
        let mut text =
            String::from("The shutdown's time is over. Tasks that did not end and were dropped:\n");
        for survivor in &self.report.survivors {
            text += &format!(
                "  {} ({} cancellations)\n",
                survivor.task, survivor.cancels_swallowed
            );
        }
        write_to_stderr(&text);
    }

    /// Closes the async generators. Cut off at the deadline, they are dropped with the loop.
    fn close_asyncgens(&mut self) -> Result<(), RunError> {
        if !self.event_loop.core().has_asyncgens() {
            return Ok(());
        }
        let closing = self.event_loop.shutdown_asyncgens();
        match self.deadline {
            None => self.run_to_its_end(closing),
            Some(deadline) => {
                let closed = self
                    .event_loop
                    .run_until_complete(timeout_at(deadline, closing))?;
                if closed.is_err() {
                    let text = "async generators did not finish closing in time";
                    self.report.errors.push(text.to_owned());
                }
                Ok(())
            }
        }
    }

    fn stop_executor(&mut self) -> Result<(), RunError> {
        if !self.event_loop.core().has_executor() {
            return Ok(());
        }
        let limit = match self.deadline {
            _ if self.hurried => Duration::ZERO,
            Some(deadline) => deadline
                .saturating_duration_since(self.event_loop.time())
                .min(EXECUTOR_TIMEOUT),
            None => EXECUTOR_TIMEOUT,
        };
        let shutdown = self.event_loop.shutdown_default_executor(limit);
        let jobs = self.run_to_its_end(shutdown)?;
        self.report.abandoned_jobs = jobs.iter().map(AbandonedJob::new).collect();
        self.name_abandoned_jobs(limit);
        Ok(())
    }

    fn name_abandoned_jobs(&self, limit: Duration) {
        if self.report.abandoned_jobs.is_empty() {
            return;
        }
        let seconds = limit.as_secs_f64();
        let mut text =
            format!("The executor did not finish joining its threads within {seconds} seconds.\n");
        for job in &self.report.abandoned_jobs {
            let (location, age) = (job.location, job.running_for.as_secs_f64());
            text += &format!(
                "  job submitted at {}:{}, running for {age:.1} s\n",
                location.file(),
                location.line()
            );
        }
        write_to_stderr(&text);
    }
}

/// When a close without a limit speaks up next.
struct Notice {
    due: Instant,
    interval: Duration,
}

impl Notice {
    fn new(now: Instant) -> Notice {
        Notice {
            due: now + FIRST_NOTICE,
            interval: FIRST_NOTICE,
        }
    }

    fn say_whom_we_wait_for(&mut self, event_loop: &EventLoop) {
        let mut text = String::from("The shutdown still waits for:\n");
        for task in event_loop.all_tasks() {
            text += &format!("  {}\n", task.info());
        }
        write_to_stderr(&text);
        self.interval *= 2;
        self.due += self.interval;
    }
}

/// Written as one piece; a closed stderr does not stop the shutdown.
fn write_to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
