#[asyncio::main]
type Callback = fn(u8) -> u8;

fn main() {}
