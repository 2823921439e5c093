#[asyncio::main]
unsafe async fn main() {}
