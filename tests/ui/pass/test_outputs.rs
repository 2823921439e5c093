//! What a test can return.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::test]
async fn nothing() {}

#[asyncio::test]
async fn a_result() -> Result<(), Box<dyn std::error::Error>> {
    let _: u8 = "5".parse()?;
    Ok(())
}

#[asyncio::test]
async fn a_status() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}

#[asyncio::test]
#[ignore = "ends the whole test program"]
async fn no_end() -> ! {
    std::process::exit(0)
}

// Also compiled as a module of `tests/macros.rs`, where the tests run.
#[allow(dead_code)]
fn main() {}
