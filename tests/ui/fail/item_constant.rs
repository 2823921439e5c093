#[asyncio::test]
const CALLBACK: fn() = main;

fn main() {}
