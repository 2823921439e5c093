//! Another ABI, and a contract.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main]
async extern "C" fn doubled(a: u8) -> u8 {
    a * 2
}

#[asyncio::main]
async unsafe fn first(a: *const u8) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { *a }
}

fn main() {
    assert_eq!(doubled(2), 4);
    // SAFETY: the pointer comes from a reference.
    assert_eq!(unsafe { first(std::ptr::from_ref(&5)) }, 5);
}
