#[asyncio::test(leftovers = "keep")]
async fn case() {}

fn main() {}
