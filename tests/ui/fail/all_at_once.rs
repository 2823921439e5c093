#[asyncio::main(
    debgu,
    flavor = "local",
    seeds = 3,
    shutdown_timeout = 5,
    terminate,
    terminate
)]
fn main(_first: u8) {}
