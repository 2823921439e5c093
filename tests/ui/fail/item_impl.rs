struct Server;

#[asyncio::main]
impl Server {
    async fn run(&self) {}
}

fn main() {}
