#[asyncio::test]
async unsafe fn case() {}

fn main() {}
