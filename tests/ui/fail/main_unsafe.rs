#[asyncio::main]
async unsafe fn main() {}
