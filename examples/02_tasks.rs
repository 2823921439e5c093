//! You learn: in which order tasks run, what names are for, and what becomes of a panic or a dropped handle.
//!
//! Run it with `cargo run --example 02_tasks`. The panic's own message goes to stderr, as in any Rust program.

use std::cell::Cell;
use std::rc::Rc;

#[asyncio::main]
async fn main() {
    // Tasks need not be `Send`: one loop, one thread, plain `Rc` and `Cell`.
    let counter = Rc::new(Cell::new(0));

    // They run first in, first out, and change places only where they wait.
    let tasks: Vec<_> = (1..=3)
        .map(|number| {
            let counter = counter.clone();
            asyncio::spawn(async move {
                println!("task {number}, first step");
                asyncio::yield_now().await;
                counter.set(counter.get() + number);
                println!("task {number}, second step");
                number
            })
        })
        .collect();
    for task in tasks {
        println!("joined {}", task.await.unwrap());
    }
    println!("counter: {}", counter.get());

    // A name shows up in every report about the task.
    let named = asyncio::task().name("parser").spawn(async {
        let task = asyncio::current_task().unwrap();
        format!("I am {}", task.name())
    });
    println!("{}", named.await.unwrap());

    // A panic ends its own task and nothing else. Whoever awaits the task gets it.
    let failing = asyncio::spawn(async { panic!("out of paper") });
    let error = failing.await.unwrap_err();
    println!("is a panic: {}", error.is_panic());

    // A dropped handle detaches the task: it goes on.
    drop(asyncio::spawn(async {
        println!("detached, still running")
    }));
    asyncio::yield_now().await;
}
