#[asyncio::test]
async fn case<T>() {}

fn main() {}
