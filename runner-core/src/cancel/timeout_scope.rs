//! `Timeout::scope`: a timeout whose deadline can be asked for, and moved while the code inside runs.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll, Waker};
use std::time::{Duration, Instant};

use super::timeout::{Expiry, Limit};
use crate::error::{RescheduleError, TimeoutError};
use crate::event_loop::{Timeout as Deadline, running_loop, try_running_loop};

/// The handle of a scope with a deadline that can be moved: what the body of [`Timeout::scope`] gets.
///
/// Clone it to move the deadline from another task, or to ask [`expired`](Timeout::expired) after the scope.
#[derive(Clone)]
pub struct Timeout {
    state: Rc<State>,
}

struct State {
    /// `None` is never.
    when: Cell<Option<Instant>>,
    phase: Cell<Phase>,
    /// Wakes the scope, which waits; it is to look at the deadline again.
    waker: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Active,
    /// The expiry is under way inside.
    Expiring,
    Expired,
    Finished,
}

impl Timeout {
    /// Runs `body` and gives it at most `duration`, counted from now; [`Duration::MAX`] is for ever. The body can move the
    /// deadline.
    ///
    /// Where nobody has to move it, [`timeout`](crate::timeout) does the same for less.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if the time ran out. Code inside that swallows the expiry and returns a value gives that instead;
    /// [`expired`](Timeout::expired) is `true` all the same.
    ///
    /// # Panics
    ///
    /// When no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// A cancellation from outside passes through, also when it arrives together with the expiry.
    ///
    /// # Differences from asyncio
    ///
    /// The block is a function around the code. It cannot be entered twice, nor be moved before it was entered, nor be
    /// used outside of its loop; outside of a task, in a foreign executor, the expiry drops the body. A deadline that
    /// passes while the body runs is noticed where the body waits next: until then it can still be moved.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::Timeout;
    /// use std::time::Duration;
    ///
    /// const QUIET: Duration = Duration::from_millis(5);
    ///
    /// asyncio::run(async {
    ///     let mut parts = asyncio::generator(async |y| {
    ///         for n in 0..3 {
    ///             asyncio::sleep(Duration::from_millis(1)).await;
    ///             y.emit(n).await;
    ///         }
    ///         std::future::pending().await // the other side is silent
    ///     });
    ///     let mut seen = Vec::new();
    ///     let outcome = Timeout::scope(QUIET, async |timeout| {
    ///         while let Some(part) = parts.next().await {
    ///             seen.push(part);
    ///             let _ = timeout.reschedule(asyncio::running_loop().time() + QUIET);
    ///         }
    ///     });
    ///     assert!(outcome.await.is_err());
    ///     assert_eq!(seen, [0, 1, 2]);
    /// })
    /// .unwrap();
    /// ```
    pub async fn scope<B, T>(duration: Duration, body: B) -> Result<T, TimeoutError>
    where
        B: AsyncFnOnce(&Timeout) -> T,
    {
        let deadline = running_loop().time().checked_add(duration);
        Timeout::scope_at(deadline, body).await
    }

    /// The same with a deadline on the clock of [`EventLoop::time`](crate::EventLoop::time), or with `None`: never, until
    /// it is moved.
    ///
    /// # Errors
    ///
    /// As [`Timeout::scope`].
    ///
    /// # Panics
    ///
    /// When it has to wait for a deadline outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// As [`Timeout::scope`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::Timeout;
    /// use std::time::Duration;
    ///
    /// asyncio::run(async {
    ///     let outcome = Timeout::scope_at(None, async |timeout| {
    ///         assert_eq!(timeout.when(), None);
    ///         let soon = asyncio::running_loop().time() + Duration::from_millis(1);
    ///         timeout.reschedule(soon).unwrap();
    ///         std::future::pending::<()>().await
    ///     });
    ///     assert!(outcome.await.is_err());
    /// })
    /// .unwrap();
    /// ```
    pub async fn scope_at<B, T>(
        deadline: impl Into<Option<Instant>>,
        body: B,
    ) -> Result<T, TimeoutError>
    where
        B: AsyncFnOnce(&Timeout) -> T,
    {
        let timeout = Timeout::starting(deadline.into());
        let _over = Over(&timeout.state);
        let mut limit = Moving::new(&timeout.state);
        let mut expiry = Expiry::default();
        let mut body = pin!(Some(body(&timeout)));
        poll_fn(|cx| {
            // Whoever moves the deadline in the body needs to wake nobody.
            drop(timeout.state.waker.take());
            let polled = expiry.poll(body.as_mut(), &mut limit, cx);
            if polled.is_pending() {
                timeout.state.waker.set(Some(cx.waker().clone()));
            }
            polled
        })
        .await
    }

    fn starting(when: Option<Instant>) -> Timeout {
        Timeout {
            state: Rc::new(State {
                when: Cell::new(when),
                phase: Cell::new(Phase::Active),
                waker: Cell::new(None),
            }),
        }
    }

    /// Moves the deadline, also to a time that is over; `None` is never.
    ///
    /// # Errors
    ///
    /// [`RescheduleError`] if it is too late: the time is over, or the scope is.
    ///
    /// # Examples
    ///
    /// See [`Timeout::scope`].
    pub fn reschedule(&self, when: impl Into<Option<Instant>>) -> Result<(), RescheduleError> {
        match self.state.phase.get() {
            Phase::Active => {}
            Phase::Expiring => return Err(RescheduleError::Expiring),
            Phase::Expired => return Err(RescheduleError::Expired),
            Phase::Finished => return Err(RescheduleError::Finished),
        }
        self.state.when.set(when.into());
        if let Some(waker) = self.state.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Returns the deadline; `None` is never.
    pub fn when(&self) -> Option<Instant> {
        self.state.when.get()
    }

    /// Returns `true` once the time was over before the body was: while the body cleans up, and after that.
    pub fn expired(&self) -> bool {
        matches!(self.state.phase.get(), Phase::Expiring | Phase::Expired)
    }
}

/// The deadline as the scope waits for it.
struct Moving<'a> {
    state: &'a State,
    /// What `limit` was made for.
    known: Option<Instant>,
    /// `None` is never.
    limit: Option<Deadline>,
}

impl<'a> Moving<'a> {
    fn new(state: &'a State) -> Moving<'a> {
        Moving {
            state,
            known: None,
            limit: None,
        }
    }

    /// The timer of a deadline that was moved is taken out, and not left to wake somebody for nothing.
    fn follow(&mut self) {
        let when = self.state.when.get();
        if when != self.known {
            self.known = when;
            self.limit = when.map(Deadline::at);
        }
    }
}

impl Limit for Moving<'_> {
    fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<()> {
        self.follow();
        match &mut self.limit {
            Some(limit) => limit.poll(cx),
            None => Poll::Pending,
        }
    }

    fn left(&self) -> Option<Duration> {
        self.state.when.get().map(left_until)
    }

    fn expire(&mut self) {
        self.state.phase.set(Phase::Expiring);
    }
}

fn left_until(when: Instant) -> Duration {
    when.saturating_duration_since(running_loop().time())
}

/// Notes the end of the scope, however it comes.
struct Over<'a>(&'a State);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.phase.set(match self.0.phase.get() {
            Phase::Expiring | Phase::Expired => Phase::Expired,
            Phase::Active | Phase::Finished => Phase::Finished,
        });
        drop(self.0.waker.take());
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state.phase.get() {
            Phase::Active => {}
            Phase::Expiring => return f.write_str("<Timeout [expiring]>"),
            Phase::Expired => return f.write_str("<Timeout [expired]>"),
            Phase::Finished => return f.write_str("<Timeout [finished]>"),
        }
        match (self.when(), try_running_loop()) {
            (None, _) => f.write_str("<Timeout [active] for ever>"),
            (Some(when), Some(_)) => write!(f, "<Timeout [active] {:.1?} left>", left_until(when)),
            (Some(_), None) => f.write_str("<Timeout [active]>"),
        }
    }
}
