#[asyncio::test(virtualtime)]
async fn case() {}

fn main() {}
