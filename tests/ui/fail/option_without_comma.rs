#[asyncio::main(debug = true terminate)]
async fn main() {}
