#[asyncio::main(loop_factory = |debug: bool| asyncio::EventLoop::new())]
async fn main() {}
