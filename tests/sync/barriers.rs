//! `Barrier`.

use std::rc::Rc;

use asyncio::sync::{Barrier, BrokenBarrierError};
use asyncio::{Task, spawn, yield_now};

use crate::{activity, at_once, interrupt, panic_of, poll_once, settle, started};

type Passed = Task<Result<usize, BrokenBarrierError>>;

fn party(barrier: &Rc<Barrier>) -> Passed {
    let barrier = barrier.clone();
    spawn(async move { barrier.wait().await })
}

async fn indices(parties: impl IntoIterator<Item = Passed>) -> Vec<usize> {
    let mut indices = Vec::new();
    for party in parties {
        indices.push(party.await.unwrap().unwrap());
    }
    indices
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn all_pass_together_and_know_the_order_in_which_they_came() {
    let barrier = Rc::new(Barrier::new(3));
    let two = [party(&barrier), party(&barrier)];
    settle().await;
    assert_eq!((barrier.n_waiting(), barrier.parties()), (2, 3));
    assert!(two.iter().all(|task| !task.is_finished()));
    assert_eq!(at_once(barrier.wait()).await, Ok(2));
    assert_eq!(indices(two).await, [0, 1]);
    assert_eq!(barrier.n_waiting(), 0);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_barrier_for_one_stops_nobody() {
    let barrier = Barrier::new(1);
    for _ in 0..3 {
        assert_eq!(at_once(barrier.wait()).await, Ok(0));
    }
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_barrier_is_passed_again_and_again() {
    let barrier = Rc::new(Barrier::new(2));
    for _ in 0..3 {
        assert_eq!(indices([party(&barrier), party(&barrier)]).await, [0, 1]);
    }
}

/// Who comes while the last round drains belongs to the next.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_newcomer_waits_until_the_round_before_has_drained() {
    let barrier = Rc::new(Barrier::new(2));
    let first = party(&barrier);
    settle().await;
    barrier.wait().await.unwrap();
    // The first one was woken and has yet to run.
    let mut newcomer = Box::pin(barrier.wait());
    assert!(poll_once(&mut newcomer).is_pending());
    assert_eq!(barrier.n_waiting(), 0);
    assert_eq!(format!("{barrier:?}"), "<Barrier draining, waiters:0/2>");
    first.await.unwrap().unwrap();
    assert!(poll_once(&mut newcomer).is_pending());
    assert_eq!(barrier.n_waiting(), 1);
    assert_eq!(barrier.wait().await, Ok(1));
    assert_eq!(newcomer.await, Ok(0));
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn five_rounds_of_two_are_passed_by_ten() {
    let barrier = Rc::new(Barrier::new(2));
    let tasks: Vec<_> = (0..10).map(|_| party(&barrier)).collect();
    let mut passed = indices(tasks).await;
    passed.sort_unstable();
    assert_eq!(passed, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
}

/// Unlike a thread's barrier, asyncio's is not broken by it.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_party_is_not_counted_and_the_others_wait_for_one_more() {
    let barrier = Rc::new(Barrier::new(3));
    let [a, b] = [party(&barrier), party(&barrier)];
    settle().await;
    a.cancel();
    a.await.unwrap_err();
    assert_eq!(barrier.n_waiting(), 1);
    let c = party(&barrier);
    settle().await;
    assert!(!b.is_finished());
    let d = party(&barrier);
    assert_eq!(indices([b, c, d]).await, [0, 1, 2]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_party_that_is_cancelled_after_all_have_come_does_not_hold_the_others() {
    let barrier = Rc::new(Barrier::new(3));
    let [a, b] = [party(&barrier), party(&barrier)];
    settle().await;
    barrier.wait().await.unwrap();
    a.cancel();
    a.await.unwrap_err();
    assert_eq!(indices([b]).await, [1]);
    assert_eq!(format!("{barrier:?}"), "<Barrier filling, waiters:0/3>");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_reset_sends_those_who_wait_away() {
    let barrier = Rc::new(Barrier::new(3));
    let inside = [party(&barrier), party(&barrier)];
    settle().await;
    barrier.reset();
    let newcomer = started({
        let barrier = barrier.clone();
        async move { barrier.wait().await }
    })
    .await;
    for task in inside {
        assert!(task.await.unwrap().is_err());
    }
    assert!(!barrier.is_broken());
    assert_eq!(barrier.n_waiting(), 1);
    let rest = [newcomer, party(&barrier), party(&barrier)];
    assert_eq!(indices(rest).await, [0, 1, 2]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_broken_barrier_fails_those_who_wait_and_those_who_come() {
    let barrier = Rc::new(Barrier::new(2));
    let inside = party(&barrier);
    settle().await;
    barrier.abort();
    assert!(barrier.is_broken());
    assert!(inside.await.unwrap().is_err());
    let error = at_once(barrier.wait()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the barrier that was to be passed was aborted"
    );
    barrier.reset();
    assert_eq!(indices([party(&barrier), party(&barrier)]).await, [0, 1]);
}

/// As in asyncio: what counts is the state in which the task finds the barrier when it runs.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_party_that_was_let_go_fails_if_the_barrier_is_aborted_before_it_runs() {
    let barrier = Rc::new(Barrier::new(2));
    let first = party(&barrier);
    settle().await;
    assert_eq!(barrier.wait().await, Ok(1));
    barrier.abort();
    assert!(first.await.unwrap().is_err());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn an_abort_reaches_those_who_wait_outside() {
    let barrier = Rc::new(Barrier::new(2));
    let mut first = Box::pin(barrier.wait());
    assert!(poll_once(&mut first).is_pending());
    barrier.wait().await.unwrap();
    let outside = party(&barrier);
    settle().await;
    assert!(!outside.is_finished());
    barrier.abort();
    assert!(outside.await.unwrap().is_err());
    drop(first);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dropped_party_lets_those_outside_in() {
    let barrier = Rc::new(Barrier::new(2));
    let mut first = Box::pin(barrier.wait());
    assert!(poll_once(&mut first).is_pending());
    barrier.wait().await.unwrap();
    let outside = [party(&barrier), party(&barrier)];
    settle().await;
    drop(first);
    assert_eq!(indices(outside).await, [0, 1]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_request_goes_before_the_last_partys_turn() {
    let barrier = Rc::new(Barrier::new(2));
    let first = party(&barrier);
    settle().await;
    interrupt(barrier.wait()).await;
    yield_now().await;
    assert!(!first.is_finished());
    barrier.wait().await.unwrap();
    first.await.unwrap().unwrap();
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_barrier_for_nobody_is_a_mistake() {
    assert_eq!(panic_of(|| drop(Barrier::new(0))), "parties must be > 0");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_that_a_barrier_is_waited_for() {
    let barrier = Rc::new(Barrier::new(2));
    let first = party(&barrier);
    settle().await;
    assert_eq!(activity(&first), "waits for a barrier");
    barrier.wait().await.unwrap();
    first.await.unwrap().unwrap();
}
