#[asyncio::main(crate = asyncio())]
async fn main() {}
