//! Random programs of nested scopes and tasks, with cancels at random times, run by the crate and by a model of its rules.
//!
//! The cases are the same in every run. `ASYNCIO_MODEL_CASES=100000` tries more of them, `ASYNCIO_MODEL_SEED=7` others, and
//! `ASYNCIO_MODEL_SEED=random` always new ones. A case that fails is shrunk, and printed with both traces and its seed.

#[path = "cancellation_model/cases.rs"]
mod cases;
#[path = "cancellation_model/frames.rs"]
mod frames;
#[path = "cancellation_model/groups.rs"]
mod groups;
#[path = "cancellation_model/moving.rs"]
mod moving;
#[path = "cancellation_model/program.rs"]
mod program;
#[path = "cancellation_model/real.rs"]
mod real;
#[path = "cancellation_model/reference.rs"]
mod reference;
#[path = "cancellation_model/requests.rs"]
mod requests;
#[path = "cancellation_model/strategy.rs"]
mod strategy;
#[path = "cancellation_model/trace.rs"]
mod trace;
#[path = "cancellation_model/waits.rs"]
mod waits;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::panic;
use std::thread;

use asyncio::{CancelReason, RescheduleError};
use proptest::test_runner::{
    Config, Reason, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};

use program::Program;
use trace::{Event, Outcome, What};

/// The cases of one run, unless `ASYNCIO_MODEL_CASES` says another number.
const CASES: u32 = if cfg!(debug_assertions) {
    10_000
} else {
    20_000
};

/// In a debug build, proptest keeps what it generates on the stack, and needs more than a test's thread has.
const STACK: usize = 16 * 1024 * 1024;

/// The same program, by the crate and by the model, gives the same trace.
#[test]
fn the_crate_does_what_the_rules_say() {
    let checking = thread::Builder::new().stack_size(STACK).spawn(check);
    let difference = checking.expect("starting a thread").join();
    if let Some(difference) = difference.expect("the thread reports and does not panic") {
        panic!("{difference}");
    }
}

/// Tries all cases. Returns what is to be said about the first that fails.
fn check() -> Option<String> {
    let (cases, seed) = (cases(), seed());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 100_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(seed));
    let seen = RefCell::default();
    let outcome = TestRunner::new_with_rng(config, rng)
        .run(&strategy::programs(), |program| compare(&program, &seen));
    match outcome {
        Ok(()) => missing(&seen.take()).filter(|_| cases.is_none()),
        Err(TestError::Fail(reason, program)) => Some(difference(&program, &reason, seed)),
        Err(TestError::Abort(reason)) => Some(format!("no verdict: {reason}")),
    }
}

fn compare(program: &Program, seen: &RefCell<BTreeSet<&'static str>>) -> Result<(), TestCaseError> {
    let model = reference::run(program);
    seen.borrow_mut().extend(model.iter().map(kind));
    if model
        .iter()
        .any(|event| matches!(event.what, What::Stuck(_)))
    {
        return Err(TestCaseError::fail("a program that always ends has not"));
    }
    if model != real::run(program) {
        return Err(TestCaseError::fail("the traces differ"));
    }
    Ok(())
}

fn difference(program: &Program, reason: &Reason, seed: u64) -> String {
    // One that panics, which is a bug of this test, has an empty trace.
    let model = panic::catch_unwind(|| reference::run(program)).unwrap_or_default();
    let real = panic::catch_unwind(|| real::run(program)).unwrap_or_default();
    format!(
        "{reason}, with ASYNCIO_MODEL_SEED={seed}\n\n{program:?}\n{}",
        trace::side_by_side(&model, &real)
    )
}

/// Says what never happened in any case: programs that do not come to it prove nothing about it.
fn missing(seen: &BTreeSet<&str>) -> Option<String> {
    let missing: Vec<_> = KINDS.iter().filter(|it| !seen.contains(*it)).collect();
    (!missing.is_empty()).then(|| format!("no program came to: {missing:?}"))
}

/// What must happen in some of the cases.
const KINDS: [&str; 39] = [
    "a block begins",
    "a guard is dropped",
    "a log",
    "not cancelled",
    "caught a request from outside",
    "caught an expiry",
    "caught a request that was handed on",
    "in time",
    "timed out",
    "joined a value",
    "joined an error",
    "joined a panic",
    "joined a cancellation",
    "joined what its group has",
    "moved a deadline",
    "came too late to an expiring timeout",
    "came too late to an expired timeout",
    "came too late to a finished timeout",
    "waited for several",
    "waited for one or none",
    "took a value as it came",
    "took a failure as it came",
    "took a cancellation as it came",
    "gathered all",
    "gathering failed",
    "a group is done",
    "a group was stopped",
    "a group failed",
    "a group failed with several errors",
    "a group's failure was reported",
    "a value was dropped",
    "ended cancelled",
    "ended by itself",
    "cancelled",
    "cancelled what has ended",
    "cancelled what has not begun",
    "withdrawn",
    "withdrawn from what has not begun",
    "a panic was reported",
];

fn kind(event: &Event) -> &'static str {
    match &event.what {
        What::Enter(_) => "a block begins",
        What::Leave(_) => "a guard is dropped",
        What::Log(_) => "a log",
        What::NotCancelled => "not cancelled",
        What::Caught(request) => match request.reason {
            CancelReason::Deadline => "caught an expiry",
            CancelReason::Parent => "caught a request that was handed on",
            _ => "caught a request from outside",
        },
        What::InTime => "in time",
        What::TimedOut => "timed out",
        What::Joined(_, outcome) => match outcome {
            Outcome::Value => "joined a value",
            Outcome::Failed => "joined an error",
            Outcome::Panicked => "joined a panic",
            Outcome::Cancelled(_) => "joined a cancellation",
            Outcome::Taken => "joined what its group has",
        },
        What::Rescheduled(Ok(())) => "moved a deadline",
        What::Rescheduled(Err(error)) => match error {
            RescheduleError::Expiring => "came too late to an expiring timeout",
            RescheduleError::Expired => "came too late to an expired timeout",
            _ => "came too late to a finished timeout",
        },
        What::Waited(ended) => match ended.len() {
            0 | 1 => "waited for one or none",
            _ => "waited for several",
        },
        What::Completed(_, outcome) => match outcome {
            Outcome::Value => "took a value as it came",
            Outcome::Cancelled(_) => "took a cancellation as it came",
            _ => "took a failure as it came",
        },
        What::Gathered(Ok(_)) => "gathered all",
        What::Gathered(Err(_)) => "gathering failed",
        What::Grouped(Ok(())) => "a group is done",
        What::Grouped(Err(failures)) => match failures.len() {
            0 => "a group was stopped",
            1 => "a group failed",
            _ => "a group failed with several errors",
        },
        What::GroupReported => "a group's failure was reported",
        What::ValueDropped(_) => "a value was dropped",
        What::Ended { cancelled, .. } => match cancelled {
            true => "ended cancelled",
            false => "ended by itself",
        },
        What::Cancelled(_, answer) => match answer {
            Some(true) => "cancelled",
            Some(false) => "cancelled what has ended",
            None => "cancelled what has not begun",
        },
        What::Uncancelled(_, answer) => match answer {
            Some(_) => "withdrawn",
            None => "withdrawn from what has not begun",
        },
        What::Reported(_) => "a panic was reported",
        What::Stuck(_) => "a task never ended",
        What::Spinning => "the loop never came to rest",
    }
}

fn cases() -> Option<u32> {
    let cases = env::var("ASYNCIO_MODEL_CASES").ok()?;
    Some(cases.parse().expect("a number of cases"))
}

fn seed() -> u64 {
    match env::var("ASYNCIO_MODEL_SEED").as_deref() {
        Err(_) => 0,
        Ok("random") => RandomState::new().hash_one("a seed"),
        Ok(number) => number.parse().expect("a number, or `random`"),
    }
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
