#[asyncio::test(timeout = 5)]
async fn case() {}

fn main() {}
