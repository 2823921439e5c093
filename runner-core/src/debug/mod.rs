//! Seeing what the program is doing: which tasks there are, what each of them waits for, and what goes wrong.
//!
//! # Debug mode
//!
//! On with `#[asyncio::main(debug)]`, [`RunnerBuilder::debug`](crate::RunnerBuilder::debug), the environment variable
//! `ASYNCIO_DEBUG` (off if unset, empty, `0` or `false`) and in every `#[asyncio::test]`; switched while the loop runs by
//! [`EventLoop::set_debug`](crate::EventLoop::set_debug). It then says, each once:
//!
//! | What | Message |
//! |---|---|
//! | a poll or callback took [too long](crate::EventLoop::set_slow_callback_duration), 100 ms unless set | `Executing <Task name='x' spawned at src/main.rs:7> took 0.123 seconds` |
//! | a wait for events took too long, by the same limit | `poll 10.000 ms took 150.000 ms: timeout` |
//! | timers fired too late, by the same limit | `2 timers were late, by 0.140 seconds at most` |
//! | a task was asked to stop and returned a value, without [`uncancel`](crate::TaskRef::uncancel) | `Task swallowed its cancellation: <Task ..> ..` |
//! | a task's `Result` was dropped that nobody looked at; once per line that spawns | `Task result was never retrieved: <Task ..> ..` |
//! | a loop was closed by hand that still had tasks | `Task was destroyed but it is pending!` (to the exception handler); of more than a hundred a hundred, and the number of the others |
//! | the same with generators, jobs that run, I/O objects and callbacks of descriptors | `unclosed asynchronous generator <..>`, `unclosed executor: ..`, `unclosed transport <fd=7>`, `unclosed reader or writer <fd=7 ..>` |
//! | a loop was dropped that nobody had closed | `unclosed event loop <EventLoop ..>` |
//!
//! A report made in a callback with [`call_exception_handler`](crate::EventLoop::call_exception_handler) names that callback.
//! SIGQUIT and SIGUSR1 print the await tree; see [`RunnerBuilder::dump_on_signal`](crate::RunnerBuilder::dump_on_signal).
//! What needs no debug mode: panics that nobody receives are always reported, tasks, timers and jobs always know the line
//! that made them, and [`RunnerBuilder::blocked_loop_after`](crate::RunnerBuilder::blocked_loop_after) watches for blocked
//! loops.
//!
//! Debug mode is meant for development: it reads a clock after each poll, and answers two more signals.
//!
//! # From outside
//!
//! `ASYNCIO_TRACE=trace.json` draws the program's life as a time line; see
//! [`RunnerBuilder::trace`](crate::RunnerBuilder::trace). With `ASYNCIO_INSPECT=1` in the environment `asyncio-ps`
//! shows the same user what the tasks of the running program wait for, also live. With the crate's feature `console`,
//! tokio-console shows tasks, wakes, timers and blocking jobs from the moment on in which the program calls
//! `console_subscriber::init()`, before the runner or inside of it. Until then it costs a test of a flag for each timer
//! and each poll. `docs/debugging.md` says what is shown and what is not, and has four faults that are found with these
//! tools.
//!
//! # As data
//!
//! With the crate's feature `serde`, [`TaskDump`], [`TaskState`], [`Activity`], [`WaitsOn`], [`CallGraph`],
//! [`TaskInfo`] and [`Metrics`](crate::Metrics) implement `Serialize`. The members have the names that they have on the
//! inspection socket (see `docs/debugging.md`), and mean the same:
//!
//! | Type | Members |
//! |---|---|
//! | `TaskDump` | `tasks` |
//! | `TaskState` | `task` (its number), `name`, `state`, `activity`, `spawned`, `cancelling`, `awaits` (numbers of tasks), `waits_for` |
//! | `Activity` | `state` (`new`, `ready`, `running`, `waiting` or `done`), `activity` (as printed), `waits_for` |
//! | `WaitsOn` | `what` (as printed), `left_us` (microseconds, if it is known how long it lasts), `tasks` |
//! | `TaskInfo` | `task`, `name`, `spawned` (file and line) |
//! | `CallGraph` | those of its `TaskState`, `awaited_by`, and `circle`, which is `true`, if there is one |
//! | `Metrics` | its fields; `busy` only if it is measured |
//!
//! They cannot be read back: a task's line is a place in this program, which no other program has. Members may be added.
//!
//! # Where messages go
//!
//! To stderr, one piece each; or, with the crate's feature `log`, to the program's logger, as records with the target
//! `asyncio`. It is the `log` facade and not `tracing` because it reaches both: it has no dependencies of its own, and
//! subscribers of `tracing` receive its records through their bridge, `tracing-log`. A program that has set up no logger finds
//! the messages on stderr also with the feature. There are also some of the levels `Info` and `Debug` (how long each wait
//! took, that a loop is closed), which only a logger gets.
//!
//! # Differences from asyncio
//!
//! Messages are CPython's where it has one. Its other checks have become types: a loop or a task cannot get to another thread,
//! and a callback is a function.
//
// Asking costs nothing until somebody asks; see `task/inquiry.rs`.

mod call_graph;
#[cfg(feature = "serde")]
mod data;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

pub use self::call_graph::{CallGraph, call_graph};
pub use crate::task::inquiry::{Activity, WaitsOn};

use crate::decimal::Seconds;
use crate::event_loop::{EventLoop, running_loop};
use crate::exception::TaskInfo;
use crate::task::TaskRef;

/// Asks every task of the running loop what it is doing. Printed, the answer is a tree: below each task those whose end it
/// waits for.
///
/// To answer, each task that waits is polled once: a wake-up without a reason, as any future has to expect.
///
/// # Panics
///
/// When no loop runs on this thread.
///
/// # Differences from asyncio
///
/// `python -m asyncio pstree` shows the lines where the coroutines stand. Compiled futures have no frames to walk; they say
/// what they wait for.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     asyncio::current_task().unwrap().set_name("main");
///     let worker = asyncio::task().name("worker").spawn(asyncio::sleep(Duration::from_secs(9)));
///     let boss = asyncio::task().name("boss").spawn(worker);
///     asyncio::yield_now().await;
///     println!("{}", asyncio::debug::dump_tasks());
///     // main is running (src/main.rs:3, polled 2 times)
///     // boss waits for task 'worker' (src/main.rs:6, child of 'main', polled 1 time)
///     //   worker waits for sleep (9.0s left) (src/main.rs:5, child of 'main', polled 1 time)
///     # let dump = asyncio::debug::dump_tasks();
///     # assert!(dump.to_string().contains("boss waits for task 'worker'"), "{dump}");
///     # assert!(dump.to_string().contains("\n  worker waits for sleep"), "{dump}");
///     # boss.cancel();
/// })
/// .unwrap();
/// ```
#[doc(alias = "pstree")]
#[track_caller]
pub fn dump_tasks() -> TaskDump {
    dump_tasks_of(&running_loop())
}

pub(crate) fn dump_tasks_of(event_loop: &EventLoop) -> TaskDump {
    dump_tasks_among(event_loop, &event_loop.all_tasks())
}

/// The same, of these tasks only.
pub(crate) fn dump_tasks_among(event_loop: &EventLoop, tasks: &[TaskRef]) -> TaskDump {
    let alive = event_loop.all_tasks();
    let ask = |task| TaskState::ask(event_loop, task, &alive);
    TaskDump {
        tasks: tasks.iter().map(ask).collect(),
    }
}

/// Every task of a loop at one moment, oldest first; made by [`dump_tasks`].
#[derive(Debug, Clone)]
pub struct TaskDump {
    tasks: Vec<TaskState>,
}

/// One task of a [`TaskDump`].
#[derive(Debug, Clone)]
pub struct TaskState {
    info: TaskInfo,
    activity: Activity,
    cancelling: u32,
    parent: Option<TaskInfo>,
    age: Option<Duration>,
    polls: u32,
    running: Option<Duration>,
}

impl TaskDump {
    /// Returns the tasks, oldest first.
    pub fn tasks(&self) -> &[TaskState] {
        &self.tasks
    }

    fn find(&self, id: u64) -> Option<&TaskState> {
        self.tasks.iter().find(|task| task.info.id() == id)
    }

    /// The numbers of all tasks that others wait for.
    fn awaited(&self) -> HashSet<u64> {
        let awaited = self.tasks.iter().flat_map(TaskState::awaits);
        awaited.map(TaskInfo::id).collect()
    }

    /// Calls `visit` with each task in the order of the tree, with how deep it stands there, and `true` if it stands further
    /// up already.
    pub(crate) fn for_each_in_tree(&self, mut visit: impl FnMut(&TaskState, usize, bool)) {
        let awaited = self.awaited();
        let mut seen = HashSet::new();
        let is_root = |task: &&TaskState| !awaited.contains(&task.info.id());
        for root in self.tasks.iter().filter(is_root) {
            self.visit_tree(root, 0, &mut seen, &mut visit);
        }
        // Tasks that wait for each other in a circle have no root.
        for task in &self.tasks {
            if !seen.contains(&task.info.id()) {
                self.visit_tree(task, 0, &mut seen, &mut visit);
            }
        }
    }

    fn visit_tree(
        &self,
        task: &TaskState,
        depth: usize,
        seen: &mut HashSet<u64>,
        visit: &mut impl FnMut(&TaskState, usize, bool),
    ) {
        let is_new = seen.insert(task.info.id());
        visit(task, depth, !is_new);
        if is_new {
            let awaited = task.awaits().filter_map(|info| self.find(info.id()));
            awaited.for_each(|awaited| self.visit_tree(awaited, depth + 1, seen, visit));
        }
    }
}

impl TaskState {
    /// `alive` has the loop's tasks, oldest first.
    fn ask(event_loop: &EventLoop, task: &TaskRef, alive: &[TaskRef]) -> TaskState {
        let (core, cell) = (event_loop.core(), task.cell());
        let parent = |id| {
            let place = alive.binary_search_by_key(&id, TaskRef::id).ok()?;
            Some(alive[place].info())
        };
        // The loop tells the time in hundredths of a second.
        let age = |hundredths| Duration::from_millis(10) * hundredths;
        TaskState {
            info: task.info(),
            parent: cell.parent().and_then(parent),
            age: cell.age(core.hundredths()).map(age),
            polls: cell.polls(),
            running: core.run_time(task.id()),
            // Last: to be asked, it is polled, which is none of its own doing.
            activity: event_loop.ask(task),
            cancelling: task.cancelling(),
        }
    }

    /// Returns which task it is.
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// Returns what it was doing.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Returns how many cancellations it was sent and has not withdrawn.
    pub fn cancelling(&self) -> u32 {
        self.cancelling
    }

    /// Returns the task that spawned it, unless that is done, or a callback or another thread did.
    pub fn parent(&self) -> Option<&TaskInfo> {
        self.parent.as_ref()
    }

    /// Returns how long ago it was spawned, by the loop's clock, in hundredths of a second.
    ///
    /// Known of tasks that were spawned in [debug mode](self), or while a dump could be asked for from outside:
    /// [`dump_on_signal`](crate::RunnerBuilder::dump_on_signal) or `ASYNCIO_INSPECT`. A task's birth is noted with the loop's
    /// latest look at the system, which in a busy loop may have been some sixty polls before it.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns how often it was polled, not counting polls that were made only to ask it what it does.
    pub fn polls(&self) -> u32 {
        self.polls
    }

    /// Returns how long its polls have taken together, since that is measured: in [debug mode](self), by the same clock as its
    /// slow steps, or while `asyncio-ps top` looks on, exactly. With the clock of the system's tick short polls are counted when
    /// a tick falls into them, and then with the whole tick, which comes to the same for many.
    pub fn running(&self) -> Option<Duration> {
        self.running
    }

    pub(crate) fn awaits(&self) -> impl Iterator<Item = &TaskInfo> {
        self.activity.waits_on().iter().flat_map(WaitsOn::tasks)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.info.spawn_location();
        write!(f, "{} {}", self.info.name(), self.activity)?;
        match self.cancelling {
            0 => {}
            1 => write!(f, ", cancelled")?,
            count => write!(f, ", cancelled {count} times")?,
        }
        write!(f, " ({}:{}", location.file(), location.line())?;
        if let Some(age) = self.age {
            write!(f, ", {:.1} s old", Seconds(age))?;
        }
        if let Some(parent) = &self.parent {
            write!(f, ", child of '{}'", parent.name())?;
        }
        let times = if self.polls == 1 { "time" } else { "times" };
        write!(f, ", polled {} {times}", self.polls)?;
        if let Some(running) = self.running.filter(|running| !running.is_zero()) {
            write!(f, ", ran {running:.1?}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Ok(());
        self.for_each_in_tree(|task, depth, is_again| {
            let note = if is_again { " (see above)" } else { "" };
            let indent = 2 * depth;
            written = written.and_then(|()| writeln!(f, "{:indent$}{task}{note}", ""));
        });
        written
    }
}
