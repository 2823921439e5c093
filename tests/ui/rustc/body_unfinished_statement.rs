#[asyncio::main]
async fn main() {
    let x = ;
}
