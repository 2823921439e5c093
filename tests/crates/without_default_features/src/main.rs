//! The attributes need no feature.

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    asyncio::sleep("1".parse().map(std::time::Duration::from_millis)?).await;
    Ok(())
}

#[asyncio::test]
async fn tests_work() {
    asyncio::yield_now().await;
}
