#[asyncio::main]
async fn main(verbose) {}
