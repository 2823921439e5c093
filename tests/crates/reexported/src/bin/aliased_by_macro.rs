//! Another crate is called like the one that it re-exports; only a macro of that crate says so.

reexporting::alias_at_once!();

#[asyncio::main]
async fn main() {}

#[asyncio::test]
async fn it_is_found() {
    asyncio::yield_now().await;
}
