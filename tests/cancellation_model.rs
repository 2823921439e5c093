//! Random programs of nested scopes and tasks, with cancels at random times, run by the crate and by a model of its rules.
//!
//! The cases are the same in every run. `ASYNCIO_MODEL_CASES=100000` tries more of them, `ASYNCIO_MODEL_SEED=7` others, and
//! `ASYNCIO_MODEL_SEED=random` always new ones. A case that fails is shrunk, and printed with both traces and its seed.

#[path = "cancellation_model/frames.rs"]
mod frames;
#[path = "cancellation_model/groups.rs"]
mod groups;
#[path = "cancellation_model/program.rs"]
mod program;
#[path = "cancellation_model/real.rs"]
mod real;
#[path = "cancellation_model/reference.rs"]
mod reference;
#[path = "cancellation_model/strategy.rs"]
mod strategy;
#[path = "cancellation_model/trace.rs"]
mod trace;

use std::env;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use program::Program;

/// The cases of one run, unless `ASYNCIO_MODEL_CASES` says another number.
const CASES: u32 = if cfg!(debug_assertions) {
    4_000
} else {
    10_000
};

#[test]
fn the_crate_does_what_the_rules_say() {
    let seed = seed();
    let config = Config {
        cases: env::var("ASYNCIO_MODEL_CASES")
            .map_or(CASES, |cases| cases.parse().expect("a number of cases")),
        failure_persistence: None,
        max_shrink_iters: 100_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(seed));
    let mut runner = TestRunner::new_with_rng(config, rng);
    match runner.run(&strategy::programs(), |program| compare(&program)) {
        Ok(()) => {}
        Err(TestError::Fail(_reason, program)) => {
            let (model, real) = (reference::run(&program), real::run(&program));
            panic!(
                "the crate and the model differ, with ASYNCIO_MODEL_SEED={seed}\n\n{program:?}\n{}",
                trace::side_by_side(&model, &real)
            );
        }
        Err(TestError::Abort(reason)) => panic!("no verdict: {reason}"),
    }
}

fn compare(program: &Program) -> Result<(), TestCaseError> {
    if reference::run(program) == real::run(program) {
        Ok(())
    } else {
        Err(TestCaseError::fail("the traces differ"))
    }
}

fn seed() -> u64 {
    match env::var("ASYNCIO_MODEL_SEED").as_deref() {
        Err(_) => 0,
        Ok("random") => {
            use std::hash::{BuildHasher, RandomState};
            RandomState::new().hash_one("a seed")
        }
        Ok(number) => number.parse().expect("a number, or `random`"),
    }
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
