//! Another crate is called like the one that it re-exports; nothing but the crate's root says so.

extern crate reexporting as asyncio;

#[asyncio::main]
async fn main() {}

#[asyncio::test]
async fn it_is_found() {
    asyncio::yield_now().await;
}
