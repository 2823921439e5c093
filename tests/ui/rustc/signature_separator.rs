#[asyncio::main]
async fn go(a: u8; b: u8) -> u8 {
    a + b
}

fn main() {
    go(1, 2);
}
