#[asyncio::main(shutdown_timeout = "")]
async fn main() {}
