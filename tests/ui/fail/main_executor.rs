struct Executor<'a>(&'a str);

#[asyncio::main]
async fn main(executor: &Executor<'_>) {
    let _ = executor.0;
}
