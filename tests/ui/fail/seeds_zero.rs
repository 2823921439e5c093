#[asyncio::test(seeds = 0)]
async fn case() {}

fn main() {}
