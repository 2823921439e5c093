#[asyncio::main(driver = "uring")]
async fn main() {}
