#[asyncio::test(iterations = 10)]
async fn case() {}

fn main() {}
