//! What `#[asyncio::main]` and `#[asyncio::test]` accept and refuse, one file per case under `tests/ui`, and what a test
//! function then does.
//!
//! A new case is a new file. Only cases of `#[asyncio::test]` are also listed here: a case is compiled as a program, in which
//! tests do not exist. `fail` has the mistakes that our own messages answer, `rustc` those that the compiler answers: its
//! words change from version to version, so they are compared only where it is the version that wrote them.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use asyncio::{finally, running_loop, sleep, spawn, yield_now};

#[path = "ui/pass/test_all_options.rs"]
mod test_all_options;
#[path = "ui/pass/test_other_attributes.rs"]
mod test_other_attributes;
#[path = "ui/pass/test_outputs.rs"]
mod test_outputs;

/// The compiler whose words are in `tests/ui/rustc`.
const WORDS_OF: &str = "rustc 1.95.";

/// Builds a program for each accepted case, and checks one for each mistake: some twenty seconds on two cores, of which
/// our own code is a small part. One test, since both halves would wait for one lock.
#[test]
fn each_accepted_signature_is_free_of_warnings_and_each_mistake_has_one_message_on_its_own_token() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.pass(with_long_bodies(
        "tests/ui/pass/function_inner_attributes.rs",
    ));
    cases.compile_fail("tests/ui/fail/*.rs");
    if compiler().starts_with(WORDS_OF) {
        cases.compile_fail("tests/ui/rustc/*.rs");
    }
}

/// The case with bodies that are too long to be taken apart by an attribute; a comment is enough.
fn with_long_bodies(case: &str) -> PathBuf {
    let text = std::fs::read_to_string(case).expect("the case");
    let longer = text.replace(
        "    let ",
        &format!("    // {}\n    let ", "long ".repeat(3000)),
    );
    assert!(longer.len() > text.len() + 100_000);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("long_bodies.rs");
    std::fs::write(&path, longer).expect("a file");
    path
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc).arg("--version").output();
    String::from_utf8(output.expect("a compiler").stdout).expect("text")
}

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);

thread_local! {
    /// What the test functions below did on this thread; libtest runs each of them on another one.
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Whether the function below is called by another test, which wants to see it fail.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

fn log(text: impl Into<String>) {
    LOG.with_borrow_mut(|log| log.push(text.into()));
}

/// Runs a test function as libtest would, and returns what it gave and what it logged.
fn watch<T>(test: fn() -> T) -> (T, Vec<String>) {
    IS_WATCHED.set(true);
    let output = test();
    (output, LOG.take())
}

// ---- timeout

#[asyncio::test(timeout = "10ms")]
#[should_panic(expected = "the test did not finish within 10ms")]
async fn a_test_that_takes_too_long_fails() {
    sleep(FOREVER).await;
}

#[asyncio::test(timeout = "10ms")]
#[should_panic(expected = "  the culprit waits for sleep (3600")]
async fn a_test_that_takes_too_long_says_what_each_task_waits_for() {
    let culprit = asyncio::task().name("the culprit").spawn(sleep(FOREVER));
    culprit.await.unwrap();
}

#[asyncio::test(timeout = "10s", virtual_time)]
#[should_panic(expected = "the test did not finish within 10s")]
async fn a_timeout_counts_virtual_time() {
    sleep(FOREVER).await;
}

#[asyncio::test(timeout = Duration::from_secs(10))]
async fn a_test_in_time_passes() {
    sleep(Duration::from_millis(1)).await;
}

// ---- virtual_time

#[asyncio::test(virtual_time)]
async fn virtual_time_jumps() {
    let (virtual_start, real_start) = (running_loop().time(), std::time::Instant::now());
    sleep(FOREVER).await;
    assert_eq!(running_loop().time() - virtual_start, FOREVER);
    // Generous: an hour is what it must not take.
    assert!(real_start.elapsed() < Duration::from_secs(60));
}

#[asyncio::test]
async fn time_is_real_unless_asked_otherwise() {
    let start = std::time::Instant::now();
    sleep(Duration::from_millis(5)).await;
    assert!(start.elapsed() >= Duration::from_millis(5));
}

// ---- seeds

/// Logs the order in which five tasks took their first steps.
#[asyncio::test(seeds = 20)]
async fn first_steps() {
    let order = std::rc::Rc::new(RefCell::new(String::new()));
    for letter in ['a', 'b', 'c', 'd', 'e'] {
        let order = order.clone();
        drop(spawn(async move { order.borrow_mut().push(letter) }));
    }
    yield_now().await;
    yield_now().await;
    log(order.take());
}

#[test]
fn seeds_run_the_test_once_with_each_order() {
    let ((), orders) = watch(first_steps);
    assert_eq!(orders.len(), 20);
    let distinct: std::collections::BTreeSet<&String> = orders.iter().collect();
    assert!(distinct.len() > 5, "{orders:?}");
}

#[test]
fn the_same_seeds_give_the_same_orders() {
    assert_eq!(watch(first_steps), watch(first_steps));
}

/// Fails at the third run, if it is watched.
#[asyncio::test(seeds = 10)]
async fn fails_at_the_third_run() {
    log("run");
    let runs = LOG.with_borrow(Vec::len);
    assert!(runs < 3 || !IS_WATCHED.get(), "the third run");
}

#[test]
fn the_first_failing_seed_is_the_last() {
    IS_WATCHED.set(true);
    std::panic::catch_unwind(fails_at_the_third_run).unwrap_err();
    assert_eq!(LOG.take().len(), 3);
}

// ---- leftovers

#[asyncio::test(leftovers = "error")]
#[should_panic(expected = "the test left behind")]
async fn a_test_that_leaves_a_task_fails() {
    drop(spawn(sleep(FOREVER)));
}

#[asyncio::test(leftovers = "error")]
#[should_panic(expected = "'left over'")]
async fn a_test_that_leaves_a_task_names_it() {
    drop(asyncio::task().name("left over").spawn(sleep(FOREVER)));
}

#[asyncio::test(leftovers = "error", shutdown_timeout = "1s")]
#[should_panic(expected = "an executor job (submitted at tests/macros.rs:")]
async fn a_test_that_leaves_a_job_fails() {
    let (begun, has_begun) = std::sync::mpsc::channel();
    let job = move || {
        begun.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    };
    running_loop().run_in_executor(job).detach();
    while has_begun.try_recv().is_err() {
        yield_now().await;
    }
}

#[asyncio::test(leftovers = "error")]
#[should_panic(expected = "an async generator made at tests/macros.rs:")]
async fn a_test_that_leaves_a_generator_names_it() {
    let mut numbers = asyncio::generator(async |y| y.emit(1).await);
    assert_eq!(numbers.next().await, Some(1));
    std::mem::forget(numbers);
}

#[asyncio::test(leftovers = "error", virtual_time)]
#[should_panic(expected = "an async generator made at tests/macros.rs:")]
async fn a_test_that_leaves_a_generator_to_its_cleanup_names_it() {
    let mut numbers = asyncio::generator(async |y| {
        finally(y.emit(1), async || sleep(FOREVER).await).await;
    });
    assert_eq!(numbers.next().await, Some(1));
}

#[asyncio::test(leftovers = "error")]
async fn a_test_that_ends_its_tasks_jobs_and_generators_passes() {
    spawn(yield_now()).await.unwrap();
    asyncio::to_thread(|| {}).await.unwrap();
    let mut numbers = asyncio::generator(async |y| y.emit(1).await);
    assert_eq!(numbers.next().await, Some(1));
    numbers.aclose().await;
    drop(asyncio::generator(async |y| y.emit(1).await));
}

#[asyncio::test]
async fn leaves_a_task() {
    let cleanup = async || {
        yield_now().await;
        log("cleaned up");
    };
    drop(spawn(finally(sleep(FOREVER), cleanup)));
    yield_now().await;
}

#[test]
fn leftover_tasks_are_cleaned_up_unless_asked_otherwise() {
    assert_eq!(watch(leaves_a_task).1, ["cleaned up"]);
}

// ---- The rest.

#[asyncio::test]
async fn fails_by_its_result() -> Result<(), String> {
    match IS_WATCHED.get() {
        true => Err("out of cheese".into()),
        false => Ok(()),
    }
}

#[test]
fn the_result_is_handed_on() {
    assert_eq!(watch(fails_by_its_result).0, Err("out of cheese".into()));
}

#[asyncio::test]
#[should_panic(expected = "the main task was cancelled by the program")]
async fn a_run_that_gave_no_value_fails_the_test() {
    asyncio::current_task().unwrap().cancel();
    sleep(FOREVER).await;
}

#[asyncio::test]
async fn debug_mode_is_on() {
    assert!(running_loop().debug());
}

#[asyncio::test(debug = false)]
async fn debug_mode_can_be_off() {
    assert!(!running_loop().debug());
}

#[cfg(target_os = "linux")]
#[asyncio::test]
async fn no_signal_is_touched() {
    const SIGINT: u32 = 2;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    assert_eq!(mask & (1 << (SIGINT - 1)), 0);
}

#[asyncio::test(loop_factory = || asyncio::EventLoop::builder().virtual_time().build())]
async fn a_loop_factory_makes_the_loop() {
    sleep(FOREVER).await;
}

mod through_runner {
    use asyncio::runner;

    #[runner::test(virtual_time)]
    async fn runner_test_is_the_same() {
        assert!(asyncio::running_loop().debug());
        asyncio::sleep(super::FOREVER).await;
    }

    #[runner::main]
    async fn compute(left: u32, right: u32) -> u32 {
        asyncio::yield_now().await;
        left + right
    }

    #[test]
    fn runner_main_starts_a_loop_for_any_function() {
        assert_eq!(compute(1, 2), 3);
    }
}

mod through_another_path {
    mod reexporting {
        pub(super) mod deep {
            pub(in super::super) use ::asyncio::*;
        }
    }

    #[reexporting::deep::test(crate = reexporting::deep, virtual_time)]
    async fn a_reexported_crate_is_found_by_its_path() {
        reexporting::deep::sleep(super::FOREVER).await;
    }

    #[reexporting::deep::main(crate = reexporting::deep)]
    async fn compute() -> u32 {
        3
    }

    #[test]
    fn a_reexported_main_is_found_by_its_path() {
        assert_eq!(compute(), 3);
    }
}

// ---- signals

/// The signals that this process catches, as a mask.
#[cfg(target_os = "linux")]
fn caught_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    u64::from_str_radix(caught.unwrap().trim(), 16).unwrap()
}

/// Debug mode is on in tests, and prints the tasks at these signals in programs.
#[cfg(target_os = "linux")]
#[asyncio::test]
async fn a_test_leaves_the_signals_to_the_test_harness() {
    assert!(running_loop().debug());
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1] {
        assert_eq!(caught_signals() & (1 << (signal - 1)), 0, "{signal}");
    }
}
