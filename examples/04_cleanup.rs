//! You learn: how code lives through its own cancellation: catch it, await a cleanup, raise it again, or swallow it.
//!
//! Run it with `cargo run --example 04_cleanup`. Press Ctrl-C in its last second to see that the same happens to `main`.

use std::time::Duration;

#[asyncio::main]
async fn main() {
    // Python's `try: ... except CancelledError: ... raise`.
    let polite = asyncio::spawn(async {
        if let Err(cancelled) = asyncio::catch_cancelled(asyncio::sleep(Duration::MAX)).await {
            println!("asked to stop: {cancelled}");
            say_goodbye("polite").await;
            cancelled.raise().await
        }
    });
    asyncio::yield_now().await;
    polite.cancel_with("the shop closes");
    println!("polite: {}", polite.await.unwrap_err().is_cancelled());

    // Python's `try: ... finally: ...`, after a value, a cancellation and a panic alike.
    let tidy = asyncio::spawn(asyncio::finally(
        asyncio::sleep(Duration::MAX),
        async || {
            say_goodbye("tidy").await;
        },
    ));
    asyncio::yield_now().await;
    tidy.cancel();
    println!("tidy: {}", tidy.await.unwrap_err().is_cancelled());

    // Swallowing is allowed: the request was delivered once, and the task goes on.
    let stubborn = asyncio::spawn(async {
        let _ = asyncio::catch_cancelled(asyncio::sleep(Duration::MAX)).await;
        asyncio::sleep(Duration::from_millis(10)).await;
        "went on"
    });
    asyncio::yield_now().await;
    stubborn.cancel();
    println!("stubborn: {}", stubborn.await.unwrap());

    // A request that comes before the first step: the body never runs.
    let late = asyncio::spawn(async { unreachable!("was cancelled before it started") });
    late.cancel();
    let ended: Result<(), _> = late.await;
    println!("late: {}", ended.unwrap_err().is_cancelled());

    // `main` is a task like any other: Ctrl-C cancels it.
    let work = asyncio::sleep(Duration::from_secs(1));
    asyncio::finally(work, async || say_goodbye("main").await).await;
}

async fn say_goodbye(name: &str) {
    asyncio::sleep(Duration::from_millis(10)).await;
    println!("{name} says goodbye");
}
