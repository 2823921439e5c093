#[asyncio::main]
mod no_function {}

fn main() {}
