//! `timeout`: a scope with a deadline, whose expiry is delivered like a cancellation.
//!
//! Of several timeouts and requests at the same time each claims only its own; see `delivery.rs`.

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
/// `wait_for`, and not a block.
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
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), Deadline::after(duration))
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
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), Deadline::at(deadline))
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: Option<F>,
        limit: Deadline,
        standing: Standing,
        delivery: Delivery,
    }
}

impl<F> Timeout<F> {
    fn new(future: F, limit: Deadline) -> Timeout<F> {
        Timeout {
            future: Some(future),
            limit,
            standing: Standing::default(),
            delivery: Delivery::default(),
        }
    }
}

fn describe(limit: &Deadline) -> WaitsOn {
    WaitsOn::new(match limit.left() {
        Some(left) => format!("a timeout ({left:.1?} left)"),
        None => "a timeout (for ever)".into(),
    })
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let delivery = this.delivery;
        let outcome = loop {
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                panic!("`Timeout` was polled after it was done; await it only once");
            };
            if let Poll::Ready(value) = future.poll(cx) {
                delivery.settle();
                break Ok(value);
            }
            if delivery.came_back(this.standing) {
                break Err(TimeoutError);
            }
            // A request from outside comes first: the deadline can wait until that is settled.
            if !delivery.is_idle()
                || must_look_away(cx, || describe(this.limit))
                || this.limit.poll(cx).is_pending()
            {
                this.standing.wait(cx);
                return Poll::Pending;
            }
            delivery.send(CancelReason::Deadline);
        };
        this.standing.leave();
        this.future.set(None);
        Poll::Ready(outcome)
    }
}
