//! A thread that looks whether a loop's thread goes on, and says so while it does not.
//!
//! The loop tells which poll is under way with two stores per poll ([`Beat`]), and reads no clock for it. The watchdog looks at
//! that from time to time: the same poll seen again and again for too long is a block. It is told once while it lasts, with
//! what the system knows of the thread (`thread_state.rs`), and once more when it is over. How long it has lasted is known
//! only to the nearest look; the first look at a poll counts as its begin, so that a block is never said to be longer than it
//! is while it lasts.
//!
//! There is no stack trace of the blocked thread. Another thread cannot take one: it would have to interrupt the blocked one
//! by a signal, and unwinding inside of a signal handler needs locks that the interrupted code may hold. What is said instead
//! is always true and costs the loop nothing.
//!
//! A loop that waits for events is not blocked, and a watchdog that was itself kept from running (a suspended process, a
//! machine under load) does not blame the loop for that time.

mod beat;
mod thread_state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::beat::Word;
pub(crate) use self::beat::{Beat, Step};
pub(crate) use self::beat::{forget_name, note_name};
use self::thread_state::CpuTime;
use crate::logging::{Level, say};

/// The looks that a block of the shortest reported length is seen by.
const LOOKS: u32 = 8;

/// Between two looks at most: what the end of a long block is known by.
const LONGEST_PERIOD: Duration = Duration::from_millis(250);

/// Between two looks at least.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// Between two looks while a block lasts.
const PERIOD_IN_BLOCK: Duration = Duration::from_millis(20);

/// One loop's watchdog; its thread ends when this is dropped.
pub(crate) struct Watchdog {
    limit: Duration,
    leash: Arc<Leash>,
}

/// Ends the thread.
#[derive(Default)]
struct Leash {
    is_let_go: Mutex<bool>,
    changed: Condvar,
}

impl Leash {
    /// No user code runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_let_go
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; `false` when the watchdog is to end.
    fn wait(&self, period: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), period, |is_let_go| !*is_let_go);
        let (is_let_go, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*is_let_go
    }
}

impl Watchdog {
    /// Starts to look after the loop with that beat.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn start(beat: Arc<Beat>, limit: Duration) -> std::io::Result<Watchdog> {
        let leash = Arc::<Leash>::default();
        let held = leash.clone();
        let watch = move || {
            let mut watch = Watch::new(&beat, limit);
            while held.wait(watch.period()) {
                watch.look();
            }
        };
        thread::Builder::new()
            .name("asyncio-watchdog".to_owned())
            .spawn(watch)?;
        Ok(Watchdog { limit, leash })
    }

    /// Returns from which time on a loop counts as blocked.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }
}

impl Drop for Watchdog {
    /// The thread is not joined: it may be writing to a terminal that was stopped.
    fn drop(&mut self) {
        *self.leash.lock() = true;
        self.leash.changed.notify_all();
    }
}

/// What the thread knows.
struct Watch<'a> {
    beat: &'a Beat,
    limit: Duration,
    /// What the last look saw, and since when it has been the same.
    word: Word,
    since: Instant,
    last_look: Instant,
    /// The thread's processor time at the second look at the same poll.
    cpu_time: Option<CpuTime>,
    /// The block that was reported and is not over.
    blocked_by: Option<Step>,
}

impl<'a> Watch<'a> {
    fn new(beat: &'a Beat, limit: Duration) -> Watch<'a> {
        let now = Instant::now();
        Watch {
            beat,
            limit,
            word: beat.word(),
            since: now,
            last_look: now,
            cpu_time: None,
            blocked_by: None,
        }
    }

    fn period(&self) -> Duration {
        let period = (self.limit / LOOKS).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
        match &self.blocked_by {
            Some(_) => period.min(PERIOD_IN_BLOCK),
            None => period,
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let was_held_up = now - self.last_look > 2 * self.period() + SHORTEST_PERIOD;
        self.last_look = now;
        let word = self.beat.word();
        if word != self.word {
            self.say_that_it_is_over(now);
            (self.word, self.since) = (word, now);
            self.cpu_time = None;
        } else if self.blocked_by.is_some() || word.is_idle() {
            // Told already, or nothing to tell.
        } else if was_held_up {
            (self.since, self.cpu_time) = (now, None);
        } else if now - self.since >= self.limit {
            self.say_that_it_is_blocked(now);
        } else if self.cpu_time.is_none() {
            self.cpu_time = self.beat.thread().cpu_time();
        }
    }

    fn say_that_it_is_blocked(&mut self, now: Instant) {
        let step = self.beat.step();
        let seconds = (now - self.since).as_secs_f64();
        let state = self.beat.thread().state(self.cpu_time.as_ref());
        say(
            Level::Warning,
            format_args!(
                "The event loop has been blocked for {seconds:.1} seconds by {step}{state}"
            ),
        );
        self.blocked_by = Some(step);
    }

    fn say_that_it_is_over(&mut self, now: Instant) {
        if let Some(step) = self.blocked_by.take() {
            let seconds = (now - self.since).as_secs_f64();
            say(
                Level::Warning,
                format_args!("The event loop was blocked for {seconds:.1} seconds by {step}"),
            );
        }
    }
}
