#[asyncio::test]
#[asyncio::main]
async fn case() {}

fn main() {}
