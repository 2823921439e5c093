use reexporting::prelude::*;
use rstest::rstest;

#[rstest]
#[rt::test(crate = rt)]
#[case(1, "one")]
#[case(2, "two")]
async fn above(#[case] number: u8, #[case] name: &str) {
    assert!(number < 3 && name.len() == 3);
}

fn main() {}
