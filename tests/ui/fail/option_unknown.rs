#[asyncio::main(verbose)]
async fn main() {}
