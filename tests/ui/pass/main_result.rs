//! An early return, `?` and a tail.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main(shutdown_timeout = "2min", crate = "::asyncio")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().count() > 5 {
        return Err("too many arguments".into());
    }
    let _: u8 = "5".parse()?;
    Ok(())
}
