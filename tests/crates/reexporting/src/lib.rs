//! Gives the crate to others, under a path and through a macro.

#[doc(inline)]
pub use asyncio::*;

/// All that an application needs.
pub mod prelude {
    pub use asyncio as rt;
}

/// Writes a program that returns at once.
#[macro_export]
macro_rules! program {
    ($name:ident) => {
        #[$crate::prelude::rt::main(crate = $crate::prelude::rt)]
        async fn $name() {}
    };
}

/// Calls this crate as the attributes look for it.
#[macro_export]
macro_rules! alias_at_once {
    () => {
        extern crate reexporting as asyncio;
    };
}
