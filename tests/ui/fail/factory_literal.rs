#[asyncio::main(loop_factory = "uvloop")]
async fn main() {}
