//! The work that is the same for all contestants: the futures that their tasks run, and who wakes them from elsewhere.
//!
//! What tasks share is thread-local, so that the same code serves runtimes that want `Send` and those that do not, and
//! nobody pays for atomics that another does without. All contestants run their tasks on one thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Long enough never to pass.
pub(crate) const FAR: Duration = Duration::from_secs(60);

/// Tasks that are made for the sake of their size wait in the queue together only in such numbers, so that the queue's
/// own size is not counted.
pub(crate) const SPAWNED_AT_ONCE: usize = 1000;

// ----- tasks that wait forever -----

thread_local! {
    /// Those that were polled and are not dropped.
    static WAITING: Cell<usize> = const { Cell::new(0) };
    /// Where they leave their wakers, if they do.
    static WAKERS: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Waits forever; counted from its first poll until it is dropped. Sixteen bytes, as a small task's state.
pub(crate) struct Waiting {
    _state: u64,
    leaves_waker: bool,
    is_counted: bool,
}

impl Waiting {
    /// Nobody will ever wake it.
    pub(crate) fn new() -> Waiting {
        Waiting {
            _state: 1,
            leaves_waker: false,
            is_counted: false,
        }
    }

    /// Its waker is kept elsewhere, as a socket's or a timer's would be.
    pub(crate) fn with_waker() -> Waiting {
        let mut waiting = Waiting::new();
        waiting.leaves_waker = true;
        waiting
    }

    /// How many wait now.
    pub(crate) fn count() -> usize {
        WAITING.get()
    }

    /// Drops the wakers that were left.
    pub(crate) fn forget_wakers() {
        drop(WAKERS.take());
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_counted {
            self.is_counted = true;
            WAITING.set(WAITING.get() + 1);
            if self.leaves_waker {
                WAKERS.with_borrow_mut(|wakers| wakers.push(cx.waker().clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_counted {
            WAITING.set(WAITING.get() - 1);
        }
    }
}

// ----- tasks that go on at once -----

/// Wakes itself and returns `Pending` so many times.
pub(crate) struct WakeSelf(pub(crate) usize);

impl Future for WakeSelf {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Always ready: each poll wakes it again, until the load is lifted.
pub(crate) struct Load;

thread_local! {
    static IS_LOADED: Cell<bool> = const { Cell::new(false) };
}

impl Load {
    /// So many tasks make up the load of the rows that have one.
    pub(crate) const TASKS: usize = 100;

    /// From now on, each `Load` is ready until `lift`.
    pub(crate) fn begin() {
        IS_LOADED.set(true);
    }

    /// Lets every `Load` end at its next poll.
    pub(crate) fn lift() {
        IS_LOADED.set(false);
    }
}

impl Future for Load {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !IS_LOADED.get() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

// ----- how long to sleep -----

/// So many lengths, evenly distributed below `limit`, and the same in each process.
pub(crate) fn random_lengths(count: usize, limit: Duration) -> Vec<Duration> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_nanos(state % limit.as_nanos() as u64)
    };
    (0..count).map(|_| next()).collect()
}

// ----- two tasks that wake each other -----

/// The value that waits, and who waits for one.
#[derive(Default)]
struct Mailbox {
    value: Cell<Option<usize>>,
    reader: Cell<Option<Waker>>,
}

thread_local! {
    static MAILBOXES: [Mailbox; 2] = const {
        [const { Mailbox { value: Cell::new(None), reader: Cell::new(None) } }; 2]
    };
}

fn send(to: usize, value: usize) {
    MAILBOXES.with(|mailboxes| {
        mailboxes[to].value.set(Some(value));
        if let Some(reader) = mailboxes[to].reader.take() {
            reader.wake();
        }
    });
}

/// Takes the value out of a mailbox.
struct Receive(usize);

impl Future for Receive {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        MAILBOXES.with(|mailboxes| match mailboxes[self.0].value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                mailboxes[self.0].reader.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
    }
}

/// Sends, and waits for the answer.
pub(crate) async fn ping(rounds: usize) {
    for round in 0..rounds {
        send(1, round);
        assert_eq!(Receive(0).await, round);
    }
}

/// Answers.
pub(crate) async fn pong(rounds: usize) {
    for _ in 0..rounds {
        let value = Receive(1).await;
        send(0, value);
    }
}

// ----- a thread that wakes a task -----

/// How long the thread sleeps before it wakes the task. By then a loop that has nothing else to do sleeps as well.
const PAUSE: Duration = Duration::from_micros(50);

/// What the task and the thread share.
#[derive(Default)]
struct Bell {
    is_asked: AtomicBool,
    is_over: AtomicBool,
    state: Mutex<Rung>,
}

#[derive(Default)]
struct Rung {
    /// When the thread began to wake the task.
    at: Option<Instant>,
    waiting: Option<Waker>,
    /// How long each call of a waker took.
    calls: Vec<Duration>,
}

impl Bell {
    fn state(&self) -> MutexGuard<'_, Rung> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        thread::sleep(PAUSE);
        let mut state = self.state();
        let waiting = state.waiting.take();
        let started = Instant::now();
        state.at = Some(started);
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
        let call = started.elapsed();
        self.state().calls.push(call);
    }
}

/// A thread that wakes the task that asks it.
pub(crate) struct Ringer {
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
}

impl Ringer {
    pub(crate) fn start() -> Ringer {
        let bell = Arc::new(Bell::default());
        let for_thread = bell.clone();
        let thread = thread::spawn(move || {
            while !for_thread.is_over.load(Ordering::Acquire) {
                match for_thread.is_asked.swap(false, Ordering::AcqRel) {
                    true => for_thread.ring(),
                    false => thread::park(),
                }
            }
        });
        Ringer { bell, thread }
    }

    /// Asks to be woken, so many times, and returns how long each took from the thread's call until the task ran.
    pub(crate) async fn latencies(&self, rounds: usize) -> Vec<Duration> {
        let mut latencies = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            self.bell.is_asked.store(true, Ordering::Release);
            self.thread.thread().unpark();
            let latency = poll_fn(|cx| {
                let mut state = self.bell.state();
                if let Some(rung_at) = state.at.take() {
                    return Poll::Ready(rung_at.elapsed());
                }
                state.waiting = Some(cx.waker().clone());
                Poll::Pending
            });
            latencies.push(latency.await);
        }
        latencies
    }

    /// The same, and their sum.
    pub(crate) async fn latency(&self, rounds: usize) -> Duration {
        self.latencies(rounds).await.into_iter().sum()
    }

    /// Ends the thread, and returns how long each call of a waker took.
    pub(crate) fn stop(self) -> Vec<Duration> {
        self.bell.is_over.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("the ringing thread panicked");
        std::mem::take(&mut self.bell.state().calls)
    }
}
