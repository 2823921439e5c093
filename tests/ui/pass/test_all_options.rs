//! Every option of a test.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use asyncio::runner;

#[runner::test(
    debug = false,
    timeout = "5s",
    virtual_time,
    seeds = 1 + 2,
    leftovers = "error",
    loop_factory = asyncio::EventLoop::new,
    shutdown_timeout = "250ms",
    blocked_loop_after = "1s",
    crate = ::asyncio
)]
async fn case() {}

#[runner::test(leftovers = "cancel", virtual_time = false)]
async fn other() {}

// Also compiled as a module of `tests/macros.rs`, where the tests run.
#[allow(dead_code)]
fn main() {}
