#[asyncio::main]
#[asyncio::test]
async fn go() {}

fn main() {}
