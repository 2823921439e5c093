#[asyncio::main]
async unsafe extern "C" fn go(_first: u8, _: ...) {}

fn main() {}
