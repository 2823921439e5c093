//! What other libraries need in order to run on the `asyncio` crate, each behind a feature of its own.
//!
//! Use the crate `asyncio`, which re-exports everything here under the same features. Nothing in this package is needed
//! by the runtime, and nothing in it reaches behind the runtime's public interface.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "hyper")]
mod on_thread;
#[cfg(feature = "tokio")]
pub mod tokio;
