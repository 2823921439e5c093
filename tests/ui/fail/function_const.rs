#[asyncio::main]
const async fn go() {}

fn main() {}
