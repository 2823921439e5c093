#[asyncio::main(shutdown_timeout = 5 * 3)]
async fn main() {}
