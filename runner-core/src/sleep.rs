//! Waiting for time to pass, and for a turn of the loop.
//!
//! Nothing here wakes early. This file knows the loop only through its timers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::{Duration, Instant};

use crate::event_loop::Timeout;
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// Waits until `duration` has passed since this was first awaited. A duration of zero lets the others run once.
///
/// Any duration is accepted; one that the clock cannot reach waits for ever.
///
/// # Panics
///
/// When it is awaited outside of a running loop.
///
/// # Cancel safety
///
/// Cancelled or dropped, it leaves nothing behind.
///
/// # Differences from asyncio
///
/// It never wakes early; asyncio may wake up to one clock resolution early.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::{Duration, Instant};
///
/// asyncio::run(async {
///     let started = Instant::now();
///     asyncio::sleep(Duration::from_millis(2)).await;
///     assert!(started.elapsed() >= Duration::from_millis(2));
/// })
/// .unwrap();
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        state: if duration.is_zero() {
            State::Yield(yield_now())
        } else {
            State::Until(Timeout::after(duration))
        },
    }
}

/// Waits until `deadline`, on the clock of [`EventLoop::time`](crate::EventLoop::time).
///
/// # Panics
///
/// When it is awaited outside of a running loop.
///
/// # Cancel safety
///
/// Cancelled or dropped, it leaves nothing behind.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        state: State::Until(Timeout::at(deadline)),
    }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
}

enum State {
    Until(Timeout),
    Yield(YieldNow),
}

impl Sleep {
    fn describe(&self) -> WaitsOn {
        match &self.state {
            State::Yield(_) => WaitsOn::new("its next turn"),
            State::Until(timeout) => WaitsOn::time("sleep", timeout.left()),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        if must_look_away(cx, || self.describe()) {
            return Poll::Pending;
        }
        match &mut self.state {
            State::Until(timeout) => timeout.poll(cx),
            State::Yield(turn) => Pin::new(turn).poll(cx),
        }
    }
}

/// Lets everything else that is ready run once; asyncio's `sleep(0)`.
///
/// # Cancel safety
///
/// A pending cancellation is delivered here.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let other = asyncio::spawn(async { 1 });
///     asyncio::yield_now().await;
///     assert!(other.is_finished());
/// })
/// .unwrap();
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        if must_look_away(cx, || WaitsOn::new("its next turn")) {
            return Poll::Pending;
        }
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
