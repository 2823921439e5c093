#[asyncio::main]
async fn main(self) {}
