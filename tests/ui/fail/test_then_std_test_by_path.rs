#[asyncio::test]
#[::core::prelude::v1::test]
async fn case() {}

fn main() {}
