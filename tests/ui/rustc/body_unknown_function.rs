#[asyncio::main]
async fn main() {
    unknown();
}
