//! What a crate forbids, nothing in an expansion allows.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]
#![forbid(unused)]

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    asyncio::spawn(std::future::ready(())).await?;
    Ok(())
}

#[asyncio::test]
async fn case() -> std::io::Result<()> {
    Ok(())
}
