//! The crate is found where the user says it is.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

/// What a library gives to its users.
pub mod prelude {
    pub use asyncio as rt;
}

#[prelude::rt::main(crate = prelude::rt)]
async fn main() {}

#[prelude::rt::test(crate = "crate::prelude::rt")]
async fn case() {}
