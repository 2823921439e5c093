//! Attributes at the start of a body apply to the whole function.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

struct Holder<T>(T);

impl<T: Clone> Holder<T> {
    #[asyncio::main]
    async fn get(&self, unused: u8) -> T {
        // A comment before them.
        #![allow(unused_variables, clippy::unused_self)]
        // And between them.
        #![allow(unused_mut)]
        let mut number = unused;
        self.0.clone()
    }
}

#[asyncio::main]
async fn levels<T>((mut first, _): (T, u8), second: impl Sized) -> impl Sized {
    #![allow(unused, reason = "[this] is a (test)")]
    #![allow(
        clippy::needless_pass_by_value, //
        clippy::let_underscore_untyped
    )]
    let third = 3;
    first
}

#[asyncio::main]
async fn only_an_end() -> u8 {
    #![allow(unused_parens)]
    (5)
}

#[asyncio::main]
async fn only_an_attribute() {
    #![allow(unused)]
}

#[asyncio::main]
async fn never() -> ! {
    #![allow(unreachable_code)]
    std::process::exit(0);
    panic!()
}

#[asyncio::main]
async fn others(unused: u8) -> u8 {
    #![cfg_attr(all(), allow(unused_variables))]
    #![expect(unused_mut, reason = "there is one")]
    #![inline]
    #![allow(dead_code)]
    let mut a = 5;
    a + 1
}

#[asyncio::main]
async fn documented() {
    //! Waits for nothing.
    #![allow(unused)]
    #[cfg(any())]
    unknown();
    let a = 5;
}

#[asyncio::main]
async fn behind_a_comment() {
    /* Long. */
    #![allow(unused)]
    let a = 5;
}

#[asyncio::main]
async fn behind_a_documentation() -> u8 {
    /*! Returns a number. */
    #![cfg(any(unix, windows))]
    #![cfg_attr(any(), unknown)]
    #![cfg_attr(all(), allow(unused), inline, doc = "Six.")]
    #![must_use = "it is \"six\""]
    let a = 5;
    a + 1
}

struct Sum(u8);

impl Sum {
    #[asyncio::main]
    async fn add(&mut self, unused: u8) -> Result<u8, std::num::ParseIntError> {
        #![expect(unused_variables, reason = "not yet")]
        #![inline(never)]
        let Self(sum) = self;
        *sum += "5".parse::<u8>()?;
        Ok(*sum)
    }
}

macro_rules! function {
    ($name:ident, $($body:tt)*) => {
        #[asyncio::main]
        async fn $name() { $($body)* }
    };
}

function!(from_tokens, #![allow(unused)] let a = 5;);
fn main() {
    assert_eq!(Holder(3).get(1), 3);
    let _ = levels((1, 2), 3);
    assert_eq!(only_an_end(), 5);
    only_an_attribute();
    assert_eq!(others(1), 6);
    documented();
    behind_a_comment();
    assert_eq!(behind_a_documentation(), 6);
    assert_eq!(Sum(1).add(2), Ok(6));
    from_tokens();
    never();
}
