#[asyncio::main(with_proactor(capacity = 8))]
async fn main() {}
