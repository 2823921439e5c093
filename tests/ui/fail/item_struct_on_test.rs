#[asyncio::test]
pub struct NoFunction;

fn main() {}
