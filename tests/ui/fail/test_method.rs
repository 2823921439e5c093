struct Suite;

impl Suite {
    #[asyncio::test]
    async fn case(&self) {}
}

fn main() {}
