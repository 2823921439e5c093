//! `Event`.

use std::rc::Rc;

use asyncio::spawn;
use asyncio::sync::Event;

use crate::support::trace::Trace;
use crate::{activity, at_once, interrupt, settle, started};

#[asyncio::test(virtual_time, timeout = "1h")]
async fn waiting_for_an_event_that_is_set_does_not_suspend() {
    let event = Event::new();
    event.set();
    at_once(event.wait()).await;
    assert!(event.is_set());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn all_who_wait_go_on_in_the_order_in_which_they_came() {
    let (event, trace) = (Rc::new(Event::new()), Trace::new());
    for number in 0..4 {
        let (event, notes) = (event.clone(), trace.clone());
        drop(spawn(async move {
            event.wait().await;
            notes.note(number.to_string());
        }));
    }
    settle().await;
    assert_eq!(trace.len(), 0);
    event.set();
    settle().await;
    assert_eq!(trace.take(), ["0", "1", "2", "3"]);
}

/// As in asyncio: what was set was set.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn who_waited_goes_on_although_the_event_is_cleared_at_once() {
    let event = Rc::new(Event::new());
    let waiter = started({
        let event = event.clone();
        async move { event.wait().await }
    })
    .await;
    event.set();
    event.clear();
    waiter.await.unwrap();
    assert!(!event.is_set());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cleared_event_is_waited_for_again() {
    let event = Rc::new(Event::new());
    event.set();
    event.clear();
    let waiter = started({
        let event = event.clone();
        async move { event.wait().await }
    })
    .await;
    assert!(!waiter.is_finished());
    event.set();
    waiter.await.unwrap();
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn setting_it_twice_changes_nothing() {
    let event = Event::default();
    event.set();
    event.set();
    assert_eq!(format!("{event:?}"), "<Event set>");
    event.clear();
    assert_eq!(format!("{event:?}"), "<Event unset>");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_wait_leaves_nothing_behind() {
    let event = Rc::new(Event::new());
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let event = event.clone();
            spawn(async move { event.wait().await })
        })
        .collect();
    settle().await;
    waiters[1].cancel();
    settle().await;
    event.set();
    settle().await;
    let cancelled: Vec<_> = waiters.iter().map(|task| task.is_cancelled()).collect();
    assert_eq!(cancelled, [false, true, false]);
    assert!(waiters.iter().all(|task| task.is_finished()));
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_request_goes_before_an_event_that_is_set() {
    let event = Event::new();
    event.set();
    interrupt(event.wait()).await;
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_that_an_event_is_waited_for() {
    let event = Rc::new(Event::new());
    let waiter = started({
        let event = event.clone();
        async move { event.wait().await }
    })
    .await;
    assert_eq!(activity(&waiter), "waits for an event");
    event.set();
    waiter.await.unwrap();
}
