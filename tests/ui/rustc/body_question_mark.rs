#[asyncio::main]
async fn main() {
    None?;
}
