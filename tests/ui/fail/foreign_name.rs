#[asyncio::main(name = "mine")]
async fn main() {}
