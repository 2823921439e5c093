mod tokio {
    pub use core::prelude::v1::test;
}

#[asyncio::test]
#[tokio::test]
async fn case() {}

fn main() {}
