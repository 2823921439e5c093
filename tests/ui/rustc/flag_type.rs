#[asyncio::main(debug = 1 + 2)]
async fn main() {}
