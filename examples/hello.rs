//! The smallest program: one task, one sleep. Run it with `cargo run --example hello`, and press Ctrl-C if you like.

use std::time::Duration;

#[asyncio::main]
async fn main() {
    let task = asyncio::spawn(async {
        asyncio::sleep(Duration::from_secs(1)).await;
        "hello"
    });
    println!("{}", task.await.unwrap());
}
