//! Another crate is called like the one that it re-exports; only another file says so.

#[macro_use]
mod aliases;

aliases!();

#[asyncio::main]
async fn main() {}

#[asyncio::test]
async fn it_is_found() {
    asyncio::yield_now().await;
}
