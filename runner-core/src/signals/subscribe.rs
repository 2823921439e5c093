//! Signals that the program wants to hear: a process-wide table of who listens to what.
//!
//! The handler counts and rings; a thread, started at the first subscription, tells every listener, once for each signal
//! that was delivered to the process since it was subscribed. With the last listener of a signal the disposition from
//! before comes back, unless somebody else has changed it meanwhile. Listeners are called on that thread: they hand over
//! and return.
//!
//! Listeners lie on top of what the process did about the signal, the ladder included: the entry of a signal remembers
//! what is beneath, and the ladder comes and goes there ([`exchange_beneath`]) without the listeners noticing. So it does
//! not matter which of the two came first, and which goes first.
//!
//! Who comes and goes with each runtime would install a handler and take it off again each time, which costs more than all the
//! rest of making a runtime. Such a listener stands by ([`StandBy`]): its handler stays, and while nobody wants the signal,
//! does what the system does about it. It does not need the thread, which each program with a single thread would pay for (glibc's
//! allocator takes locks as soon as there is a second one): without it, the handler itself tells who stands by.
//!
//! This file knows neither loops nor what the listeners do.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use super::Disposition;
use super::unix::{self, Action};
use crate::fork::ForkGuard;

/// Told once for each signal.
type Listener = Arc<dyn Fn() + Send + Sync>;

/// Signals have numbers from 1 to 64 on every system that we run on.
const SIGNAL_COUNT: usize = 65;

/// Delivered and not passed on yet, by number. The handler touches nothing else but the bell.
static DELIVERED: [AtomicU32; SIGNAL_COUNT] = [const { AtomicU32::new(0) }; SIGNAL_COUNT];

/// How many listen who do not stand by, by number.
static SUBSCRIBED: [AtomicU32; SIGNAL_COUNT] = [const { AtomicU32::new(0) }; SIGNAL_COUNT];

/// Whether the handler stays when nobody listens, because somebody stands by and there is nothing beneath, by number.
static STAYS: [AtomicBool; SIGNAL_COUNT] = [const { AtomicBool::new(false) }; SIGNAL_COUNT];

/// Whether who stands by wants the signal at this moment, by number. If it does not, and nobody else listens, a handler that
/// stays does what the system does.
static WANTED: [AtomicBool; SIGNAL_COUNT] = [const { AtomicBool::new(false) }; SIGNAL_COUNT];

/// Told by the handler itself who stands by, as long as there is no thread, by number.
static TOLD_IN_HANDLER: [OnceLock<Told>; SIGNAL_COUNT] = [const { OnceLock::new() }; SIGNAL_COUNT];

/// The way to the thread; set before the first handler is installed, unless that is of one who stands by.
static THREAD: OnceLock<Thread> = OnceLock::new();

/// Who listens to what.
static TABLE: Mutex<Table> = Mutex::new(Table {
    signals: [const { None }; SIGNAL_COUNT],
    last_id: 0,
});

/// The thread that tells the listeners.
struct Thread {
    /// Wakes it.
    bell: UnixStream,
    /// The process that it lives in; a forked child has only a copy of this.
    pid: u32,
    /// The same without a system call; a handler asks the system itself.
    fork: ForkGuard,
}

/// Who is told by the handler.
struct Told {
    tell: fn(i32),
    /// The process that it lives in, as with [`Thread`].
    pid: u32,
}

struct Table {
    /// By number.
    signals: [Option<Entry>; SIGNAL_COUNT],
    last_id: u64,
}

impl Table {
    fn entry(&mut self, signal: i32) -> Option<&mut Entry> {
        self.signals
            .get_mut(usize::try_from(signal).ok()?)?
            .as_mut()
    }
}

/// One signal that somebody listens to.
struct Entry {
    /// What the process does about it when nobody listens any more.
    beneath: Action,
    /// In the order of subscription.
    listeners: Vec<Listening>,
}

/// One listener of one signal.
struct Listening {
    id: u64,
    listener: Listener,
    /// Signals that came since it was subscribed, and that it was not told of yet.
    owed: u32,
    /// It is there for good, whether it wants the signal or not.
    stands_by: bool,
}

impl Entry {
    /// Owes what was delivered until now to everybody who listens at this moment, and to nobody who comes later.
    fn settle(&mut self, signal: i32) {
        // AcqRel: pairs with `deliver`; the next signal after this rings again.
        let delivered = DELIVERED[signal as usize].swap(0, Ordering::AcqRel);
        for listening in &mut self.listeners {
            listening.owed = listening.owed.saturating_add(delivered);
        }
    }
}

/// `None` in a forked child, if a thread of its parent held the lock in the moment of the fork: it stays locked there.
///
/// No user code runs under the lock, so a poisoned one is still whole.
fn table() -> Option<MutexGuard<'static, Table>> {
    if !listeners_stayed_behind() {
        return Some(TABLE.lock().unwrap_or_else(PoisonError::into_inner));
    }
    match TABLE.try_lock() {
        Ok(table) => Some(table),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Returns `true` in a process that was forked from the one in which the thread lives.
pub(crate) fn listeners_stayed_behind() -> bool {
    THREAD.get().is_some_and(|thread| thread.fork.is_forked())
}

/// Runs `work` while nobody can begin or cease to listen.
pub(super) fn undisturbed<R>(work: impl FnOnce() -> R) -> R {
    let _table = table();
    work()
}

/// Returns what the process does about `signal` when nobody listens.
pub(super) fn beneath(signal: i32) -> io::Result<Action> {
    let mut table = table();
    let action = Action::of(signal)?;
    let entry = table.as_mut().and_then(|table| table.entry(signal));
    match entry {
        Some(entry) if action.is_subscribed() => Ok(entry.beneath.clone()),
        _ => Ok(action),
    }
}

/// Makes `new` what the process does about `signal` when nobody listens, if what is there now is `expected`; says whether
/// it did.
pub(super) fn exchange_beneath(
    signal: i32,
    new: Action,
    expected: impl Fn(&Action) -> bool,
) -> bool {
    let mut table = table();
    let Ok(action) = Action::of(signal) else {
        return false;
    };
    let entry = table.as_mut().and_then(|table| table.entry(signal));
    if let (Some(entry), true) = (entry, action.is_subscribed()) {
        let is_expected = expected(&entry.beneath);
        if is_expected {
            entry.beneath = new;
        }
        return is_expected;
    }
    // Look first: taking it and then looking at what it was would disturb a foreign handler at every run.
    if !expected(&action) {
        return false;
    }
    let Ok(previous) = new.install(signal) else {
        return false;
    };
    if expected(&previous) {
        return true;
    }
    // Another thread was quicker between the look and the step: theirs goes back.
    let _ = previous.install(signal);
    false
}

/// Listens to one signal until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    signal: i32,
    id: u64,
}

/// Has `listener` called, on a thread of ours, once for each `signal` that the process receives.
///
/// # Errors
///
/// There is no such signal, it cannot be caught, it means that the program is broken, or the thread cannot be started.
pub(crate) fn subscribe(signal: i32, listener: Listener) -> io::Result<Subscription> {
    refuse(signal)?;
    start_listening()?;
    let mut table = table().ok_or_else(stayed_behind)?;
    // Around the time in which the handler is in place, or a signal would meet one that nobody wants.
    let subscribed = &SUBSCRIBED[signal as usize];
    subscribed.fetch_add(1, Ordering::SeqCst);
    match table.listen(signal, listener, false) {
        Ok(id) => Ok(Subscription { signal, id }),
        Err(error) => {
            subscribed.fetch_sub(1, Ordering::SeqCst);
            Err(error)
        }
    }
}

impl Table {
    /// Adds a listener, and puts our handler in place if it is the first one; returns the listener's number.
    fn listen(&mut self, signal: i32, listener: Listener, stands_by: bool) -> io::Result<u64> {
        self.last_id += 1;
        let id = self.last_id;
        let listening = Listening {
            id,
            listener,
            owed: 0,
            stands_by,
        };
        let place = &mut self.signals[signal as usize];
        let entry = match place {
            Some(entry) => {
                if entry.only_stands_by() {
                    entry.take_over(signal)?;
                }
                // What was delivered before is not for the newcomer. The thread is on its way: it was rung for it.
                entry.settle(signal);
                entry
            }
            None => {
                // Left over from earlier listeners, who are gone.
                DELIVERED[signal as usize].store(0, Ordering::Release);
                place.insert(Entry {
                    beneath: install(signal)?,
                    listeners: Vec::new(),
                })
            }
        };
        entry.listeners.push(listening);
        STAYS[signal as usize].store(entry.stays(), Ordering::Release);
        Ok(id)
    }
}

impl Entry {
    /// All who listen stand by.
    fn only_stands_by(&self) -> bool {
        self.listeners.iter().all(|listening| listening.stands_by)
    }

    /// Puts our handler in place, unless it is there. Somebody may have replaced it meanwhile.
    fn take_over(&mut self, signal: i32) -> io::Result<()> {
        if !Action::of(signal)?.is_subscribed() {
            self.beneath = install(signal)?;
        }
        Ok(())
    }

    /// Our handler may stay when nobody listens any more.
    fn stays(&self) -> bool {
        let mut listeners = self.listeners.iter();
        let is_default = self.beneath.disposition() == Disposition::Default;
        is_default && listeners.any(|listening| listening.stands_by)
    }
}

/// Puts our handler in place, and returns what was there.
fn install(signal: i32) -> io::Result<Action> {
    Action::subscribed()
        .install(signal)
        .map_err(|error| match error.raw_os_error() {
            // The C library keeps some numbers for itself.
            Some(libc::EINVAL) => invalid(format!("invalid signal number {signal}")),
            _ => error,
        })
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(mut table) = table() else { return };
        let Some(entry) = table.entry(self.signal) else {
            return;
        };
        // Dropped behind the lock: it may hold the last reference to anything.
        let gone = entry
            .listeners
            .iter()
            .position(|listening| listening.id == self.id)
            .map(|position| entry.listeners.remove(position));
        if entry.only_stands_by() && !entry.stays() {
            restore(self.signal, &entry.beneath);
        }
        SUBSCRIBED[self.signal as usize].fetch_sub(1, Ordering::SeqCst);
        if entry.listeners.is_empty() {
            table.signals[self.signal as usize] = None;
        }
        drop(table);
        drop(gone);
    }
}

/// A listener that is there until the process ends, and wants the signal at times.
///
/// Neither its begin nor its end looks at what the process does about the signal: whoever has replaced the handler
/// meanwhile has the signal, and who then makes it the system's again has made it so for good.
pub(crate) struct StandBy {
    signal: i32,
}

impl StandBy {
    /// Has `listener` called as [`subscribe`] does, at those times that [`set_wanted`](StandBy::set_wanted) says, and at others
    /// at which somebody else listens. As long as nobody has called [`start_listening`], `tell` is called instead, with the signal's
    /// number and *inside of the handler*: atomics, and what of the system may be called there.
    ///
    /// There is one for each signal at most.
    ///
    /// # Errors
    ///
    /// As [`subscribe`].
    pub(crate) fn new(signal: i32, listener: Listener, tell: fn(i32)) -> io::Result<StandBy> {
        refuse(signal)?;
        let mut table = table().ok_or_else(stayed_behind)?;
        TOLD_IN_HANDLER[signal as usize].get_or_init(|| Told {
            tell,
            pid: std::process::id(),
        });
        table.listen(signal, listener, true)?;
        Ok(StandBy { signal })
    }

    /// From now on the signal is wanted, or it is not.
    pub(crate) fn set_wanted(&self, wanted: bool) {
        WANTED[self.signal as usize].store(wanted, Ordering::Release);
    }
}

/// Puts back what was there, unless our handler is not in place any more.
fn restore(signal: i32, beneath: &Action) {
    if Action::of(signal).is_ok_and(|action| action.is_subscribed()) {
        let _ = beneath.install(signal);
    }
}

/// Refuses what cannot, or must not, be listened to.
fn refuse(signal: i32) -> io::Result<()> {
    let text = match signal {
        1.. if (signal as usize) < SIGNAL_COUNT => match signal {
            libc::SIGKILL | libc::SIGSTOP => format!("sig {signal} cannot be caught"),
            // A handler that returns would be entered again at once, for ever.
            libc::SIGILL | libc::SIGFPE | libc::SIGSEGV | libc::SIGBUS => {
                format!(
                    "sig {signal} means that the program is broken; it cannot be handled in a loop"
                )
            }
            _ => return Ok(()),
        },
        _ => format!("invalid signal number {signal}"),
    };
    Err(invalid(text))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn stayed_behind() -> io::Error {
    io::Error::other(
        "the thread of the signal listeners stayed in the process that forked this one",
    )
}

/// Starts the thread that tells the listeners, unless it runs.
pub(crate) fn start_listening() -> io::Result<()> {
    /// Held while starting only.
    static STARTING: Mutex<()> = Mutex::new(());

    let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if THREAD.get().is_none() {
        let bell = unix::start_thread("signal-listeners", tell_listeners)?;
        let _ = THREAD.set(Thread {
            bell,
            pid: std::process::id(),
            fork: ForkGuard::new(),
        });
    }
    if listeners_stayed_behind() {
        return Err(stayed_behind());
    }
    Ok(())
}

/// On the thread: passes on what was delivered since the last time.
fn tell_listeners() {
    for (listener, owed) in owed() {
        (0..owed).for_each(|_| listener());
    }
}

/// Takes what is owed to each listener; the signals in the order of their numbers, the listeners of each in the order in
/// which they were subscribed.
fn owed() -> Vec<(Listener, u32)> {
    let Some(mut table) = table() else {
        return Vec::new();
    };
    let mut owed = Vec::new();
    for (signal, entry) in (0..).zip(&mut table.signals) {
        let Some(entry) = entry else { continue };
        entry.settle(signal);
        let listeners = entry.listeners.iter_mut();
        owed.extend(
            listeners
                .filter(|listening| listening.owed > 0)
                .map(|listening| {
                    let count = std::mem::take(&mut listening.owed);
                    (listening.listener.clone(), count)
                }),
        );
    }
    owed
}

/// Counts one signal. Runs inside of a signal handler: atomics, and one `write` to a socket; or tells who stands by.
///
/// Only the first signal of a number rings until somebody settles, so that few bytes wait in the socket: it never fills,
/// the `write` never fails, and `errno` of the interrupted code stays as it was.
pub(super) fn deliver(signal: i32) {
    let Some(delivered) = DELIVERED.get(signal as usize) else {
        return;
    };
    let Some(thread) = THREAD.get() else {
        return tell_here(signal);
    };
    // A forked child has inherited the handler, but not the thread.
    if thread.pid != std::process::id() || is_idle(signal) {
        return do_as_the_system(signal);
    }
    if delivered.fetch_add(1, Ordering::AcqRel) == 0 {
        unix::write_one(&thread.bell);
    }
}

/// There is no thread: who stands by is told in the handler.
fn tell_here(signal: i32) {
    let told = TOLD_IN_HANDLER[signal as usize].get();
    match told.filter(|told| told.pid == std::process::id()) {
        Some(told) if !is_idle(signal) => (told.tell)(signal),
        _ => do_as_the_system(signal),
    }
}

/// The handler has stayed, and nobody wants the signal.
///
/// Where it does not stay, and this is its last moment, what it counts is for nobody. It must not do what the system does: there
/// may be something beneath that does nothing.
fn is_idle(signal: i32) -> bool {
    let index = signal as usize;
    STAYS[index].load(Ordering::Acquire)
        && SUBSCRIBED[index].load(Ordering::SeqCst) == 0
        && !WANTED[index].load(Ordering::Acquire)
}

/// What would have been done without us. Runs inside of a signal handler, by system calls that may be made there.
///
/// If our handler is not the process's any more, then another has called it, as one that it found there; that one knows what
/// to do.
fn do_as_the_system(signal: i32) {
    if Action::of(signal).is_ok_and(|action| action.is_subscribed()) {
        let _ = Action::default().install(signal);
        unix::raise_unblocked(signal);
    }
}

#[cfg(test)]
mod tests;
