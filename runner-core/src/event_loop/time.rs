//! Deadlines: callbacks called later, and futures woken later.
//!
//! A deadline never fires early. Any `Duration` is accepted: one that the clock cannot reach means never.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::{Context as Cx, Poll, Waker};
use std::time::{Duration, Instant};

use super::observe::LateTimers;
use super::{EventLoop, LoopCore};
use crate::handle::Handle;
use crate::task::observed::Interest;
use crate::task::scheduler::Ready;
use crate::timers::{NEVER, TimerKey};

/// What happens at a deadline.
pub(super) enum TimerEntry {
    Callback(Handle),
    Wake(Waker),
}

/// A callback scheduled with `call_later` or `call_at`; dropping the handle changes nothing.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let handle = asyncio::running_loop().call_later(Duration::from_secs(60), || unreachable!());
///     handle.cancel();
///     assert!(handle.cancelled());
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct TimerHandle {
    handle: Handle,
    key: TimerKey,
    when: Instant,
    core: Weak<LoopCore>,
}

impl TimerHandle {
    /// Calls the callback off and drops it; does nothing when it has run already.
    pub fn cancel(&self) {
        self.handle.cancel();
        if let Some(core) = self.core.upgrade() {
            let entry = core.timers.borrow_mut().remove(self.key);
            drop(entry);
            #[cfg(feature = "console")]
            core.show_removal(Some(self.key));
        }
    }

    /// Returns `true` if the callback was called off.
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// Returns when the callback is due, on the clock of [`EventLoop::time`].
    pub fn when(&self) -> Instant {
        self.when
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<TimerHandle when={:?} {:?}>", self.when, self.handle)
    }
}

impl EventLoop {
    /// Has `callback` called after `delay`.
    ///
    /// Callbacks that are due at the same time are called in the order in which they were scheduled.
    ///
    /// # Panics
    ///
    /// When the loop is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let event_loop = asyncio::EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.call_later(Duration::from_millis(1), move || stopper.stop());
    /// event_loop.run_forever()?;
    /// event_loop.close()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimerHandle {
        let now = self.core.now();
        let (when, nanos) = match now.checked_add(delay) {
            Some(when) => (when, self.core.nanos(when)),
            None => (far_future(now), NEVER),
        };
        let deadline = Deadline {
            when,
            nanos,
            is_due: delay.is_zero(),
        };
        self.schedule(deadline, Box::new(callback), Location::caller())
    }

    /// Has `callback` called at `when`, on the clock of [`time`](EventLoop::time). A time that has passed means soon.
    ///
    /// # Panics
    ///
    /// When the loop is closed.
    #[track_caller]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimerHandle {
        let is_due = when <= self.core.now();
        let deadline = Deadline {
            when,
            nanos: self.core.nanos(when),
            is_due,
        };
        self.schedule(deadline, Box::new(callback), Location::caller())
    }

    #[track_caller]
    fn schedule(
        &self,
        deadline: Deadline,
        callback: Box<dyn FnOnce()>,
        location: &'static Location<'static>,
    ) -> TimerHandle {
        self.core.refuse_if_closed();
        let handle = Handle::new(callback, location);
        let entry = TimerEntry::Callback(handle.clone());
        let key = self
            .core
            .insert_timer(deadline.nanos, deadline.is_due, entry);
        TimerHandle {
            handle,
            key,
            when: deadline.when,
            core: Rc::downgrade(&self.core),
        }
    }
}

/// When a callback is to be called.
struct Deadline {
    when: Instant,
    /// The same on the loop's scale.
    nanos: u64,
    /// It has passed already.
    is_due: bool,
}

/// A time that no clock will show, for a deadline that overflows.
fn far_future(now: Instant) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    now.checked_add(CENTURY).unwrap_or(now)
}

impl LoopCore {
    /// Nanoseconds since `epoch`. 584 years fit; what is later is never.
    pub(super) fn nanos(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(NEVER)
    }

    pub(super) fn instant(&self, nanos: u64) -> Option<Instant> {
        if nanos == NEVER {
            return None;
        }
        self.epoch.checked_add(Duration::from_nanos(nanos))
    }

    /// The caller knows the time: `is_due` if the deadline has passed already. While the loop is busy, timers are looked at
    /// only every so often; one that is due now should not wait for that.
    #[inline]
    fn insert_timer(&self, nanos: u64, is_due: bool, entry: TimerEntry) -> TimerKey {
        if is_due {
            self.timer_due.set(true);
        }
        let key = self.timers.borrow_mut().insert(nanos, entry);
        #[cfg(feature = "console")]
        self.show_timer(key, nanos);
        key
    }

    /// Moves every timer that is due to the ready queue, in the order of deadlines.
    pub(super) fn fire_timers(&self) {
        self.timer_due.set(false);
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = self.nanos(self.now());
        if self.scheduler.observed.has(Interest::TIMERS) {
            self.look_how_late(now);
        }
        loop {
            let expired = self.timers.borrow_mut().pop_expired(now);
            match expired {
                Some(TimerEntry::Callback(handle)) => self.scheduler.push(Ready::Callback(handle)),
                Some(TimerEntry::Wake(waker)) => self.scheduler.wake(waker),
                None => break,
            }
        }
    }

    /// Tells of what is too late.
    #[inline(never)]
    fn look_how_late(&self, now: u64) {
        let limit = self.slow_callback_duration.get();
        let (mut late, mut count) = (LateTimers::new(limit), 0);
        self.timers.borrow().for_each_overdue(now, |deadline| {
            late.add(Duration::from_nanos(now - deadline));
            count += 1;
        });
        self.record_timers(count, now);
        self.note_late_timers(&late);
    }

    /// A run that never becomes idle should not miss what became due before it.
    pub(super) fn look_at_timers_first(&self) {
        let due = self
            .next_deadline()
            .is_some_and(|deadline| deadline <= self.now());
        self.timer_due.set(due);
    }

    /// When the loop must wake up at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let nanos = self.timers.borrow_mut().next_deadline()?;
        self.instant(nanos)
    }
}

/// A deadline that wakes whoever polls it; the timer is made at the first poll, and taken out when this is dropped.
pub(crate) struct Timeout {
    due: Due,
    /// Set while a timer is armed.
    armed: Cell<Option<TimerKey>>,
    core: Option<Weak<LoopCore>>,
}

/// When a [`Timeout`] is over.
#[derive(Clone, Copy)]
enum Due {
    At(Instant),
    /// Counted from the first poll.
    After(Duration),
    Never,
}

impl Timeout {
    /// Due at `deadline` on the running loop's clock.
    #[inline]
    pub(crate) fn at(deadline: Instant) -> Timeout {
        Timeout::due(Due::At(deadline))
    }

    /// Due this long after the first poll; never, if the clock cannot reach that.
    #[inline]
    pub(crate) fn after(duration: Duration) -> Timeout {
        Timeout::due(Due::After(duration))
    }

    #[inline]
    fn due(due: Due) -> Timeout {
        Timeout {
            due,
            armed: Cell::new(None),
            core: None,
        }
    }

    /// Returns the time that is left; `None` if it never ends.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self.due {
            Due::At(deadline) => {
                Some(deadline.saturating_duration_since(super::running_loop().time()))
            }
            Due::After(duration) => Some(duration),
            Due::Never => None,
        }
    }

    /// Completes once the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<()> {
        let core = match self.core.as_ref().and_then(Weak::upgrade) {
            Some(core) => core,
            None => {
                let event_loop = super::running_loop();
                self.core = Some(Rc::downgrade(event_loop.core()));
                // The loop in which it was armed is gone, and its timers with it.
                self.armed.set(None);
                event_loop.core
            }
        };
        if let Due::After(duration) = self.due {
            self.due = core.now().checked_add(duration).map_or(Due::Never, Due::At);
        }
        let Due::At(deadline) = self.due else {
            return Poll::Pending;
        };
        let mut timers = core.timers.borrow_mut();
        match self.armed.get().and_then(|key| timers.get_mut(key)) {
            Some(TimerEntry::Wake(waker)) if core.running.get() => {
                waker.clone_from(cx.waker());
                #[cfg(feature = "console")]
                {
                    drop(timers);
                    core.show_poll(self.armed.get());
                }
                return Poll::Pending;
            }
            Some(TimerEntry::Wake(waker)) => {
                waker.clone_from(cx.waker());
                drop(timers);
                return self.poll_elsewhere(&core, cx);
            }
            _ => drop(timers),
        }
        // Not armed: not yet, or it has fired.
        if self.armed.take().is_some() {
            if core.is_closed() {
                // It has not fired: it went with its loop. The one that runs now is another.
                self.core = None;
                return self.poll(cx);
            }
            return Poll::Ready(());
        }
        if core.now() >= deadline {
            return Poll::Ready(());
        }
        let key = core.insert_timer(
            core.nanos(deadline),
            false,
            TimerEntry::Wake(cx.waker().clone()),
        );
        self.armed.set(Some(key));
        Poll::Pending
    }
}

impl Timeout {
    /// Polled while its loop is not run. If another one is, it moves there: the first may never be run again.
    #[cold]
    fn poll_elsewhere(&mut self, core: &Rc<LoopCore>, cx: &mut Cx<'_>) -> Poll<()> {
        let is_elsewhere = super::try_running_loop().is_some_and(|it| !Rc::ptr_eq(it.core(), core));
        if !is_elsewhere {
            return Poll::Pending;
        }
        let timer = self.armed.take();
        #[cfg(feature = "console")]
        core.show_removal(timer);
        let timer = timer.and_then(|key| core.timers.borrow_mut().remove(key));
        drop(timer);
        self.core = None;
        self.poll(cx)
    }
}

impl Drop for Timeout {
    #[inline]
    fn drop(&mut self) {
        if self.core.is_some() {
            self.disarm();
        }
    }
}

impl Timeout {
    fn disarm(&mut self) {
        let core = self.core.take().and_then(|core| core.upgrade());
        if let (Some(key), Some(core)) = (self.armed.get(), core) {
            let entry = core.timers.borrow_mut().remove(key);
            drop(entry);
            #[cfg(feature = "console")]
            core.show_removal(Some(key));
        }
    }
}
