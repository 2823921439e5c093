//! The exit status as the program wants it.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use std::process::ExitCode;

#[asyncio::main]
async fn main() -> ExitCode {
    ExitCode::SUCCESS
}
