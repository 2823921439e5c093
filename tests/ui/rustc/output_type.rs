#[asyncio::main]
async fn main() -> u8 {
    5
}
