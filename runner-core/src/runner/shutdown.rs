//! The orderly end of a loop, phase by phase.
//!
//! The order is always the same, whatever fails on the way: (1) every task is cancelled and awaited, (2) exit hooks run,
//! (3) async generators are closed, (4) the default executor is shut down, then what runs beside the loop, (5) children that are
//! to end with the loop are killed and awaited, and what was written to the standard streams goes out, (6) the loop is closed.
//! One deadline bounds all of it, if one is set; a press of Ctrl-C brings it nearer. Every wait goes through `wait_while`, which
//! sees to that.
//!
//! With several workers the first loop leads (`leading.rs`), and the others obey (`obeying.rs`): all go through a phase side by
//! side, and the next one begins when all are done, so that whoever cleans up can still reach the other loops. A loop without
//! siblings pays for that with a test per phase.

mod leading;
mod notice;
mod obeying;

use std::future::Future;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll, Waker};
use std::time::{Duration, Instant};

pub(super) use self::obeying::obey;

use self::notice::{Notice, WaitsFor, write_to_stderr};
use super::closing::Closing;
use super::crew::{Crew, Desk, Order};
use super::hooks::{self, ExitHooks, Hook};
use super::report::{
    AbandonedChild, AbandonedCompanion, AbandonedJob, ShutdownReport, Survivor,
    abandoned_children_text, abandoned_workers_text,
};
use super::workers::Worker;
use crate::cancel::timeout;
use crate::error::{CancelReason, JoinError, RunError, panic_text};
use crate::event_loop::{Companion, EventLoop};
use crate::io;
use crate::process::{self, LeftChild};
use crate::task::cell::{RunsIn, TaskOptions};
use crate::task::{Task, TaskRef};

/// How long the default executor is waited for; CPython's constant since 3.12.
const EXECUTOR_TIMEOUT: Duration = Duration::from_secs(300);

/// How long the standard streams are waited for: somebody may have stopped the terminal and gone.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a close waits that was hurried by a press of Ctrl-C.
const HURRIED_TIMEOUT: Duration = Duration::from_secs(1);

/// Goes through all phases.
///
/// # Errors
///
/// When the loop cannot wait any more. What had to be awaited was dropped then.
pub(super) fn shut_down(
    event_loop: &EventLoop,
    hooks: &ExitHooks,
    closing: &Closing,
    timeout: Option<Duration>,
    crew: Option<Box<Crew>>,
) -> Result<ShutdownReport, RunError> {
    let exceptions = event_loop.core().scheduler.exceptions.clone();
    // What is cut off is dropped between two runs.
    let _entered = event_loop.core().enter_companions();
    exceptions.begin_shutdown();
    let mut shutdown = Shutdown::new(event_loop, hooks, Hurry::OfClosing(closing), timeout);
    shutdown.crew = crew.as_deref();
    shutdown.look_at_presses();
    for (order, phase) in [
        (Order::EndTasks, &END_TASKS),
        (Order::CloseAsyncgens, &CLOSE_GENERATORS),
        (Order::StopExecutor, &STOP_EXECUTOR),
    ] {
        shutdown.go_through(order, phase);
    }
    if shutdown.crew.is_some() || event_loop.core().has_companions() {
        shutdown.go_through(Order::EndCompanions, &END_COMPANIONS);
    }
    // Neither of them lets code of the program run, so nothing comes afterwards.
    if process::is_in_use() {
        shutdown.attempt_on_all(Order::EndChildren, &END_CHILDREN);
    }
    shutdown.close_siblings();
    if io::are_streams_in_use() {
        shutdown.attempt(&FLUSH_OUTPUT);
    }
    hooks.give_up(event_loop, "the loop cannot run any more");
    let Shutdown {
        mut report,
        failure,
        ..
    } = shutdown;
    if let Some(crew) = crew {
        let others = crew.end();
        if !others.abandoned_workers().is_empty() {
            write_to_stderr(&abandoned_workers_text(others.abandoned_workers()));
        }
        report.absorb(others);
    }
    let closed = event_loop.close();
    report.errors.extend(exceptions.end_shutdown());
    match failure {
        Some(error) => Err(error),
        None => closed.map(|()| report),
    }
}

/// What a task of the shutdown's own does; in a box, or all that a task is would be compiled for each of them.
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// One part of a shutdown.
struct Phase {
    /// On a time line.
    name: &'static str,
    go_through: fn(&mut Shutdown<'_>) -> Result<(), RunError>,
}

static END_TASKS: Phase = Phase {
    name: "end tasks",
    go_through: |it| it.end_tasks(),
};
static CLOSE_GENERATORS: Phase = Phase {
    name: "close async generators",
    go_through: |it| it.close_asyncgens(),
};
static STOP_EXECUTOR: Phase = Phase {
    name: "stop the executor",
    go_through: |it| it.stop_executor(),
};
static RUN_EXIT_HOOKS: Phase = Phase {
    name: "run exit hooks",
    go_through: |it| it.run_exit_hooks(),
};
static END_COMPANIONS: Phase = Phase {
    name: "end companions",
    go_through: |it| it.end_companions(),
};
static END_CHILDREN: Phase = Phase {
    name: "end children",
    go_through: |it| it.end_children(),
};
static FLUSH_OUTPUT: Phase = Phase {
    name: "flush output",
    go_through: |it| it.flush_output(),
};

/// One shutdown under way.
struct Shutdown<'a> {
    event_loop: &'a EventLoop,
    /// Its phases are drawn on a time line.
    is_drawn: bool,
    worker: Worker,
    /// Those that are led.
    crew: Option<&'a Crew>,
    hooks: &'a ExitHooks,
    hurry: Hurry<'a>,
    deadline: Option<Instant>,
    /// The deadline is that of a hurried close.
    hurried: bool,
    /// When tasks were asked to stop.
    asked: Vec<Round>,
    notice: Notice,
    report: ShutdownReport,
    /// The first one.
    failure: Option<RunError>,
}

/// All tasks that there were at one time were asked to stop, if they had not been before. Tasks are numbered as they come, so
/// one number tells who that was; a list of them would be as long as that of the tasks.
struct Round {
    last: u64,
    time: Instant,
}

/// Who says that no more than a second is left.
#[derive(Clone, Copy)]
enum Hurry<'a> {
    /// A press of Ctrl-C.
    OfClosing(&'a Closing),
    /// The first loop.
    OfDesk(&'a Desk),
}

impl Hurry<'_> {
    fn is_on(self) -> bool {
        match self {
            Hurry::OfClosing(closing) => closing.is_hurried(),
            Hurry::OfDesk(desk) => desk.is_hurried(),
        }
    }
}

impl<'a> Shutdown<'a> {
    fn new(
        event_loop: &'a EventLoop,
        hooks: &'a ExitHooks,
        hurry: Hurry<'a>,
        timeout: Option<Duration>,
    ) -> Shutdown<'a> {
        let now = event_loop.time();
        Shutdown {
            event_loop,
            is_drawn: event_loop.core().is_drawn(),
            worker: Worker::new(0, event_loop.handle()),
            crew: None,
            hooks,
            hurry,
            deadline: timeout.and_then(|timeout| now.checked_add(timeout)),
            hurried: false,
            asked: Vec::new(),
            notice: Notice::new(now),
            report: ShutdownReport::default(),
            failure: None,
        }
    }
}

impl Shutdown<'_> {
    /// Goes through one phase that may let code of the program run. What comes only in it is ended in the same way.
    fn go_through(&mut self, order: Order, phase: &'static Phase) {
        self.attempt_on_all(order, phase);
        self.attempt(&RUN_EXIT_HOOKS);
        self.attempt_on_all(Order::EndTasks, &END_TASKS);
        self.order(Order::NoteSurvivors);
        self.note_survivors();
    }

    /// Attempts one phase, or a part of it; what fails in it keeps no other from being gone through.
    fn attempt(&mut self, phase: &'static Phase) {
        if self.is_drawn {
            self.event_loop.core().record_phase(phase.name);
        }
        match panic::catch_unwind(AssertUnwindSafe(|| (phase.go_through)(self))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.failure.get_or_insert(error);
            }
            Err(payload) => self.report.errors.push(panic_text(&*payload).to_owned()),
        }
    }

    // ----- waiting -----

    /// Lets the loop run while `busy`, but not past the shutdown's time or `limit`.
    fn wait_while(
        &mut self,
        limit: Option<Instant>,
        waits_for: WaitsFor,
        mut busy: impl FnMut() -> bool,
    ) -> Result<(), RunError> {
        loop {
            self.look_at_presses();
            let end = earlier(self.deadline, limit);
            let now = self.event_loop.time();
            if !busy() || end.is_some_and(|end| now >= end) {
                return Ok(());
            }
            if now >= self.notice.due {
                self.notice
                    .say(self.event_loop, self.worker, waits_for, self.crew);
            }
            let (hurry, hurried) = (self.hurry, self.hurried);
            let until = earlier(end, Some(self.notice.due));
            self.event_loop
                .run_while(until, || busy() && hurry.is_on() == hurried)?;
        }
    }

    /// Runs the loop for exactly one turn, whatever the time is.
    fn take_one_turn(&self) -> Result<(), RunError> {
        let mut turns = 1..=1;
        self.event_loop.run_while(None, || turns.next().is_some())
    }

    fn look_at_presses(&mut self) {
        if self.hurry.is_on() && !self.hurried {
            self.hurried = true;
            if let Some(crew) = self.crew {
                crew.hurry();
            }
            let hurried = self.event_loop.time() + HURRIED_TIMEOUT;
            self.deadline = earlier(self.deadline, Some(hurried));
        }
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| self.event_loop.time() >= deadline)
    }

    /// Runs `future` as a task of the shutdown's own, to its end or that of the time; it is begun in any case. `None` if it
    /// did not end: it was dropped then.
    fn run_task(
        &mut self,
        options: TaskOptions,
        future: Work,
    ) -> Result<Option<Result<(), JoinError>>, RunError> {
        let scheduler = self.event_loop.core().scheduler.clone();
        let options = TaskOptions {
            background: true,
            ..options
        };
        let mut task = Task::spawn(&scheduler, options, future);
        let done = task.task_ref();
        let waited = self
            .take_one_turn()
            .and_then(|()| self.wait_while(None, WaitsFor::Tasks, || !done.is_finished()));
        if !done.is_finished() {
            scheduler.finish_now(&done);
            waited?;
            return Ok(None);
        }
        match Pin::new(&mut task).poll(&mut Cx::from_waker(Waker::noop())) {
            Poll::Ready(output) => Ok(Some(output)),
            Poll::Pending => Ok(None),
        }
    }

    // ----- tasks -----

    /// Cancels every task once, and waits for all of them; also for those that are spawned meanwhile.
    fn end_tasks(&mut self) -> Result<(), RunError> {
        let scheduler = self.event_loop.core().scheduler.clone();
        while scheduler.task_count() > 0 {
            let spawned = scheduler.spawned();
            if self.ask_tasks_to_stop() && self.is_over() {
                // Most need no more than a chance.
                self.take_one_turn()?;
            }
            self.wait_while(None, WaitsFor::Tasks, || {
                scheduler.task_count() > 0 && scheduler.spawned() == spawned
            })?;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether there was anybody to ask. Latest first: a task is spawned by its parent, which is there already, so
    /// children are asked before parents.
    fn ask_tasks_to_stop(&mut self) -> bool {
        let time = self.event_loop.time();
        let scheduler = self.event_loop.core().scheduler.clone();
        // What is woken while the scheduler is the thread's own goes straight into the queue. What came from other threads
        // before that was there first.
        scheduler.collect_all_mail();
        let _entered = scheduler.enter();
        let tasks = self.event_loop.all_tasks();
        let asked = self.asked.last().map_or(0, |round| round.last);
        let new = tasks.len() - tasks.partition_point(|task| task.id() <= asked);
        let known = self.report.cancelled.len();
        self.report.cancelled.reserve(new);
        let last = tasks.last().map_or(0, TaskRef::id);
        for task in tasks.into_iter().rev().take(new) {
            if !task.cell().is_background() {
                self.report.cancelled.push(task.info());
                task.cancel_for(CancelReason::Shutdown, None);
            }
        }
        if new > 0 {
            self.asked.push(Round { last, time });
        }
        self.report.cancelled.len() > known
    }

    /// When that task was asked to stop.
    fn time_of_asking(&self, task: &TaskRef) -> Option<Instant> {
        let round = self.asked.iter().find(|round| task.id() <= round.last)?;
        Some(round.time)
    }

    /// Names the tasks that are left after their time; each once. Where the loop broke, its error says that.
    #[inline]
    fn note_survivors(&mut self) {
        if self.failure.is_none() && self.event_loop.core().scheduler.task_count() > 0 {
            self.note_new_survivors();
        }
    }

    #[cold]
    fn note_new_survivors(&mut self) {
        let known = self.report.survivors.len();
        let now = self.event_loop.time();
        for task in self.event_loop.all_tasks() {
            let is_known = |survivor: &Survivor| survivor.task.id() == task.id();
            if task.cell().is_background() || self.report.survivors.iter().any(is_known) {
                continue;
            }
            let asked = self.time_of_asking(&task).unwrap_or(now);
            self.report.survivors.push(Survivor {
                task: task.info(),
                worker: self.worker,
                activity: self.event_loop.ask(&task),
                cancels_swallowed: task.cancelling(),
                cancelled_for: now.saturating_duration_since(asked),
            });
        }
        if self.report.survivors.len() > known {
            write_to_stderr(&self.report.survivors_text(known));
        }
    }

    // ----- exit hooks -----

    /// Runs the exit hooks, and ends what they have spawned, until neither is left.
    fn run_exit_hooks(&mut self) -> Result<(), RunError> {
        while self.failure.is_none() && !self.event_loop.is_closed() {
            let Some(hook) = self.hooks.pop() else { break };
            self.run_exit_hook(hook)?;
            if self.hooks.is_empty() {
                self.end_tasks()?;
            }
        }
        Ok(())
    }

    fn run_exit_hook(&mut self, hook: Hook) -> Result<(), RunError> {
        let Hook {
            future,
            context,
            location,
        } = hook;
        let options = TaskOptions {
            name: Some("at_exit".to_owned()),
            context: RunsIn::Shared(context),
            ..TaskOptions::at(location)
        };
        let outcome = self.run_task(options, future);
        let what = match &outcome {
            Ok(None) => "did not end in time",
            Ok(Some(Err(error))) if error.is_cancelled() => "was cancelled",
            Err(_) => "did not end: the loop cannot run any more",
            // A panic was reported when it happened.
            Ok(Some(_)) => return Ok(()),
        };
        self.event_loop
            .call_exception_handler(hooks::report(location, what));
        outcome.map(drop)
    }

    // ----- async generators and the executor -----

    /// Closes the async generators. Cut off at the deadline, they are dropped with the loop.
    fn close_asyncgens(&mut self) -> Result<(), RunError> {
        if !self.event_loop.core().has_asyncgens() {
            return Ok(());
        }
        let options = own_task("shutdown_asyncgens");
        let closing = self.event_loop.shutdown_asyncgens();
        if self.run_task(options, Box::pin(closing))?.is_none() {
            let text = "async generators did not finish closing in time";
            self.report.errors.push(text.to_owned());
        }
        Ok(())
    }

    fn stop_executor(&mut self) -> Result<(), RunError> {
        let core = self.event_loop.core().clone();
        if !core.has_executor() {
            return Ok(());
        }
        let limit = self.executor_limit();
        let joining = self.event_loop.shutdown_default_executor(None);
        let joining: Work = Box::pin(async { drop(joining.await) });
        let options = TaskOptions {
            background: true,
            ..own_task("shutdown_default_executor")
        };
        let joining = Task::spawn(&core.scheduler, options, joining).task_ref();
        let waited = self
            .take_one_turn()
            .and_then(|()| self.join_jobs(&joining, limit));
        if !joining.is_finished() {
            core.scheduler.finish_now(&joining);
        }
        let jobs = core.running_jobs();
        if !jobs.is_empty() {
            self.report.abandoned().jobs = jobs.iter().map(AbandonedJob::new).collect();
            let limit = (!self.hurried).then_some(limit);
            write_to_stderr(&self.report.abandoned_jobs_text(limit));
        }
        waited
    }

    /// How long the executor is waited for.
    fn executor_limit(&self) -> Duration {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(self.event_loop.time()));
        left.map_or(EXECUTOR_TIMEOUT, |left| left.min(EXECUTOR_TIMEOUT))
    }

    /// Waits for the jobs; from a press that hurries on, no more.
    fn join_jobs(&mut self, joining: &TaskRef, limit: Duration) -> Result<(), RunError> {
        let limit = self.event_loop.time().checked_add(limit);
        let hurry = self.hurry;
        self.wait_while(limit, WaitsFor::Jobs, || {
            !joining.is_finished() && !hurry.is_on()
        })
    }

    // ----- what lives outside of the loop -----

    /// Ends what runs beside the loop, the latest first.
    fn end_companions(&mut self) -> Result<(), RunError> {
        for companion in self.event_loop.core().companions().into_iter().rev() {
            self.end_companion(&companion)?;
        }
        Ok(())
    }

    /// It may run blocking jobs, and so it is waited for like the executor.
    fn end_companion(&mut self, companion: &Rc<dyn Companion>) -> Result<(), RunError> {
        let core = self.event_loop.core().clone();
        let limit = self.event_loop.time().checked_add(self.executor_limit());
        let options = TaskOptions {
            background: true,
            ..own_task("end_companion")
        };
        // No clock may jump past its end.
        core.outside.set(core.outside.get() + 1);
        let ending = Task::spawn(&core.scheduler, options, companion.end()).task_ref();
        let waited = self
            .take_one_turn()
            .and_then(|()| self.wait_while(limit, WaitsFor::Companions, || !ending.is_finished()));
        core.outside.set(core.outside.get() - 1);
        if !ending.is_finished() {
            core.scheduler.finish_now(&ending);
            let abandoned = AbandonedCompanion::new(&**companion);
            write_to_stderr(&format!("Did not end in time: {abandoned}\n"));
            self.report.abandoned().companions.push(abandoned);
        }
        waited
    }

    /// Kills the children that are to end with the loop, and waits for them.
    fn end_children(&mut self) -> Result<(), RunError> {
        let handle = self.event_loop.handle();
        if !process::has_killed(&handle) {
            return Ok(());
        }
        let core = self.event_loop.core().clone();
        // No clock may jump past a process that is just ending.
        core.outside.set(core.outside.get() + 1);
        let waited = self.run_task(
            own_task("end_children"),
            Box::pin(process::end_killed(handle)),
        );
        core.outside.set(core.outside.get() - 1);
        let left = LeftChild::all(&handle);
        if !left.is_empty() {
            let left = left.into_iter().map(AbandonedChild::new).collect();
            self.report.abandoned().children = left;
            write_to_stderr(&abandoned_children_text(self.report.abandoned_children()));
        }
        waited.map(drop)
    }

    /// Waits for what was written to the standard streams; it belongs to the process, so the time is the real one.
    fn flush_output(&mut self) -> Result<(), RunError> {
        let end = Instant::now() + OUTPUT_TIMEOUT;
        while io::has_unwritten() && Instant::now() < end {
            let flushing = timeout(OUTPUT_TIMEOUT, io::flush_all());
            let flushing = async {
                let _ = flushing.await;
            };
            self.run_task(own_task("flush_output"), Box::pin(flushing))?;
            if self.is_over() {
                break;
            }
        }
        for (text, is_stderr) in io::take_losses() {
            // Where nobody reads stderr, telling it there would wait for ever.
            if !is_stderr {
                write_to_stderr(&format!("{text}\n"));
            }
            self.report.errors.push(text);
        }
        Ok(())
    }
}

fn own_task(name: &str) -> TaskOptions {
    TaskOptions {
        name: Some(name.to_owned()),
        ..TaskOptions::at(Location::caller())
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
