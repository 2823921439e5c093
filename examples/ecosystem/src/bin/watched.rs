//! A program that tokio-console can look at: tasks that sleep, turn round and end, and blocking jobs.
//!
//! What you learn here: that one call is all it takes, also from inside of the program; and that the server of
//! `console-subscriber` runs on a thread of its own, beside the loop.
//!
//! ```text
//! RUSTFLAGS="--cfg console_without_tokio_unstable" \
//!     cargo run --manifest-path examples/ecosystem/Cargo.toml --features console --bin watched
//!
//! tokio-console
//! ```

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::thread;
use std::time::Duration;

use asyncio::{sleep, task, to_thread, yield_now};

const PERIOD: Duration = Duration::from_millis(50);

#[asyncio::main]
async fn main() -> Infallible {
    // Spawned before anybody looks on, and shown all the same.
    drop(task().name("early bird").spawn(tick()));
    yield_now().await;
    console_subscriber::init();
    println!("to be watched");
    drop(task().name("resizer").spawn(resize()));
    drop(task().name("impatient").spawn(turn_round()));
    let greeter = task().name("greeter").spawn(greet());
    greeter.await.expect("nobody cancels it");
    println!("greeted");
    asyncio::finally(tick(), async || println!("goodbye")).await
}

async fn tick() -> Infallible {
    loop {
        sleep(PERIOD).await;
    }
}

/// Gives work to the executor's threads.
async fn resize() {
    loop {
        let job = to_thread(|| thread::sleep(PERIOD));
        job.await.expect("it does not panic");
        sleep(PERIOD).await;
    }
}

/// Wakes itself more often than others do: tokio-console has a warning for that.
async fn turn_round() {
    loop {
        for _ in 0..10 {
            yield_now().await;
        }
        sleep(PERIOD).await;
    }
}

async fn greet() {
    for _ in 0..3 {
        sleep(PERIOD).await;
    }
}
