//! `timeout`: a scope with a deadline, whose expiry is delivered like a cancellation.
//!
//! Of several timeouts and requests at the same time each claims only its own; see `delivery.rs`. A deadline that can be
//! moved is in `timeout_scope.rs`.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::delivery::Delivery;
use crate::error::{CancelReason, TimeoutError};
use crate::event_loop::Timeout as Deadline;
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;
use crate::task::stand::Standing;

/// Gives `future` at most `duration`, counted from when it first has to wait.
///
/// When the time is over, the expiry is delivered into the future like a cancellation: code in it that catches
/// cancellations may await its cleanup, and may even return a value, which is then returned.
///
/// # Errors
///
/// [`TimeoutError`] if the time ran out.
///
/// # Panics
///
/// When it has to wait outside of a running loop.
///
/// # Cancel safety
///
/// A cancellation from outside passes through, also when it arrives together with the expiry.
///
/// # Differences from asyncio
///
/// A future that is ready at once costs no look at the clock. `timeout` is a function around the code, as Python's
/// `wait_for`, and not a block. With a duration of zero the future is still polled once, which `wait_for` does not do. Where the deadline has to be moved, use [`Timeout::scope`](crate::Timeout::scope).
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     assert_eq!(asyncio::timeout(Duration::from_secs(1), async { 7 }).await, Ok(7));
///     let never = std::future::pending::<()>();
///     assert!(asyncio::timeout(Duration::from_millis(1), never).await.is_err());
/// })
/// .unwrap();
/// ```
#[doc(alias = "wait_for")]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> WithTimeout<F::IntoFuture> {
    WithTimeout::new(future.into_future(), Deadline::after(duration))
}

/// Gives `future` until `deadline`, on the clock of [`EventLoop::time`](crate::EventLoop::time).
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`].
///
/// # Cancel safety
///
/// As [`timeout`].
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> WithTimeout<F::IntoFuture> {
    WithTimeout::new(future.into_future(), Deadline::at(deadline))
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithTimeout<F> {
        #[pin]
        future: Option<F>,
        limit: Deadline,
        expiry: Expiry,
    }
}

impl<F> WithTimeout<F> {
    fn new(future: F, limit: Deadline) -> WithTimeout<F> {
        WithTimeout {
            future: Some(future),
            limit,
            expiry: Expiry::default(),
        }
    }
}

/// How long the future inside may take.
pub(super) trait Limit {
    /// Is asked only while the future waits.
    fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<()>;

    /// Returns the time that is left; `None` if it never ends.
    fn left(&self) -> Option<Duration>;

    /// The time is over: the future is told next.
    fn expire(&mut self) {}
}

impl Limit for Deadline {
    fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<()> {
        Deadline::poll(self, cx)
    }

    fn left(&self) -> Option<Duration> {
        Deadline::left(self)
    }
}

fn describe(limit: &impl Limit) -> WaitsOn {
    WaitsOn::time("a timeout", limit.left())
}

/// A timeout's dealings with the requests of its task.
#[derive(Default)]
pub(super) struct Expiry {
    standing: Standing,
    delivery: Delivery,
}

impl Expiry {
    /// Polls the future, which is gone when this is ready.
    pub(super) fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        limit: &mut impl Limit,
        cx: &mut Cx<'_>,
    ) -> Poll<Result<F::Output, TimeoutError>> {
        self.delivery.resume(cx);
        let outcome = loop {
            let Some(running) = future.as_mut().as_pin_mut() else {
                panic!("`WithTimeout` was polled after it was done; await it only once");
            };
            let polled = {
                let _within = self.standing.enter(cx);
                running.poll(cx)
            };
            if let Poll::Ready(value) = polled {
                self.delivery.settle();
                break Ok(value);
            }
            if self.delivery.came_back(&self.standing) {
                break Err(TimeoutError);
            }
            // A request from outside comes first: the deadline can wait until that is settled.
            if !self.delivery.is_idle()
                || must_look_away(cx, || describe(limit))
                || limit.poll(cx).is_pending()
            {
                self.standing.wait(cx);
                self.delivery.suspend();
                return Poll::Pending;
            }
            limit.expire();
            self.delivery.send(CancelReason::Deadline, &self.standing);
        };
        self.standing.leave();
        future.set(None);
        Poll::Ready(outcome)
    }
}

impl<F: Future> Future for WithTimeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.expiry.poll(this.future, this.limit, cx)
    }
}
