//! Bodies that trip over careless expansions: diverging, borrowing, of one line, with closures, with names that rustc watches.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]
#![deny(clippy::semicolon_if_nothing_returned, unused_qualifications)]
#![forbid(unsafe_code)]

use std::fmt::Debug;

/// For others, which makes every path to it look too long.
pub use asyncio::runner;

trait Server {
    fn answer(&self) -> Result<usize, impl Debug>;
}

impl Server for str {
    #[runner::main]
    async fn answer(&self) -> Result<usize, impl Debug> {
        let borrowed = &self[1..];
        asyncio::yield_now().await;
        Ok::<_, u8>(borrowed.len())
    }
}

#[runner::main]
async fn listed() -> impl Iterator<Item = impl Debug> { [1, 2].into_iter() }

#[runner::main]
async fn of_one_line() -> u8 { 5 }

#[runner::main]
async fn without_value() { of_nothing().await }

async fn of_nothing() {
    asyncio::yield_now().await;
}

#[runner::main]
async fn early(number: Option<u8>) -> Option<u8> {
    let number = number?;
    if number == 0 {
        return None;
    }
    let doubled = async |number: u8| {
        asyncio::yield_now().await;
        number * 2
    };
    Some(doubled(number).await)
}

#[runner::main]
async fn fails(number: u8) -> ! {
    panic!("{number}")
}

#[runner::main]
async fn repeats() -> u8 {
    let mut rounds = 0;
    loop {
        asyncio::yield_now().await;
        rounds += 1;
        if rounds == 3 {
            return rounds;
        }
    }
}

#[runner::main]
#[allow(unreachable_code)]
async fn goes_on() -> u8 {
    return 5;
    6
}

#[runner::main]
async fn main() {
    let work = || {
        assert_eq!("abc".answer().ok(), Some(2));
        assert_eq!(listed().count(), 2);
        assert_eq!(of_one_line(), 5);
        without_value();
        assert_eq!(early(Some(2)), Some(4));
        assert_eq!(early(Some(0)), None);
        assert!(std::panic::catch_unwind(|| fails(1)).is_err());
        assert_eq!(repeats(), 3);
        assert_eq!(goes_on(), 5);
    };
    asyncio::to_thread(work).await.unwrap();
}
