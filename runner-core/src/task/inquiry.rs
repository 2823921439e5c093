//! Asking a task what it waits for.
//!
//! Nothing is recorded beforehand, so it costs nothing until somebody asks: the task is polled as if a request were
//! pending, every leaf future looks away from its event, as it then does, and says what that would have been. Nobody takes
//! the request, because there is none.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::TaskRef;
use super::cell::TaskCell;
use super::raw::Runnable;
use super::scheduler::Scheduler;
use crate::exception::TaskInfo;

/// Something that a task waits for.
#[derive(Debug, Clone)]
pub struct WaitsOn {
    text: String,
    tasks: Vec<TaskInfo>,
    time_left: Option<Duration>,
}

impl WaitsOn {
    pub(crate) fn new(text: impl Into<String>) -> WaitsOn {
        WaitsOn {
            text: text.into(),
            tasks: Vec::new(),
            time_left: None,
        }
    }

    /// A moment that comes after the time that is left; `None` if it never comes.
    pub(crate) fn time(what: &str, left: Option<Duration>) -> WaitsOn {
        let text = match left {
            Some(left) => format!("{what} ({left:.1?} left)"),
            None => format!("{what} (for ever)"),
        };
        WaitsOn {
            time_left: left,
            ..WaitsOn::new(text)
        }
    }

    /// The ends of several tasks, those that are not done yet, in a way that has a name.
    pub(crate) fn task_ends<'a>(
        tasks: impl IntoIterator<Item = &'a TaskRef>,
        way: &str,
    ) -> WaitsOn {
        let tasks = tasks.into_iter().filter(|task| !task.is_finished());
        let tasks: Vec<_> = tasks.map(TaskRef::info).collect();
        WaitsOn {
            text: format!("{} tasks ({way})", tasks.len()),
            tasks,
            time_left: None,
        }
    }

    pub(crate) fn task_end(task: &TaskCell) -> WaitsOn {
        let task = task.info();
        WaitsOn {
            text: format!("task '{}'", task.name()),
            tasks: vec![task],
            time_left: None,
        }
    }

    /// Returns the task whose end is waited for, if it is one.
    pub fn task(&self) -> Option<&TaskInfo> {
        match &*self.tasks {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Returns the tasks whose ends are waited for together, in the order in which they were given; none if it is something else.
    pub fn tasks(&self) -> &[TaskInfo] {
        &self.tasks
    }

    /// Returns how long it will still last, if that is known: of a sleep, and of a timeout's limit.
    pub fn time_left(&self) -> Option<Duration> {
        self.time_left
    }
}

impl fmt::Display for WaitsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a task is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Activity {
    /// It has not begun: its first turn is still to come.
    NotBegun,
    /// It is ready, and waits for its turn. This is what it waited for.
    Ready(Vec<WaitsOn>),
    /// It is running: it is the one that asks, or one further up on the stack.
    Running,
    /// It waits. Empty if what it waits for is no future of this crate, or lies behind a sub-executor.
    Waiting(Vec<WaitsOn>),
    /// It is done.
    Finished,
}

impl Activity {
    /// The state in a word, for whoever reads data.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Activity::NotBegun => "new",
            Activity::Ready(_) => "ready",
            Activity::Running => "running",
            Activity::Waiting(_) => "waiting",
            Activity::Finished => "done",
        }
    }

    /// What the task waits for, or waited for until it became ready.
    pub(crate) fn waits_on(&self) -> &[WaitsOn] {
        match self {
            Activity::Waiting(on) | Activity::Ready(on) => on,
            _ => &[],
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activity::NotBegun => f.write_str("has not begun"),
            Activity::Ready(on) if on.is_empty() => f.write_str("is ready to run"),
            Activity::Ready(on) => {
                f.write_str("is ready to run, and waited for ")?;
                write_list(f, on)
            }
            Activity::Running => f.write_str("is running"),
            Activity::Finished => f.write_str("is done"),
            Activity::Waiting(on) => match &**on {
                [] => f.write_str("waits for something that is not asyncio's"),
                on => {
                    f.write_str("waits for ")?;
                    write_list(f, on)
                }
            },
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, list: &[WaitsOn]) -> fmt::Result {
    for (index, item) in list.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    Ok(())
}

thread_local! {
    /// What was answered so far; `None` while nobody asks.
    static ANSWERS: RefCell<Option<Vec<WaitsOn>>> = const { RefCell::new(None) };
}

/// Returns `true` while a task is being asked. Looked at only where a request seems to be pending.
#[cold]
pub(super) fn is_asking() -> bool {
    ANSWERS
        .try_with(|answers| answers.borrow().is_some())
        .unwrap_or(false)
}

/// Says what the current task waits for, if somebody asks. `true` if so.
#[cold]
pub(crate) fn answer(what: impl FnOnce() -> WaitsOn) -> bool {
    if !is_asking() {
        return false;
    }
    add_answer(what());
    true
}

/// Not a part of [`answer`], which is compiled for each leaf future.
fn add_answer(what: WaitsOn) {
    ANSWERS.with_borrow_mut(|answers| answers.as_mut().map(|answers| answers.push(what)));
}

/// While it lives, leaf futures answer.
struct Asking {
    previous: Option<Vec<WaitsOn>>,
}

impl Asking {
    fn begin() -> Asking {
        Asking {
            previous: ANSWERS.replace(Some(Vec::new())),
        }
    }

    fn end(self) -> Vec<WaitsOn> {
        ANSWERS.take().unwrap_or_default()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ANSWERS.replace(self.previous.take());
    }
}

impl Scheduler {
    /// Asks a task what it is doing. It is polled for that, which is a wake-up without a reason to everything inside of it
    /// that is not of this crate. Its place in the queue stays what it was.
    pub(crate) fn ask(self: &Rc<Self>, task: &TaskRef) -> Activity {
        if task.is_finished() {
            return Activity::Finished;
        }
        if !task.cell().is_started() {
            return Activity::NotBegun;
        }
        let _entered = self.enter();
        self.collect_all_mail();
        if task.cell().is_cancel_pending() {
            // A real request: the task is ready because of it, and is not to be polled before its turn.
            return Activity::Ready(Vec::new());
        }
        if let Some((place, runnable)) = self.take_runnable_of(task) {
            return match ask_runnable(task, runnable) {
                None => Activity::Finished,
                Some(answers) => {
                    task.cell().wake();
                    self.move_last_to(place);
                    Activity::Ready(answers)
                }
            };
        }
        task.cell().wake();
        match self.take_runnable_of(task) {
            // It was running, and will now run once more than it had to.
            None => Activity::Running,
            Some((_, runnable)) => {
                ask_runnable(task, runnable).map_or(Activity::Finished, Activity::Waiting)
            }
        }
    }
}

/// Polls the task once while leaf futures answer. `None` if that was its end.
fn ask_runnable(task: &TaskRef, runnable: Runnable) -> Option<Vec<WaitsOn>> {
    let asking = Asking::begin();
    task.cell().begin_inquiry();
    runnable.run();
    let answers = asking.end();
    if task.is_finished() {
        return None;
    }
    task.cell().discount_poll();
    if task.cell().end_inquiry() {
        task.cell().wake_to_cancel();
    }
    Some(answers)
}
