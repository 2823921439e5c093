//! Parameters of every kind.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

#[asyncio::main]
async fn text(
    a: u8,
    mut b: String,
    (c, d): (u8, &str),
    _: u8,
    _unused: u8,
    [e, ..]: [u8; 3],
    ref f: u8,
) -> String {
    b.push_str(d);
    format!("{a}{b}{c}{e}{f}")
}

#[asyncio::main]
async fn conditional(#[cfg(any())] a: Unknown, #[allow(unused_variables)] b: u8) {}

#[asyncio::main]
async fn same_name(same_name: u8) -> u8 {
    same_name
}

fn main() {
    assert_eq!(
        text(1, "b".to_owned(), (2, "d"), 0, 0, [3, 0, 0], 4),
        "1bd234"
    );
    conditional(1);
    assert_eq!(same_name(5), 5);
}
