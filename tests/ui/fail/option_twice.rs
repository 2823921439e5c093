#[asyncio::main(debug, debug = false)]
async fn main() {}
