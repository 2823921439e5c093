//! The crate comes from another one, and is no dependency of this package.

use reexporting::prelude::*;

#[rt::main(crate = rt)]
async fn run() -> u8 {
    rt::spawn(async { 5 }).await.unwrap()
}

reexporting::program!(main);

#[rt::test(crate = "reexporting::prelude::rt", timeout = "5s")]
async fn it_is_found() {
    assert_eq!(std::thread::spawn(run).join().unwrap(), 5);
}
