#[asyncio::test]
async fn case(first: u8) {}

fn main() {}
