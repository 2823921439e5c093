#[asyncio::main(tokio, debug)]
async fn main() {}
