//! What somebody wants to know of a loop's doings: one word, tested once per poll.

use std::cell::Cell;

/// One loop's word; 0 while nobody asks.
#[derive(Default)]
pub(crate) struct Observed(Cell<u8>);

/// One thing to know, or several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    /// Debug mode: what is slow, late, or left behind.
    pub(crate) const DEBUG: Interest = Interest(1);
    /// A watchdog looks at which poll is under way.
    pub(crate) const WATCHDOG: Interest = Interest(1 << 1);
    /// The same, for a dump that the loop does not answer itself.
    pub(crate) const DUMPS: Interest = Interest(1 << 2);
    /// The metrics that cost more than an increment.
    pub(crate) const METRICS: Interest = Interest(1 << 3);

    /// The time line.
    pub(crate) const TIMELINE: Interest = Interest(1 << 4);
    /// Which poll is under way, for somebody outside of the process.
    pub(crate) const INSPECTION: Interest = Interest(1 << 5);
    /// How long each task runs, for the same.
    pub(crate) const TIMES: Interest = Interest(1 << 6);

    /// tokio-console; set with the feature `console` only.
    pub(crate) const CONSOLE: Interest = Interest(1 << 7);

    /// Whoever must be told which poll is under way.
    pub(crate) const WATCHED: Interest = Interest::WATCHDOG
        .and(Interest::DUMPS)
        .and(Interest::INSPECTION);
    /// Whoever is told what each poll has done.
    pub(crate) const TOLD: Interest = Interest::TIMELINE.and(Interest::CONSOLE);
    /// Whoever keeps something of each poll.
    pub(crate) const RECORDED: Interest = Interest::TOLD.and(Interest::TIMES);
    /// Whoever must be told of the begin and the end of each poll.
    pub(crate) const POLLS: Interest = Interest::DEBUG
        .and(Interest::WATCHED)
        .and(Interest::RECORDED);
    /// Whoever must be told of the begin and the end of each wait.
    pub(crate) const WAITS: Interest = Interest::POLLS.and(Interest::METRICS);
    /// Whoever wants to know how late timers are.
    pub(crate) const LATENESS: Interest = Interest::DEBUG.and(Interest::METRICS);
    /// Whoever may ask how old tasks are.
    pub(crate) const AGES: Interest = Interest::DEBUG
        .and(Interest::DUMPS)
        .and(Interest::INSPECTION);
    /// Whoever must be told that timers are due.
    pub(crate) const TIMERS: Interest = Interest::LATENESS.and(Interest::TOLD);

    pub(crate) const fn and(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl Observed {
    /// Returns `true` if somebody wants to know any of these.
    pub(crate) fn has(&self, any_of: Interest) -> bool {
        self.0.get() & any_of.0 != 0
    }

    pub(crate) fn set(&self, interest: Interest, wanted: bool) {
        let rest = self.0.get() & !interest.0;
        self.0.set(if wanted { rest | interest.0 } else { rest });
    }
}
