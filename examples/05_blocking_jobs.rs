//! You learn: how to call what blocks (files, compression, other people's libraries) without holding up the loop.
//!
//! Run it with `cargo run --example 05_blocking_jobs`.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[asyncio::main]
async fn main() {
    // A blocking function runs in a thread of the loop's executor, and is awaited like anything else.
    let sum = asyncio::to_thread(|| (1..=1_000_000_u64).sum::<u64>());
    println!("sum: {}", sum.await.unwrap());

    // Meanwhile the loop turns: both jobs sleep at the same time, and so does the loop's own task.
    let jobs = [30, 10].map(|milliseconds| {
        asyncio::spawn(asyncio::to_thread(move || {
            thread::sleep(Duration::from_millis(milliseconds));
            milliseconds
        }))
    });
    asyncio::sleep(Duration::from_millis(1)).await;
    println!("the loop was not held up");
    for job in jobs {
        println!("slept {} ms", job.await.unwrap().unwrap());
    }

    // A panic in a job comes back as an error. (Its message is on stderr.)
    let failed = asyncio::to_thread(|| panic!("no such file")).await;
    let failed: Result<(), _> = failed;
    println!("is a panic: {}", failed.unwrap_err().is_panic());

    // `run_in_executor` submits at once; `to_thread` waits until it is awaited.
    let job = asyncio::running_loop().run_in_executor(|| 6 * 7);
    println!("answer: {}", job.await.unwrap());

    // A thread cannot be stopped from outside. A job that may take long asks its token, or sleeps on it: it wakes up when
    // the shutdown begins. This one is left behind, and the program still ends at once.
    let (begin, begun) = mpsc::channel();
    drop(asyncio::spawn(asyncio::to_thread_with(move |stop| {
        begin.send(()).unwrap();
        while !stop.sleep(Duration::from_secs(60)) {}
        println!("the background job was told to stop");
    })));
    asyncio::to_thread(move || begun.recv())
        .await
        .unwrap()
        .unwrap();
    println!("main is done");
}
