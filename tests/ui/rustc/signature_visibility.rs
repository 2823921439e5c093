#[asyncio::main]
pub(everyone) async fn main() {}
