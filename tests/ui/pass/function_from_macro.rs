//! Everything comes out of `macro_rules`.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

macro_rules! function {
    ($vis:vis $name:ident, $output:ty, $body:block, $debug:expr) => {
        #[asyncio::main(debug = $debug)]
        $vis async fn $name() -> $output $body
    };
}

function!(pub(crate) made, u8, { 5 }, 1 < 2);

fn main() {
    assert_eq!(made(), 5);
}
