#[asyncio::test(start_paused = true)]
async fn case() {}

fn main() {}
