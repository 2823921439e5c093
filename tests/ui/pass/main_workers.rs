//! Several loops; main runs on the first.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main(workers = 2)]
async fn main() {
    assert_eq!(asyncio::workers().len(), 2);
}
