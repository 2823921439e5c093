//! Visibility, docs and lint attributes.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

/// Greets.
#[asyncio::main]
#[inline]
#[must_use]
pub async fn greeting() -> String {
    "hello".to_owned()
}

#[asyncio::main]
#[expect(unused_variables)]
async fn expects(unused: u8) {}

#[cfg(any())]
#[asyncio::main]
async fn left_out() {
    unknown();
}

fn main() {
    println!("{}", greeting());
    expects(1);
}
