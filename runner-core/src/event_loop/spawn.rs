//! Starting tasks on a loop.

use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::rc::Rc;

use super::current::enter;
use super::{CancelHandle, EventLoop, LoopHandle, running_loop};
use crate::context::Context;
use crate::large::is_large;
use crate::task::cell::{RunsIn, TaskOptions};
use crate::task::inquiry::Activity;
use crate::task::scheduler::Scheduler;
use crate::task::{Task, TaskRef};

/// Starts a task on the running loop.
///
/// The task begins in the loop's next turn, in a copy of the current context, and goes on if the handle is dropped.
///
/// # Panics
///
/// When no loop runs on this thread.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let task = asyncio::spawn(async { "done" });
///     assert_eq!(task.await.unwrap(), "done");
/// })
/// .unwrap();
/// ```
#[doc(alias = "create_task")]
#[track_caller]
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: IntoFuture,
    F::IntoFuture: 'static,
{
    running_loop().start_plain(Location::caller(), future.into_future())
}

/// Configures a task for the running loop; the same as [`EventLoop::task`].
///
/// # Panics
///
/// When no loop runs on this thread.
#[track_caller]
pub fn task() -> TaskBuilder {
    running_loop().task()
}

/// Returns every task of the running loop that is not done, oldest first.
///
/// # Panics
///
/// When no loop runs on this thread.
#[track_caller]
pub fn all_tasks() -> Vec<TaskRef> {
    running_loop().all_tasks()
}

impl EventLoop {
    /// Starts a task on this loop, which need not be running yet.
    ///
    /// # Panics
    ///
    /// When the loop is closed. While it is closing, the future is dropped, and the task ends cancelled.
    #[doc(alias = "create_task")]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: IntoFuture,
        F::IntoFuture: 'static,
    {
        self.start_plain(Location::caller(), future.into_future())
    }

    /// Configures a task before it is started.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(async {
    ///     let task = asyncio::running_loop().task().name("answer").spawn(async { 42 });
    ///     assert_eq!(task.name(), "answer");
    ///     assert_eq!(task.await.unwrap(), 42);
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn task(&self) -> TaskBuilder {
        TaskBuilder {
            event_loop: self.clone(),
            options: TaskOptions::at(Location::caller()),
        }
    }

    /// Returns `true` if a task of this loop could be polled now: the loop runs, and the code around belongs to it. While
    /// another loop is closed inside of one of its tasks, it does not.
    fn runs_here(&self) -> bool {
        let scheduler = &self.core().scheduler;
        self.is_running() && Scheduler::current().is_some_and(|now| Rc::ptr_eq(&now, scheduler))
    }

    /// Where a new task goes: behind what has arrived before it.
    #[inline]
    #[track_caller]
    fn open_door(&self) -> &Rc<Scheduler> {
        self.core().refuse_if_closed();
        self.core().keep_order_of_mail();
        &self.core().scheduler
    }

    /// Starts a task for which nothing special was asked, as most are: its cell is made without a look at options.
    #[track_caller]
    fn start_plain<F: Future + 'static>(
        &self,
        location: &'static Location<'static>,
        future: F,
    ) -> Task<F::Output> {
        let scheduler = self.open_door();
        if const { is_large::<F>() } {
            Task::spawn_plain(scheduler, location, Box::pin(future))
        } else {
            Task::spawn_plain(scheduler, location, future)
        }
    }

    #[track_caller]
    fn start<F: Future + 'static>(&self, options: TaskOptions, future: F) -> Task<F::Output> {
        let scheduler = self.open_door();
        if const { is_large::<F>() } {
            Task::spawn(scheduler, options, Box::pin(future))
        } else {
            Task::spawn(scheduler, options, future)
        }
    }
}

/// Configures a task before it is started; made by [`EventLoop::task`] or [`task`].
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct TaskBuilder {
    event_loop: EventLoop,
    options: TaskOptions,
}

impl TaskBuilder {
    /// Gives the task a name, for reports; `Task-N` unless set.
    pub fn name(mut self, name: impl Into<String>) -> TaskBuilder {
        self.options.name = Some(name.into());
        self
    }

    /// Runs the task in this context itself, not in a copy of the current one.
    pub fn context(mut self, context: Context) -> TaskBuilder {
        self.options.context = RunsIn::Shared(context);
        self
    }

    /// Runs the task's first step at once, inside of `spawn`: in the task's own context, and with it as the current task.
    ///
    /// A task that ends in its first step is done when `spawn` returns, and never waits for a turn of the loop: awaiting it
    /// then gives its output without suspending. One that waits goes on like any other. Whatever the first step does to the
    /// program's state has happened when `spawn` returns, and it runs on the spawner's stack.
    ///
    /// If the loop does not run yet, there is nobody to run a step, and the task begins in the loop's first turn.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(async {
    ///     let task = asyncio::task().eager_start(true).spawn(async { "at once" });
    ///     assert!(task.is_finished());
    ///     assert_eq!(task.await.unwrap(), "at once");
    /// })
    /// .unwrap();
    /// ```
    #[doc(alias = "eager_task_factory")]
    pub fn eager_start(mut self, eager: bool) -> TaskBuilder {
        self.options.eager = eager;
        self
    }

    /// Starts the task.
    ///
    /// # Panics
    ///
    /// When the loop is closed.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: IntoFuture,
        F::IntoFuture: 'static,
    {
        let options = TaskOptions {
            location: Location::caller(),
            eager: self.options.eager && self.event_loop.runs_here(),
            ..self.options
        };
        self.event_loop.start(options, future.into_future())
    }
}

impl EventLoop {
    /// Asks a task of this loop what it is doing; its code finds this loop running meanwhile.
    pub(crate) fn ask(&self, task: &TaskRef) -> Activity {
        let _running = enter(self);
        self.core().scheduler.ask(task)
    }
}

impl TaskRef {
    /// Returns a handle that cancels the task from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        // A task that is done may name a later loop here, which has no task of this number.
        let inbox = self.inbox();
        CancelHandle::new(LoopHandle::new(inbox, inbox.generation()), self.id())
    }
}

impl<T> Task<T> {
    /// Returns a handle that cancels the task from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.task_ref().cancel_handle()
    }
}
