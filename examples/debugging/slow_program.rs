//! A program that is slow: a task computes where it should let the others run. See docs/debugging.md.

use std::time::Duration;

/// Stands for a computation.
fn compute() {
    std::thread::sleep(Duration::from_millis(300));
}

#[asyncio::main]
pub(crate) async fn main() {
    let ticker = asyncio::task().name("ticker").spawn(async {
        for _ in 0..5 {
            asyncio::sleep(Duration::from_millis(20)).await;
        }
    });
    let report = asyncio::task().name("report").spawn(async {
        asyncio::sleep(Duration::from_millis(10)).await;
        compute();
    });
    report.await.unwrap();
    ticker.await.unwrap();
}
