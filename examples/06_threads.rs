//! You learn: how other threads talk to a loop: callbacks, tasks they can join, and cancellation.
//!
//! Run it with `cargo run --example 06_threads`.

use std::future::pending;
use std::thread;

use asyncio::LoopHandle;

fn main() {
    let handle = program();
    // The loop is closed. What arrives now is refused, and does no harm.
    println!("{}", handle.call_soon_threadsafe(|| ()).unwrap_err());
}

// The attribute goes on any function that is to be called without `await`.
#[asyncio::main]
async fn program() -> LoopHandle {
    // The loop stays on its thread. Its handle goes anywhere, and is harmless after the loop is closed.
    let handle = asyncio::running_loop().handle();

    let worker = thread::spawn(move || {
        handle
            .call_soon_threadsafe(|| println!("a callback, on the loop's thread"))
            .unwrap();

        // Python's `run_coroutine_threadsafe`: starts a task over there, and blocks here until it is done.
        let task = handle.spawn(async {
            asyncio::yield_now().await;
            asyncio::current_task().is_some()
        });
        println!("ran as a task of the loop: {}", task.join().unwrap());

        // A remote task can also be cancelled.
        let endless = handle.spawn(pending::<()>());
        endless.cancel();
        println!("cancelled: {}", endless.join().unwrap_err().is_cancelled());
    });
    // Never block the loop's thread: the join waits in a thread of the executor.
    asyncio::to_thread(move || worker.join().unwrap())
        .await
        .unwrap();

    // One task's cancel handle is `Send`, too.
    let task = asyncio::spawn(pending::<()>());
    let cancel = task.cancel_handle();
    thread::spawn(move || cancel.cancel_with("from another thread"));
    let error = task.await.unwrap_err();
    println!("{}", error.cancelled().unwrap());
    handle
}
