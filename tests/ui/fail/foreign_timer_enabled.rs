#[asyncio::main(timer_enabled = true)]
async fn main() {}
