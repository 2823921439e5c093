#[asyncio::main]
async gen fn go() -> u8 {}

fn main() {
    let _ = go();
}
