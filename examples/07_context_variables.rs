//! You learn: values that belong to what the program is doing, such as the request that is being answered.
//!
//! Run it with `cargo run --example 07_context_variables`.

asyncio::context_var! {
    /// The request that the running code works for.
    static REQUEST: u32 = 0;
}

/// Deep inside, nobody had to hand the number down.
fn log(text: &str) {
    println!("[request {}] {text}", REQUEST.get_or(0));
}

async fn answer() {
    log("begin");
    asyncio::yield_now().await;
    // Blocking jobs see it as well.
    asyncio::to_thread(|| log("in a thread")).await.unwrap();
    log("end");
}

#[asyncio::main]
async fn main() {
    // A task starts with a copy of its creator's context, and keeps its own changes to itself.
    for number in [1, 2] {
        let task = asyncio::spawn(async move {
            REQUEST.set(number);
            answer().await;
        });
        task.await.unwrap();
    }
    log("main has seen nothing of that");

    // `set` gives a token that brings the old value back.
    let token = REQUEST.set(3);
    log("changed");
    REQUEST.reset(token);
    log("as before");

    // A copy of the context can be kept, and entered later.
    REQUEST.set(4);
    let context = asyncio::copy_context();
    REQUEST.set(5);
    context
        .run(|| log("as it was when the copy was made"))
        .unwrap();
    log("now");
}
