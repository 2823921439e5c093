//! Starting tasks on a loop.

use std::future::{Future, IntoFuture};
use std::panic::Location;

use super::current::enter;
use super::{CancelHandle, EventLoop, LoopHandle, running_loop};
use crate::context::Context;
use crate::large::is_large;
use crate::task::cell::{RunsIn, TaskOptions};
use crate::task::inquiry::Activity;
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
    running_loop().start(TaskOptions::at(Location::caller()), future.into_future())
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
        self.start(TaskOptions::at(Location::caller()), future.into_future())
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

    #[track_caller]
    fn start<F: Future + 'static>(&self, options: TaskOptions, future: F) -> Task<F::Output> {
        self.core().refuse_if_closed();
        self.core().keep_order_of_mail();
        let scheduler = &self.core().scheduler;
        if is_large::<F>() {
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
