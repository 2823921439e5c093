//! A program that does not end: a task does not stop when it is asked to. See docs/debugging.md.

use std::time::Duration;

/// Takes every error for one that goes away by itself, also the request to stop.
async fn upload() {
    loop {
        let _ = asyncio::catch_cancelled(asyncio::sleep(Duration::from_secs(3600))).await;
    }
}

#[asyncio::main]
pub(crate) async fn main() {
    drop(asyncio::task().name("uploader").spawn(upload()));
    asyncio::yield_now().await;
    println!("process {} ends", std::process::id());
}
