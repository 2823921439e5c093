#[asyncio::main(shutdown_timeout = "soon")]
async fn main() {}
