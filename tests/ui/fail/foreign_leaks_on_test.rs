#[asyncio::test(leaks = "fail")]
async fn case() {}

fn main() {}
