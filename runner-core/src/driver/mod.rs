//! The plug between the loop and the system: waits for readiness up to a deadline, and tells the time.
//!
//! A driver reports what it saw and never more: every wait may end early and empty, no wait ends late by design, and a
//! notification is never lost. Whoever calls it looks at the clock and waits again.
//!
//! This level knows neither tasks nor timers: a [`Token`] is a number that the loop chose, a deadline an `Instant`.

mod polling;
mod virtual_time;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

pub use polling::PollingDriver;
pub use virtual_time::{VirtualClock, VirtualTime};

/// Waits for I/O, for a deadline and for other threads, on behalf of one event loop.
///
/// A loop owns its driver and calls it from one thread only. Other threads reach the loop through [`Notify`], in this
/// order, on which the promise of "no wake is lost" rests:
///
/// - the loop announces that it is about to sleep, looks once more at what other threads may have left for it, and
///   only then waits;
/// - another thread leaves its work first, then takes back the announcement, and notifies only if there was one.
///
/// # Differences from asyncio
///
/// This is what asyncio calls a selector, joined with the clock and the self-pipe, so that a test can replace all
/// three at once.
pub trait Driver {
    /// Returns the time by this driver's clock, which never goes backwards.
    ///
    /// Every deadline given to [`wait`](Driver::wait) is read against it.
    fn now(&self) -> Instant;

    /// Waits as `wait` tells, and appends to `events` what became ready.
    ///
    /// Returns as soon as a source is ready, a notification came or the deadline is reached; it may also return
    /// earlier and with nothing. The caller decides by its own look at the clock whether a deadline is reached.
    ///
    /// # Errors
    ///
    /// The system's, if the wait failed. An interrupted wait (`EINTR`) is not an error. A driver that fails once will
    /// most likely fail at once for ever, so the caller must not simply try again.
    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()>;

    /// Starts to watch `source`, which reports itself by `token` from now on.
    ///
    /// What is ready already is reported by the next wait. The source must be deregistered before it is closed.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the source is registered already, `InvalidInput` for one of the highest tokens, which the
    /// driver keeps to itself, `PermissionDenied` for a source that is always ready, such as a regular file; or the
    /// system's.
    #[cfg(unix)]
    fn register(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    /// Changes what is reported of `source`, and under which token; what is ready already is reported once more.
    ///
    /// # Errors
    ///
    /// `NotFound` if the source is not registered; else as for [`register`](Driver::register).
    #[cfg(unix)]
    fn modify(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    /// Ends the watch over `source`; no later wait reports it.
    ///
    /// Readiness that a wait has already reported is not taken back.
    ///
    /// # Errors
    ///
    /// `NotFound` if the source is not registered; or the system's.
    #[cfg(unix)]
    fn deregister(&mut self, source: BorrowedFd<'_>, token: Token) -> io::Result<()>;

    /// Returns what other threads use to end a wait of this driver.
    ///
    /// Every call returns the same notifier, and it stays the right one for as long as the driver lives.
    fn notifier(&self) -> Arc<dyn Notify>;

    /// Lets go of everything that a forked child shares with its parent, without a trace in the parent.
    ///
    /// Called in the child only, in place of whatever `Drop` would do; afterwards the driver can only be dropped. A
    /// driver that shares nothing needs no implementation.
    fn forget(&mut self) {}
}

impl Driver for Box<dyn Driver> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        (**self).wait(wait, events)
    }

    #[cfg(unix)]
    fn register(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        (**self).register(source, token, interest)
    }

    #[cfg(unix)]
    fn modify(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        (**self).modify(source, token, interest)
    }

    #[cfg(unix)]
    fn deregister(&mut self, source: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        (**self).deregister(source, token)
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        (**self).notifier()
    }

    fn forget(&mut self) {
        (**self).forget();
    }
}

/// Ends the current or the next wait of one driver, from any thread.
pub trait Notify: Send + Sync {
    /// Ends the driver's current wait, or else its next one.
    ///
    /// Any number of calls before that wait count as one. A call takes no lock, never blocks and allocates nothing, so
    /// that it is fit for the thread that serves signals; it is harmless after the driver is gone.
    fn notify(&self);
}

/// How long one wait may last.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::driver::{Driver, Events, PollingDriver, Wait};
/// use std::time::Duration;
///
/// let mut driver = PollingDriver::new();
/// let mut events = Events::new();
/// let deadline = driver.now() + Duration::from_millis(1);
/// while driver.now() < deadline {
///     driver.wait(Wait::until(deadline), &mut events)?;
/// }
/// assert!(events.is_empty());
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The end of the wait.
    limit: Limit,
    /// Jobs that run in other threads and will notify; only a clock that can jump asks for it.
    outside_work: usize,
}

/// The end of one wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Before it begins: a look at what is ready.
    Look,
    /// At this time by the driver's clock.
    Until(Instant),
    /// None: only a source or a notification ends it.
    Forever,
}

impl Wait {
    /// Takes what is ready and does not block at all.
    pub fn look() -> Wait {
        Wait::new(Limit::Look)
    }

    /// Blocks until `deadline` at the latest; if that is reached already, the same as a look.
    pub fn until(deadline: Instant) -> Wait {
        Wait::new(Limit::Until(deadline))
    }

    /// Blocks until a source is ready or a notification comes.
    pub fn forever() -> Wait {
        Wait::new(Limit::Forever)
    }

    /// Tells that `jobs` blocking jobs run in other threads, each of which will notify when it is done.
    ///
    /// A clock that jumps must not jump past them.
    pub fn with_outside_work(self, jobs: usize) -> Wait {
        Wait {
            outside_work: jobs,
            ..self
        }
    }

    /// Tells whether the wait must not block.
    pub fn is_look(self) -> bool {
        self.limit == Limit::Look
    }

    /// Returns the time at which the wait ends, if it is one that blocks and ends by itself.
    pub fn deadline(self) -> Option<Instant> {
        match self.limit {
            Limit::Until(deadline) => Some(deadline),
            Limit::Look | Limit::Forever => None,
        }
    }

    /// Returns how many jobs run in other threads.
    pub fn outside_work(self) -> usize {
        self.outside_work
    }

    fn new(limit: Limit) -> Wait {
        Wait {
            limit,
            outside_work: 0,
        }
    }
}

/// The number by which a source reports itself; the loop chooses it, and may choose the same twice at its own risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub usize);

/// What is reported of a source, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Whether reports are wanted when it can be read.
    pub readable: bool,
    /// Whether reports are wanted when it can be written.
    pub writable: bool,
    /// How often readiness that lasts is reported.
    pub mode: Mode,
}

impl Interest {
    /// Both directions, each reported once when it becomes ready: register once, then read and write until it blocks.
    pub fn edge() -> Interest {
        Interest {
            readable: true,
            writable: true,
            mode: Mode::Edge,
        }
    }

    /// The given directions, reported by every wait for as long as they are ready.
    ///
    /// With neither direction the source stays registered and silent, but for one report of its end.
    pub fn level(readable: bool, writable: bool) -> Interest {
        Interest {
            readable,
            writable,
            mode: Mode::Level,
        }
    }
}

/// How often readiness that lasts is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Once when it begins, and again when more comes.
    Edge,
    /// By every wait for as long as it lasts.
    Level,
}

/// One report: what a source is ready for.
///
/// Every report may be out of date by the time it is read; only the call it invites tells the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Readiness {
    /// The source's number, as given when it was registered.
    pub token: Token,
    /// A read would not block: there is data, an end or an error.
    pub readable: bool,
    /// A write would not block: there is room or an error.
    pub writable: bool,
    /// The peer may have sent its last byte: read on until a read returns nothing, an error or would block.
    ///
    /// If false in a report of `readable`, a read that returns less than asked for has emptied a stream, and no second
    /// read is needed to find that out. Where the system cannot tell, it is true whenever `readable` is.
    pub read_closed: bool,
    /// The source failed or was closed in both directions: the next write reports how.
    pub write_closed: bool,
}

/// A buffer of reports, to be used again for every wait.
#[derive(Default)]
pub struct Events {
    /// The reports in the order in which the system gave them.
    list: Vec<Readiness>,
}

impl Events {
    /// Creates an empty buffer; it allocates with the first report.
    pub fn new() -> Events {
        Events::default()
    }

    /// Appends a report.
    pub fn push(&mut self, readiness: Readiness) {
        self.list.push(readiness);
    }

    /// Takes all reports out, in order, and keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = Readiness> + '_ {
        self.list.drain(..)
    }

    /// Throws all reports away and keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Returns how many reports are inside.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Tells whether no report is inside.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}
