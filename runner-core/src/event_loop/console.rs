//! What is seen of a loop, for tokio-console; and how a loop learns that somebody wants it.
//!
//! Nobody switches this on: a loop is looked at while a subscriber of `tracing` wants the spans of tasks, whether that was
//! there first or the loop. Until then it costs a test of a flag per timer set or given up. One that goes is noticed when the
//! next one comes.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::span::EnteredSpan;

use super::recording::{BeginJob, Observer, Step};
use super::time::TimerEntry;
use super::{EventLoop, LoopCore, LoopHandle, try_running_loop};
use crate::console::{TaskSpan, TimerSpan, is_heard, is_wanted, job, look_out, waker};
use crate::task::TaskRef;
use crate::task::observed::Interest;
use crate::timers::TimerKey;

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

/// The spans of one loop's tasks and timers.
#[derive(Default)]
pub(super) struct Console {
    tasks: RefCell<HashMap<u64, Arc<TaskSpan>>>,
    /// Of the task that runs.
    entered: RefCell<Option<(EnteredSpan, Arc<TaskSpan>)>>,
    timers: RefCell<ShownTimers>,
}

/// Timers that were set while somebody looked on.
#[derive(Default)]
struct ShownTimers {
    /// With their deadlines.
    spans: HashMap<TimerKey, (u64, Rc<TimerSpan>)>,
    /// By deadline.
    due: BTreeMap<u64, Vec<TimerKey>>,
}

impl ShownTimers {
    fn insert(&mut self, key: TimerKey, nanos: u64, span: Rc<TimerSpan>) {
        self.due.entry(nanos).or_default().push(key);
        self.spans.insert(key, (nanos, span));
    }

    fn get(&self, key: TimerKey) -> Option<Rc<TimerSpan>> {
        let (_, span) = self.spans.get(&key)?;
        Some(span.clone())
    }

    fn remove(&mut self, key: TimerKey) -> Option<Rc<TimerSpan>> {
        let (nanos, span) = self.spans.remove(&key)?;
        if let Some(keys) = self.due.get_mut(&nanos) {
            keys.retain(|it| *it != key);
            if keys.is_empty() {
                self.due.remove(&nanos);
            }
        }
        Some(span)
    }

    /// Takes those out that are due at `now`.
    fn remove_due(&mut self, now: u64) -> Vec<Rc<TimerSpan>> {
        let mut removed = Vec::new();
        while let Some(entry) = self.due.first_entry().filter(|it| *it.key() <= now) {
            let spans = entry
                .remove()
                .into_iter()
                .filter_map(|key| self.spans.remove(&key));
            removed.extend(spans.map(|(_, span)| span));
        }
        removed
    }
}

impl Console {
    /// The task's span, made now if the subscriber was not there when the task was first seen.
    fn span(&self, task: &TaskRef) -> Option<Arc<TaskSpan>> {
        let known = self.tasks.borrow().get(&task.id()).cloned();
        if known.is_some() || !is_heard() {
            return known;
        }
        let (spawned, has_begun) = (task.cell().location(), task.cell().is_started());
        let span = TaskSpan::new(task.id(), &task.name(), spawned, has_begun);
        let span = Arc::new(span);
        waker::show(task.id(), &span);
        self.tasks.borrow_mut().insert(task.id(), span.clone());
        Some(span)
    }

    fn end_step(&self) {
        let entered = self.entered.take();
        if let Some((entered, span)) = entered {
            drop(entered);
            span.leave();
        }
    }

    fn forget_tasks(&self) {
        let tasks = self.tasks.take();
        tasks.keys().for_each(|task| waker::hide(*task));
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end_step();
        self.forget_tasks();
    }
}

impl Observer for Console {
    fn task_begins(&self, task: &TaskRef, _by: &str) {
        drop(self.span(task));
    }

    fn task_is_woken(&self, task: &TaskRef, _by: &str) {
        if let Some(span) = self.span(task) {
            span.is_found_woken();
        }
    }

    fn task_ends(&self, task: u64, _how: &'static str) {
        let span = self.tasks.borrow_mut().remove(&task);
        waker::hide(task);
        drop(span);
    }

    fn step_begins(&self, step: &Step) {
        if let Step::Task(task) = step {
            let entered = self.span(task).map(|span| (span.enter(), span));
            drop(self.entered.replace(entered));
        }
    }

    fn step_returns(&self) {}

    /// Only now: a wake that comes while the task's span is entered is one that the task has given itself.
    fn step_ends(&self) {
        self.end_step();
    }

    fn timers_fire(&self, _count: usize, now: u64) {
        let fired = self.timers.borrow_mut().remove_due(now);
        drop(fired);
    }

    fn job_is_submitted(&self, by: &'static Location<'static>) -> BeginJob {
        job(by)
    }

    fn loop_is_closed(&self) {
        self.end_step();
        self.forget_tasks();
        drop(self.timers.take());
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
            let console = Rc::new(Console::default());
            drop(self.console.replace(Some(console.clone())));
            self.add_observer(Interest::CONSOLE, console);
        } else {
            self.remove_observer(Interest::CONSOLE);
            drop(self.console.take());
        }
    }

    /// A timer was set.
    #[inline]
    pub(super) fn show_timer(&self, key: TimerKey, nanos: u64) {
        if self.scheduler.observed.has(Interest::CONSOLE) {
            self.tell_timer(key, nanos);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_timer(&self, key: TimerKey, nanos: u64) {
        let console = self.console.borrow().clone();
        let Some(console) = console.filter(|_| is_heard()) else {
            return;
        };
        let left = nanos.saturating_sub(self.nanos(self.now()));
        let millis = left.div_ceil(1_000_000);
        let scheduled = match self.timers.borrow().get(key) {
            Some(TimerEntry::Callback(handle)) => Some(handle.location()),
            _ => None,
        };
        let span = match scheduled {
            Some(scheduled) => TimerSpan::callback(millis, scheduled),
            None => TimerSpan::wait(millis),
        };
        span.poll();
        let mut timers = console.timers.borrow_mut();
        timers.insert(key, nanos, Rc::new(span));
    }

    /// The timer's future was polled, and it has not fired.
    #[inline]
    pub(super) fn show_poll(&self, key: Option<TimerKey>) {
        if self.scheduler.observed.has(Interest::CONSOLE) {
            self.tell_poll(key);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_poll(&self, key: Option<TimerKey>) {
        let console = self.console.borrow().clone();
        let span = console
            .zip(key)
            .and_then(|(it, key)| it.timers.borrow().get(key));
        if let Some(span) = span {
            span.poll();
        }
    }

    /// The timer was given up, if it had not fired already.
    #[inline]
    pub(super) fn show_removal(&self, key: Option<TimerKey>) {
        if self.scheduler.observed.has(Interest::CONSOLE) {
            self.tell_removal(key);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_removal(&self, key: Option<TimerKey>) {
        let console = self.console.borrow().clone();
        let span = console.zip(key);
        let span = span.and_then(|(it, key)| it.timers.borrow_mut().remove(key));
        drop(span);
    }
}

#[cfg(test)]
mod tests;
