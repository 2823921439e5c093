//! The entry point to async Rust that shuts down properly.
//!
//! Put [`#[asyncio::main]`](macro@main) on `async fn main`, [`#[asyncio::test]`](macro@test) on tests, or call
//! [`Runner::run`] from a library: Ctrl-C cancels the main task, cancelled code may *await* its cleanup, every task and
//! blocking job is brought to an orderly end within a known time, and the process dies with the right status.
//!
//! ```
//! use std::time::Duration;
//!
//! #[asyncio::main]
//! async fn main() {
//!     let task = asyncio::spawn(async {
//!         asyncio::sleep(Duration::from_millis(1)).await;
//!         "hello"
//!     });
//!     assert_eq!(task.await.unwrap(), "hello");
//! }
//! ```
//!
//! With the feature `log`, which is off by default, messages go to the program's logger instead of stderr; [`debug`]
//! says which messages there are. With the feature `console`, off as well, tokio-console shows tasks, timers and
//! blocking jobs; see [`debug`], too. With the feature `serde`, task dumps, call graphs and metrics implement
//! `Serialize`. With the feature `backtrace`, on Linux, the watchdog says where in the program a blocked loop is; see
//! [`EventLoop::set_blocked_loop_after`]. The features `hyper` and `axum`, off as well, are modules of these names: what hyper needs in order to
//! run on this loop, and a server for axum's routers. The feature `tokio` adds `tokio_compat` and the option `tokio` of
//! the attributes, for libraries that run in no other runtime than tokio.
//!
//! This crate is a facade: the runtime is `runner-core`, the attributes are `runner-macros`, and the modules for other libraries
//! `runner-interop`.

#![forbid(unsafe_code)]

// The attributes write `::asyncio`, which also this crate's own tests have to find.
#[allow(unused_extern_crates)]
extern crate self as asyncio;

#[doc(inline)]
pub use runner_core::*;
#[cfg(feature = "axum")]
#[doc(inline)]
pub use runner_interop::axum;
#[cfg(feature = "hyper")]
#[doc(inline)]
pub use runner_interop::hyper;
#[cfg(feature = "tokio")]
#[doc(inline)]
pub use runner_interop::tokio::{TokioCompat, tokio_compat, tokio_context};
#[doc(inline)]
pub use runner_macros::{main, test};

/// What expansions name, with what the option `tokio` needs.
#[cfg(feature = "tokio")]
#[doc(hidden)]
pub mod private {
    pub use runner_core::private::*;
    pub use runner_interop::tokio::option as tokio;
}

/// The attributes under the names of Python's `runners` module: `#[runner::main]` and `#[runner::test]`.
pub mod runner {
    #[doc(inline)]
    pub use runner_core::{Runner, RunnerBuilder, RunnerState, run};
    #[doc(inline)]
    pub use runner_macros::{main, test};
}

/// The texts' examples, compiled and run by `cargo test`.
#[cfg(doctest)]
mod texts {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/cancellation.md")]
    struct Cancellation;
    #[doc = include_str!("../docs/shutdown.md")]
    struct Shutdown;
    #[doc = include_str!("../docs/macros.md")]
    struct Macros;
}
