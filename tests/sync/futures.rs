//! `Future`.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use asyncio::sync::Future;
use asyncio::{CancelReason, catch_cancelled, context_var, new_event_loop, spawn, timeout};

use crate::support::trace::Trace;
use crate::{activity, at_once, interrupt, poll_once, settle, started};

#[asyncio::test(virtual_time, timeout = "1h")]
async fn all_who_wait_get_the_value() {
    let future = Future::new();
    let waiters = [spawn(future.clone()), spawn(future.clone())];
    settle().await;
    assert_eq!(format!("{future:?}"), "<Future pending>");
    assert!(future.result().is_none());
    future.set_result("value").unwrap();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap(), "value");
    }
    assert_eq!(at_once(future.clone()).await.unwrap(), "value");
    assert_eq!(future.result(), Some(&Ok("value")));
    assert_eq!(format!("{future:?}"), "<Future finished>");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_value_is_set_once() {
    let future = Future::new();
    future.set_result(1).unwrap();
    let error = future.set_result(2).unwrap_err();
    assert!(!error.is_cancelled());
    assert_eq!(error.into_inner(), 2);
    assert!(!future.cancel());
    assert_eq!(future.await, Ok(1));
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_future_gives_the_error_and_takes_no_value() {
    let future = Future::<u32>::new();
    let waiter = started(future.clone()).await;
    assert!(future.cancel_with("no longer needed"));
    assert!(!future.cancel());
    let error = waiter.await.unwrap().unwrap_err();
    assert_eq!(error.message(), Some("no longer needed"));
    assert_eq!(error.reason(), CancelReason::User);
    assert!(future.is_cancelled() && future.is_done());
    assert!(future.set_result(1).unwrap_err().is_cancelled());
    assert_eq!(format!("{future:?}"), "<Future cancelled>");
}

/// semantics 5.2: in the order of registration, tasks and callbacks alike.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn tasks_and_callbacks_are_told_in_the_order_in_which_they_came() {
    let (future, trace) = (Future::new(), Trace::new());
    for number in 0..2 {
        let (callback, task) = (trace.clone(), trace.clone());
        future.add_done_callback(move |future| {
            callback.note(format!("callback {number}: {:?}", future.result().unwrap()));
        });
        let awaited = future.clone();
        drop(
            started(async move {
                awaited.await.unwrap();
                task.note(format!("task {number}"));
            })
            .await,
        );
    }
    future.set_result(7).unwrap();
    trace.note("set");
    let late = trace.clone();
    future.add_done_callback(move |_| late.note("late"));
    settle().await;
    let told = [
        "set",
        "callback 0: Ok(7)",
        "task 0",
        "callback 1: Ok(7)",
        "task 1",
        "late",
    ];
    assert_eq!(trace.take(), told);
}

context_var! {
    static COLOUR: &'static str;
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_callback_is_called_in_the_context_of_whoever_added_it() {
    let (future, seen) = (Future::new(), Rc::new(RefCell::new(None)));
    COLOUR.set("red");
    let colour = seen.clone();
    future.add_done_callback(move |_| *colour.borrow_mut() = COLOUR.get());
    COLOUR.set("blue");
    future.set_result(()).unwrap();
    settle().await;
    assert_eq!(*seen.borrow(), Some("red"));
}

#[test]
fn without_a_loop_a_callback_is_called_at_once() {
    let (future, trace) = (Future::new(), Trace::new());
    let notes = trace.clone();
    future.add_done_callback(move |future| notes.note(format!("{:?}", future.result().unwrap())));
    future.set_result(7).unwrap();
    assert_eq!(trace.take(), ["Ok(7)"]);
}

/// A callback does not keep the future alive that it waits for.
#[test]
fn a_callback_goes_with_the_last_handle() {
    let (future, trace) = (Future::<u32>::new(), Trace::new());
    let guard = trace.on_drop("dropped");
    future.add_done_callback(move |_| drop(guard));
    drop(future.clone());
    assert_eq!(trace.len(), 0);
    drop(future);
    assert_eq!(trace.take(), ["dropped"]);
}

/// semantics 4.1: a task that is cancelled cancels the future it waits for; others see that.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_task_that_is_cancelled_cancels_the_future_that_it_awaits() {
    let future = Future::<u32>::new();
    let [one, other] = [started(future.clone()).await, started(future.clone()).await];
    one.cancel_with("enough");
    assert!(one.await.unwrap_err().is_cancelled());
    assert!(future.is_cancelled());
    let error = other.await.unwrap().unwrap_err();
    assert_eq!(
        (error.message(), error.reason()),
        (Some("enough"), CancelReason::Parent)
    );
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_timeout_cancels_the_future_that_it_is_around() {
    let future = Future::<u32>::new();
    assert!(
        timeout(Duration::from_secs(1), future.clone())
            .await
            .is_err()
    );
    assert!(future.is_cancelled());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_request_goes_before_the_value_which_stays() {
    let future = Future::new();
    future.set_result(7).unwrap();
    interrupt(future.clone()).await;
    assert_eq!(future.await, Ok(7));
}

/// The same future is awaited again after the request that cancelled it was caught.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_future_that_was_cancelled_with_its_task_is_cancelled_for_whoever_awaits_again() {
    let future = Future::<u32>::new();
    let mut awaited = future.clone();
    let task = started(async move {
        assert!(catch_cancelled(&mut awaited).await.is_err());
        awaited.await
    })
    .await;
    task.cancel();
    assert!(task.await.unwrap().is_err());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn dropping_a_handle_that_waits_cancels_nothing() {
    let future = Future::new();
    let mut dropped = future.clone();
    assert!(poll_once(&mut dropped).is_pending());
    let waiter = started(future.clone()).await;
    drop(dropped);
    future.set_result(7).unwrap();
    assert_eq!(waiter.await.unwrap(), Ok(7));
}

/// A waker that counts who holds it.
struct Held;

impl Wake for Held {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_handle_that_is_dropped_lets_go_of_its_waker() {
    let future = Future::<u32>::new();
    let held = Arc::new(Held);
    let waker = Waker::from(held.clone());
    let mut waiting = [future.clone(), future.clone()];
    for future in &mut waiting {
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(future).poll(&mut cx).is_pending());
    }
    assert_eq!(Arc::strong_count(&held), 4);
    drop(waiting);
    assert_eq!(Arc::strong_count(&held), 2);
}

/// It belongs to no loop: set between two runs, it is there in the next.
#[test]
fn a_value_that_is_set_while_no_loop_runs_wakes_its_task_in_the_next_run() {
    let event_loop = new_event_loop().unwrap();
    let future = Future::new();
    let task = event_loop.spawn(future.clone());
    event_loop.run_until_complete(settle()).unwrap();
    assert!(!task.is_finished());
    future.set_result(7).unwrap();
    let value = event_loop.run_until_complete(task).unwrap();
    assert_eq!(value.unwrap(), Ok(7));
    event_loop.close().unwrap();
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_that_a_future_is_waited_for_and_cancels_nothing() {
    let future = Future::new();
    let waiter = started(future.clone()).await;
    assert_eq!(activity(&waiter), "waits for a future");
    assert!(!future.is_done());
    future.set_result(7).unwrap();
    assert_eq!(waiter.await.unwrap(), Ok(7));
}
