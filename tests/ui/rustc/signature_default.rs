#[asyncio::main]
async fn go(a: u8 = 3) -> u8 {
    a
}

fn main() {
    go(1);
}
