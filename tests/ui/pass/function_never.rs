//! Functions that never come back.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main]
async fn stop(early: bool) -> ! {
    assert!(early, "late");
    std::process::exit(0)
}

fn main() {
    stop(true)
}
