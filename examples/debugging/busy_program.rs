//! A program with much to do: a server, two connections, and a task that takes more than its share. See docs/debugging.md.

use std::io;
use std::time::{Duration, Instant};

use asyncio::{TaskGroup, TaskGroupError, sleep};

const MS: Duration = Duration::from_millis(1);

/// Asks again and again whether there is something, instead of waiting for it.
async fn poller() {
    loop {
        sleep(MS).await;
        let end = Instant::now() + MS / 2;
        while Instant::now() < end {}
    }
}

async fn connection() {
    loop {
        sleep(100 * MS).await;
    }
}

async fn server() -> Result<(), TaskGroupError> {
    TaskGroup::scope(async |group| {
        for number in 1..=2 {
            let task = group.spawn(connection());
            task.set_name(format!("connection {number}"));
        }
        Ok::<_, io::Error>(())
    })
    .await
}

#[asyncio::main]
pub(crate) async fn main() {
    asyncio::current_task().unwrap().set_name("main");
    let poller = asyncio::task().name("poller").spawn(poller());
    let server = asyncio::task().name("server").spawn(server());
    asyncio::yield_now().await;
    println!("process {} serves", std::process::id());
    let _ = server.await;
    poller.cancel();
}
