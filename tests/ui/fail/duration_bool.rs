#[asyncio::main(shutdown_timeout = true)]
async fn main() {}
