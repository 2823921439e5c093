#[asyncio::main]
struct NoFunction;

fn main() {}
