//! `timeout`: a scope with a deadline, whose expiry is delivered like a cancellation.
//!
//! The counting is asyncio's (`timeouts.py`): the expiry is one request more on the task, withdrawn on the way out; if
//! more requests are left than there were on entry, somebody else asked as well, and the cancellation is theirs.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::catch::Scope;
use crate::error::TimeoutError;
use crate::event_loop::{Timeout as Deadline, running_loop};
use crate::task::cell::TaskCell;
use crate::task::raw::with_current;

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
    Timeout::new(future.into_future(), Limit::After(duration))
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
    Timeout::new(future.into_future(), Limit::At(deadline))
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: Option<F>,
        limit: Limit,
        scope: Scope,
        state: State,
        // The task's count of requests when this was first polled.
        requests_at_entry: u32,
    }
}

enum Limit {
    After(Duration),
    At(Instant),
    Armed(Deadline),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not polled yet.
    New,
    Active,
    /// The deadline has passed, and the request for it was made.
    Expiring,
    /// That request was withdrawn because somebody else's is under way as well.
    Passed,
}

impl<F> Timeout<F> {
    fn new(future: F, limit: Limit) -> Timeout<F> {
        Timeout {
            future: Some(future),
            limit,
            scope: Scope::default(),
            state: State::New,
            requests_at_entry: 0,
        }
    }
}

impl Limit {
    fn poll_expired(&mut self, cx: &mut Cx<'_>) -> bool {
        let deadline = match self {
            Limit::After(duration) => running_loop().time().checked_add(*duration),
            Limit::At(deadline) => Some(*deadline),
            Limit::Armed(armed) => return armed.poll(cx).is_ready(),
        };
        let mut armed = Deadline::at(deadline);
        let expired = armed.poll(cx).is_ready();
        *self = Limit::Armed(armed);
        expired
    }
}

/// What the task's cancel state says after the inner future has returned `Pending`.
enum Verdict {
    /// Nothing is under way that concerns this scope.
    Wait,
    /// The expiry came back out: nobody inside kept it.
    Expired,
}

impl State {
    /// Decides about a request that is pending while this timeout is expiring.
    fn judge(&mut self, requests_at_entry: u32) -> Verdict {
        with_current(|current| match current {
            Some(cell) if *self == State::Expiring && cell.is_cancel_pending() => {
                if cell.uncancel() <= requests_at_entry {
                    cell.take_cancel();
                    Verdict::Expired
                } else {
                    *self = State::Passed;
                    Verdict::Wait
                }
            }
            // A foreign executor: nothing can be delivered, the future is just dropped.
            None if *self == State::Expiring => Verdict::Expired,
            _ => Verdict::Wait,
        })
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if *this.state == State::New {
            *this.state = State::Active;
            *this.requests_at_entry =
                with_current(|current| current.map_or(0, TaskCell::cancelling));
        }
        let outcome = loop {
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                panic!("`Timeout` was polled after it was done; await it only once");
            };
            if let Poll::Ready(value) = future.poll(cx) {
                if *this.state == State::Expiring {
                    // The code inside kept the expiry to itself: the request is withdrawn, the value is the result.
                    with_current(|current| current.map(TaskCell::uncancel));
                }
                break Ok(value);
            }
            if let Verdict::Expired = this.state.judge(*this.requests_at_entry) {
                break Err(TimeoutError);
            }
            if *this.state != State::Active
                || is_foreign_cancel_pending()
                || !this.limit.poll_expired(cx)
            {
                this.scope.wait(cx);
                return Poll::Pending;
            }
            *this.state = State::Expiring;
            // Delivered by polling once more: scopes inside take it first.
            with_current(|current| {
                if let Some(cell) = current {
                    cell.expire();
                }
            });
        };
        this.scope.leave();
        this.future.set(None);
        Poll::Ready(outcome)
    }
}

/// A request from outside comes first: the deadline can wait until that is settled.
fn is_foreign_cancel_pending() -> bool {
    with_current(|current| current.is_some_and(TaskCell::is_cancel_pending))
}
