//! `Condition`.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio::sync::{Condition, Lock};
use asyncio::{Task, catch_cancelled, sleep, spawn, timeout, yield_now};
use futures_util::StreamExt as _;
use futures_util::future::{join_all, poll_fn};
use futures_util::stream::FuturesUnordered;

use crate::support::trace::Trace;
use crate::{activity, interrupt, panic_of, poll_once, settle};

const SECOND: Duration = Duration::from_secs(1);

/// Waits for one notification, and notes it.
fn waiter(condition: &Rc<Condition>, trace: &Trace, name: &'static str) -> Task<()> {
    let (condition, trace) = (condition.clone(), trace.clone());
    spawn(async move {
        let mut guard = condition.lock().await;
        condition.wait(&mut guard).await;
        assert!(condition.is_locked());
        trace.note(name);
    })
}

async fn three() -> (Rc<Condition>, Trace, [Task<()>; 3]) {
    let (condition, trace) = (Rc::new(Condition::default()), Trace::new());
    let tasks = ["a", "b", "c"].map(|name| waiter(&condition, &trace, name));
    settle().await;
    (condition, trace, tasks)
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn those_who_wait_longest_are_notified_first() {
    let (condition, trace, _tasks) = three().await;
    for (n, notified) in [(0, vec![]), (1, vec!["a"]), (5, vec!["b", "c"])] {
        let guard = condition.lock().await;
        condition.notify(n);
        drop(guard);
        settle().await;
        assert_eq!(trace.take(), notified);
    }
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn all_are_notified_together() {
    let (condition, trace, _tasks) = three().await;
    let guard = condition.lock().await;
    condition.notify_all();
    settle().await;
    assert_eq!(trace.len(), 0, "the lock is still held");
    drop(guard);
    settle().await;
    assert_eq!(trace.take(), ["a", "b", "c"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn waiting_for_a_predicate_that_holds_does_not_release_the_lock() {
    let condition = Condition::new(7);
    let mut guard = condition.lock().await;
    condition.wait_for(&mut guard, |number| *number == 7).await;
    assert!(condition.is_locked());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_predicate_is_asked_again_after_each_notification() {
    let condition = Rc::new(Condition::new(0));
    let task = spawn({
        let condition = condition.clone();
        async move {
            let mut guard = condition.lock().await;
            let mut asked = 0;
            let predicate = |number: &mut u32| {
                asked += 1;
                *number == 2
            };
            condition.wait_for(&mut guard, predicate).await;
            (asked, *guard)
        }
    });
    for _ in 0..2 {
        settle().await;
        let mut guard = condition.lock().await;
        *guard += 1;
        condition.notify(1);
    }
    assert_eq!(task.await.unwrap(), (3, 2));
}

/// asyncio's `Condition(lock)`: two conditions of one lock.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn two_conditions_may_have_one_lock() {
    let lock = Rc::new(Lock::new(Vec::new()));
    let (filled, emptied) = (
        Condition::with_lock(lock.clone()),
        Rc::new(Condition::with_lock(lock)),
    );
    let filled = Rc::new(filled);
    let consumer = spawn({
        let (filled, emptied) = (filled.clone(), emptied.clone());
        async move {
            let mut guard = filled.lock().await;
            filled
                .wait_for(&mut guard, |items: &mut Vec<u32>| !items.is_empty())
                .await;
            emptied.notify_all();
            guard.pop()
        }
    });
    settle().await;
    let mut guard = emptied.lock().await;
    guard.push(7);
    filled.notify(1);
    emptied.wait_for(&mut guard, |items| items.is_empty()).await;
    drop(guard);
    assert_eq!(consumer.await.unwrap(), Some(7));
}

// ----- cancellation -----

/// The lock is there again before control returns to the code.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_wait_ends_with_the_lock() {
    let (condition, trace) = (Rc::new(Condition::new(1)), Trace::new());
    let task = spawn({
        let (condition, notes) = (condition.clone(), trace.clone());
        async move {
            let mut guard = condition.lock().await;
            let caught = catch_cancelled(condition.wait(&mut guard)).await;
            notes.note(format!("caught: {:?}", caught.unwrap_err().message()));
            *guard += 1;
            assert!(condition.is_locked());
        }
    });
    settle().await;
    let guard = condition.lock().await;
    task.cancel_with("enough");
    settle().await;
    trace.note("lock released");
    drop(guard);
    task.await.unwrap();
    assert_eq!(trace.take(), ["lock released", "caught: Some(\"enough\")"]);
    assert_eq!(*condition.lock().await, 2);
}

/// As in asyncio: the latest request is the one that is raised.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn further_requests_wait_for_the_lock_as_well() {
    let condition = Rc::new(Condition::new(()));
    let task = spawn({
        let condition = condition.clone();
        async move {
            let mut guard = condition.lock().await;
            let caught = catch_cancelled(condition.wait(&mut guard)).await;
            caught.unwrap_err().message().map(String::from)
        }
    });
    settle().await;
    let guard = condition.lock().await;
    for message in ["first", "second", "third"] {
        task.cancel_with(message);
        settle().await;
        assert!(!task.is_finished());
    }
    drop(guard);
    assert_eq!(task.await.unwrap().as_deref(), Some("third"));
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_task_that_is_cancelled_while_it_waits_ends_when_it_has_had_the_lock() {
    let (condition, trace, [a, b, c]) = three().await;
    let guard = condition.lock().await;
    b.cancel();
    settle().await;
    assert!(!b.is_finished());
    condition.notify_all();
    drop(guard);
    assert!(b.await.unwrap_err().is_cancelled());
    a.await.unwrap();
    c.await.unwrap();
    assert_eq!(trace.take(), ["a", "c"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_notification_of_a_cancelled_task_goes_to_the_next() {
    let (condition, trace, [a, b, c]) = three().await;
    let guard = condition.lock().await;
    condition.notify(1);
    a.cancel();
    drop(guard);
    assert!(a.await.unwrap_err().is_cancelled());
    b.await.unwrap();
    assert_eq!(trace.take(), ["b"]);
    settle().await;
    assert!(!c.is_finished());
    c.cancel();
    assert!(c.await.unwrap_err().is_cancelled());
    assert_eq!(trace.len(), 0);
}

/// Cancelled while it waits for the lock, after the notification.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_notification_of_a_task_that_is_cancelled_on_its_way_to_the_lock_goes_to_the_next() {
    let (condition, trace, [a, b, _c]) = three().await;
    let guard = condition.lock().await;
    condition.notify(1);
    settle().await;
    assert_eq!(activity(&a), "waits for a condition's lock");
    a.cancel();
    settle().await;
    assert!(!a.is_finished());
    drop(guard);
    assert!(a.await.unwrap_err().is_cancelled());
    b.await.unwrap();
    assert_eq!(trace.take(), ["b"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_timeout_ends_a_wait_with_the_lock() {
    let condition = Condition::new(1);
    let mut guard = condition.lock().await;
    let outcome = timeout(SECOND, condition.wait_for(&mut guard, |number| *number > 1)).await;
    assert!(outcome.is_err());
    *guard += 1;
    assert!(condition.is_locked());
    drop(guard);
    assert!(!condition.is_locked());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_timeout_waits_for_the_lock_beyond_its_deadline() {
    let condition = Rc::new(Condition::new(()));
    let mut guard = condition.lock().await;
    let other = spawn({
        let condition = condition.clone();
        async move {
            let _guard = condition.lock().await;
            sleep(5 * SECOND).await;
        }
    });
    let started = asyncio::running_loop().time();
    assert!(timeout(SECOND, condition.wait(&mut guard)).await.is_err());
    assert_eq!(asyncio::running_loop().time() - started, 5 * SECOND);
    assert!(condition.is_locked());
    drop(guard);
    other.await.unwrap();
}

/// A request that is there before the wait begins leaves the lock where it is.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_request_goes_before_the_wait() {
    let condition = Condition::new(1);
    let mut guard = condition.lock().await;
    interrupt(condition.wait(&mut guard)).await;
    assert_eq!(*guard, 1);
    assert!(condition.is_locked());
}

/// A wait behind a sub-executor is reached by requests, and ends with the lock.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn waits_side_by_side_in_one_task_all_end_with_the_lock() {
    let (condition, trace) = (Rc::new(Condition::new(0)), Trace::new());
    let task = spawn({
        let (condition, trace) = (condition.clone(), trace.clone());
        let waits = (0..3).map(move |number| {
            let (condition, notes) = (condition.clone(), trace.clone());
            async move {
                let mut guard = condition.lock().await;
                let caught = catch_cancelled(condition.wait(&mut guard)).await;
                *guard += 1;
                notes.note(format!("{number}: {}", *guard));
                drop(guard);
                caught.unwrap_err().raise().await
            }
        });
        async move { join_all(waits).await.len() }
    });
    settle().await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(*condition.lock().await, 3);
    assert_eq!(trace.len(), 3);
}

/// Without a scope of its own around it, and behind a sub-executor that polls only what was woken.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_wait_behind_a_sub_executor_has_the_lock_before_the_request_goes_on() {
    let condition = Rc::new(Condition::new(()));
    let task = spawn({
        let condition = condition.clone();
        async move {
            let waits: FuturesUnordered<_> = (0..2)
                .map(|_| async {
                    let mut guard = condition.lock().await;
                    condition.wait(&mut guard).await;
                })
                .collect();
            waits.count().await
        }
    });
    settle().await;
    let guard = condition.lock().await;
    task.cancel();
    settle().await;
    assert!(!task.is_finished());
    drop(guard);
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!condition.is_locked());
}

// ----- dropping -----

/// Not cancelled, only dropped: a free lock is taken back.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dropped_wait_takes_a_free_lock_back() {
    let condition = Condition::new(1);
    let mut guard = condition.lock().await;
    let mut wait = Box::pin(condition.wait(&mut guard));
    assert!(poll_once(&mut wait).is_pending());
    assert!(!condition.is_locked());
    drop(wait);
    assert_eq!(*guard, 1);
    assert!(condition.is_locked());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn using_the_guard_of_a_dropped_wait_panics_if_the_lock_is_another_tasks() {
    let condition = Condition::new(1);
    let mut guard = condition.lock().await;
    let mut wait = Box::pin(condition.wait(&mut guard));
    assert!(poll_once(&mut wait).is_pending());
    let other = condition.lock().await;
    drop(wait);
    let text = panic_of(|| assert_eq!(*guard, 1));
    assert!(text.starts_with("the lock is not held"), "{text}");
    let text = panic_of(|| drop(condition.wait(&mut guard)));
    assert!(
        text.starts_with("cannot wait on un-acquired lock"),
        "{text}"
    );
    drop(guard);
    assert!(
        condition.is_locked(),
        "the other one's lock is not released"
    );
    drop(other);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_notification_of_a_dropped_wait_goes_to_the_next() {
    let (condition, trace) = (Rc::new(Condition::default()), Trace::new());
    let mut guard = condition.lock().await;
    let mut wait = Box::pin(condition.wait(&mut guard));
    assert!(poll_once(&mut wait).is_pending());
    let next = waiter(&condition, &trace, "next");
    settle().await;
    let other = condition.lock().await;
    condition.notify(1);
    drop(other);
    drop(wait);
    drop(guard);
    next.await.unwrap();
    assert_eq!(trace.take(), ["next"]);
}

/// A task that is dropped where it waits, as at the end of its loop, leaves the lock to the others.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_future_dropped_on_its_way_to_the_lock_leaves_the_lock_to_the_next() {
    let (condition, trace) = (Rc::new(Condition::default()), Trace::new());
    let mut code = Box::pin(async {
        let mut guard = condition.lock().await;
        condition.wait(&mut guard).await;
    });
    assert!(poll_once(&mut code).is_pending());
    let other = condition.lock().await;
    condition.notify_all();
    assert!(poll_once(&mut code).is_pending());
    let next = waiter(&condition, &trace, "next");
    settle().await;
    drop(other);
    drop(code);
    settle().await;
    let guard = condition.lock().await;
    condition.notify_all();
    drop(guard);
    next.await.unwrap();
}

// ----- misuse -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn notifying_without_the_lock_is_a_mistake() {
    let condition = Condition::new(());
    for text in [
        panic_of(|| condition.notify(1)),
        panic_of(|| condition.notify_all()),
    ] {
        assert!(
            text.starts_with("cannot notify on un-acquired lock"),
            "{text}"
        );
    }
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn waiting_with_another_locks_guard_is_a_mistake() {
    let [condition, other] = [Condition::new(()), Condition::new(())];
    let mut guard = other.lock().await;
    let text = panic_of(|| drop(condition.wait(&mut guard)));
    assert!(
        text.starts_with("cannot wait on un-acquired lock"),
        "{text}"
    );
}

// ----- what is said -----

/// Being asked moves nothing: the task waits as before.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_that_a_condition_is_waited_for() {
    let (condition, trace, [a, ..]) = three().await;
    assert_eq!(activity(&a), "waits for a condition");
    let guard = condition.lock().await;
    condition.notify_all();
    drop(guard);
    settle().await;
    assert_eq!(trace.take(), ["a", "b", "c"]);
    assert_eq!(
        format!("{condition:?}"),
        "<Condition of <Lock unlocked ()>>"
    );
}

/// A wait that is polled for no reason goes on waiting.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_wake_up_without_a_reason_ends_no_wait() {
    let condition = Condition::new(());
    let mut guard = condition.lock().await;
    let mut wait = pin!(condition.wait(&mut guard));
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        assert!(wait.as_mut().poll(cx).is_pending());
        cx.waker().wake_by_ref();
        if polls < 3 {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    yield_now().await;
    assert!(!condition.is_locked());
}
