#[asyncio::main]
async fn main() {
    Ok(())
}
