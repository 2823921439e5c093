struct Server;

impl Server {
    #[asyncio::main]
    async fn run(&self) => u8 {
        5
    }
}

fn main() {
    Server.run();
}
