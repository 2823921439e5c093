//! `asyncio::signal`: many listeners, told of every signal since they were made. What it has to do with Ctrl-C's ladder is
//! in `sigint.rs`.
#![cfg(unix)]

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use asyncio::signal::{Listener, signal, user_defined1, user_defined2};
use asyncio::{EventLoop, catch_cancelled};
use futures_lite::StreamExt as _;
use futures_lite::future::block_on;

const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
/// The system queues signals of such numbers instead of merging them.
const REAL_TIME: i32 = 40;

/// Signals are the whole process's: the tests that send some take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A signal that does not arrive must not hang the tests.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `future`, for a limited time.
fn run<F: Future>(future: F) -> F::Output {
    asyncio::run(asyncio::timeout(LIMIT, future))
        .unwrap()
        .expect("a signal did not arrive")
}

/// Sends `signal` to this process; it is delivered when this returns, or about to be.
fn send(signal: i32) {
    let pid = std::process::id().to_string();
    let mut kill = Command::new("kill");
    let status = kill.args([&format!("-{signal}"), &pid]).status();
    assert!(status.unwrap().success());
}

/// Sends `signal` and waits until all listeners that are older than `witness` were told of it.
async fn send_and_wait(witness: &mut Listener) {
    send(witness.number());
    witness.recv().await.unwrap();
}

/// The same, and lets the loop run the callbacks, which are in its inbox when the witness is told: one turn to take them
/// out, and one to run them.
async fn send_and_wait_for_callbacks(witness: &mut Listener) {
    send_and_wait(witness).await;
    asyncio::yield_now().await;
    asyncio::yield_now().await;
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

#[test]
fn a_listener_hears_from_the_call_on_and_not_from_the_first_poll() {
    let _alone = alone();
    run(async {
        let mut listener = user_defined1();
        let mut witness = user_defined1();
        send_and_wait(&mut witness).await;
        assert_eq!(listener.drain(), 1);
        assert_eq!(listener.drain(), 0);
    });
}

#[test]
fn a_signal_wakes_a_loop_that_waits() {
    let _alone = alone();
    let sender = run(async {
        let listener = user_defined1();
        let sender = std::thread::spawn(|| send(SIGUSR1));
        listener.await.unwrap();
        sender
    });
    sender.join().unwrap();
}

#[test]
fn signals_that_nobody_took_are_counted() {
    let _alone = alone();
    run(async {
        let mut listener = user_defined1();
        let mut witness = user_defined1();
        for _ in 0..3 {
            send_and_wait(&mut witness).await;
        }
        for _ in 0..2 {
            listener.recv().await.unwrap();
        }
        assert_eq!(listener.drain(), 1);
    });
}

#[test]
fn signals_that_the_system_queues_all_arrive() {
    let _alone = alone();
    run(async {
        let mut listener = signal(REAL_TIME);
        for _ in 0..5 {
            send(REAL_TIME);
        }
        for _ in 0..5 {
            listener.recv().await.unwrap();
        }
        assert_eq!(listener.drain(), 0);
    });
}

#[test]
fn a_newcomer_is_not_told_of_what_came_before() {
    let _alone = alone();
    run(async {
        let mut witness = user_defined1();
        send_and_wait(&mut witness).await;
        let mut newcomer = user_defined1();
        send_and_wait(&mut witness).await;
        newcomer.recv().await.unwrap();
        assert_eq!(newcomer.drain(), 0);
    });
}

#[test]
fn loops_in_other_threads_are_each_told_once() {
    let _alone = alone();
    let (ready, is_ready) = mpsc::channel();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                run(async {
                    let mut listener = user_defined1();
                    ready.send(()).unwrap();
                    listener.recv().await.unwrap();
                    listener.drain()
                })
            })
        })
        .collect();
    threads.iter().for_each(|_| is_ready.recv().unwrap());
    send(SIGUSR1);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 0);
    }
    assert!(!is_caught(SIGUSR1));
}

#[test]
fn a_listener_needs_no_loop() {
    let _alone = alone();
    let mut listener = user_defined1();
    let (heard, is_heard) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        block_on(listener.recv()).unwrap();
        heard.send(()).unwrap();
    });
    send(SIGUSR1);
    is_heard.recv_timeout(LIMIT).unwrap();
    waiter.join().unwrap();
}

#[test]
fn callbacks_and_listeners_are_both_told_and_one_may_go_without_the_other() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let seen = calls.clone();
    let count = move || {
        let seen = seen.clone();
        move || seen.set(seen.get() + 1)
    };
    event_loop.add_signal_handler(SIGUSR1, count()).unwrap();
    let handlers = event_loop.clone();
    let told = calls.clone();
    let scenario = async move {
        let mut witness = user_defined1();
        send_and_wait_for_callbacks(&mut witness).await;
        assert_eq!(told.get(), 1);

        assert!(handlers.remove_signal_handler(SIGUSR1));
        assert!(is_caught(SIGUSR1));
        send_and_wait_for_callbacks(&mut witness).await;
        assert_eq!(told.get(), 1);

        handlers.add_signal_handler(SIGUSR1, count()).unwrap();
        drop(witness);
        assert!(is_caught(SIGUSR1));
        let mut witness = user_defined1();
        send_and_wait_for_callbacks(&mut witness).await;
        assert_eq!(told.get(), 2);
    };
    let limited = asyncio::timeout(LIMIT, scenario);
    event_loop
        .run_until_complete(limited)
        .unwrap()
        .expect("a signal did not arrive");
    assert!(is_caught(SIGUSR1));
    event_loop.close().unwrap();
    assert!(!is_caught(SIGUSR1));
}

#[test]
fn the_last_listener_gives_the_signal_back() {
    let _alone = alone();
    assert!(!is_caught(SIGUSR2));
    let first = user_defined2();
    assert!(is_caught(SIGUSR2));
    let second = user_defined2();
    drop(first);
    assert!(is_caught(SIGUSR2));
    drop(second);
    assert!(!is_caught(SIGUSR2));
}

#[test]
fn awaited_as_a_whole_it_is_dropped_with_its_signal() {
    let _alone = alone();
    run(async {
        let listener = user_defined2();
        send(SIGUSR2);
        listener.await.unwrap();
        assert!(!is_caught(SIGUSR2));
    });
}

#[test]
fn a_wait_that_is_cancelled_together_with_the_signal_loses_none() {
    let _alone = alone();
    run(async {
        // Older than the task's listener, so that main runs first and cancels the task before it can take the signal.
        let mut witness = user_defined1();
        let mut listener = user_defined1();
        let task = asyncio::spawn(async move {
            let cancelled = catch_cancelled(listener.recv()).await.is_err();
            listener.recv().await.unwrap();
            (cancelled, listener.drain())
        });
        asyncio::yield_now().await;
        send_and_wait(&mut witness).await;
        assert!(task.cancel());
        assert_eq!(task.await.unwrap(), (true, 0));
    });
}

#[test]
fn a_wait_that_is_dropped_loses_none() {
    let _alone = alone();
    run(async {
        let mut listener = user_defined1();
        let mut witness = user_defined1();
        {
            let mut wait = pin!(listener.recv());
            let is_ready = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_ready())).await;
            assert!(!is_ready);
            send_and_wait(&mut witness).await;
        }
        assert_eq!(listener.drain(), 1);
    });
}

#[test]
fn a_task_that_lives_on_signals_lets_others_run() {
    let _alone = alone();
    run(async {
        let mut listener = signal(REAL_TIME);
        let mut witness = signal(REAL_TIME);
        let mut waiting = 0;
        // More than a task may do at a stretch.
        while waiting < 300 {
            let pid = std::process::id().to_string();
            let sent = Command::new("sh")
                .args(["-c", "for _ in $(seq 100); do kill -40 $0; done", &pid])
                .status();
            assert!(sent.unwrap().success());
            for _ in 0..100 {
                witness.recv().await.unwrap();
            }
            waiting += 100;
        }
        let eater = asyncio::spawn(async move {
            for _ in 0..300 {
                listener.recv().await.unwrap();
            }
        });
        asyncio::yield_now().await;
        assert!(!eater.is_finished(), "300 signals were taken in one step");
        eater.await.unwrap();
    });
}

#[test]
fn a_listener_is_a_stream() {
    let _alone = alone();
    run(async {
        let mut stream = user_defined1();
        for _ in 0..2 {
            send(SIGUSR1);
            stream.next().await.unwrap().unwrap();
        }
    });
}

#[test]
fn what_cannot_be_listened_to_is_an_error_for_everybody_who_asks() {
    let refused = |number| {
        let mut listener = signal(number);
        let error = listener.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        let received = block_on(listener.recv()).unwrap_err();
        assert_eq!(
            (received.kind(), received.to_string()),
            (error.kind(), text.clone())
        );
        let streamed = block_on(listener.next()).unwrap().unwrap_err();
        assert_eq!(streamed.to_string(), text);
        assert!(block_on(listener.next()).is_none());
        assert_eq!(listener.drain(), 0);
        let awaited = block_on(async { listener.await }).unwrap_err();
        assert_eq!(awaited.to_string(), text);
        text
    };
    assert_eq!(refused(0), "invalid signal number 0");
    assert_eq!(refused(-1), "invalid signal number -1");
    assert_eq!(refused(99), "invalid signal number 99");
    // The C library's own.
    assert_eq!(refused(32), "invalid signal number 32");
    assert_eq!(refused(9), "sig 9 cannot be caught");
    assert_eq!(refused(19), "sig 19 cannot be caught");
    assert!(refused(11).contains("the program is broken"));
}

#[test]
fn debug_says_which_signal_and_how_many_wait() {
    let _alone = alone();
    let listener = user_defined1();
    assert_eq!(
        format!("{listener:?}"),
        "Listener { number: 10, waiting: 0 }"
    );
    assert_eq!(
        format!("{:?}", signal(9)),
        "Listener { number: 9, refused: \"sig 9 cannot be caught\" }"
    );
}

/// Without the first listener a signal would end the process.
#[test]
fn listeners_that_come_and_go_in_other_threads_take_nothing_from_one_that_stays() {
    const SIGNALS: u32 = 50;

    let _alone = alone();
    let mut stays = user_defined1();
    let mut witness = user_defined1();
    let is_over = AtomicBool::new(false);
    let made: u32 = std::thread::scope(|scope| {
        let come_and_go = || {
            let mut made = 0;
            while made == 0 || !is_over.load(Ordering::Relaxed) {
                let mut newcomer = user_defined1();
                made += 1;
                // What came since then: as many as were sent, at most.
                assert!(newcomer.drain() <= SIGNALS);
            }
            made
        };
        let threads = [scope.spawn(come_and_go), scope.spawn(come_and_go)];
        for _ in 0..SIGNALS {
            run(send_and_wait(&mut witness));
        }
        is_over.store(true, Ordering::Relaxed);
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert!(made >= 2);
    assert_eq!(stays.drain(), SIGNALS);
    drop((stays, witness));
    assert!(!is_caught(SIGUSR1));
}
