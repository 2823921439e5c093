//! `asyncio::sync`: what each primitive promises, one file for each. On virtual time, which passes at once
//! when nothing else can happen, so that who waits for nothing fails its test's timeout at once.

#[path = "../support/mod.rs"]
mod support;

mod barriers;
mod conditions;
mod events;
mod futures;
mod locks;
mod queue_model;
mod queues;
mod semaphore_model;
mod semaphores;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use asyncio::debug::dump_tasks;
use asyncio::{Task, catch_cancelled, current_task, spawn, yield_now};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use support::trace::Trace;

/// Runs what is ready, and what that makes ready.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

/// Starts a task and lets it come to where it waits.
async fn started<F: Future + 'static>(future: F) -> Task<F::Output> {
    let task = spawn(future);
    settle().await;
    task
}

/// Polls once, with a waker that wakes nobody.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Awaits `future` while a request is pending, which must win.
async fn interrupt<F: Future>(future: F) {
    current_task().unwrap().cancel();
    assert!(
        catch_cancelled(future).await.is_err(),
        "the request comes first"
    );
    current_task().unwrap().uncancel();
}

/// Awaits `future`, which must not suspend: what is ready must not run meanwhile.
async fn at_once<F: Future>(future: F) -> F::Output {
    let trace = Trace::new();
    let handle = asyncio::running_loop().call_soon(trace.noter("suspended"));
    let output = future.await;
    handle.cancel();
    assert_eq!(trace.len(), 0, "it suspended");
    output
}

/// What the task is said to wait for.
fn activity<T>(task: &Task<T>) -> String {
    let dump = dump_tasks();
    let state = dump
        .tasks()
        .iter()
        .find(|state| state.info().id() == task.id());
    state.expect("it is not done").activity().to_string()
}

/// What a panicking call says.
fn panic_of(call: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// Tries many cases, the same ones in each run; the panic says which one failed, as small as it could be made.
fn check_all<S: Strategy>(cases: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: if cfg!(debug_assertions) { 500 } else { 5000 },
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    if let Err(failure) = TestRunner::new_with_rng(config, rng).run(&cases, check) {
        panic!("{failure}");
    }
}
