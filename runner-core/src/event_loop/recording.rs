//! What is seen of a loop while somebody wants to see it, and who is told: the time line, tokio-console. And how long each
//! task runs.
//!
//! Nothing is hooked into spawning and waking. What a poll has spawned or woken stands at the end of the ready queue after it,
//! and that is where it is found. Tasks that begin and end inside of one poll (eager ones) are not seen.

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::LoopCore;
use super::drawing::Drawing;
use crate::task::TaskRef;
use crate::task::observed::Interest;
use crate::task::ready::{Packed, Ready};

/// Who wakes and spawns while no step of the loop does.
const OUTSIDE: &str = "a timer, an event or another thread";

/// Somebody who is told what is seen of a loop. Nothing of the loop is borrowed meanwhile: an observer may run code of the
/// program's.
pub(super) trait Observer {
    /// A task is there that was not before.
    fn task_begins(&self, task: &TaskRef, by: &str);
    /// A task that has begun is in the queue again.
    fn task_is_woken(&self, task: &TaskRef, by: &str);
    /// A task's future is gone.
    fn task_ends(&self, task: u64, how: &'static str);
    /// An entry of the queue is about to run.
    fn step_begins(&self, step: &Step);
    /// It has returned. What it has spawned and woken is told next, before `step_ends`.
    fn step_returns(&self);
    fn step_ends(&self);
    /// So many timers are due at `now`, in nanoseconds since the loop was made.
    fn timers_fire(&self, count: usize, now: u64);
    /// A blocking job was submitted, by this line. Whoever runs it calls what is returned, and drops at its end what that
    /// returns; a job that is given up drops it uncalled.
    fn job_is_submitted(&self, by: &'static Location<'static>) -> BeginJob;
    /// Every task is gone.
    fn loop_is_closed(&self);
}

/// See [`Observer::job_is_submitted`].
pub(crate) type BeginJob = Box<dyn FnOnce() -> Box<dyn Any> + Send>;

/// What is about to run.
pub(super) enum Step {
    Task(TaskRef),
    Callback(&'static Location<'static>),
}

impl Step {
    fn of(entry: &Ready) -> Step {
        match entry {
            Ready::Task(runnable) => Step::Task(runnable.metadata().to_ref()),
            Ready::Callback(handle) => Step::Callback(handle.location()),
        }
    }
}

/// What is known of one loop by looking on, for all who are told.
#[derive(Default)]
pub(super) struct Recording {
    observers: RefCell<Vec<(Interest, Rc<dyn Observer>)>>,
    /// The one of them that draws the time line, which is told more.
    pub(super) drawing: RefCell<Option<Rc<Drawing>>>,
    /// The tasks whose begin was told, and whose end was not.
    known: RefCell<HashSet<u64>>,
    /// The length of the ready queue that was looked at.
    looked_at: Cell<usize>,
}

/// How long each task has run, since somebody wanted to know.
pub(super) type RunTimes = RefCell<HashMap<u64, Duration>>;

impl Recording {
    fn tell(&self, what: impl Fn(&dyn Observer)) {
        // By number, as one may join or leave meanwhile.
        for index in 0.. {
            let observer = self.observers.borrow().get(index).map(|(_, it)| it.clone());
            match observer {
                Some(observer) => what(&*observer),
                None => break,
            }
        }
    }

    fn begin_life(&self, task: &TaskRef, by: &str) {
        if self.known.borrow_mut().insert(task.id()) {
            self.tell(|observer| observer.task_begins(task, by));
        }
    }

    fn end_life(&self, task: u64, how: &'static str) {
        if self.known.borrow_mut().remove(&task) {
            self.tell(|observer| observer.task_ends(task, how));
        }
    }

    /// Tells what has come to the queue since it was last looked at, and who was it that put it there.
    fn look_at_queue(&self, core: &LoopCore, by: &str) {
        let from = self.looked_at.replace(core.scheduler.ready_len());
        let mut found = Vec::new();
        core.scheduler.for_each_ready_from(from, |entry| {
            if let Ready::Task(runnable) = entry {
                found.push(runnable.metadata().to_ref());
            }
        });
        for task in found {
            self.tell_woken(&task, by);
        }
    }

    /// The task is new in the queue.
    fn tell_woken(&self, task: &TaskRef, by: &str) {
        if task.cell().is_started() {
            self.tell(|observer| observer.task_is_woken(task, by));
        } else {
            self.begin_life(task, by);
        }
    }

    fn begin_step(&self, core: &LoopCore, step: &Step) {
        // What is in the queue and was not after the last step came from the loop itself; the entry was its first.
        // In a shuffled queue it cannot be told apart, and is left out.
        if core.shuffle.get() == 0 {
            let known = self.looked_at.get();
            self.looked_at.set(known.saturating_sub(1));
            match step {
                Step::Task(task) if known == 0 => self.tell_woken(task, OUTSIDE),
                _ => {}
            }
            self.look_at_queue(core, OUTSIDE);
        } else {
            self.looked_at.set(core.scheduler.ready_len());
        }
        if let Step::Task(task) = step {
            self.begin_life(task, OUTSIDE);
        }
        self.tell(|observer| observer.step_begins(step));
    }

    fn end_step(&self, core: &LoopCore, step: &Step) {
        self.tell(|observer| observer.step_returns());
        let by = match step {
            Step::Task(task) => Cow::Owned(task.name()),
            Step::Callback(_) => Cow::Borrowed("a callback"),
        };
        self.look_at_queue(core, &by);
        self.tell(|observer| observer.step_ends());
        if let Step::Task(task) = step {
            if task.is_finished() {
                self.end_life(task.id(), end_of(task));
            }
        }
        if self.known.borrow().len() > core.scheduler.task_count() {
            self.end_lost_lives(core);
        }
    }

    /// Tells the end of those that have ended elsewhere than in a step of theirs: their futures were dropped.
    fn end_lost_lives(&self, core: &LoopCore) {
        let alive: HashSet<u64> = core.scheduler.tasks().iter().map(TaskRef::id).collect();
        let known = self.known.borrow();
        let lost: Vec<u64> = known.difference(&alive).copied().collect();
        drop(known);
        for task in lost {
            self.end_life(task, "dropped");
        }
    }
}

fn end_of(task: &TaskRef) -> &'static str {
    match task {
        task if task.cell().is_cancelled() => "cancelled",
        task if task.cell().is_failed() => "failed",
        _ => "returned",
    }
}

impl LoopCore {
    /// From now on this one is told of whatever is seen here, and at once of the tasks that are there.
    pub(super) fn add_observer(
        &self,
        interest: Interest,
        observer: Rc<dyn Observer>,
    ) -> Rc<Recording> {
        self.remove_observer(interest);
        let recording = self.recording().unwrap_or_else(|| {
            let recording = Rc::new(Recording::default());
            recording.looked_at.set(self.scheduler.ready_len());
            drop(self.recording.replace(Some(recording.clone())));
            recording
        });
        for task in self.scheduler.tasks() {
            recording.known.borrow_mut().insert(task.id());
            observer.task_begins(&task, "spawned before anybody looked on");
        }
        let entry = (interest, observer);
        recording.observers.borrow_mut().push(entry);
        self.scheduler.observed.set(interest, true);
        recording
    }

    /// Whoever is told for that is told no longer.
    pub(super) fn remove_observer(&self, interest: Interest) {
        let Some(recording) = self.recording() else {
            return;
        };
        self.scheduler.observed.set(interest, false);
        let (leaving, staying) = recording
            .observers
            .take()
            .into_iter()
            .partition(|(it, _)| *it == interest);
        recording.observers.replace(staying);
        if !self.scheduler.observed.has(Interest::TOLD) {
            drop(self.recording.take());
        }
        drop::<Vec<_>>(leaving);
    }

    pub(super) fn recording(&self) -> Option<Rc<Recording>> {
        self.recording.borrow().clone()
    }

    /// The loop is being closed, and its tasks are gone.
    pub(super) fn end_recording(&self) {
        if !self.scheduler.observed.has(Interest::TOLD) {
            return;
        }
        if let Some(recording) = self.recording.take() {
            recording.tell(|observer| observer.loop_is_closed());
        }
    }

    /// Timers are due.
    pub(super) fn record_timers(&self, count: usize, now: u64) {
        if count > 0 && self.scheduler.observed.has(Interest::TOLD) {
            if let Some(recording) = self.recording() {
                recording.tell(|observer| observer.timers_fire(count, now));
            }
        }
    }

    /// A blocking job is submitted; see [`Observer::job_is_submitted`].
    #[inline]
    pub(crate) fn record_job(&self, by: &'static Location<'static>) -> Option<BeginJob> {
        match self.scheduler.observed.has(Interest::TOLD) {
            true => self.tell_job(by),
            false => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_job(&self, by: &'static Location<'static>) -> Option<BeginJob> {
        let recording = self.recording()?;
        let told = RefCell::new(Vec::new());
        recording.tell(|observer| told.borrow_mut().push(observer.job_is_submitted(by)));
        let told = told.into_inner();
        Some(Box::new(move || {
            let underway: Vec<_> = told.into_iter().map(|begin| begin()).collect();
            Box::new(underway)
        }))
    }

    /// Runs one entry, and records that.
    #[inline(never)]
    pub(super) fn run_recorded(&self, entry: Packed) {
        let step = entry.with(Step::of);
        let recording = self.recording();
        if let Some(recording) = &recording {
            recording.begin_step(self, &step);
        }
        let began = Instant::now();
        self.run_unrecorded(entry);
        let taken = began.elapsed();
        if let Some(recording) = &recording {
            recording.end_step(self, &step);
        }
        if let Step::Task(task) = step {
            if self.scheduler.observed.has(Interest::TIMES) {
                self.count_time(task.id(), task.is_finished(), taken);
            }
        }
    }

    /// Adds to the time that a task has run, which is forgotten when the task is done.
    pub(super) fn count_time(&self, task: u64, is_done: bool, taken: Duration) {
        let mut times = self.run_times.borrow_mut();
        if is_done {
            times.remove(&task);
            return;
        }
        *times.entry(task).or_default() += taken;
        // Debug mode sees the end of few tasks.
        if times.len() > 2 * self.scheduler.task_count() + 64 {
            let alive: HashSet<u64> = self.scheduler.tasks().iter().map(TaskRef::id).collect();
            times.retain(|task, _| alive.contains(task));
        }
    }

    /// Measures from now on how long each task runs, or no longer.
    pub(crate) fn set_run_times(&self, wanted: bool) {
        if wanted != self.scheduler.observed.has(Interest::TIMES) {
            drop(self.run_times.take());
            self.scheduler.observed.set(Interest::TIMES, wanted);
        }
    }

    /// How long a task has run since that is measured, if it is.
    pub(crate) fn run_time(&self, task: u64) -> Option<Duration> {
        let is_measured = Interest::TIMES.and(Interest::DEBUG);
        let time = || self.run_times.borrow().get(&task).copied();
        (self.scheduler.observed.has(is_measured)).then(|| time().unwrap_or_default())
    }
}
