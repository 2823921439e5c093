trait Server {
    #[asyncio::main]
    async fn run(&self);
}

fn main() {}
