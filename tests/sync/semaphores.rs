//! `Semaphore`.

use std::rc::Rc;
use std::time::Duration;

use asyncio::sync::Semaphore;
use asyncio::{Task, sleep, spawn};

use crate::support::trace::Trace;
use crate::{activity, at_once, interrupt, panic_of, poll_once, settle};

const SECOND: Duration = Duration::from_secs(1);

/// Takes a permit, notes it, and keeps it for a second.
fn holder(semaphore: &Rc<Semaphore>, trace: &Trace, name: &'static str) -> Task<()> {
    let (semaphore, trace) = (semaphore.clone(), trace.clone());
    spawn(async move {
        let _permit = semaphore.acquire().await;
        trace.note(name);
        sleep(SECOND).await;
    })
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_free_permit_is_taken_without_suspending() {
    let semaphore = Semaphore::new(2);
    let one = at_once(semaphore.acquire()).await;
    let two = at_once(semaphore.acquire()).await;
    assert!(semaphore.is_locked());
    assert!(semaphore.try_acquire().is_none());
    drop((one, two));
    assert_eq!(semaphore.available(), 2);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn no_more_tasks_than_permits_go_on_at_a_time() {
    let (semaphore, trace) = (Rc::new(Semaphore::new(2)), Trace::new());
    let tasks = ["a", "b", "c", "d", "e"].map(|name| holder(&semaphore, &trace, name));
    settle().await;
    assert_eq!(trace.take(), ["a", "b"]);
    sleep(SECOND).await;
    settle().await;
    assert_eq!(trace.take(), ["c", "d"]);
    tasks.into_iter().last().unwrap().await.unwrap();
    assert_eq!(trace.take(), ["e"]);
}

/// asyncio's rule, gh-90155: also with a permit to spare, a newcomer waits behind one that was woken and has yet to run.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_newcomer_does_not_overtake_whoever_was_woken() {
    let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::new());
    let waiter = holder(&semaphore, &trace, "waited");
    settle().await;
    semaphore.release();
    semaphore.release();
    assert_eq!(semaphore.available(), 1);
    assert!(semaphore.is_locked());
    assert!(semaphore.try_acquire().is_none());
    let permit = semaphore.acquire().await;
    trace.note("newcomer");
    waiter.await.unwrap();
    drop(permit);
    assert_eq!(trace.take(), ["waited", "newcomer"]);
    assert_eq!(semaphore.available(), 2);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_permit_of_a_cancelled_task_that_was_woken_goes_to_the_next() {
    let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::new());
    let first = holder(&semaphore, &trace, "first");
    let second = holder(&semaphore, &trace, "second");
    settle().await;
    semaphore.release();
    first.cancel();
    first.await.unwrap_err();
    second.await.unwrap();
    assert_eq!(trace.take(), ["second"]);
    assert_eq!(semaphore.available(), 1);
}

/// A newcomer that had to wait only because of the one before it goes on when that one leaves.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_spare_permit_is_found_when_whoever_was_woken_leaves() {
    let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::new());
    let mut woken = Box::pin(semaphore.acquire());
    assert!(poll_once(&mut woken).is_pending());
    semaphore.release();
    semaphore.release();
    let newcomers = ["a", "b"].map(|name| holder(&semaphore, &trace, name));
    settle().await;
    assert_eq!(trace.len(), 0);
    drop(woken);
    settle().await;
    assert_eq!(trace.take(), ["a", "b"]);
    for task in newcomers {
        task.await.unwrap();
    }
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_request_goes_before_a_free_permit() {
    let semaphore = Semaphore::new(1);
    interrupt(semaphore.acquire()).await;
    assert_eq!(semaphore.available(), 1);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_forgotten_permit_comes_back_by_a_release() {
    let semaphore = Semaphore::bounded(1);
    semaphore.acquire().await.forget();
    assert!(semaphore.is_locked());
    semaphore.release();
    assert!(!semaphore.is_locked());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_bounded_semaphore_refuses_a_release_too_many() {
    let semaphore = Semaphore::bounded(1);
    let text = panic_of(|| semaphore.release());
    assert!(
        text.starts_with("BoundedSemaphore released too many times"),
        "{text}"
    );
    assert_eq!(semaphore.available(), 1);
    Semaphore::new(1).release();
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_semaphore_shows_what_is_free() {
    let semaphore = Semaphore::new(1);
    assert_eq!(format!("{semaphore:?}"), "<Semaphore unlocked, value:1>");
    let _permit = semaphore.acquire().await;
    assert_eq!(format!("{semaphore:?}"), "<Semaphore locked>");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_that_a_semaphore_is_waited_for() {
    let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::new());
    let waiter = holder(&semaphore, &trace, "waiter");
    settle().await;
    assert_eq!(activity(&waiter), "waits for a semaphore");
    semaphore.release();
    waiter.await.unwrap();
}
