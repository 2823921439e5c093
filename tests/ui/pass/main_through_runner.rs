//! The attribute by its other name, with every option.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use std::time::Duration;

use asyncio::{EventLoop, runner};

#[runner::main(
    debug,
    loop_factory = EventLoop::new,
    terminate = cfg!(windows),
    hangup,
    shutdown_timeout = Duration::from_secs(20),
    crate = asyncio
)]
async fn main() {}
