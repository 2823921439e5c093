//! `catch_cancelled` and `raise`: Python's `try: ... except CancelledError: ... raise`.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use pin_project_lite::pin_project;

use crate::error::CancelledError;
use crate::task::raise::Raising;
use crate::task::stand::Standing;

/// Runs `future`; if the task is cancelled meanwhile, drops it and yields the cancellation instead.
///
/// The code after it may await, clean up, go on as if nothing had happened, or [`raise`](CancelledError::raise) the
/// cancellation again. Each request is delivered once, so awaiting during cleanup just works.
///
/// # Errors
///
/// [`CancelledError`] if a request reached this scope before the future was done.
///
/// # Cancel safety
///
/// This is what receives the cancellation. What is inside is dropped at the point where it waits.
///
/// # Differences from asyncio
///
/// Outside of a task of this crate there is nobody to cancel: the future just runs.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let task = asyncio::spawn(async {
///         match asyncio::catch_cancelled(asyncio::sleep(Duration::MAX)).await {
///             Ok(()) => unreachable!(),
///             Err(cancelled) => {
///                 asyncio::sleep(Duration::from_millis(1)).await; // cleanup may await
///                 cancelled.raise().await
///             }
///         }
///     });
///     asyncio::yield_now().await;
///     task.cancel();
///     assert!(task.await.unwrap_err().is_cancelled());
/// })
/// .unwrap();
/// ```
pub fn catch_cancelled<F: IntoFuture>(future: F) -> CatchCancelled<F::IntoFuture> {
    CatchCancelled {
        future: Some(future.into_future()),
        standing: Standing::default(),
    }
}

pin_project! {
    /// The future of [`catch_cancelled`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancelled<F> {
        #[pin]
        future: Option<F>,
        standing: Standing,
    }
}

impl<F: Future> Future for CatchCancelled<F> {
    type Output = Result<F::Output, CancelledError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("`CatchCancelled` was polled after it was done; await it only once");
        };
        let within = this.standing.enter(cx);
        let polled = future.poll(cx);
        drop(within);
        let outcome = match polled {
            Poll::Ready(value) => Ok(value),
            // The innermost scope is polled first; what is still pending now, nobody inside has taken.
            Poll::Pending => match this.standing.take_cancel() {
                Some(cancelled) => Err(cancelled),
                None => {
                    this.standing.wait(cx);
                    return Poll::Pending;
                }
            },
        };
        this.standing.leave();
        this.future.set(None);
        Poll::Ready(outcome)
    }
}

impl CancelledError {
    /// Raises the cancellation again: the next scope on the way out receives it, or the task ends cancelled.
    ///
    /// Does not return, and so fits where any type is expected. What is held at this point is let go when the scope that
    /// receives the cancellation drops the code; until then a sibling (in a `join!`, say) may still be cleaning up. So drop a
    /// [lock's guard](crate::sync::LockGuard) first that a sibling may need for that: otherwise both wait for each other.
    ///
    /// # Panics
    ///
    /// Outside of a task of this crate, where nobody could receive it.
    ///
    /// # Cancel safety
    ///
    /// It is what it says.
    ///
    /// # Examples
    ///
    /// See [`catch_cancelled`].
    pub async fn raise(self) -> ! {
        let mut raising = Raising::new(self);
        loop {
            poll_fn(|cx| {
                assert!(
                    raising.poll(cx),
                    "`CancelledError::raise` outside of a task: spawn the code with `asyncio::spawn`"
                );
                Poll::<()>::Pending
            })
            .await;
        }
    }
}
