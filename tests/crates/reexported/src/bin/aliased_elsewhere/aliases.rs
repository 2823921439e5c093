//! What the program's root says with one word.

macro_rules! aliases {
    () => {
        extern crate reexporting as asyncio;
    };
}
