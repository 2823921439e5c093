#[asyncio::test(seeds = "many")]
async fn case() {}

fn main() {}
