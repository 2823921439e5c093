use reexporting as asyncio;

#[test]
#[asyncio::test(crate = reexporting)]
async fn case() -> Result<(), String> {
    Ok(())
}

fn main() {}
