#[asyncio::test]
#[test]
async fn case() {}

fn main() {}
