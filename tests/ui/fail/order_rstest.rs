// Its name is all that counts.
use core::prelude::v1::test as rstest;

#[asyncio::test]
#[rstest]
async fn case(number: u8) {}

fn main() {}
