#[asyncio::main]
async fn longest(a: &str, b: &str) -> &str {
    a
}

fn main() {
    longest("a", "b");
}
