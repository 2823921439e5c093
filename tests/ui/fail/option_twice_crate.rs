#[asyncio::main(crate = asyncio, crate = "asyncio")]
async fn main() {}
