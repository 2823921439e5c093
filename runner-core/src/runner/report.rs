//! What a shutdown has to tell: to the caller of `close`, and in words on stderr.
//!
//! Plain data, filled by `shutdown.rs`.

use std::fmt::{self, Write as _};
use std::panic::Location;
use std::time::Duration;

use super::workers::Worker;
use crate::debug::Activity;
use crate::decimal::Seconds;
use crate::event_loop::Companion;
use crate::exception::TaskInfo;
use crate::pool::RunningJob;
use crate::process::LeftChild;

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
    pub(super) cancelled: Vec<TaskInfo>,
    pub(super) survivors: Vec<Survivor>,
    pub(super) errors: Vec<String>,
    /// Boxed, as there is hardly ever any: a report is handed on by value. Never one that is empty.
    abandoned: Option<Box<Abandoned>>,
}

/// What goes on by itself, because it did not end in time.
#[derive(Debug, Default)]
pub(super) struct Abandoned {
    pub(super) jobs: Vec<AbandonedJob>,
    pub(super) companions: Vec<AbandonedCompanion>,
    pub(super) children: Vec<AbandonedChild>,
    pub(super) workers: Vec<AbandonedWorker>,
}

/// A task that was still running when the shutdown's time was over. Its future was dropped.
#[derive(Debug, Clone)]
pub struct Survivor {
    pub(super) task: TaskInfo,
    pub(super) worker: Worker,
    pub(super) activity: Activity,
    pub(super) cancels_swallowed: u32,
    pub(super) cancelled_for: Duration,
}

/// A blocking job that was still running when the executor's time was over. Its thread goes on.
#[derive(Debug, Clone)]
pub struct AbandonedJob {
    location: &'static Location<'static>,
    running_for: Duration,
}

/// What ran beside the loop, such as another runtime, and had not ended when the time was over. Its threads go on.
#[derive(Debug, Clone)]
pub struct AbandonedCompanion {
    name: String,
    leftovers: String,
}

/// A child process that was killed, because its `kill_on_drop` says so, and had not ended when the time was over.
#[derive(Debug, Clone)]
pub struct AbandonedChild {
    id: u32,
    program: String,
}

/// A worker whose event loop did not come back when the time was over, because something blocks it. Its thread goes on as
/// long as the process lives, with all its tasks.
#[derive(Debug, Clone)]
pub struct AbandonedWorker {
    worker: Worker,
}

impl ShutdownReport {
    /// Returns the tasks that were left and were cancelled, in the order in which they were asked: latest first. With several
    /// workers those of the first one come first.
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
        self.abandoned.as_ref().map_or(&[], |left| &left.jobs)
    }

    /// Returns what ran beside the loop and outlived the deadline.
    pub fn abandoned_companions(&self) -> &[AbandonedCompanion] {
        self.abandoned.as_ref().map_or(&[], |left| &left.companions)
    }

    /// Returns the child processes that were killed and outlived the deadline. They are still waited for, and leave no zombie
    /// as long as this process lives.
    pub fn abandoned_children(&self) -> &[AbandonedChild] {
        self.abandoned.as_ref().map_or(&[], |left| &left.children)
    }

    /// Returns the workers whose loops outlived the deadline. What was on them is unknown.
    pub fn abandoned_workers(&self) -> &[AbandonedWorker] {
        self.abandoned.as_ref().map_or(&[], |left| &left.workers)
    }

    /// Adds what another loop has to tell.
    pub(super) fn absorb(&mut self, other: ShutdownReport) {
        self.cancelled.extend(other.cancelled);
        self.survivors.extend(other.survivors);
        self.errors.extend(other.errors);
        if let Some(other) = other.abandoned {
            let own = self.abandoned();
            own.jobs.extend(other.jobs);
            own.companions.extend(other.companions);
            own.children.extend(other.children);
            own.workers.extend(other.workers);
        }
    }

    /// For whoever has something to put in.
    pub(super) fn abandoned(&mut self) -> &mut Abandoned {
        self.abandoned.get_or_insert_default()
    }

    /// Returns `true` if everything ended in time and nothing failed.
    pub fn is_clean(&self) -> bool {
        self.survivors.is_empty() && self.errors.is_empty() && self.abandoned.is_none()
    }

    /// Names the survivors from that one on, for stderr.
    pub(super) fn survivors_text(&self, first: usize) -> String {
        let mut text =
            String::from("The shutdown's time is over. Tasks that did not end and were dropped:\n");
        for survivor in &self.survivors[first..] {
            let _ = writeln!(
                text,
                "  {}{} (cancelled {}, {:.0} s ago) {}",
                survivor.task,
                on_worker(survivor.worker),
                times(survivor.cancels_swallowed),
                Seconds(survivor.cancelled_for),
                survivor.activity
            );
        }
        text
    }

    /// Names the jobs that were left behind after that time, or without waiting, for stderr.
    pub(super) fn abandoned_jobs_text(&self, limit: Option<Duration>) -> String {
        let mut text = match limit.map(Seconds) {
            Some(seconds) => format!(
                "The executor did not finish joining its threads within {seconds} seconds.\n"
            ),
            None => String::from("The executor's threads were not waited for.\n"),
        };
        for job in self.abandoned_jobs() {
            let (location, age) = (job.location, Seconds(job.running_for));
            let _ = writeln!(
                text,
                "  job submitted at {}:{}, running for {age:.1} s",
                location.file(),
                location.line()
            );
        }
        text
    }
}

/// Names the children that did not end, for stderr.
pub(super) fn abandoned_children_text(children: &[AbandonedChild]) -> String {
    let mut text = String::from("Child processes that were killed and have not ended:\n");
    for AbandonedChild { id, program } in children {
        let _ = writeln!(text, "  {id} ({program})");
    }
    text
}

/// Names the workers that are left behind.
pub(super) fn abandoned_workers_text(workers: &[AbandonedWorker]) -> String {
    let mut text = String::from(
        "The shutdown's time is over. Event loops that are blocked, and were left with all their tasks:\n",
    );
    for AbandonedWorker { worker } in workers {
        let _ = writeln!(
            text,
            "  {worker} (thread 'asyncio-loop-{}')",
            worker.index()
        );
    }
    text
}

/// Says where something is, if it is not where main is.
pub(super) fn on_worker(worker: Worker) -> String {
    match worker.index() {
        0 => String::new(),
        _ => format!(" on {worker}"),
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".into(),
        _ => format!("{count} times"),
    }
}

impl Survivor {
    /// Returns which task it is.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// Returns on whose loop it was.
    pub fn worker(&self) -> Worker {
        self.worker
    }

    /// Returns what it was doing, as far as is known: what it waited for.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Returns how many cancellations it was sent in all and has not withdrawn.
    pub fn cancels_swallowed(&self) -> u32 {
        self.cancels_swallowed
    }

    /// Returns how long ago the shutdown had asked it to end, on the loop's clock.
    pub fn cancelled_for(&self) -> Duration {
        self.cancelled_for
    }
}

impl AbandonedJob {
    pub(super) fn new(job: &RunningJob) -> AbandonedJob {
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

impl AbandonedWorker {
    pub(super) fn new(worker: Worker) -> AbandonedWorker {
        AbandonedWorker { worker }
    }

    /// Returns which worker it is.
    pub fn worker(&self) -> Worker {
        self.worker
    }
}

impl AbandonedCompanion {
    pub(super) fn new(companion: &dyn Companion) -> AbandonedCompanion {
        AbandonedCompanion {
            name: companion.name().to_owned(),
            leftovers: companion.leftovers(),
        }
    }

    /// Returns what it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what of it still ran, in its own words; empty if it does not know.
    pub fn leftovers(&self) -> &str {
        &self.leftovers
    }
}

impl fmt::Display for AbandonedCompanion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leftovers() {
            "" => f.write_str(&self.name),
            leftovers => write!(f, "{} ({leftovers})", self.name),
        }
    }
}

impl AbandonedChild {
    pub(super) fn new(child: LeftChild) -> AbandonedChild {
        AbandonedChild {
            id: child.id,
            program: child.program,
        }
    }

    /// Returns the process's number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the program that was started.
    pub fn program(&self) -> &str {
        &self.program
    }
}
