//! Attributes above and below.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::test]
#[should_panic(expected = "below")]
async fn panics() {
    panic!("below")
}

#[should_panic(expected = "above")]
#[asyncio::test]
async fn panics_too() {
    panic!("above")
}

#[asyncio::test]
#[ignore = "takes a while"]
async fn ignored() {}

#[cfg(any())]
#[asyncio::test]
async fn left_out() {
    unknown();
}

// Also compiled as a module of `tests/macros.rs`, where the tests run.
#[allow(dead_code)]
fn main() {}
