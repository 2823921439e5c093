#[asyncio::main]
async fn go() -> Result<(), std::io::Error> {
    Ok(1)
}

fn main() {}
