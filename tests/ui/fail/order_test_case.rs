// Its name is all that counts.
use core::prelude::v1::test as test_case;

#[asyncio::test]
#[test_case]
async fn case(number: u8) {}

fn main() {}
