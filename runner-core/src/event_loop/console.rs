//! What is seen of a loop, for tokio-console; and how a loop learns that somebody wants it.
//!
//! Nobody switches this on: a loop is looked at while a subscriber of `tracing` wants the spans of tasks, whether that was
//! there first or the loop. Until then it costs nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::span::EnteredSpan;

use super::recording::{BeginJob, Observer, Step};
use super::time::{ShownTimer, TimerEntry};
use super::{EventLoop, LoopCore, LoopHandle, try_running_loop};
use crate::console::{TaskSpan, TimerSpan, is_heard, is_wanted, job, look_out};
use crate::task::TaskRef;
use crate::task::observed::Interest;

/// The loops that are not closed.
static LOOPS: Mutex<Vec<LoopHandle>> = Mutex::new(Vec::new());

/// Nobody's code runs under the lock, so a poisoned one is still whole.
fn loops() -> MutexGuard<'static, Vec<LoopHandle>> {
    LOOPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells every loop, wherever it runs. One that does not run learns it when it does.
fn tell_loops() {
    let look_again = || {
        if let Some(event_loop) = try_running_loop() {
            event_loop.core().set_console(is_wanted());
        }
    };
    let told = loops().clone();
    for handle in told {
        // One that is closed by now has nothing to show.
        let _ = handle.call_soon_threadsafe(look_again);
    }
}

/// The spans of one loop's tasks.
#[derive(Default)]
struct Console {
    tasks: RefCell<HashMap<u64, Rc<TaskSpan>>>,
    /// Of the task that runs.
    entered: RefCell<Option<EnteredSpan>>,
}

impl Console {
    /// The task's span, made now if the subscriber was not there when the task was first seen.
    fn span(&self, task: &TaskRef) -> Option<Rc<TaskSpan>> {
        let known = self.tasks.borrow().get(&task.id()).cloned();
        if known.is_some() || !is_heard() {
            return known;
        }
        let span = TaskSpan::new(task.id(), &task.name(), task.cell().location());
        let span = Rc::new(span);
        self.tasks.borrow_mut().insert(task.id(), span.clone());
        Some(span)
    }
}

impl Observer for Console {
    fn task_begins(&self, task: &TaskRef, _by: &str) {
        drop(self.span(task));
    }

    fn task_is_woken(&self, task: &TaskRef, _by: &str) {
        if let Some(span) = self.span(task) {
            span.wake();
        }
    }

    fn task_ends(&self, task: u64, _how: &'static str) {
        let span = self.tasks.borrow_mut().remove(&task);
        drop(span);
    }

    fn step_begins(&self, step: &Step) {
        if let Step::Task(task) = step {
            let entered = self.span(task).map(|span| span.enter());
            drop(self.entered.replace(entered));
        }
    }

    fn step_returns(&self) {}

    /// Only now: a wake that comes while the task's span is entered is one that the task has given itself.
    fn step_ends(&self) {
        drop(self.entered.take());
    }

    fn timers_fire(&self, _count: usize) {}

    fn job_is_submitted(&self, by: &'static Location<'static>) -> BeginJob {
        job(by)
    }

    fn loop_is_closed(&self) {
        drop(self.entered.take());
        drop(self.tasks.take());
    }
}

impl EventLoop {
    /// A new loop: from now on it learns whether somebody wants to see it.
    pub(super) fn offer_to_console(&self) {
        look_out(tell_loops);
        loops().push(self.handle());
        self.core().set_console(is_wanted());
    }
}

impl LoopCore {
    /// The loop is being closed.
    pub(super) fn leave_console(&self) {
        let handle = LoopHandle::new(self.scheduler.inbox, self.scheduler.generation);
        if !self.is_forked() {
            loops().retain(|it| !it.is_same(&handle));
        }
    }

    fn set_console(&self, wanted: bool) {
        if wanted == self.scheduler.observed.has(Interest::CONSOLE) {
            return;
        }
        if wanted {
            self.add_observer(Interest::CONSOLE, Rc::new(Console::default()));
        } else {
            self.remove_observer(Interest::CONSOLE);
        }
    }

    /// A timer is set for `nanos`: shown, if somebody wants to see it.
    #[inline]
    pub(super) fn show_timer(&self, nanos: u64, entry: TimerEntry) -> TimerEntry {
        match self.scheduler.observed.has(Interest::CONSOLE) {
            true => self.with_span(nanos, entry),
            false => entry,
        }
    }

    #[cold]
    #[inline(never)]
    fn with_span(&self, nanos: u64, entry: TimerEntry) -> TimerEntry {
        if !is_heard() {
            return entry;
        }
        let left = nanos.saturating_sub(self.nanos(self.now()));
        let millis = left.div_ceil(1_000_000);
        let span = match &entry {
            TimerEntry::Callback(handle) => TimerSpan::callback(millis, handle.location()),
            TimerEntry::Wake(_) => TimerSpan::wait(millis),
            TimerEntry::Shown(_) => return entry,
        };
        span.poll();
        let span = Rc::new(span);
        TimerEntry::Shown(Box::new(ShownTimer { entry, span }))
    }
}
