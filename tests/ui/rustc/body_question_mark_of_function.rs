#[asyncio::main]
async fn go(&number: &u8) {
    None?;
}

fn main() {
    go(&1);
}
