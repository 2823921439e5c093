#[asyncio::main(system = "System")]
async fn main() {}
