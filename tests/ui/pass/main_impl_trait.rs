//! An output that has no name.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use std::process::{ExitCode, Termination};

#[asyncio::main]
async fn main() -> impl Termination {
    ExitCode::SUCCESS
}
