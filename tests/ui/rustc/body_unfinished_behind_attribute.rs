struct Text(String);

impl Text {
    #[asyncio::main]
    async fn take(self) -> String {
        #![inline]
        self.0.
    }
}

fn main() {}
