//! The plainest `main`.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main]
async fn main() {
    println!("done");
}
