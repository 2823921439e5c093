struct Server;

impl Server {
    #[asyncio::main]
    async fn run(&self) -> u8 {
        if true {
            return "one";
        }
        2
    }
}

fn main() {}
