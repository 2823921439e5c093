//! A loop's part of the time line: what is seen of it, as pieces of a picture.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;
use std::time::Instant;

use super::LoopCore;
use super::recording::{BeginJob, Observer, Step};
use crate::task::TaskRef;
use crate::task::observed::Interest;
use crate::timeline::{Details, Life, Span, Timeline};

/// One loop's part of a time line.
pub(super) struct Drawing {
    timeline: Timeline,
    /// The tasks whose begin was drawn, with their names then.
    names: RefCell<HashMap<u64, String>>,
    /// The poll or callback under way.
    step: RefCell<Option<Span>>,
    /// The run under way.
    run: RefCell<Option<Span>>,
    /// The phase of the shutdown under way.
    phase: RefCell<Option<Span>>,
}

fn spawned_at(task: &TaskRef) -> Option<(&'static str, &'static Location<'static>)> {
    Some(("spawned", task.cell().location()))
}

fn text(what: &'static str, text: impl Into<String>) -> Details {
    Details {
        text: Some((what, text.into())),
        ..Details::default()
    }
}

impl Drawing {
    fn new(timeline: Timeline) -> Drawing {
        Drawing {
            timeline,
            names: RefCell::default(),
            step: RefCell::default(),
            run: RefCell::default(),
            phase: RefCell::default(),
        }
    }
}

impl Observer for Drawing {
    fn task_begins(&self, task: &TaskRef, by: &str) {
        let name = task.name();
        let details = Details {
            location: spawned_at(task),
            ..text("by", by)
        };
        self.timeline.life(Life::Begin, task.id(), &name, &details);
        self.names.borrow_mut().insert(task.id(), name);
    }

    fn task_is_woken(&self, task: &TaskRef, by: &str) {
        let details = Details {
            task: Some(task.id()),
            ..text("by", by)
        };
        let name = format!("wake {}", task.name());
        self.timeline.instant("wake", &name, &details);
    }

    fn task_ends(&self, task: u64, how: &'static str) {
        if let Some(name) = self.names.borrow_mut().remove(&task) {
            self.timeline
                .life(Life::End, task, &name, &text("end", how));
        }
    }

    fn step_begins(&self, step: &Step) {
        let span = match step {
            Step::Task(task) => {
                let details = Details {
                    task: Some(task.id()),
                    location: spawned_at(task),
                    ..Details::default()
                };
                self.timeline.span("poll", task.name(), details)
            }
            Step::Callback(location) => {
                let details = Details {
                    location: Some(("scheduled", location)),
                    ..Details::default()
                };
                self.timeline.span("callback", "callback", details)
            }
        };
        drop(self.step.replace(Some(span)));
    }

    fn step_returns(&self) {
        drop(self.step.take());
    }

    fn step_ends(&self) {}

    fn timers_fire(&self, count: usize, _now: u64) {
        let details = text("count", count.to_string());
        self.timeline.instant("timer", "timers fire", &details);
    }

    fn job_is_submitted(&self, by: &'static Location<'static>) -> BeginJob {
        let (timeline, submitted) = (self.timeline.clone(), Instant::now());
        Box::new(move || {
            let details = Details {
                location: Some(("submitted", by)),
                ..text("queued", format!("{:?}", submitted.elapsed()))
            };
            Box::new(timeline.span("job", "job", details))
        })
    }

    /// Whatever was left has been dropped.
    fn loop_is_closed(&self) {
        drop(self.phase.take());
        for (task, name) in self.names.take() {
            let details = text("end", "dropped with the loop");
            self.timeline.life(Life::End, task, &name, &details);
        }
        self.timeline.flush();
    }
}

impl LoopCore {
    /// From now on this loop's doings are drawn there.
    pub(crate) fn set_timeline(&self, timeline: Timeline) {
        let drawing = Rc::new(Drawing::new(timeline));
        let recording = self.add_observer(Interest::TIMELINE, drawing.clone());
        drop(recording.drawing.replace(Some(drawing)));
    }

    pub(crate) fn is_drawn(&self) -> bool {
        self.scheduler.observed.has(Interest::TIMELINE)
    }

    /// Where this loop's doings are drawn, if they are.
    pub(crate) fn timeline(&self) -> Option<Timeline> {
        Some(self.drawing()?.timeline.clone())
    }

    fn drawing(&self) -> Option<Rc<Drawing>> {
        self.recording()?.drawing.borrow().clone()
    }

    /// Begins something that is to be seen as one piece of the time line.
    pub(crate) fn span(&self, category: &'static str, name: &'static str) -> Option<Span> {
        match self.is_drawn() {
            true => self.begin_span(category, name),
            false => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_span(&self, category: &'static str, name: &'static str) -> Option<Span> {
        let drawing = self.drawing()?;
        Some(drawing.timeline.span(category, name, Details::default()))
    }

    /// A phase of the shutdown begins, and the one under way is over. The last one ends with the loop.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_phase(&self, name: &'static str) {
        if let Some(drawing) = self.drawing() {
            drop(drawing.phase.take());
            drawing.phase.replace(self.begin_span("shutdown", name));
        }
    }

    /// A runner's run begins.
    #[inline]
    pub(crate) fn record_run(&self) {
        if self.is_drawn() {
            self.set_run_span(true);
        }
    }

    /// It is over.
    #[inline]
    pub(crate) fn record_end_of_run(&self) {
        if self.is_drawn() {
            self.set_run_span(false);
        }
    }

    #[cold]
    #[inline(never)]
    fn set_run_span(&self, is_running: bool) {
        if let Some(drawing) = self.drawing() {
            let span = if is_running {
                self.begin_span("runner", "run")
            } else {
                None
            };
            drop(drawing.run.replace(span));
            drawing.timeline.flush();
        }
    }
}
