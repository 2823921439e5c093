//! Generics, const generics, lifetimes, `where` and `impl Trait`.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use std::fmt::{Debug, Display};

#[asyncio::main]
async fn all<T, const N: usize>(a: [T; N]) -> Vec<T>
where
    T: Clone + Debug,
{
    a.to_vec()
}

#[asyncio::main]
async fn elided(a: &str) -> &str {
    a
}

#[asyncio::main]
async fn longer<'a>(a: &'a str, b: &'a str) -> &'a str {
    if a.len() > b.len() { a } else { b }
}

#[asyncio::main]
async fn shown(a: impl Display, b: &impl Debug) -> impl Display {
    format!("{a}{b:?}")
}

#[asyncio::main]
async fn parsed(a: &str) -> Result<(impl Display, Option<impl Debug>), std::num::ParseIntError> {
    let number: u8 = a.parse()?;
    Ok((number, Some(number)))
}

fn main() {
    assert_eq!(all([1, 2]), [1, 2]);
    assert_eq!(elided("a"), "a");
    assert_eq!(longer("a", "bb"), "bb");
    assert_eq!(shown(1, &2).to_string(), "12");
    assert!(parsed("5").is_ok());
}
