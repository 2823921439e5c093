//! `add_signal_handler`: semantics 2.8, with the differences that its documentation names.
#![cfg(unix)]

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asyncio::EventLoop;

const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// Signals are the whole process's: the tests that send some take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `signal` to this process; it is delivered when this returns, or about to be.
fn send(signal: i32) {
    let pid = std::process::id().to_string();
    assert!(
        Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()
            .unwrap()
            .success()
    );
}

/// The bit of `signal` in the process's mask of caught signals.
fn is_caught(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap()
        .trim();
    u64::from_str_radix(mask, 16).unwrap() >> (signal - 1) & 1 == 1
}

/// Runs the loop until a handler stops it. One that is not called must not hang the tests: what it should have done is
/// missed then.
fn run_until_stopped(event_loop: &EventLoop) {
    let stopper = event_loop.clone();
    let limit = event_loop.call_later(Duration::from_secs(20), move || stopper.stop());
    event_loop.run_forever().unwrap();
    limit.cancel();
}

/// A loop whose handler for `signal` counts, and stops the loop at `limit`.
fn counting(event_loop: &EventLoop, signal: i32, limit: u32) -> Rc<Cell<u32>> {
    let count = Rc::new(Cell::new(0));
    let (seen, stopper) = (count.clone(), event_loop.clone());
    event_loop
        .add_signal_handler(signal, move || {
            seen.set(seen.get() + 1);
            if seen.get() == limit {
                stopper.stop();
            }
        })
        .unwrap();
    count
}

#[test]
fn a_signal_wakes_a_loop_that_waits_and_runs_the_callback_on_its_thread() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    let count = counting(&event_loop, SIGUSR1, 1);
    let sender = std::thread::spawn(|| send(SIGUSR1));
    run_until_stopped(&event_loop);
    sender.join().unwrap();
    assert_eq!(count.get(), 1);
    event_loop.close().unwrap();
}

#[test]
fn each_signal_that_was_delivered_is_one_call() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let (seen, stopper) = (count.clone(), event_loop.clone());
    let handler = move || {
        seen.set(seen.get() + 1);
        // One after the other: the kernel merges those that are pending at the same time.
        match seen.get() {
            1 | 2 => send(SIGUSR1),
            _ => stopper.stop(),
        }
    };
    event_loop.add_signal_handler(SIGUSR1, handler).unwrap();
    event_loop.call_soon(|| send(SIGUSR1));
    run_until_stopped(&event_loop);
    assert_eq!(count.get(), 3);
    event_loop.close().unwrap();
}

#[test]
fn every_loop_that_listens_is_told() {
    let _alone = alone();
    let loops = [EventLoop::new().unwrap(), EventLoop::new().unwrap()];
    let counts = loops
        .each_ref()
        .map(|event_loop| counting(event_loop, SIGUSR1, 1));
    send(SIGUSR1);
    for (event_loop, count) in loops.iter().zip(&counts) {
        run_until_stopped(event_loop);
        assert_eq!(count.get(), 1);
        event_loop.close().unwrap();
    }
}

#[test]
fn a_second_handler_replaces_the_first() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    let first = counting(&event_loop, SIGUSR1, 1);
    let second = counting(&event_loop, SIGUSR1, 1);
    send(SIGUSR1);
    run_until_stopped(&event_loop);
    assert_eq!((first.get(), second.get()), (0, 1));
    event_loop.close().unwrap();
}

#[test]
fn removing_the_last_handler_and_closing_the_loop_bring_the_disposition_back() {
    let _alone = alone();
    assert!(!is_caught(SIGUSR2));
    let event_loop = EventLoop::new().unwrap();
    let _count = counting(&event_loop, SIGUSR2, 1);
    assert!(is_caught(SIGUSR2));
    assert!(event_loop.remove_signal_handler(SIGUSR2));
    assert!(!is_caught(SIGUSR2));
    assert!(!event_loop.remove_signal_handler(SIGUSR2));

    let _count = counting(&event_loop, SIGUSR2, 1);
    event_loop.close().unwrap();
    assert!(!is_caught(SIGUSR2));
}

#[test]
fn what_cannot_be_caught_is_refused_in_words() {
    let event_loop = EventLoop::new().unwrap();
    let refused = |signal| {
        event_loop
            .add_signal_handler(signal, || ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused(99), "invalid signal number 99");
    assert_eq!(refused(0), "invalid signal number 0");
    assert_eq!(refused(-1), "invalid signal number -1");
    assert_eq!(refused(SIGKILL), "sig 9 cannot be caught");
    assert!(refused(SIGSEGV).contains("the program is broken"));
    event_loop.close().unwrap();
    assert_eq!(refused(SIGUSR1), "Event loop is closed");
    assert!(!event_loop.remove_signal_handler(SIGUSR1));
}

#[test]
fn a_handler_that_panics_is_reported_and_called_again() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    let reports = Rc::new(Cell::new(0));
    let (seen, stopper) = (reports.clone(), event_loop.clone());
    event_loop.set_exception_handler(move |_, context| {
        assert_eq!(context.message(), "Exception in callback");
        seen.set(seen.get() + 1);
        match seen.get() {
            1 => send(SIGUSR1),
            _ => stopper.stop(),
        }
    });
    event_loop
        .add_signal_handler(SIGUSR1, || panic!("the handler failed"))
        .unwrap();
    event_loop.call_soon(|| send(SIGUSR1));
    run_until_stopped(&event_loop);
    assert_eq!(reports.get(), 2);
    event_loop.close().unwrap();
}

/// Removes a handler when it is dropped.
struct Removes(EventLoop, i32);

impl Drop for Removes {
    fn drop(&mut self) {
        self.0.remove_signal_handler(self.1);
    }
}

#[test]
fn what_a_callback_holds_may_remove_handlers_as_it_goes() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    for removes_by_hand in [true, false] {
        counting(&event_loop, SIGUSR2, 1);
        let held = Rc::new(Removes(event_loop.clone(), SIGUSR2));
        let callback = move || assert!(!held.0.is_closed());
        event_loop.add_signal_handler(SIGUSR1, callback).unwrap();
        if removes_by_hand {
            assert!(event_loop.remove_signal_handler(SIGUSR1));
        } else {
            event_loop.add_signal_handler(SIGUSR1, || ()).unwrap();
        }
        assert!(!event_loop.remove_signal_handler(SIGUSR2));
    }
    event_loop.close().unwrap();
}
