#[asyncio::main(debug = 3)]
async fn main() {}
