#[asyncio::main(shutdown_timeout = "99999999999h")]
async fn main() {}
