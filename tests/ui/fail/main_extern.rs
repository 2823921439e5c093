#[asyncio::main]
async extern "C" fn main() {}
