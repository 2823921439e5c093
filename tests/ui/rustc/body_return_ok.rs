#[asyncio::main]
async fn main() {
    return Ok(());
}
