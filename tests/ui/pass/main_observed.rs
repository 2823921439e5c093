//! What can be seen of a program from outside.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main(blocked_loop_after = "1s", dump_on_signal)]
async fn main() {}
