//! Which poll a loop is at, for other threads to see.
//!
//! Two relaxed stores per poll: a word with the poll's and the task's number, and the line that made what runs. Whoever looks
//! from outside may catch the two of different polls; of a poll that lasts they belong together. Names are longer than a word
//! and can change, so they are in a table of their own, which is written when a name is given and only while there is a
//! beat.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::thread_state::ThreadId;
use crate::exception::TaskInfo;
use crate::fork::ForkGuard;

/// The task's number is in the lower bits of a word, the poll's in the upper ones. Both begin again after their time: tasks
/// after a million millions. A poll's number comes back within a second at the earliest, and then the task's would have to be
/// the same, at each of several looks.
const TASK_BITS: u32 = 40;
const TASK_MASK: u64 = (1 << TASK_BITS) - 1;
/// A callback, which has no number. Tasks have numbers from 1.
const CALLBACK: u64 = 0;
/// Nothing runs.
const IDLE: u64 = TASK_MASK;

/// The names that tasks were given, by the task's number.
static NAMES: LazyLock<Mutex<HashMap<u64, String>>> = LazyLock::new(Mutex::default);

/// How many there are. Names are kept while there are any.
static BEATS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The last loop's. To make one takes longer than a debug mode may add to the life of a runtime that does nothing.
    static SPARE: Cell<Option<Arc<Beat>>> = const { Cell::new(None) };
}

/// No user code runs under the lock, so a poisoned one is still whole.
fn names() -> MutexGuard<'static, HashMap<u64, String>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the name of a task that has not ended.
pub(crate) fn note_name(task: u64, name: &str) {
    if BEATS.load(Ordering::Relaxed) != 0 {
        names().insert(task & TASK_MASK, name.to_owned());
    }
}

/// The named task has ended.
pub(crate) fn forget_name(task: u64) {
    if BEATS.load(Ordering::Relaxed) != 0 {
        names().remove(&(task & TASK_MASK));
    }
}

/// Which poll is under way in one loop. Written by the loop's thread, read by any.
pub(crate) struct Beat {
    word: AtomicU64,
    /// The line that spawned the task, or scheduled the callback.
    location: AtomicPtr<Location<'static>>,
    /// The loop's.
    thread: ThreadId,
    fork: ForkGuard,
}

/// One poll, apart from all others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    /// Nothing runs: the loop waits for events, or is not run.
    pub(crate) fn is_idle(self) -> bool {
        self.0 & TASK_MASK == IDLE
    }
}

impl Beat {
    /// Gives a loop of this thread one.
    pub(crate) fn begin() -> Arc<Beat> {
        // None in a thread that ends.
        match SPARE.try_with(Cell::take).ok().flatten() {
            Some(beat) if !beat.fork.is_forked() => beat,
            spare => {
                // In a forked child the lock on the names may be held for ever.
                mem::forget(spare);
                Arc::new(Beat::new())
            }
        }
    }

    /// The loop is gone; what is not looked at any more serves the thread's next one.
    pub(crate) fn end(mut beat: Arc<Beat>) {
        beat.rest();
        if Arc::get_mut(&mut beat).is_some() {
            // In a thread that ends there is no next one.
            let _ = SPARE.try_with(|spare| spare.set(Some(beat)));
        }
    }

    /// Of a loop of this thread.
    pub(super) fn new() -> Beat {
        BEATS.fetch_add(1, Ordering::Relaxed);
        Beat {
            word: AtomicU64::new(IDLE),
            location: AtomicPtr::new(ptr::null_mut()),
            thread: ThreadId::current(),
            fork: ForkGuard::new(),
        }
    }

    /// A poll of the task begins, and whatever ran before is over.
    pub(crate) fn poll(&self, task: u64, location: &'static Location<'static>) {
        let location = ptr::from_ref(location).cast_mut();
        self.location.store(location, Ordering::Relaxed);
        self.next(task & TASK_MASK);
    }

    /// A callback begins.
    pub(crate) fn call(&self, location: &'static Location<'static>) {
        self.poll(CALLBACK, location);
    }

    /// Nothing runs.
    pub(crate) fn rest(&self) {
        self.next(IDLE);
    }

    fn next(&self, what: u64) {
        let poll = (self.word.load(Ordering::Relaxed) | TASK_MASK).wrapping_add(1);
        self.word.store(poll | what, Ordering::Relaxed);
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Relaxed))
    }

    pub(crate) fn thread(&self) -> &ThreadId {
        &self.thread
    }

    /// Returns what is under way.
    pub(crate) fn step(&self) -> Step {
        let location = self.location.load(Ordering::Relaxed);
        // SAFETY: the pointer is null or was made from a `&'static Location` by `poll`, which alone stores here; a location is
        // never written to, so it does not matter which thread made it.
        let location: Option<&'static Location<'static>> = unsafe { location.as_ref() };
        let task = self.word.load(Ordering::Relaxed) & TASK_MASK;
        match (task, location) {
            (IDLE, _) | (_, None) => Step::Nothing,
            (CALLBACK, Some(location)) => Step::Callback(location),
            (id, Some(location)) => {
                let name = names().get(&id).cloned();
                Step::Task(TaskInfo::new(id, name, location))
            }
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if BEATS.fetch_sub(1, Ordering::Relaxed) == 1 {
            names().clear();
        }
    }
}

/// What a loop's thread is at.
#[derive(Clone)]
pub(crate) enum Step {
    Nothing,
    Callback(&'static Location<'static>),
    Task(TaskInfo),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Nothing => f.write_str("something that is neither a task nor a callback"),
            Step::Callback(at) => write!(f, "<Handle created at {}:{}>", at.file(), at.line()),
            Step::Task(task) => task.fmt(f),
        }
    }
}
