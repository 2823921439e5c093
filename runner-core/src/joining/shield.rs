//! `shield`: awaiting a task without handing requests on to it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use super::into_task::{IntoTask, Joined};
use crate::error::JoinError;
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// Awaits a task, or a future as a task of its own, that a cancellation of the awaiting code does not reach.
///
/// The task begins at once, not when the shield is first polled. When the awaiting code is cancelled, it is interrupted as
/// anywhere else, and the task goes on in the background.
///
/// # Errors
///
/// [`JoinError`] if the task panicked, or was cancelled itself: by somebody else, or by the shutdown, which reaches every
/// task.
///
/// # Panics
///
/// When no loop runs on this thread and the future has to be made a task.
///
/// # Cancel safety
///
/// The task goes on. Its value is then nobody's, and dropped; a panic goes to the loop's exception handler.
///
/// # Differences from asyncio
///
/// The loop holds every task, so no reference has to be kept.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// asyncio::run(async {
///     let is_written = Rc::new(Cell::new(false));
///     let flag = is_written.clone();
///     let write = async move {
///         asyncio::yield_now().await;
///         asyncio::yield_now().await;
///         flag.set(true);
///     };
///     let task = asyncio::spawn(async { asyncio::shield(write).await });
///     asyncio::yield_now().await;
///     task.cancel();
///     assert!(task.await.unwrap_err().is_cancelled());
///     asyncio::yield_now().await;
///     assert!(is_written.get());
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn shield<F, Kind>(future: F) -> Shield<F::Output>
where
    F: IntoTask<Kind>,
{
    Shield {
        task: future.into_task(),
    }
}

/// The future of [`shield`].
#[must_use = "the task goes on without it; await it, or spawn the future instead"]
#[derive(Debug)]
pub struct Shield<T> {
    task: Joined<T>,
}

impl<T> Future for Shield<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if must_look_away(cx, || WaitsOn::task_end(self.task.task_ref().cell())) {
            return Poll::Pending;
        }
        self.task.poll_output(cx)
    }
}
