//! Seeing what the program is doing: which tasks there are, and what each of them waits for.
//!
//! Asking costs nothing until somebody asks; see `task/inquiry.rs`.

mod call_graph;

use std::collections::HashSet;
use std::fmt;

pub use self::call_graph::{CallGraph, call_graph};
pub use crate::task::inquiry::{Activity, WaitsOn};

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
///     // main is running (src/main.rs:3)
///     // boss waits for task 'worker' (src/main.rs:6)
///     //   worker waits for sleep (9.0s left) (src/main.rs:5)
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
    let tasks = event_loop.all_tasks();
    let ask = |task| TaskState::ask(event_loop, task);
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

    fn write_tree(
        &self,
        f: &mut fmt::Formatter<'_>,
        task: &TaskState,
        depth: usize,
        seen: &mut HashSet<u64>,
    ) -> fmt::Result {
        write!(f, "{:indent$}{task}", "", indent = 2 * depth)?;
        if !seen.insert(task.info.id()) {
            return writeln!(f, " (see above)");
        }
        writeln!(f)?;
        let awaited = task.awaits().filter_map(|info| self.find(info.id()));
        awaited
            .into_iter()
            .try_for_each(|awaited| self.write_tree(f, awaited, depth + 1, seen))
    }
}

impl TaskState {
    fn ask(event_loop: &EventLoop, task: &TaskRef) -> TaskState {
        TaskState {
            info: task.info(),
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

    fn awaits(&self) -> impl Iterator<Item = &TaskInfo> {
        let on: &[WaitsOn] = match &self.activity {
            Activity::Waiting(on) | Activity::Ready(on) => on,
            _ => &[],
        };
        on.iter().flat_map(WaitsOn::tasks)
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
        write!(f, " ({}:{})", location.file(), location.line())
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let awaited = self.awaited();
        let mut seen = HashSet::new();
        let is_root = |task: &&TaskState| !awaited.contains(&task.info.id());
        for root in self.tasks.iter().filter(is_root) {
            self.write_tree(f, root, 0, &mut seen)?;
        }
        // Tasks that wait for each other in a circle have no root.
        for task in &self.tasks {
            if !seen.contains(&task.info.id()) {
                self.write_tree(f, task, 0, &mut seen)?;
            }
        }
        Ok(())
    }
}
