#[asyncio::test]
#[case(1)]
async fn case(#[case] number: u8) {
    assert!(number > 0);
}

fn main() {}
