//! How a blocking job learns that the shutdown has begun.
//!
//! Set once, never cleared. This file knows neither threads nor jobs.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::waiting::{deadline_after, has_passed, lock, wait_on};

/// Tells a job that its executor is being shut down.
///
/// A thread cannot be interrupted from outside; a job that may take long asks its token now and then, or sleeps on it.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// let executor = asyncio::ThreadPoolExecutor::new();
/// let stop = executor.stop_token();
/// assert!(!stop.sleep(Duration::from_millis(1)));
/// executor.begin_shutdown();
/// assert!(stop.sleep(Duration::MAX)); // returns at once
/// ```
#[derive(Clone, Default)]
pub struct StopToken {
    /// What all tokens of one executor share.
    shared: Arc<StopState>,
}

/// What all tokens of one executor share.
#[derive(Default)]
struct StopState {
    /// Set once, never cleared. Written with `lock` held, so that no sleeper misses it between looking and waiting.
    stopped: AtomicBool,
    /// Held to write `stopped`, and by sleepers while they look at it.
    lock: Mutex<()>,
    /// Where the sleepers wait.
    sleepers: Condvar,
}

impl StopToken {
    /// Returns `true` once the shutdown has begun.
    pub fn is_stopped(&self) -> bool {
        // Pairs with the release in `stop`: what was done before the shutdown began is seen by the job that stops.
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// Blocks the thread for `duration`, or until the shutdown begins; returns whether it has begun.
    pub fn sleep(&self, duration: Duration) -> bool {
        self.wait_until(deadline_after(Instant::now(), duration))
    }

    /// Blocks the thread until the shutdown begins.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let mut guard = lock(&self.shared.lock);
        while !self.is_stopped() && !has_passed(deadline, Instant::now()) {
            guard = wait_on(&self.shared.sleepers, guard, deadline);
        }
        self.is_stopped()
    }

    pub(super) fn stop(&self) {
        let guard = lock(&self.shared.lock);
        self.shared.stopped.store(true, Ordering::Release);
        drop(guard);
        self.shared.sleepers.notify_all();
    }
}

impl fmt::Debug for StopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopToken")
            .field("stopped", &self.is_stopped())
            .finish()
    }
}
