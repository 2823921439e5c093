#[asyncio::main(loop_factory = asyncio::EventLoop::new())]
async fn main() {}
