//! `as_completed`: the results of several tasks in the order in which they come.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};

use futures_core::Stream;

use super::into_task::{IntoTask, Joined};
use crate::error::JoinError;
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;
use crate::task::watch::Watch;

/// Awaits several tasks, or futures as tasks of their own, and gives their results in the order in which they come.
///
/// The tasks begin at once, and go on when what is returned is dropped.
///
/// # Panics
///
/// When no loop runs on this thread and a future has to be made a task.
///
/// # Differences from asyncio
///
/// Gives results, not awaitables that give them. The timeout is [`timeout`](crate::timeout) around [`next`](AsCompleted::next).
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let mut results = asyncio::as_completed([30, 10, 20].map(|ms| async move {
///         asyncio::sleep(Duration::from_millis(ms)).await;
///         ms
///     }));
///     let mut seen = Vec::new();
///     while let Some(result) = results.next().await {
///         seen.push(result.unwrap());
///     }
///     assert_eq!(seen, [10, 20, 30]);
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn as_completed<I, Kind>(tasks: I) -> AsCompleted<<I::Item as IntoTask<Kind>>::Output>
where
    I: IntoIterator,
    I::Item: IntoTask<Kind>,
{
    let watch = Watch::new();
    let mut joined = Vec::new();
    for task in tasks {
        let task = task.into_task();
        watch.add(task.task_ref(), joined.len());
        joined.push(Some(task));
    }
    AsCompleted {
        left: joined.len(),
        tasks: joined,
        watch,
    }
}

/// The results of several tasks as they come; made by [`as_completed`].
#[must_use = "the tasks go on without it; ask for the results"]
pub struct AsCompleted<T> {
    /// Each until its result was given.
    tasks: Vec<Option<Joined<T>>>,
    left: usize,
    watch: Rc<Watch>,
}

impl<T> AsCompleted<T> {
    /// Waits for the next result; `None` when all were given.
    ///
    /// # Cancel safety
    ///
    /// No result is lost: the next call gives it.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        let (_, result) = self.next_with_index().await?;
        Some(result)
    }

    /// The same, with the place of the task among those that were given, from 0.
    ///
    /// # Cancel safety
    ///
    /// No result is lost: the next call gives it.
    pub async fn next_with_index(&mut self) -> Option<(usize, Result<T, JoinError>)> {
        poll_fn(|cx| self.poll_next_with_index(cx)).await
    }

    fn poll_next_with_index(
        &mut self,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<(usize, Result<T, JoinError>)>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let tasks = || self.tasks.iter().flatten().map(Joined::task_ref);
        if must_look_away(cx, || WaitsOn::task_ends(tasks(), "as_completed")) {
            return Poll::Pending;
        }
        let index = std::task::ready!(self.watch.poll_next(cx));
        let Some(mut task) = self.tasks[index].take() else {
            unreachable!("a task ends once");
        };
        self.left -= 1;
        match task.poll_output(cx) {
            Poll::Ready(result) => Poll::Ready(Some((index, result))),
            Poll::Pending => unreachable!("the task has ended"),
        }
    }
}

impl<T> Unpin for AsCompleted<T> {}

impl<T> Stream for AsCompleted<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_with_index(cx)
            .map(|next| next.map(|(_, result)| result))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<AsCompleted tasks={} left={}>",
            self.tasks.len(),
            self.left
        )
    }
}
