//! A clock that stands still while there is work and jumps to the next deadline when there is none.
//!
//! The rule: time passes only where the program would have slept, so that hours of waiting take no time and every run
//! reads the same clock. Whatever the inner driver reports goes first; the clock never jumps past it.
//!
//! It knows no timers: the deadline of a wait is all it sees of the future. How sources are watched is the inner
//! driver's affair.

use std::cell::Cell;
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Driver, Events, Notify, PollingDriver, Wait};
#[cfg(unix)]
use super::{Interest, Token};

/// A driver for tests: real I/O through another driver, time by a clock that jumps.
///
/// The clock starts at the real time and stands still. When nothing is ready and nobody has notified, a wait with a
/// deadline sets it to that deadline and returns at once; a wait without one blocks for real. While the loop has
/// blocking jobs in other threads ([`Wait::with_outside_work`]) the clock does not jump, and the wait blocks until one
/// of them notifies.
///
/// What it cannot know of does not hold the clock: a thread that the loop has not been told about, a child process, or
/// a peer that has yet to answer over a socket. A timeout around such a wait runs out at once.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::driver::{Driver, Events, VirtualTime, Wait};
/// use std::time::Duration;
///
/// let mut driver = VirtualTime::default();
/// let tomorrow = driver.now() + Duration::from_secs(24 * 60 * 60);
/// driver.wait(Wait::until(tomorrow), &mut Events::new())?;
/// assert_eq!(driver.now(), tomorrow);
/// # std::io::Result::Ok(())
/// ```
pub struct VirtualTime {
    /// Watches the sources and does the waits that are for real.
    inner: Box<dyn Driver>,
    /// The time, shared with those who read and move it.
    clock: VirtualClock,
    /// Ours and not the inner driver's, because a look at the latter does not tell whether it was notified.
    notifier: Arc<VirtualNotifier>,
}

impl VirtualTime {
    /// Creates a driver that reads `inner`'s clock once, now, and watches sources through it.
    pub fn new(inner: impl Driver + 'static) -> VirtualTime {
        VirtualTime {
            clock: VirtualClock {
                now: Rc::new(Cell::new(inner.now())),
            },
            notifier: Arc::new(VirtualNotifier {
                notified: AtomicBool::new(false),
                inner: inner.notifier(),
            }),
            inner: Box::new(inner),
        }
    }

    /// Returns the clock, to be read and moved by a test while the loop owns the driver.
    pub fn handle(&self) -> VirtualClock {
        self.clock.clone()
    }

    /// Waits for real, without a deadline: the inner driver's clock is not ours.
    fn wait_for_real(&mut self, events: &mut Events) -> io::Result<()> {
        self.inner.wait(Wait::forever(), events)?;
        // A flag that is up by now asked for this wait to end, and it has. Left standing it would hold the clock for
        // one more turn.
        self.notifier.take_notification();
        Ok(())
    }
}

impl Driver for VirtualTime {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        let before = events.len();
        self.inner.wait(Wait::look(), events)?;
        // The flag is taken after the look, which may have used up the inner notification. Without the flag that one
        // would be lost, and the clock would jump although another thread has left work.
        let notified = self.notifier.take_notification();
        if notified || events.len() > before || wait.is_look() {
            return Ok(());
        }
        match wait.deadline() {
            Some(deadline) if deadline <= self.now() => Ok(()),
            Some(deadline) if wait.outside_work() == 0 => {
                self.clock.now.set(deadline);
                Ok(())
            }
            _ => self.wait_for_real(events),
        }
    }

    #[cfg(unix)]
    fn register(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.inner.register(source, token, interest)
    }

    #[cfg(unix)]
    fn modify(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.inner.modify(source, token, interest)
    }

    #[cfg(unix)]
    fn deregister(&mut self, source: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.inner.deregister(source, token)
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.notifier.clone()
    }

    fn forget(&mut self) {
        self.inner.forget();
    }
}

impl Default for VirtualTime {
    /// Creates one that watches sources through a [`PollingDriver`].
    fn default() -> VirtualTime {
        VirtualTime::new(PollingDriver::new())
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualTime")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// The clock of a [`VirtualTime`]: clones read and move the same one.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    /// The time by this clock.
    now: Rc<Cell<Instant>>,
}

impl VirtualClock {
    /// Returns the time by this clock.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Moves the clock forward; what is due by then runs in the loop's next turn.
    ///
    /// # Panics
    ///
    /// If the time does not fit an `Instant`.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let now = self.now().checked_add(by);
        self.now.set(
            now.expect("a virtual clock can only be advanced to a time that an Instant can hold"),
        );
    }
}

/// Ends a wait of a [`VirtualTime`], whether it would block or jump.
struct VirtualNotifier {
    /// A notification that no wait has seen yet.
    notified: AtomicBool,
    /// Ends the waits that are for real.
    inner: Arc<dyn Notify>,
}

impl VirtualNotifier {
    /// Acquire pairs with the release in [`Notify::notify`]: what the other thread did before is seen.
    fn take_notification(&self) -> bool {
        self.notified.swap(false, Ordering::Acquire)
    }
}

impl Notify for VirtualNotifier {
    fn notify(&self) {
        // The flag first: the inner notification may be used up by a look at any time after it, and then the flag is
        // all that is left of it.
        self.notified.store(true, Ordering::Release);
        self.inner.notify();
    }
}
