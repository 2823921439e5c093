//! The function keeps its name inside of its own body.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main]
async fn last(n: u8) -> fn(u8) -> u8 {
    let _ = n;
    |n| if n == 0 { 0 } else { last(n - 1)(n - 1) }
}

fn main() {
    assert_eq!(last(3)(0), 0);
}
