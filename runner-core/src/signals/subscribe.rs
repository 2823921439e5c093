//! Signals that the program wants to hear: a process-wide table of who listens to what.
//!
//! The handler counts and rings; a thread, started at the first subscription, tells every listener, once for each signal
//! that was delivered to the process. With the last listener of a signal the disposition from before comes back, unless
//! somebody else has changed it meanwhile. Listeners are called on that thread: they hand over and return.
//!
//! This file knows neither loops nor what the listeners do.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::unix::{self, Action};

/// Told once for each signal.
type Listener = Arc<dyn Fn() + Send + Sync>;

/// Signals have numbers from 1 to 64 on every system that we run on.
const SIGNAL_COUNT: usize = 65;

/// Delivered and not passed on yet, by number. The handler touches nothing else but the bell.
static DELIVERED: [AtomicU32; SIGNAL_COUNT] = [const { AtomicU32::new(0) }; SIGNAL_COUNT];

/// The way to the thread; set before the first handler is installed.
static THREAD: OnceLock<Thread> = OnceLock::new();

/// Who listens to what.
static TABLE: Mutex<Table> = Mutex::new(Table {
    signals: BTreeMap::new(),
    last_id: 0,
});

/// The thread that tells the listeners.
struct Thread {
    /// Wakes it.
    bell: UnixStream,
    /// The process that it lives in; a forked child has only a copy of this.
    pid: u32,
}

struct Table {
    signals: BTreeMap<i32, Entry>,
    last_id: u64,
}

/// One signal that somebody listens to.
struct Entry {
    /// What the process did about it before.
    previous: Action,
    /// In the order of subscription.
    listeners: Vec<(u64, Listener)>,
}

/// No user code runs under the lock, so a poisoned one is still whole.
fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
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
    start_thread()?;
    let mut table = table();
    table.last_id += 1;
    let id = table.last_id;
    if let Some(entry) = table.signals.get_mut(&signal) {
        entry.listeners.push((id, listener));
    } else {
        let previous = Action::subscribed().install(signal)?;
        table.signals.insert(
            signal,
            Entry {
                previous,
                listeners: vec![(id, listener)],
            },
        );
    }
    Ok(Subscription { signal, id })
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut table = table();
        let Some(entry) = table.signals.get_mut(&self.signal) else {
            return;
        };
        entry.listeners.retain(|(id, _)| *id != self.id);
        if entry.listeners.is_empty() {
            if let Some(entry) = table.signals.remove(&self.signal) {
                restore(self.signal, &entry.previous);
            }
        }
    }
}

/// Puts back what was there, unless our handler is not in place any more.
fn restore(signal: i32, previous: &Action) {
    if Action::of(signal).is_ok_and(|action| action.is_subscribed()) {
        let _ = previous.install(signal);
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
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn start_thread() -> io::Result<()> {
    /// Held while starting only.
    static STARTING: Mutex<()> = Mutex::new(());

    let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if THREAD.get().is_none() {
        let bell = unix::start_thread("signal-listeners", tell_listeners)?;
        let _ = THREAD.set(Thread {
            bell,
            pid: std::process::id(),
        });
    }
    if THREAD
        .get()
        .is_some_and(|thread| thread.pid == std::process::id())
    {
        return Ok(());
    }
    Err(io::Error::other(
        "the thread of the signal listeners stayed in the process that forked this one",
    ))
}

/// On the thread: passes on what was delivered since the last time.
fn tell_listeners() {
    for (signal, delivered) in (0..).zip(&DELIVERED) {
        // Acquire and Release: pairs with `deliver`; the next signal after this rings again.
        for _ in 0..delivered.swap(0, Ordering::AcqRel) {
            let listeners: Vec<Listener> = match table().signals.get(&signal) {
                Some(entry) => entry
                    .listeners
                    .iter()
                    .map(|(_, listener)| listener.clone())
                    .collect(),
                None => Vec::new(),
            };
            listeners.iter().for_each(|listener| listener());
        }
    }
}

/// Counts one signal. Runs inside of a signal handler: atomics, and one `write` to a socket.
///
/// Only the first signal of a number rings, so that no more bytes than there are signals wait in the socket: it never
/// fills, the `write` never fails, and `errno` of the interrupted code stays as it was.
pub(super) fn deliver(signal: i32) {
    let Some(thread) = THREAD.get() else { return };
    if thread.pid != std::process::id() {
        // A forked child has inherited the handler, but not the thread: there the signal does what it does by default.
        let _ = Action::default().install(signal);
        unix::raise_unblocked(signal);
        return;
    }
    let Some(delivered) = DELIVERED.get(signal as usize) else {
        return;
    };
    if delivered.fetch_add(1, Ordering::AcqRel) == 0 {
        unix::write_one(&thread.bell);
    }
}
