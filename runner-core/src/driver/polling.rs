//! The driver of every real program: parks the thread until the first source comes, waits on a poller from then on.
//!
//! The rule: a program without I/O opens no descriptor, and one with I/O pays one system call for a wait, plus one
//! when a deadline earlier than all those armed is new. Nothing but this file and its folder names `polling`.
//!
//! It knows nothing of tasks and timers, and nothing of the loop but the order of steps that `mod.rs` asks of it.

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod slack;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
#[cfg(unix)]
use std::num::NonZeroUsize;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
#[cfg(unix)]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::{self, Thread};
#[cfg(unix)]
use std::time::Duration;
use std::time::Instant;

#[cfg(unix)]
use polling::{Event, PollMode, Poller};
#[cfg(target_os = "linux")]
use rustix::event::{EventfdFlags, eventfd};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

#[cfg(target_os = "linux")]
use self::epoll::Epoll;
#[cfg(target_os = "linux")]
use self::slack::Punctual;

use super::{Driver, Events, Notify, Wait};
#[cfg(unix)]
use super::{Interest, Mode, Readiness, Token};
#[cfg(unix)]
use crate::fork::ForkGuard;

/// The most reports that one wait takes from the system; the rest comes with the next.
#[cfg(unix)]
const MOST_EVENTS: usize = 1024;

/// The token of our eventfd, and the lowest of those that no source may have; `usize::MAX` is polling's own.
#[cfg(unix)]
const NOTIFICATION: usize = usize::MAX - 2;

/// The default driver: the system's poller, opened only when the first source is registered.
///
/// Until then a wait parks the thread, and the driver holds no descriptor. It stays on the thread that made it,
/// because that is the one a notification unparks.
///
/// # Platform notes
///
/// On Linux a wait is a single `epoll_wait`, ended by a timerfd, which knows more than milliseconds, or by an eventfd.
/// On other Unix systems it goes through the `polling` crate; [`Interest::edge`] then needs a system whose poller has
/// it (the BSDs and macOS do, illumos does not). Elsewhere the driver has deadlines and notifications, but no sources.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::driver::{Driver, Events, PollingDriver, Wait};
///
/// let mut driver = PollingDriver::new();
/// let notifier = driver.notifier();
/// std::thread::spawn(move || notifier.notify());
/// driver.wait(Wait::forever(), &mut Events::new())?;
/// # std::io::Result::Ok(())
/// ```
pub struct PollingDriver {
    /// What a wait waits on.
    state: State,
    /// Shared with whoever may end a wait.
    notifier: Arc<Notifier>,
    /// Whether to leave the fast path of this system alone; only tests do.
    #[cfg(unix)]
    portable: bool,
    /// Keeps the driver on its thread: a park elsewhere would never see the unpark.
    thread_bound: PhantomData<*const ()>,
}

/// What a wait waits on.
enum State {
    /// The thread's own parking place: no source was ever registered.
    Parked,
    /// A poller, since the first registration.
    #[cfg(unix)]
    Opened(Box<Opened>),
    /// Nothing any more: what there was belongs to the parent of this process.
    Forgotten,
}

impl PollingDriver {
    /// Creates a driver that holds no descriptor yet.
    pub fn new() -> PollingDriver {
        PollingDriver {
            state: State::Parked,
            notifier: Arc::new(Notifier::for_current_thread()),
            #[cfg(unix)]
            portable: false,
            thread_bound: PhantomData,
        }
    }

    /// Creates a driver that takes the path of the systems without one of their own.
    #[cfg(all(test, unix))]
    pub(super) fn portable() -> PollingDriver {
        let mut driver = PollingDriver::new();
        driver.portable = true;
        driver
    }

    /// Parks the thread as `wait` tells.
    ///
    /// A foreign unpark ends nothing: it may have been meant for code that runs on this thread, and only our own flag
    /// tells. Without the loop around it a wait would end early for no reason of ours.
    fn park(&self, wait: Wait) {
        while !self.notifier.take_notification() {
            if wait.is_look() {
                return;
            }
            let Some(deadline) = wait.deadline() else {
                thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            #[cfg(target_os = "linux")]
            let _punctual = Punctual::begin();
            thread::park_timeout(left);
        }
    }
}

#[cfg(unix)]
impl PollingDriver {
    /// Returns the poller, opening it at the first call.
    fn opened(&mut self) -> io::Result<&mut Opened> {
        if matches!(self.state, State::Parked) {
            let opened = Opened::new(&self.notifier, self.portable)?;
            self.state = State::Opened(Box::new(opened));
        }
        match &mut self.state {
            State::Opened(opened) if !opened.guard.is_forked() => Ok(opened),
            _ => Err(forked_error()),
        }
    }
}

impl Driver for PollingDriver {
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[cfg_attr(not(unix), allow(unused_variables, reason = "no source, no report"))]
    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        match &mut self.state {
            #[cfg(unix)]
            State::Opened(opened) => opened.wait(&self.notifier, wait, events),
            State::Parked => {
                self.park(wait);
                Ok(())
            }
            State::Forgotten => Err(forked_error()),
        }
    }

    #[cfg(unix)]
    fn register(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        check_token(token)?;
        self.opened()?.poller.register(source, token, interest)
    }

    #[cfg(unix)]
    fn modify(
        &mut self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        check_token(token)?;
        match self.state {
            State::Parked => Err(io::ErrorKind::NotFound.into()),
            _ => self.opened()?.poller.modify(source, token, interest),
        }
    }

    #[cfg(unix)]
    fn deregister(&mut self, source: BorrowedFd<'_>, _token: Token) -> io::Result<()> {
        match self.state {
            State::Parked => Err(io::ErrorKind::NotFound.into()),
            _ => self.opened()?.poller.deregister(source),
        }
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.notifier.clone()
    }

    fn forget(&mut self) {
        match mem::replace(&mut self.state, State::Forgotten) {
            #[cfg(unix)]
            State::Opened(opened) => opened.poller.abandon(),
            State::Parked | State::Forgotten => {}
        }
    }
}

impl Default for PollingDriver {
    fn default() -> PollingDriver {
        PollingDriver::new()
    }
}

impl fmt::Debug for PollingDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Parked => "parked",
            #[cfg(unix)]
            State::Opened(_) => "opened",
            State::Forgotten => "forgotten",
        };
        f.debug_struct("PollingDriver")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

#[cfg(unix)]
impl Drop for PollingDriver {
    fn drop(&mut self) {
        // The poller's own `Drop` deletes its registrations, and a forked child would delete them from the poller that
        // it shares with its parent, whose waits fail from then on.
        if matches!(&self.state, State::Opened(opened) if opened.guard.is_forked()) {
            self.forget();
        }
    }
}

/// A poller and the process it belongs to.
#[cfg(unix)]
struct Opened {
    /// Which of the two ways to wait, with what it needs.
    poller: Backend,
    /// The process that opened it.
    guard: ForkGuard,
}

/// The two ways to wait on a poller.
#[cfg(unix)]
enum Backend {
    /// One system call for a wait.
    #[cfg(target_os = "linux")]
    Epoll(Epoll),
    /// However many `polling` makes.
    Portable(Portable),
}

#[cfg(unix)]
impl Opened {
    /// Opens a poller, and lets the notifier reach it.
    ///
    /// From here on other threads stop to unpark this one, and no wake is lost in between. One that found the poller
    /// set writes to it. One that did not has raised the flag before it looked, see [`Notifier::notify`], and here the
    /// flag is looked at, by every wait, after the poller was set: one of the two sees the other. Without the fence
    /// both may look first.
    fn new(notifier: &Notifier, portable: bool) -> io::Result<Opened> {
        let guard = ForkGuard::new();
        let (poller, target) = Backend::open(portable)?;
        let reach = Reach { target, guard };
        assert!(
            notifier.poller.set(reach).is_ok(),
            "a driver opens one poller, this is a bug in asyncio"
        );
        fence(Ordering::SeqCst);
        Ok(Opened { poller, guard })
    }

    fn wait(&mut self, notifier: &Notifier, wait: Wait, events: &mut Events) -> io::Result<()> {
        if self.guard.is_forked() {
            // An edge taken here would be lost to the parent.
            return Err(forked_error());
        }
        let wait = if notifier.take_notification() {
            Wait::look()
        } else {
            wait
        };
        match &mut self.poller {
            #[cfg(target_os = "linux")]
            Backend::Epoll(epoll) => epoll.wait(wait, events),
            Backend::Portable(portable) => portable.wait(wait, events),
        }
    }
}

#[cfg(unix)]
impl Backend {
    /// Opens the fast path where there is one, else the portable one; also returns what notifications go to.
    #[cfg(target_os = "linux")]
    fn open(portable: bool) -> io::Result<(Backend, Target)> {
        if portable {
            return Backend::open_portable();
        }
        match eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
            Ok(wake) => {
                let epoll = Epoll::new(wake.as_fd())?;
                Ok((Backend::Epoll(epoll), Target::Eventfd(wake)))
            }
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(error.into()),
            // Some sandboxes refuse eventfds for good; polling makes do with a pipe.
            Err(_) => Backend::open_portable(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open(_portable: bool) -> io::Result<(Backend, Target)> {
        Backend::open_portable()
    }

    fn open_portable() -> io::Result<(Backend, Target)> {
        let portable = Portable::new()?;
        let target = Target::Poller(portable.poller.clone());
        Ok((Backend::Portable(portable), target))
    }

    fn register(&self, source: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let portable = match self {
            // Polling keeps no books of its own over an epoll, so there is nothing to tell it: one system call, not two.
            #[cfg(target_os = "linux")]
            Backend::Epoll(epoll) => return epoll.register(source, token, interest),
            Backend::Portable(portable) => portable,
        };
        // SAFETY: `source` is open for the length of the call, which its lifetime guarantees. Polling also asks that it
        // be deleted before it is closed. The `Async` around every source of the loop does so, and the contract of
        // `Driver::register` demands it of others; who breaks it gets stale or missing reports, as the kernel (epoll,
        // kqueue) drops closed files by itself and `poll` only reports a number as invalid. No memory is at stake.
        unsafe {
            portable
                .poller
                .add_with_mode(&source, event(token, interest), poll_mode(interest))
        }
    }

    fn modify(&self, source: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Backend::Epoll(epoll) => epoll.modify(source, token, interest),
            Backend::Portable(portable) => portable.poller.modify_with_mode(
                source,
                event(token, interest),
                poll_mode(interest),
            ),
        }
    }

    fn deregister(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.poller().delete(source)
    }

    fn poller(&self) -> &Poller {
        match self {
            #[cfg(target_os = "linux")]
            Backend::Epoll(epoll) => &epoll.poller,
            Backend::Portable(portable) => &portable.poller,
        }
    }

    /// Closes what can be closed without a trace in the process that this one was forked from, and leaks the rest.
    fn abandon(self) {
        match self {
            #[cfg(target_os = "linux")]
            Backend::Epoll(epoll) => epoll.abandon(),
            // The notifier has it too, so its `Drop` can only be kept from running by a count that never reaches zero.
            Backend::Portable(portable) => mem::forget(portable.poller),
        }
    }
}

/// Waits through `Poller::wait`, on systems without a path of their own.
#[cfg(unix)]
struct Portable {
    /// Shared with the notifier, which ends waits through it.
    poller: Arc<Poller>,
    /// What polling wrote, used again by every wait.
    ready: polling::Events,
}

#[cfg(unix)]
impl Portable {
    fn new() -> io::Result<Portable> {
        const CAPACITY: NonZeroUsize =
            NonZeroUsize::new(MOST_EVENTS).expect("a constant above zero");
        Ok(Portable {
            poller: Arc::new(Poller::new()?),
            ready: polling::Events::with_capacity(CAPACITY),
        })
    }

    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        self.ready.clear();
        match wait.deadline() {
            Some(deadline) => self.poller.wait_deadline(&mut self.ready, deadline)?,
            None if wait.is_look() => self.poller.wait(&mut self.ready, Some(Duration::ZERO))?,
            None => self.poller.wait(&mut self.ready, None)?,
        };
        for event in self.ready.iter() {
            let broken = event.is_interrupt() || event.is_err() == Some(true);
            events.push(Readiness {
                token: Token(event.key),
                readable: event.readable || broken,
                writable: event.writable || broken,
                // Kqueue's end of file is lost on the way through polling. To say "still open" on a guess would leave
                // a reader waiting for an edge that has passed.
                read_closed: event.readable || broken,
                write_closed: broken,
            });
        }
        Ok(())
    }
}

/// Names what is to be reported in polling's words.
#[cfg(unix)]
fn event(token: Token, interest: Interest) -> Event {
    Event::new(token.0, interest.readable, interest.writable)
}

/// A source of which nothing is wanted still reports its end, and by level would do so in every wait.
#[cfg(unix)]
fn poll_mode(interest: Interest) -> PollMode {
    match interest.mode {
        Mode::Edge => PollMode::Edge,
        Mode::Level if interest.readable || interest.writable => PollMode::Level,
        Mode::Level => PollMode::Oneshot,
    }
}

/// Refuses the tokens by which a wait knows what is our own.
#[cfg(unix)]
fn check_token(token: Token) -> io::Result<()> {
    if token.0 < NOTIFICATION {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the token is one of those that the driver keeps to itself",
    ))
}

fn forked_error() -> io::Error {
    io::Error::other("the poller belongs to the process that this one was forked from")
}

/// Ends a wait: through the poller if there is one, else by unparking the thread.
struct Notifier {
    /// The thread that made the driver, and the only one to wait on it.
    thread: Thread,
    /// A notification that no wait has seen yet. Unused once there is a poller, but for the moment of its opening.
    notified: AtomicBool,
    /// How to reach the poller, once it is open. Lives on with the last notifier, so that a late notification finds a
    /// closed driver's descriptor and not a stranger's with the same number.
    #[cfg(unix)]
    poller: OnceLock<Reach>,
}

/// How a notification reaches an open poller.
#[cfg(unix)]
struct Reach {
    /// What to write to.
    target: Target,
    /// The process that opened it. A child's notification would wake its parent for nothing.
    guard: ForkGuard,
}

/// What a notification is written to.
#[cfg(unix)]
enum Target {
    /// Registered edge-triggered: every write is an edge, also if nobody has read the one before.
    #[cfg(target_os = "linux")]
    Eventfd(OwnedFd),
    /// Polling's own way.
    Poller(Arc<Poller>),
}

impl Notifier {
    fn for_current_thread() -> Notifier {
        Notifier {
            thread: thread::current(),
            notified: AtomicBool::new(false),
            #[cfg(unix)]
            poller: OnceLock::new(),
        }
    }

    /// Takes the notification that was left for a parked thread, if any.
    ///
    /// Acquire pairs with the release in [`Notify::notify`]: what the other thread did before is seen. The load alone
    /// decides almost always, so that a wait does not pay for an exchange.
    fn take_notification(&self) -> bool {
        self.notified.load(Ordering::Relaxed) && self.notified.swap(false, Ordering::Acquire)
    }

    /// Ends a wait on the poller; false if there is no poller yet.
    #[cfg(unix)]
    fn reach_poller(&self) -> bool {
        let Some(reach) = self.poller.get() else {
            return false;
        };
        if !reach.guard.is_forked() {
            reach.target.wake();
        }
        true
    }

    #[cfg(not(unix))]
    fn reach_poller(&self) -> bool {
        false
    }
}

impl Notify for Notifier {
    fn notify(&self) {
        if self.reach_poller() {
            return;
        }
        // The flag goes before the unpark: a thread that is unparked and finds no flag parks again, for good.
        self.notified.store(true, Ordering::Release);
        // Pairs with the fence in `Opened::new`. If the poller was opened since the first look, either the second look
        // finds it or the first wait on it finds the flag. Without it a thread about to sleep in the poller would be
        // unparked there, which it does not notice.
        fence(Ordering::SeqCst);
        if !self.reach_poller() {
            self.thread.unpark();
        }
    }
}

#[cfg(unix)]
impl Target {
    fn wake(&self) {
        match self {
            // Fails only when the counter is full, after more writes than a program can live to make; and a full
            // counter is one that was written to.
            #[cfg(target_os = "linux")]
            Target::Eventfd(wake) => drop(rustix::io::write(wake, &1u64.to_ne_bytes())),
            // Fails only if the poller's descriptors were closed by force, and then the wait itself reports it.
            Target::Poller(poller) => drop(poller.notify()),
        }
    }
}
