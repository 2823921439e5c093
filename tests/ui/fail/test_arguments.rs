#[asyncio::test]
async fn case(_first: u8) {}

fn main() {}
