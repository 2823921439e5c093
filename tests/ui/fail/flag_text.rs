#[asyncio::main(terminate = "yes")]
async fn main() {}
