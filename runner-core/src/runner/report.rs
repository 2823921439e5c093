//! What a shutdown has to tell: to the caller of `close`, and in words on stderr.
//!
//! Plain data, filled by `shutdown.rs`.

use std::fmt::{self, Write as _};
use std::panic::Location;
use std::time::Duration;

use crate::debug::Activity;
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
    pub(super) abandoned_jobs: Vec<AbandonedJob>,
    /// Made if there is any; a report is moved about.
    pub(super) outside: Option<Box<AbandonedOutside>>,
}

/// What lives outside of the loop, and did not end in time.
#[derive(Debug, Default)]
pub(super) struct AbandonedOutside {
    pub(super) companions: Vec<AbandonedCompanion>,
    pub(super) children: Vec<AbandonedChild>,
}

/// A task that was still running when the shutdown's time was over. Its future was dropped.
#[derive(Debug, Clone)]
pub struct Survivor {
    pub(super) task: TaskInfo,
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

    /// Returns what ran beside the loop and outlived the deadline.
    pub fn abandoned_companions(&self) -> &[AbandonedCompanion] {
        self.outside.as_ref().map_or(&[], |it| &it.companions)
    }

    /// Returns the child processes that were killed and outlived the deadline. They are still waited for, and leave no zombie
    /// as long as this process lives.
    pub fn abandoned_children(&self) -> &[AbandonedChild] {
        self.outside.as_ref().map_or(&[], |it| &it.children)
    }

    /// Returns `true` if everything ended in time and nothing failed.
    pub fn is_clean(&self) -> bool {
        self.survivors.is_empty()
            && self.errors.is_empty()
            && self.abandoned_jobs.is_empty()
            && self.abandoned_companions().is_empty()
            && self.abandoned_children().is_empty()
    }

    /// Names the survivors from that one on, for stderr.
    pub(super) fn survivors_text(&self, first: usize) -> String {
        let mut text =
            String::from("The shutdown's time is over. Tasks that did not end and were dropped:\n");
        for survivor in &self.survivors[first..] {
            let _ = writeln!(
                text,
                "  {} (cancelled {}, {:.0} s ago) {}",
                survivor.task,
                times(survivor.cancels_swallowed),
                survivor.cancelled_for.as_secs_f64(),
                survivor.activity
            );
        }
        text
    }

    /// Names the jobs that were left behind after that time, or without waiting, for stderr.
    pub(super) fn abandoned_jobs_text(&self, limit: Option<Duration>) -> String {
        let mut text = match limit.map(|limit| limit.as_secs_f64()) {
            Some(seconds) => format!(
                "The executor did not finish joining its threads within {seconds} seconds.\n"
            ),
            None => String::from("The executor's threads were not waited for.\n"),
        };
        for job in &self.abandoned_jobs {
            let (location, age) = (job.location, job.running_for.as_secs_f64());
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
