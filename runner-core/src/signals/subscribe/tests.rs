//! Moments that no test from outside can meet: a signal is delivered, and the thread has not looked yet.

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::*;
use crate::signals::Disposition;

/// One per test: the table is the whole process's.
const NEWCOMER: i32 = 41;
const LEFT_OVER: i32 = 42;
const BENEATH: i32 = 43;
const STAYS: i32 = 44;
const PASSED_ON: i32 = 45;
const REPLACED: i32 = 46;

fn counting(signal: i32) -> (Arc<AtomicU32>, Subscription) {
    let count = Arc::new(AtomicU32::new(0));
    let told = count.clone();
    let listener = move || {
        told.fetch_add(1, Ordering::SeqCst);
    };
    (count, subscribe(signal, Arc::new(listener)).unwrap())
}

/// As the handler does, but without the bell.
fn deliver_silently(signal: i32) {
    DELIVERED[signal as usize].fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_signal_that_is_on_its_way_is_for_those_who_were_there() {
    let (old, _old) = counting(NEWCOMER);
    deliver_silently(NEWCOMER);
    let (new, _new) = counting(NEWCOMER);
    deliver_silently(NEWCOMER);
    // Another test that makes the round may be telling some of it: it is waited for.
    tell_listeners();
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline && old.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    assert_eq!(old.load(Ordering::SeqCst), 2);
    assert_eq!(new.load(Ordering::SeqCst), 1);
}

#[test]
fn a_signal_for_listeners_that_are_gone_is_for_nobody() {
    let (gone, subscription) = counting(LEFT_OVER);
    deliver_silently(LEFT_OVER);
    drop(subscription);
    let (new, _new) = counting(LEFT_OVER);
    tell_listeners();
    assert_eq!(gone.load(Ordering::SeqCst), 0);
    assert_eq!(new.load(Ordering::SeqCst), 0);
}

#[test]
fn what_lies_beneath_changes_without_the_listeners_noticing() {
    let (_count, subscription) = counting(BENEATH);
    let is_default = |action: &Action| action.disposition() == Disposition::Default;
    assert!(is_default(&beneath(BENEATH).unwrap()));
    assert!(!exchange_beneath(BENEATH, Action::ours(), |action| {
        !is_default(action)
    }));
    assert!(exchange_beneath(BENEATH, Action::ours(), is_default));
    assert!(!is_default(&beneath(BENEATH).unwrap()));
    assert!(Action::of(BENEATH).unwrap().is_subscribed());
    drop(subscription);
    let action = Action::of(BENEATH).unwrap();
    assert!(!action.is_subscribed() && !is_default(&action));
    assert!(exchange_beneath(BENEATH, Action::default(), |action| {
        !is_default(action)
    }));
    assert!(is_default(&Action::of(BENEATH).unwrap()));
}

fn stand_by(signal: i32) -> StandBy {
    // Other tests of this process have a thread, or have not, by the order in which they run.
    start_listening().unwrap();
    StandBy::new(signal, Arc::new(|| ()), |_| ()).unwrap()
}

fn is_in_place(signal: i32) -> bool {
    Action::of(signal).unwrap().is_subscribed()
}

#[test]
fn the_handler_of_one_who_stands_by_stays() {
    let stand_by = stand_by(STAYS);
    assert!(is_in_place(STAYS) && is_idle(STAYS));
    stand_by.set_wanted(true);
    assert!(is_in_place(STAYS) && !is_idle(STAYS));
    let (_count, subscription) = counting(STAYS);
    stand_by.set_wanted(false);
    assert!(is_in_place(STAYS) && !is_idle(STAYS));
    drop(subscription);
    assert!(is_in_place(STAYS) && is_idle(STAYS));
}

#[test]
fn a_handler_that_nobody_wants_does_nothing_if_another_calls_it() {
    let stand_by = stand_by(PASSED_ON);
    // As a handler that was put over ours, and calls what it found.
    Action::ours().install(PASSED_ON).unwrap();
    deliver(PASSED_ON);
    assert!(!is_in_place(PASSED_ON));
    assert_eq!(
        DELIVERED[PASSED_ON as usize].load(Ordering::SeqCst),
        0,
        "nobody wanted it"
    );
    stand_by.set_wanted(true);
    deliver(PASSED_ON);
    assert!(!is_in_place(PASSED_ON));
}

#[test]
fn what_replaced_the_handler_of_one_who_stands_by_comes_back_after_a_listener() {
    let _stand_by = stand_by(REPLACED);
    let theirs = Action::ours();
    theirs.install(REPLACED).unwrap();
    let (_count, subscription) = counting(REPLACED);
    assert!(is_in_place(REPLACED));
    drop(subscription);
    assert!(!is_in_place(REPLACED));
    assert_eq!(
        Action::of(REPLACED).unwrap().disposition(),
        Disposition::Handled
    );
}
