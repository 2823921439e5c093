//! What is recorded of a loop while somebody wants to see it: the time line, and how long each task runs.
//!
//! Nothing is hooked into spawning and waking. What a poll has spawned or woken stands at the end of the ready queue after it,
//! and that is where it is found. Tasks that begin and end inside of one poll (eager ones) are not seen.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::LoopCore;
use crate::task::TaskRef;
use crate::task::observed::Interest;
use crate::task::scheduler::Ready;
use crate::timeline::{Details, Life, Span, Timeline};

/// Who wakes and spawns while no step of the loop does.
const OUTSIDE: &str = "a timer, an event or another thread";

/// One loop's part of a time line.
pub(super) struct Recording {
    timeline: Timeline,
    /// The tasks whose begin was recorded, with their names then.
    known: RefCell<HashMap<u64, String>>,
    /// The length of the ready queue that was looked at.
    looked_at: Cell<usize>,
    /// The run under way.
    run: RefCell<Option<Span>>,
    /// The phase of the shutdown under way.
    phase: RefCell<Option<Span>>,
}

/// How long a task has run, since somebody wanted to know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RunTime {
    pub(crate) polls: u64,
    pub(crate) running: Duration,
}

/// Kept while somebody wants to know; without an entry for tasks that are done.
pub(super) type RunTimes = RefCell<Option<Box<HashMap<u64, RunTime>>>>;

impl Recording {
    fn new(timeline: Timeline, core: &LoopCore) -> Recording {
        let recording = Recording {
            timeline,
            known: RefCell::default(),
            looked_at: Cell::new(core.scheduler.ready_len()),
            run: RefCell::default(),
            phase: RefCell::default(),
        };
        for task in core.scheduler.tasks() {
            recording.begin_life(&task, "spawned before the trace began");
        }
        recording
    }

    fn begin_life(&self, task: &TaskRef, by: &str) {
        let mut known = self.known.borrow_mut();
        if known.contains_key(&task.id()) {
            return;
        }
        let name = task.name();
        let details = Details {
            location: Some(("spawned", task.cell().location())),
            text: Some(("by", by.to_owned())),
            ..Details::default()
        };
        self.timeline.life(Life::Begin, task.id(), &name, &details);
        known.insert(task.id(), name);
    }

    fn end_life(&self, task: &TaskRef) {
        let end = match task {
            task if task.cell().is_cancelled() => "cancelled",
            task if task.cell().is_failed() => "failed",
            _ => "returned",
        };
        let details = Details {
            text: Some(("end", end.to_owned())),
            ..Details::default()
        };
        if let Some(name) = self.known.borrow_mut().remove(&task.id()) {
            self.timeline.life(Life::End, task.id(), &name, &details);
        }
    }

    /// The loop is closed: whatever was left has been dropped.
    fn end_all_lives(&self) {
        let details = Details {
            text: Some(("end", "dropped with the loop".to_owned())),
            ..Details::default()
        };
        for (task, name) in self.known.take() {
            self.timeline.life(Life::End, task, &name, &details);
        }
    }

    /// Records what has come to the queue since it was last looked at, and who was it that put it there.
    fn look_at_queue(&self, core: &LoopCore, by: &str) {
        let from = self.looked_at.replace(core.scheduler.ready_len());
        core.scheduler.for_each_ready_from(from, |entry| {
            let Ready::Task(runnable) = entry else {
                return;
            };
            let cell = runnable.metadata();
            if !cell.is_started() {
                return self.begin_life(&cell.to_ref(), by);
            }
            let details = Details {
                task: Some(cell.id()),
                text: Some(("by", by.to_owned())),
                ..Details::default()
            };
            let name = format!("wake {}", cell.name());
            self.timeline.instant("wake", &name, &details);
        });
    }
}

impl LoopCore {
    /// From now on this loop's doings are recorded there.
    pub(crate) fn set_timeline(&self, timeline: Timeline) {
        let recording = Rc::new(Recording::new(timeline, self));
        drop(self.recording.replace(Some(recording)));
        self.scheduler.observed.set(Interest::TIMELINE, true);
    }

    fn recording(&self) -> Option<Rc<Recording>> {
        self.recording.borrow().clone()
    }

    /// Where this loop's doings are recorded, if they are.
    #[inline]
    pub(crate) fn timeline(&self) -> Option<Timeline> {
        match self.is_recorded() {
            true => self.recorded_timeline(),
            false => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn recorded_timeline(&self) -> Option<Timeline> {
        Some(self.recording()?.timeline.clone())
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.scheduler.observed.has(Interest::TIMELINE)
    }

    /// Begins something that is to be seen as one piece of the time line.
    pub(crate) fn span(&self, category: &'static str, name: &'static str) -> Option<Span> {
        match self.is_recorded() {
            true => self.begin_span(category, name),
            false => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_span(&self, category: &'static str, name: &'static str) -> Option<Span> {
        let timeline = self.timeline()?;
        Some(timeline.span(category, name, Details::default()))
    }

    /// The loop is being closed, and its tasks are gone.
    pub(super) fn end_recording(&self) {
        if !self.is_recorded() {
            return;
        }
        if let Some(recording) = self.recording.take() {
            drop(recording.phase.take());
            recording.end_all_lives();
            recording.timeline.flush();
        }
    }

    /// Timers are due.
    pub(super) fn record_timers(&self, count: usize) {
        if let Some(timeline) = self.timeline().filter(|_| count > 0) {
            let details = Details {
                text: Some(("count", count.to_string())),
                ..Details::default()
            };
            timeline.instant("timer", "timers fire", &details);
        }
    }

    /// Runs one entry, and records that.
    #[inline(never)]
    pub(super) fn run_recorded(&self, entry: Ready) {
        let task = match &entry {
            Ready::Task(runnable) => Some(runnable.metadata().to_ref()),
            Ready::Callback(_) => None,
        };
        let recording = self.recording();
        let span = recording.as_ref().map(|it| self.begin_step(it, &entry));
        let began = Instant::now();
        self.run_for_debug(entry);
        let taken = began.elapsed();
        drop(span);
        if let Some(recording) = recording {
            self.end_step(&recording, task.as_ref());
        }
        if let Some(task) = task.filter(|_| self.scheduler.observed.has(Interest::TIMES)) {
            self.count_time(&task, taken);
        }
    }

    fn begin_step(&self, recording: &Recording, entry: &Ready) -> Span {
        // What is in the queue and was not after the last step came from the loop itself; the entry was its first.
        // In a shuffled queue it cannot be told apart, and is left out.
        if self.shuffle.get() == 0 {
            let known = recording.looked_at.get().saturating_sub(1);
            recording.looked_at.set(known);
            recording.look_at_queue(self, OUTSIDE);
        } else {
            recording.looked_at.set(self.scheduler.ready_len());
        }
        match entry {
            Ready::Task(runnable) => {
                let task = runnable.metadata().to_ref();
                recording.begin_life(&task, OUTSIDE);
                let details = Details {
                    task: Some(task.id()),
                    location: Some(("spawned", task.cell().location())),
                    ..Details::default()
                };
                recording.timeline.span("poll", task.name(), details)
            }
            Ready::Callback(handle) => {
                let details = Details {
                    location: Some(("scheduled", handle.location())),
                    ..Details::default()
                };
                recording.timeline.span("callback", "callback", details)
            }
        }
    }

    fn end_step(&self, recording: &Recording, task: Option<&TaskRef>) {
        let by = task.map_or(Cow::Borrowed("a callback"), |task| Cow::Owned(task.name()));
        recording.look_at_queue(self, &by);
        if let Some(task) = task.filter(|task| task.is_finished()) {
            recording.end_life(task);
        }
    }

    fn count_time(&self, task: &TaskRef, taken: Duration) {
        let mut times = self.run_times.borrow_mut();
        let Some(times) = &mut *times else {
            return;
        };
        if task.is_finished() {
            times.remove(&task.id());
            return;
        }
        let time = times.entry(task.id()).or_default();
        time.polls += 1;
        time.running += taken;
    }

    /// Measures from now on how long each task runs, or no longer.
    pub(crate) fn set_run_times(&self, wanted: bool) {
        if wanted != self.scheduler.observed.has(Interest::TIMES) {
            drop(self.run_times.replace(wanted.then(Box::default)));
            self.scheduler.observed.set(Interest::TIMES, wanted);
        }
    }

    /// How long a task has run since somebody wanted to know.
    pub(crate) fn run_time(&self, task: u64) -> RunTime {
        let times = self.run_times.borrow();
        let time = times.as_ref().and_then(|times| times.get(&task));
        time.copied().unwrap_or_default()
    }

    /// A phase of the shutdown begins, and the one under way is over. The last one ends with the loop.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_phase(&self, name: &'static str) {
        if let Some(recording) = self.recording() {
            drop(recording.phase.take());
            recording.phase.replace(self.begin_span("shutdown", name));
        }
    }

    /// A runner's run begins.
    #[inline]
    pub(crate) fn record_run(&self) {
        if self.is_recorded() {
            self.set_run_span(true);
        }
    }

    /// It is over.
    #[inline]
    pub(crate) fn record_end_of_run(&self) {
        if self.is_recorded() {
            self.set_run_span(false);
        }
    }

    #[cold]
    #[inline(never)]
    fn set_run_span(&self, is_running: bool) {
        if let Some(recording) = self.recording() {
            let span = if is_running {
                self.begin_span("runner", "run")
            } else {
                None
            };
            drop(recording.run.replace(span));
            recording.timeline.flush();
        }
    }
}
