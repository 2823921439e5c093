//! A `main` that is not the program's.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

/// A program within the program.
pub mod inner {
    /// Runs it.
    #[asyncio::main]
    pub async fn main() {}
}

fn main() {
    inner::main();
}
