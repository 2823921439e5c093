//! Attributes above the function and inside of it.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main]
#[allow(unused_mut)]
async fn main() {
    #![allow(unused_variables)]
    let mut unused = 5;
}
