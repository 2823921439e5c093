#[asyncio::main(shutdown_timeout = "1.2.3s")]
async fn main() {}
