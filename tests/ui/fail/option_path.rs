#[asyncio::main(threadpool::debug)]
async fn main() {}
