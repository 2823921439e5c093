//! By what clock debug mode measures the loop's steps.
//!
//! A step is a matter of some ten nanoseconds, and so is a look at the exact clock. Linux has another one that goes on with the
//! system's tick, every few milliseconds: exact enough for limits that are much longer, and hardly more than a load.

use std::cell::Cell;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};

/// Measures one step after the other. The end of one is the begin of the next, if nothing was in between.
pub(super) struct Stopwatch {
    /// From this on a step is slow.
    limit: Cell<u64>,
    /// The one for that limit.
    clock: Cell<Clock>,
    /// When the last step ended; 0 if there was something after it.
    step_ended: Cell<u64>,
}

/// A step that is being measured.
pub(super) struct Step {
    clock: Clock,
    began: u64,
}

/// What a step took.
pub(super) struct Taken {
    pub(super) time: Duration,
    /// It was too long.
    pub(super) is_slow: bool,
}

impl Stopwatch {
    pub(super) fn new(limit: Duration) -> Stopwatch {
        let limit = nanos(limit);
        Stopwatch {
            limit: Cell::new(limit),
            clock: Cell::new(Clock::for_limit(limit)),
            step_ended: Cell::new(0),
        }
    }

    pub(super) fn set_limit(&self, limit: Duration) {
        let limit = nanos(limit);
        self.limit.set(limit);
        self.clock.set(Clock::for_limit(limit));
        self.forget_step();
    }

    /// What comes now is no part of the next step: its begin has to be looked up.
    pub(super) fn forget_step(&self) {
        self.step_ended.set(0);
    }

    /// The next step begins at that time of the coarse clock, if it is measured by that.
    pub(super) fn begin_steps_at(&self, tick: u64) {
        if self.clock.get().is_coarse {
            self.step_ended.set(tick);
        }
    }

    #[inline(always)]
    pub(super) fn begin_step(&self) -> Step {
        let clock = self.clock.get();
        if self.step_ended.get() == 0 {
            self.set_off(clock);
        }
        Step {
            clock,
            began: self.step_ended.get(),
        }
    }

    #[inline(never)]
    fn set_off(&self, clock: Clock) {
        self.step_ended.set(clock.now());
    }

    /// Returns how long it took; nothing if the clock has not gone on meanwhile, as that of the system's tick mostly has not.
    #[inline(always)]
    pub(super) fn end_step(&self, step: Step) -> Option<Taken> {
        let ended = step.clock.now();
        if ended == step.began {
            return None;
        }
        Some(self.measure(step, ended))
    }

    #[inline(never)]
    fn measure(&self, Step { clock, began }: Step, ended: u64) -> Taken {
        let limit = self.limit.get();
        // The step may have changed the limit, and with it the clock.
        let is_same_clock = clock == self.clock.get();
        self.step_ended.set(if is_same_clock { ended } else { 0 });
        let taken = ended.saturating_sub(began);
        Taken {
            time: Duration::from_nanos(taken),
            is_slow: clock.exceeds(taken, limit),
        }
    }
}

/// From this limit on the tick is exact enough; in nanoseconds, as all that follows.
const MANY_TICKS: u64 = 50_000_000;

/// A tick at most; a hundred a second are the fewest that systems have.
const TICK: u64 = 10_000_000;

/// So that nothing has to be divided after each step.
#[inline]
fn nanos(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
}

/// One of two clocks. They tell the same time, but for the tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    is_coarse: bool,
}

impl Clock {
    /// The one of the system's tick.
    pub(super) fn coarse() -> Clock {
        Clock { is_coarse: true }
    }

    /// The cheapest that is exact enough for steps that take as long as `limit`.
    #[inline]
    fn for_limit(limit: u64) -> Clock {
        Clock {
            is_coarse: limit >= MANY_TICKS,
        }
    }

    /// Whether a step is too long for `limit` that took so long by this clock. The limit may be shorter than this clock is for,
    /// if the step itself has changed it.
    #[inline]
    fn exceeds(self, taken: u64, limit: u64) -> bool {
        taken >= limit && (self == Clock::for_limit(limit) || taken - limit >= TICK)
    }

    /// Nanoseconds since some moment of the past; never 0.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(super) fn now(self) -> u64 {
        // Through the system's own page, and not through the C library, which would take another nanosecond.
        let clock = match self.is_coarse {
            true => ClockId::MonotonicCoarse,
            false => ClockId::Monotonic,
        };
        let now = clock_gettime(clock);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64 + 1
    }

    /// Nanoseconds since some moment of the past; never 0.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn now(self) -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = START.get_or_init(std::time::Instant::now);
        start.elapsed().as_nanos() as u64 + 1
    }
}
