#[asyncio::main(debug = 1 +, terminate)]
async fn main() {}
