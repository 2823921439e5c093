//! A program that loses tasks: each request leaves one behind. See docs/debugging.md.

use std::time::Duration;

async fn answer(request: u32) {
    let heartbeat = async {
        loop {
            asyncio::sleep(Duration::from_secs(30)).await;
        }
    };
    // Nobody ends it.
    drop(
        asyncio::task()
            .name(format!("heartbeat {request}"))
            .spawn(heartbeat),
    );
    asyncio::sleep(Duration::from_millis(1)).await;
}

#[asyncio::main]
pub(crate) async fn main() {
    asyncio::current_task().unwrap().set_name("main");
    for request in 0..3 {
        let task = asyncio::task().name(format!("request {request}"));
        task.spawn(answer(request)).await.unwrap();
    }
    println!("process {} has answered", std::process::id());
    asyncio::sleep(Duration::from_secs(3600)).await;
}
