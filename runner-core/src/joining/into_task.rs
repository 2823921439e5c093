//! asyncio's `ensure_future`: a task stays what it is, any other future becomes a task.
//!
//! Stable Rust cannot say "every future but a task". Two implementations with different markers can, as long as at most
//! one of them holds for any type: the one asks for the output of a task, the other for an output that is `Unpin`, which
//! [`JoinError`], and with it the output of a task, is not.

use std::any::Any;
use std::future::Future;
use std::task::{Context as Cx, Poll};

use crate::error::JoinError;
use crate::event_loop::spawn;
use crate::task::{Task, TaskRef};

/// What can be awaited together with others: a task, or a future that is made one.
///
/// Implemented for [`Task`] and every other future whose output is `Result<T, JoinError>`, such as an executor's
/// [`Job`](crate::Job), with `Output = T`; and for futures of any other output. `Kind` tells the two apart and is
/// always inferred.
///
/// An output that contains a `JoinError` by value in another place is refused by the compiler: spawn such a future
/// yourself, and give the task.
///
/// # Differences from asyncio
///
/// Called `ensure_future` there.
#[doc(alias = "ensure_future")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made a task here",
    label = "neither a task nor a future with an output that can be told from a task's",
    note = "the future must be `'static`; if its output contains a `JoinError`, call `asyncio::spawn` on it first"
)]
pub trait IntoTask<Kind> {
    /// What the task returns.
    type Output;

    /// Starts a task, unless this is one.
    #[doc(hidden)]
    #[track_caller]
    fn into_task(self) -> Joined<Self::Output>;
}

/// Marks what has the output of a task.
#[derive(Debug)]
pub enum TaskLike {}

/// Marks futures of other outputs.
#[derive(Debug)]
pub enum Plain {}

impl<F, T> IntoTask<TaskLike> for F
where
    F: Future<Output = Result<T, JoinError>> + 'static,
    T: 'static,
{
    type Output = T;

    #[track_caller]
    fn into_task(self) -> Joined<T> {
        // A task is recognised by its type at run time, because its output is not its own alone.
        let mut future = Some(self);
        let task = (&mut future as &mut dyn Any).downcast_mut::<Option<Task<T>>>();
        if let Some(task) = task.and_then(Option::take) {
            return Joined::Task(task);
        }
        match future {
            Some(future) => Joined::Nested(spawn(future)),
            None => unreachable!("taken only if it is a task"),
        }
    }
}

impl<F> IntoTask<Plain> for F
where
    F: Future + 'static,
    F::Output: Unpin,
{
    type Output = F::Output;

    #[track_caller]
    fn into_task(self) -> Joined<F::Output> {
        Joined::Task(spawn(self))
    }
}

/// A task, or a task that awaits what gives a task's output.
#[doc(hidden)]
#[derive(Debug)]
pub enum Joined<T> {
    Task(Task<T>),
    Nested(Task<Result<T, JoinError>>),
}

impl<T> Joined<T> {
    pub(super) fn task_ref(&self) -> &TaskRef {
        match self {
            Joined::Task(task) => task.as_ref(),
            Joined::Nested(task) => task.as_ref(),
        }
    }

    /// Waits for the output, and does not pass requests on.
    pub(super) fn poll_output(&mut self, cx: &mut Cx<'_>) -> Poll<Result<T, JoinError>> {
        match self {
            Joined::Task(task) => task.poll_output(cx),
            Joined::Nested(task) => task
                .poll_output(cx)
                .map(|outcome| outcome.and_then(|inner| inner)),
        }
    }
}
