#[asyncio::main(seed = 5)]
async fn main() {}
