#[asyncio::main]
async fn 3main() {
    asyncio::yield_now().await;
}
