#[asyncio::main(debgu)]
async fn main() {}
