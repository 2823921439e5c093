//! A thread that looks whether a loop's thread goes on, and says so while it does not.
//!
//! The loop tells which poll is under way with two stores per poll ([`Beat`]), and reads no clock for it. The watchdog looks at
//! that from time to time: the same poll seen again and again for too long is a block. It is told once while it lasts, with
//! what the system knows of the thread (`thread_state.rs`), and once more when it is over. How long it has lasted is known
//! only to the nearest look; the first look at a poll counts as its begin, so that a block is never said to be longer than it
//! is while it lasts.
//!
//! What it knows so far costs the loop nothing and takes nobody's consent. With the feature `backtrace`, on Linux, it then asks
//! the blocked thread for its stack (`stack.rs`), by a signal, and tells that by itself: the answer may fail to come, and the
//! names of functions take time to find.
//!
//! A loop that waits for events is not blocked, and a watchdog that was itself kept from running (a suspended process, a
//! machine under load) does not blame the loop for that time.

mod beat;
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod stack;
mod thread_state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::beat::Word;
pub(crate) use self::beat::{Beat, Step};
pub(crate) use self::beat::{forget_name, note_name};
use self::thread_state::CpuTime;
use crate::decimal::Seconds;
use crate::logging::{Level, say};
use crate::threads::start_thread;

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
    shared: Arc<Shared>,
}

/// What the thread shares with the loop's.
struct Shared {
    is_let_go: Mutex<bool>,
    /// It was let go.
    changed: Condvar,
    watch: Mutex<Watch>,
    /// A block was reported that is not said to be over.
    owes_an_end: AtomicBool,
}

/// No user code runs under the locks, so a poisoned one is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Looks until it is let go.
    fn run(&self) {
        loop {
            let period = lock(&self.watch).period();
            let waited =
                self.changed
                    .wait_timeout_while(lock(&self.is_let_go), period, |is_let_go| !*is_let_go);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
            self.look();
        }
    }

    fn look(&self) {
        let mut watch = lock(&self.watch);
        let was_blocked = watch.blocked_by.is_some();
        if let Some(text) = watch.look(Instant::now()) {
            say(Level::Warning, format_args!("{text}"));
        }
        let owes_an_end = watch.blocked_by.is_some();
        self.owes_an_end.store(owes_an_end, Ordering::Relaxed);
        if owes_an_end && !was_blocked {
            let (beat, word) = (watch.beat.clone(), watch.word);
            // The loop's thread may want to let go of the watchdog meanwhile.
            drop(watch);
            tell_stack(&beat, word);
        }
    }
}

/// Says where in the program the loop's thread is, if it is still at that poll; with the feature `backtrace`.
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) fn tell_stack(beat: &Beat, word: Word) {
    let name = beat.thread().name().to_owned();
    let asked = stack::ask(beat.thread().number(), || beat.word() == word);
    stack::name_calls_elsewhere(asked, move |told| match told {
        Ok(stack) => say(
            Level::Warning,
            format_args!("Where the thread '{name}' blocked its event loop:{stack}"),
        ),
        Err(stack::NoStack::WentOn) => {}
        Err(reason) => say(
            Level::Warning,
            format_args!("There is no backtrace of the thread '{name}': {reason}"),
        ),
    });
}

#[cfg(not(all(
    feature = "backtrace",
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
pub(crate) fn tell_stack(_: &Beat, _: Word) {}

impl Watchdog {
    /// Starts to look after the loop with that beat.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn start(beat: Arc<Beat>, limit: Duration) -> std::io::Result<Watchdog> {
        let shared = Arc::new(Shared {
            is_let_go: Mutex::new(false),
            changed: Condvar::new(),
            watch: Mutex::new(Watch::new(beat, limit)),
            owes_an_end: AtomicBool::new(false),
        });
        let held = shared.clone();
        start_thread("loop-watchdog".into(), Box::new(move || held.run()))?;
        Ok(Watchdog { limit, shared })
    }

    /// Returns from which time on a loop counts as blocked.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }
}

impl Drop for Watchdog {
    /// The thread is not waited for. What is still to be said of a block is said here: the program may end now.
    fn drop(&mut self) {
        *lock(&self.shared.is_let_go) = true;
        self.shared.changed.notify_all();
        if self.shared.owes_an_end.load(Ordering::Relaxed) {
            self.shared.look();
        }
    }
}

/// What the thread knows.
struct Watch {
    beat: Arc<Beat>,
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

impl Watch {
    fn new(beat: Arc<Beat>, limit: Duration) -> Watch {
        let now = Instant::now();
        Watch {
            word: beat.word(),
            beat,
            limit,
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

    /// Looks, and returns what there is to say.
    fn look(&mut self, now: Instant) -> Option<String> {
        let was_held_up = now - self.last_look > 2 * self.period() + SHORTEST_PERIOD;
        self.last_look = now;
        let word = self.beat.word();
        let length = now - self.since;
        if word != self.word {
            (self.word, self.since, self.cpu_time) = (word, now, None);
            let step = self.blocked_by.take()?;
            let seconds = Seconds(length);
            return Some(format!(
                "The event loop was blocked for {seconds:.1} seconds by {step}"
            ));
        }
        if self.blocked_by.is_some() || word.is_idle() {
            return None;
        }
        if was_held_up {
            (self.since, self.cpu_time) = (now, None);
            return None;
        }
        if length >= self.limit {
            return Some(self.describe_block(length));
        }
        if self.cpu_time.is_none() {
            self.cpu_time = self.beat.thread().cpu_time();
        }
        None
    }

    fn describe_block(&mut self, length: Duration) -> String {
        let step = self.beat.step();
        let state = self.beat.thread().state(self.cpu_time.as_ref());
        let seconds = Seconds(length);
        let text =
            format!("The event loop has been blocked for {seconds:.1} seconds by {step}{state}");
        self.blocked_by = Some(step);
        text
    }
}

#[cfg(test)]
mod tests;
