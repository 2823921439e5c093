#[asyncio::main]
async fn main() {
    if true {
        return 1;
    }
}
