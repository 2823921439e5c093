#[asyncio::test(leftovers = true)]
async fn case() {}

fn main() {}
