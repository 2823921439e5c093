//! `finally`: cleanup that awaits, however the code before it ended.

use std::future::{Future, IntoFuture, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::thread;

use super::catch_cancelled;

/// Runs `future`, then `cleanup`, which may await: after a value, a cancellation and a panic alike.
///
/// Afterwards the value is returned, the cancellation raised again, or the panic goes on.
///
/// # Panics
///
/// With the future's panic, once the cleanup is done.
///
/// # Cancel safety
///
/// A request during `future` is held back until `cleanup` is done. A second one, during `cleanup`, ends the cleanup
/// where it waits, as in Python. If the whole is dropped without being cancelled, `cleanup` does not run.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::cell::Cell;
///
/// asyncio::run(async {
///     let closed = Cell::new(false);
///     let value = asyncio::finally(async { 7 }, async || closed.set(true)).await;
///     assert_eq!((value, closed.get()), (7, true));
/// })
/// .unwrap();
/// ```
pub async fn finally<F, C>(future: F, cleanup: C) -> F::Output
where
    F: IntoFuture,
    C: AsyncFnOnce(),
{
    let outcome = catch_cancelled(catch_panic(future.into_future())).await;
    cleanup().await;
    match outcome {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Err(cancelled) => cancelled.raise().await,
    }
}

/// Gives a panic of `future` as a value.
pub(crate) async fn catch_panic<F: Future>(future: F) -> thread::Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => std::task::Poll::Ready(Err(payload)),
        },
    )
    .await
}
