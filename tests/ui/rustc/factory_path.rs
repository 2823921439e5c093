fn make() -> u8 {
    5
}

#[asyncio::main(loop_factory = make)]
async fn main() {}
