use reexporting::prelude::*;
use rstest::rstest;

#[rstest]
#[case("one")]
#[rt::test(crate = rt)]
#[case("two")]
async fn between(#[case] name: &str) {
    assert_eq!(name.len(), 3);
}

fn main() {}
