#[asyncio::test(terminate)]
async fn case() {}

fn main() {}
