#[asyncio::test]
fn case() {}

fn main() {}
