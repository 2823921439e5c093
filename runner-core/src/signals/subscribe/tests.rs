//! Moments that no test from outside can meet: a signal is delivered, and the thread has not looked yet.

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::*;
use crate::signals::Disposition;

/// One per test: the table is the whole process's.
const NEWCOMER: i32 = 41;
const LEFT_OVER: i32 = 42;
const BENEATH: i32 = 43;

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
