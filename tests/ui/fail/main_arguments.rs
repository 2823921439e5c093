#[asyncio::main]
async fn main(_first: u8, _second: u8) {}
