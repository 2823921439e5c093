//! Names of the user's own that look like ours.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]
#![allow(dead_code)]

mod core {}
mod std {}
mod asyncio {}

struct Carry;
struct Report;

type Result<T> = ::core::result::Result<T, u8>;

fn drop() {}

trait Finish {
    fn finish(&self) -> u8;
}

impl<T: ?Sized> Finish for T {
    fn finish(&self) -> u8 {
        0
    }
}

#[::asyncio::main]
async fn run(arg0: u8, (arg1, _): (u8, u8)) -> Result<u8> {
    drop();
    Ok(arg0 + arg1)
}

fn one() -> u8 {
    #[::asyncio::main]
    async fn one() -> u8 {
        1
    }
    // Its own event loop cannot run inside of another one.
    ::std::thread::spawn(one).join().unwrap_or_default()
}

#[::asyncio::test(debug)]
async fn test() {}

#[::asyncio::main(debug = matches!((Carry, Report), (Carry, Report)))]
async fn main() {
    let _ = (Carry, Report);
    ::core::assert_eq!(one(), 1);
}
