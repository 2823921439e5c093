#[asyncio::main(shutdown_timeout = "5m")]
async fn main() {}
