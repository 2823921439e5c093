//! `Lock`.

use std::rc::Rc;
use std::time::Duration;

use asyncio::sync::Lock;
use asyncio::{Task, sleep, spawn, timeout};

use crate::support::trace::Trace;
use crate::{activity, at_once, interrupt, poll_once, settle, started};

const SECOND: Duration = Duration::from_secs(1);

/// Takes the lock, notes it, and holds it for a second.
fn holder(lock: &Rc<Lock>, trace: &Trace, name: &'static str) -> Task<()> {
    let (lock, trace) = (lock.clone(), trace.clone());
    spawn(async move {
        let _guard = lock.lock().await;
        trace.note(name);
        sleep(SECOND).await;
    })
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_free_lock_is_taken_without_suspending() {
    let lock = Lock::new(7);
    let mut guard = at_once(lock.lock()).await;
    assert!(lock.is_locked());
    *guard += 1;
    drop(guard);
    assert!(!lock.is_locked());
    assert_eq!(lock.into_inner(), 8);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn whoever_waits_longest_is_next() {
    let (lock, trace) = (Rc::new(Lock::default()), Trace::new());
    let last = ["a", "b", "c"]
        .map(|name| holder(&lock, &trace, name))
        .into_iter()
        .last();
    last.unwrap().await.unwrap();
    assert_eq!(trace.take(), ["a", "b", "c"]);
    assert!(!lock.is_locked());
}

/// Released, and granted to a task that has yet to run: it counts as unlocked, but is not to be had.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_newcomer_does_not_overtake_whoever_was_woken() {
    let (lock, trace) = (Rc::new(Lock::default()), Trace::new());
    let guard = lock.lock().await;
    let waiter = holder(&lock, &trace, "waited");
    settle().await;
    drop(guard);
    assert!(!lock.is_locked());
    assert!(lock.try_lock().is_none());
    drop(lock.lock().await);
    trace.note("newcomer");
    waiter.await.unwrap();
    assert_eq!(trace.take(), ["waited", "newcomer"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_lock_of_a_cancelled_task_that_was_woken_goes_to_the_next() {
    let (lock, trace) = (Rc::new(Lock::default()), Trace::new());
    let guard = lock.lock().await;
    let first = holder(&lock, &trace, "first");
    let second = holder(&lock, &trace, "second");
    settle().await;
    drop(guard);
    first.cancel();
    assert!(first.await.unwrap_err().is_cancelled());
    second.await.unwrap();
    assert_eq!(trace.take(), ["second"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_task_in_the_middle_leaves_the_queue() {
    let (lock, trace) = (Rc::new(Lock::default()), Trace::new());
    let tasks = ["a", "b", "c", "d"].map(|name| holder(&lock, &trace, name));
    settle().await;
    tasks[2].cancel();
    let [a, b, c, d] = tasks;
    a.await.unwrap();
    b.await.unwrap();
    c.await.unwrap_err();
    d.await.unwrap();
    assert_eq!(trace.take(), ["a", "b", "d"]);
}

/// Not cancelled, only dropped: the grant is passed on all the same.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_lock_of_a_dropped_future_that_was_woken_goes_to_the_next() {
    let (lock, trace) = (Rc::new(Lock::default()), Trace::new());
    let guard = lock.lock().await;
    let mut dropped = Box::pin(lock.lock());
    assert!(poll_once(&mut dropped).is_pending());
    let next = holder(&lock, &trace, "next");
    settle().await;
    drop(guard);
    settle().await;
    assert_eq!(trace.len(), 0);
    drop(dropped);
    next.await.unwrap();
    assert_eq!(trace.take(), ["next"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_lock_that_nobody_waits_for_any_more_is_free() {
    let lock = Lock::new(());
    let guard = lock.lock().await;
    let mut waiter = Box::pin(lock.lock());
    assert!(poll_once(&mut waiter).is_pending());
    drop(guard);
    drop(waiter);
    assert!(lock.try_lock().is_some());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_request_goes_before_a_free_lock() {
    let lock = Lock::new(());
    interrupt(lock.lock()).await;
    assert!(!lock.is_locked());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_timeout_ends_the_wait_for_a_lock() {
    let lock = Lock::new(());
    let guard = lock.lock().await;
    assert!(timeout(SECOND, lock.lock()).await.is_err());
    drop(guard);
    drop(at_once(lock.lock()).await);
}

/// A panic in the code that holds the lock releases it, as everywhere in asyncio.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_panic_releases_the_lock() {
    let lock = Rc::new(Lock::new(1));
    let task = started({
        let lock = lock.clone();
        async move {
            *lock.lock().await = 2;
            let _guard = lock.lock().await;
            panic!("while it holds the lock");
        }
    })
    .await;
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(*lock.lock().await, 2);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_lock_shows_its_value_unless_it_is_locked() {
    let mut lock = Lock::from(7);
    *lock.get_mut() += 1;
    assert_eq!(format!("{lock:?}"), "<Lock unlocked 8>");
    let guard = lock.lock().await;
    assert_eq!(format!("{lock:?} {guard:?}"), "<Lock locked> 8");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_that_a_lock_is_waited_for() {
    let (lock, trace) = (Rc::new(Lock::default()), Trace::new());
    let guard = lock.lock().await;
    let waiter = holder(&lock, &trace, "waiter");
    settle().await;
    assert_eq!(activity(&waiter), "waits for a lock");
    drop(guard);
    waiter.await.unwrap();
}
