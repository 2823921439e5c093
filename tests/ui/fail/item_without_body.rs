#[asyncio::main]
async fn run(number: u8) -> u8;

fn main() {
    run(1);
}
