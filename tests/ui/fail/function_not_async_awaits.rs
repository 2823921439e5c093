use std::time::Duration;

#[asyncio::main]
fn main() {
    asyncio::sleep(Duration::ZERO).await;
}
