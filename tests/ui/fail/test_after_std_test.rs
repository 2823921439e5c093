#[test]
#[asyncio::test]
async fn case() {}

fn main() {}
