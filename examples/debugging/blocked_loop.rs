//! A program that hangs: a task waits on the loop's thread for what another thread does not give. See docs/debugging.md.

use std::sync::mpsc;
use std::time::Duration;

#[asyncio::main(blocked_loop_after = "500ms")]
pub(crate) async fn main() {
    // Kept, so that the wait does not end.
    let (_sender, receiver) = mpsc::channel::<()>();
    let reader = asyncio::task().name("reader").spawn(async move {
        asyncio::sleep(Duration::from_millis(1)).await;
        println!("process {} reads", std::process::id());
        // Blocks the thread, and with it every task.
        let _ = receiver.recv();
    });
    reader.await.unwrap();
}
