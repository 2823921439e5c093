//! Attributes that make several tests of one function, above ours: each case is a test of its own, with a loop of its own.
//!
//! The wrong order is under `tests/ui/fail`.

use std::cell::Cell;
use std::num::ParseIntError;
use std::time::Duration;

use asyncio::{runner, running_loop, sleep, yield_now};
use rstest::{fixture, rstest};
use test_case::{test_case, test_matrix};

const HOUR: Duration = Duration::from_secs(3600);

#[rstest]
#[case(1, 2)]
#[case::named(2, 4)]
#[runner::test]
async fn cases_of_rstest(#[case] number: u8, #[case] doubled: u8) {
    yield_now().await;
    assert_eq!(number * 2, doubled);
}

#[rstest]
#[case("1")]
#[should_panic(expected = "InvalidDigit")]
#[case("one")]
#[asyncio::test]
async fn cases_that_fail(#[case] text: &str) {
    let _: u8 = text.parse().expect("a number");
}

#[fixture]
fn number() -> u8 {
    5
}

#[rstest]
#[asyncio::test(virtual_time, timeout = "2h")]
async fn a_fixture_and_options(number: u8, #[values(1, 2)] hours: u32) {
    let start = running_loop().time();
    sleep(HOUR * hours / 2).await;
    assert_eq!(running_loop().time() - start, HOUR * hours / 2);
    assert_eq!(number, 5);
}

#[rstest]
#[case("1")]
#[asyncio::test]
async fn a_case_with_a_result(#[case] text: &str) -> Result<(), ParseIntError> {
    assert_eq!(text.parse::<u8>()?, 1);
    Ok(())
}

#[test_case(1, 2)]
#[test_case(2, 4; "named")]
#[runner::test]
async fn cases_of_test_case(number: u8, doubled: u8) {
    yield_now().await;
    assert_eq!(number * 2, doubled);
}

#[test_case("1" => Ok(1))]
#[test_case("one" => matches Err(_))]
#[asyncio::test(virtual_time)]
async fn cases_that_return(text: &str) -> Result<u8, ParseIntError> {
    sleep(HOUR).await;
    text.parse()
}

#[test_case("one" => panics "InvalidDigit")]
#[asyncio::test]
async fn cases_that_panic(text: &str) {
    let _: u8 = text.parse().expect("a number");
}

#[test_matrix([1, 2], [3, 4])]
#[asyncio::test]
async fn a_matrix(left: u8, right: u8) {
    yield_now().await;
    assert!(left < right);
}

thread_local! {
    static RUNS: Cell<u8> = const { Cell::new(0) };
}

#[rstest]
#[case(1)]
#[asyncio::test(seeds = 3)]
async fn a_case_with_seeds(#[case] step: u8) {
    yield_now().await;
    RUNS.set(RUNS.get() + step);
    assert!(RUNS.get() <= 3);
}
