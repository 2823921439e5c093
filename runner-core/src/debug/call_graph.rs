//! `call_graph`: what one task waits for, and who waits for it, up to the tasks that nobody waits for.

use std::fmt;

use super::{TaskDump, TaskState, dump_tasks_of};
use crate::event_loop::{EventLoop, running_loop};
use crate::task::TaskRef;
use crate::task::inquiry::{Activity, WaitsOn};

/// Asks what `task` waits for, who waits for it, who waits for those, and so on, usually up to the main task.
///
/// Every task of the running loop is asked for that, as by [`dump_tasks`](super::dump_tasks), because a task does not know who
/// waits for it.
///
/// # Panics
///
/// When no loop runs on this thread, and when the task is not done and belongs to another loop.
///
/// # Differences from asyncio
///
/// `capture_call_graph` and `format_call_graph` there. Compiled futures have no frames to walk, so `depth` and `limit` are
/// missing; a task says what it waits for, and where it was spawned. The task has to be named: the
/// [current](crate::current_task) one is running, and waits for nothing. A task that waits in
/// [`as_completed`](crate::as_completed()) is found as well.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let worker = asyncio::task().name("worker").spawn(asyncio::sleep(Duration::from_secs(9)));
///     let reference = worker.task_ref();
///     let boss = asyncio::task().name("boss").spawn(worker);
///     asyncio::yield_now().await;
///     println!("{}", asyncio::debug::call_graph(&reference));
///     // * Task 'worker' (src/main.rs:4)
///     //   + Waits for:
///     //   |   sleep (9.0s left)
///     //   + Awaited by:
///     //     * Task 'boss' (src/main.rs:6)
///     //       + Waits for:
///     //       |   task 'worker'
///     # let graph = asyncio::debug::call_graph(&reference);
///     # assert_eq!(graph.awaited_by()[0].task().info().name(), "boss");
///     # boss.cancel();
/// })
/// .unwrap();
/// ```
#[doc(alias = "capture_call_graph")]
#[doc(alias = "format_call_graph")]
#[doc(alias = "print_call_graph")]
#[track_caller]
pub fn call_graph(task: impl AsRef<TaskRef>) -> CallGraph {
    let (event_loop, task) = (running_loop(), task.as_ref());
    let dump = dump_tasks_of(&event_loop);
    let state = match dump.find(task.id()) {
        Some(state) => state.clone(),
        None => state_of(&event_loop, task),
    };
    CallGraph::of(state, &dump, &mut Vec::new())
}

/// What a task that is not among the loop's is doing: it has ended.
#[track_caller]
fn state_of(event_loop: &EventLoop, task: &TaskRef) -> TaskState {
    assert!(
        task.is_finished(),
        "the task '{}' belongs to another loop; ask for its call graph while that one runs",
        task.name()
    );
    TaskState::ask(event_loop, task, &event_loop.all_tasks())
}

/// A task with those that wait for it, each with those that wait for that one; made by [`call_graph`].
#[derive(Debug, Clone)]
pub struct CallGraph {
    task: TaskState,
    awaited_by: Vec<CallGraph>,
    is_circle: bool,
}

impl CallGraph {
    /// `above` has the tasks from the one that was asked for down to here.
    fn of(task: TaskState, dump: &TaskDump, above: &mut Vec<u64>) -> CallGraph {
        let id = task.info().id();
        if above.contains(&id) {
            return CallGraph {
                task,
                awaited_by: Vec::new(),
                is_circle: true,
            };
        }
        above.push(id);
        let awaits = |other: &&TaskState| other.awaits().any(|awaited| awaited.id() == id);
        let awaiting = dump.tasks().iter().filter(awaits);
        let awaited_by = awaiting
            .map(|awaiting| CallGraph::of(awaiting.clone(), dump, above))
            .collect();
        above.pop();
        CallGraph {
            task,
            awaited_by,
            is_circle: false,
        }
    }

    /// Returns the task and what it is doing.
    pub fn task(&self) -> &TaskState {
        &self.task
    }

    /// Returns the tasks that wait for it, oldest first.
    pub fn awaited_by(&self) -> &[CallGraph] {
        &self.awaited_by
    }

    /// Returns `true` if the task stands further up already: these tasks wait for each other in a circle, and none of them
    /// will ever go on. Who waits for it is said there.
    pub fn is_circle(&self) -> bool {
        self.is_circle
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let (info, location) = (self.task.info(), self.task.info().spawn_location());
        let (file, line) = (location.file(), location.line());
        write!(f, "{:indent$}* Task '{}' ({file}:{line})", "", info.name())?;
        if self.is_circle {
            return writeln!(f, " (see above: they wait for each other)");
        }
        writeln!(f)?;
        self.write_activity(f, indent + 2)?;
        if !self.awaited_by.is_empty() {
            writeln!(f, "{:1$}+ Awaited by:", "", indent + 2)?;
        }
        let mut each = self.awaited_by.iter();
        each.try_for_each(|awaiting| awaiting.write(f, indent + 4))
    }

    fn write_activity(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let (title, on): (_, &[WaitsOn]) = match self.task.activity() {
            Activity::Waiting(on) if !on.is_empty() => ("Waits for:", on),
            Activity::Ready(on) if !on.is_empty() => ("Is ready to run, and waited for:", on),
            activity => return writeln!(f, "{:indent$}+ It {activity}", ""),
        };
        writeln!(f, "{:indent$}+ {title}", "")?;
        let mut each = on.iter();
        each.try_for_each(|on| writeln!(f, "{:indent$}|   {on}", ""))
    }
}

impl fmt::Display for CallGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
