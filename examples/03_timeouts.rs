//! You learn: how to bound the time that something takes, and that an expiry lets the code inside clean up.
//!
//! Run it with `cargo run --example 03_timeouts`. It waits for hours, but on a clock that jumps: the loop factory asks for
//! virtual time, as tests do.

use std::time::Duration;

use asyncio::EventLoop;

const HOUR: Duration = Duration::from_secs(3600);

#[asyncio::main(loop_factory = || EventLoop::builder().virtual_time().build())]
async fn main() {
    let started = asyncio::running_loop().time();

    // In time: the value.
    let answer = asyncio::timeout(2 * HOUR, async {
        asyncio::sleep(HOUR).await;
        42
    });
    println!("{:?}", answer.await);

    // Too late: an error, and what was inside is dropped where it waited.
    let error = asyncio::timeout(HOUR, asyncio::sleep(Duration::MAX)).await;
    println!("{}", error.unwrap_err());

    // The expiry is delivered into the code like a cancellation. It may clean up first, with awaits.
    let late = asyncio::timeout(HOUR, async {
        asyncio::finally(asyncio::sleep(Duration::MAX), async || {
            asyncio::sleep(HOUR).await;
            println!("cleaned up, an hour after the deadline");
        })
        .await;
    });
    println!("{}", late.await.unwrap_err());

    // Of nested timeouts each claims only its own expiry.
    let nested = asyncio::timeout(2 * HOUR, async {
        let inner = asyncio::timeout(HOUR, asyncio::sleep(Duration::MAX)).await;
        println!("the inner one: {}", inner.unwrap_err());
        "the outer one goes on"
    });
    println!("{}", nested.await.unwrap());

    let passed = asyncio::running_loop().time() - started;
    println!("hours on the loop's clock: {}", passed.as_secs() / 3600);
}
