//! Options are expressions, in sight of the parameters.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use std::time::Duration;

#[asyncio::main(debug = verbose, shutdown_timeout = limit)]
async fn go(verbose: bool, limit: Duration) -> bool {
    verbose && limit.is_zero()
}

fn main() {
    assert!(go(true, Duration::ZERO));
}
