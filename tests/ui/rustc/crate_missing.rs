#[asyncio::main(crate = nowhere)]
async fn main() {}
