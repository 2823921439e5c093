#[asyncio::test(seeds)]
async fn case() {}

fn main() {}
