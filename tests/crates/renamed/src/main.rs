//! The crate has another name in `[dependencies]`.

use async_io_loop::{runner, spawn};

/// What is written without a path finds nothing of the crate's own name.
mod asyncio {}

#[async_io_loop::main(debug, loop_factory = async_io_loop::EventLoop::new)]
async fn main() {
    assert_eq!(doubled(2), 4);
    assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
}

#[async_io_loop::main]
async fn doubled(number: u8) -> u8 {
    number * 2
}

#[async_io_loop::test]
async fn it_is_found() {
    assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
}

#[runner::test(crate = async_io_loop)]
async fn a_path_works_as_well() {}
