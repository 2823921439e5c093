//! The policy for panics that nobody awaits, as any expression.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use asyncio::DetachedPanic;

const POLICY: DetachedPanic = DetachedPanic::Stop;

#[asyncio::main(detached_panic = POLICY)]
async fn main() {}
