//! Linux: one system call per wait, on the descriptor of polling's poller.
//!
//! The timerfd is set only when the deadline has to come earlier, the eventfd is never read. This file registers nobody's
//! sources: that is polling's.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use polling::{PollMode, Poller};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::{MOST_EVENTS, NOTIFICATION, poll_mode};
use crate::driver::{Events, Interest, Mode, Readiness, Token, Wait};
use crate::fork;

/// The token of our timerfd.
const TIMER: usize = usize::MAX - 1;

/// One `epoll_wait` for a wait, on the descriptor of polling's poller.
///
/// `Poller::wait` itself makes five calls, to arm and re-arm a timerfd and an eventfd of its own. Ours are registered
/// edge-triggered, once: an expiry or a write ends one wait, and nobody has to read either.
pub(super) struct Epoll {
    /// Owns the epoll and the registrations.
    pub(super) poller: Poller,
    /// Ends a wait at a deadline; none where the system refused it, and then a wait has whole milliseconds.
    timer: Option<OwnedFd>,
    /// When the timer will expire; none once a wait has seen that it did.
    armed: Option<Instant>,
    /// What the kernel wrote, used again by every wait.
    ready: Vec<epoll::Event>,
}

impl Epoll {
    pub(super) fn new(wake: BorrowedFd<'_>) -> io::Result<Epoll> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let epoll = Epoll {
            poller: Poller::new()?,
            timer: timerfd_create(TimerfdClockId::Monotonic, flags).ok(),
            armed: None,
            ready: Vec::with_capacity(MOST_EVENTS),
        };
        epoll.add_own(wake, NOTIFICATION)?;
        if let Some(timer) = &epoll.timer {
            epoll.add_own(timer.as_fd(), TIMER)?;
        }
        Ok(epoll)
    }

    /// Drops a poller whose registrations belong to another process.
    ///
    /// Forgetting it would leak three descriptors in every child. So its number first gets an empty epoll to refer to:
    /// there the deletions of its `Drop` find nothing.
    pub(super) fn abandon(self) {
        let poller = self.poller;
        let stand_in = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from);
        match stand_in.and_then(|empty| fork::replace(poller.as_fd(), empty)) {
            Ok(()) => drop(poller),
            Err(_) => mem::forget(poller),
        }
    }

    fn add_own(&self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(
            &self.poller,
            source,
            epoll::EventData::new_u64(key as u64),
            flags,
        )?;
        Ok(())
    }

    pub(super) fn register(
        &self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.0 as u64);
        epoll::add(&self.poller, source, data, epoll_flags(interest))?;
        Ok(())
    }

    pub(super) fn modify(
        &self,
        source: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.0 as u64);
        epoll::modify(&self.poller, source, data, epoll_flags(interest))?;
        Ok(())
    }

    pub(super) fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        loop {
            let timeout = self.timeout(wait)?;
            self.ready.clear();
            let waited = epoll::wait(
                &self.poller,
                spare_capacity(&mut self.ready),
                timeout.as_ref(),
            );
            match waited {
                Ok(_) => break,
                // A signal alone ends no wait, so that nobody comes to rely on it: the way in is the notifier.
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        self.report(events);
        Ok(())
    }

    /// Returns the timeout for the kernel, and arms the timer if that is what ends the wait.
    fn timeout(&mut self, wait: Wait) -> io::Result<Option<Timespec>> {
        const AT_ONCE: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if wait.is_look() {
            return Ok(Some(AT_ONCE));
        }
        let Some(deadline) = wait.deadline() else {
            // An armed timer may still end this wait, which costs one turn for each deadline that was given up.
            return Ok(None);
        };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            // It ends this wait early or in time, at once if it has expired unseen; the caller comes back.
            return Ok(None);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Some(AT_ONCE));
        }
        match &self.timer {
            Some(timer) => {
                arm(timer, left)?;
                self.armed = Some(deadline);
                Ok(None)
            }
            None => Ok(Some(whole_millis(left))),
        }
    }

    /// Appends what the kernel wrote, but for what is our own.
    fn report(&mut self, events: &mut Events) {
        for event in &self.ready {
            match event.data.u64() as usize {
                NOTIFICATION => {}
                TIMER => self.armed = None,
                token => events.push(readiness(Token(token), event.flags)),
            }
        }
    }
}

/// Lets `timer` expire after `left`, in place of whenever it would have.
///
/// The clock is read before the timer is set, so it expires late by the time in between and never early. A pending
/// expiry that nobody saw is taken back by the kernel.
fn arm(timer: &OwnedFd, left: Duration) -> io::Result<()> {
    const NEVER: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    /// The longest time that fits the seconds of every system.
    const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);
    debug_assert!(!left.is_zero(), "zero would disarm the timer");
    let setting = Itimerspec {
        it_interval: NEVER,
        it_value: timespec(left.min(LONGEST)),
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &setting)?;
    Ok(())
}

/// Rounds up to what `epoll_wait` understands: a wait that ends before its deadline would spin until then.
fn whole_millis(left: Duration) -> Timespec {
    const LONGEST: u128 = i32::MAX as u128;
    let millis = left.as_nanos().div_ceil(1_000_000).min(LONGEST);
    timespec(Duration::from_millis(millis as u64))
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as _,
        tv_nsec: duration.subsec_nanos() as _,
    }
}

/// Names what is to be reported in the kernel's words.
///
/// `RDHUP`, which polling has no name for, tells a half-closed peer apart from one that merely paused. It only comes
/// with the reading direction: reported to a writer by level, it would end every wait at once. `PRI` is for edges only, as
/// one urgent byte would keep a level-triggered reader awake for ever; an edge-triggered one has to know that reads stop
/// short at the urgent mark, with more behind it.
fn epoll_flags(interest: Interest) -> epoll::EventFlags {
    use epoll::EventFlags as Flags;
    let mut flags = match poll_mode(interest) {
        PollMode::Edge => Flags::ET,
        PollMode::Oneshot => Flags::ONESHOT,
        _ => Flags::empty(),
    };
    flags.set(Flags::IN | Flags::RDHUP, interest.readable);
    flags.set(Flags::PRI, interest.readable && interest.mode == Mode::Edge);
    flags.set(Flags::OUT, interest.writable);
    flags
}

fn readiness(token: Token, flags: epoll::EventFlags) -> Readiness {
    use epoll::EventFlags as Flags;
    const BROKEN: Flags = Flags::HUP.union(Flags::ERR);
    Readiness {
        token,
        readable: flags.intersects(BROKEN | Flags::IN | Flags::RDHUP | Flags::PRI),
        writable: flags.intersects(BROKEN | Flags::OUT),
        // A hint that short reads are not to be believed; see `Readiness::read_closed`.
        read_closed: flags.intersects(BROKEN | Flags::RDHUP | Flags::PRI),
        write_closed: flags.intersects(BROKEN),
    }
}
