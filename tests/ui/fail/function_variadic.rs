#[asyncio::main]
async unsafe extern "C" fn go(first: u8, ...) {}

fn main() {}
