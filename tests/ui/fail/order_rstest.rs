use rstest::rstest;

#[asyncio::test]
#[rstest]
#[case(1)]
#[case(2)]
async fn case(#[case] number: u8) {
    assert!(number > 0);
}

fn main() {}
