//! You learn: what an entry point is, and how a task is started and awaited.
//!
//! Run it with `cargo run --example 01_hello`. While it waits, press Ctrl-C: the main task is cancelled, the loop is closed
//! in an orderly way, and the process dies of the signal, as your shell can see.

use std::time::Duration;

#[asyncio::main]
async fn main() {
    // The task begins in the next turn of the loop, whether or not anybody awaits it.
    let task = asyncio::spawn(async {
        asyncio::sleep(Duration::from_millis(100)).await;
        "hello"
    });
    println!("waiting");
    // A task gives a `Result`: it may have panicked, or have been cancelled.
    println!("{}", task.await.unwrap());
}
