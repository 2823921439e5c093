//! What a crate forbids, nothing in an expansion allows.
#![forbid(unused, warnings)]

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    asyncio::spawn(std::future::ready(())).await?;
    Ok(())
}

#[asyncio::test]
async fn case() -> std::io::Result<()> {
    Ok(())
}
