use test_case::test_case;

#[asyncio::test]
#[test_case(1)]
#[test_case(2)]
async fn case(number: u8) {
    assert!(number > 0);
}

fn main() {}
