#[asyncio::test]
#[rstest]
#[case(1)]
async fn case(#[case] number: u8) {}

fn main() {}
