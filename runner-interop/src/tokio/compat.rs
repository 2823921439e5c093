//! One future in tokio's context: for each of its polls, and for its end.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::runtime::Handle;
use pin_project_lite::pin_project;
use runner_core::{running_loop, try_running_loop};

use super::runtime::Tokio;

/// Runs `future` on this loop with a tokio context: for libraries that run in no other runtime, such as reqwest, tonic or sqlx
/// with its tokio flavour.
///
/// Inside, `tokio::spawn`, `tokio::time`, `tokio::net` and `spawn_blocking` work as they do in tokio. The future itself stays a
/// part of the task that awaits it, on the loop's thread: it need not be `Send`, and is cancelled like any other. tokio's timers
/// and sockets, and the tasks that `tokio::spawn` starts, run on one thread `asyncio-tokio` beside the loop's, which begins with
/// the first poll of such a future. Where a tokio context is there already, that one is used.
///
/// What wakes this loop from there wakes a thread: some microseconds more than in tokio itself, or tens where a core sleeps.
///
/// A task that is started with `asyncio::spawn` is a future of its own, and needs a `tokio_compat` of its own. In a program that
/// uses such libraries everywhere, `#[asyncio::main(tokio)]` gives all that runs on the loop the context. Jobs of `to_thread` have
/// none; they may take a `tokio::runtime::Handle` with them.
///
/// # The end
///
/// The orderly shutdown ends tokio when all else has ended: the tasks, the exit hooks, the async generators, the executor. Tasks
/// of `tokio::spawn` that are left are dropped where they wait, without a chance to await their cleanup. Jobs of `spawn_blocking`
/// that have not begun are dropped, and those that run are waited for like those of the executor: at most 5 minutes, and within
/// the budget of `shutdown_timeout`. What has not ended then is told on stderr and by
/// [`abandoned_companions`](runner_core::ShutdownReport::abandoned_companions).
///
/// # Panics
///
/// When it is polled outside of a loop, and when the thread or tokio's descriptors cannot be had. It also goes on with the
/// future's own panic.
///
/// # Cancel safety
///
/// That of `future`, which is dropped in tokio's context as well. Tasks that it has started with `tokio::spawn` go on.
///
/// # Platform notes
///
/// Virtual time knows nothing of tokio's clock, which goes on as ever: a timeout of this loop around a sleep of tokio's runs out at
/// once.
///
/// # Examples
///
/// ```
/// # mod asyncio { pub use runner_core::*; pub use runner_interop::tokio::*; }
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let answer = asyncio::tokio_compat(async {
///         let task = tokio::spawn(async {
///             tokio::time::sleep(Duration::from_millis(1)).await;
///             42
///         });
///         task.await.unwrap()
///     });
///     assert_eq!(answer.await, 42);
/// })
/// .unwrap();
/// ```
pub fn tokio_compat<F: IntoFuture>(future: F) -> TokioCompat<F::IntoFuture> {
    TokioCompat {
        future: Some(future.into_future()),
        context: None,
    }
}

pin_project! {
    /// A future in tokio's context; made by [`tokio_compat`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TokioCompat<F> {
        // Taken out only inside of the context.
        #[pin]
        future: Option<F>,
        // Since the first poll.
        context: Option<Handle>,
    }

    impl<F> PinnedDrop for TokioCompat<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.context.is_none() {
                *this.context = context_for_drop();
            }
            let _entered = this.context.as_ref().map(Handle::enter);
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for TokioCompat<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let context = this.context.get_or_insert_with(context);
        let _entered = context.enter();
        let future = this.future.as_mut().as_pin_mut();
        let output = ready!(future.expect("`TokioCompat` polled after its end").poll(cx));
        this.future.set(None);
        Poll::Ready(output)
    }
}

impl<F> fmt::Debug for TokioCompat<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioCompat")
            .field("is_done", &self.future.is_none())
            .finish_non_exhaustive()
    }
}

/// The context that is there, or else that of the running loop.
fn context() -> Handle {
    Handle::try_current().unwrap_or_else(|_none| match Tokio::of(&running_loop()) {
        Ok(tokio) => tokio.handle().clone(),
        Err(error) => panic!("tokio cannot be started: {error}"),
    })
}

/// For a future that was never polled, but may hold something of tokio's. Nothing is started for it.
fn context_for_drop() -> Option<Handle> {
    let tokio = try_running_loop()?.companion::<Tokio>()?;
    Some(tokio.handle().clone())
}
