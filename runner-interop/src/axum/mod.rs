//! axum on this loop: serves a router until the task is cancelled, and then stops in an orderly way.
//!
//! axum's own feature `tokio` is not needed, and no other runtime is started. Take axum with `default-features = false`, and with
//! those of its features that the program uses (`json`, `query`, ...).
//!
//! # Handlers that wait for this loop
//!
//! axum asks for handlers whose futures are `Send`, and what waits for this loop (a sleep, a socket, a task) is not. [`local`]
//! puts such a piece of a handler where it never leaves its thread:
//!
//! ```
//! # mod asyncio { pub use runner_core::*; pub use runner_interop::axum; }
//! use axum::{Router, routing::get};
//! use std::time::Duration;
//!
//! async fn slow() -> &'static str {
//!     asyncio::axum::local(async {
//!         asyncio::sleep(Duration::from_millis(1)).await;
//!         "slow"
//!     })
//!     .await
//! }
//!
//! let router: Router = Router::new().route("/", get(slow));
//! ```

mod connections;
mod listener;
mod serve;

use std::future::Future;
use std::pin::Pin;

pub use self::listener::Listener;
pub use self::serve::{Peer, Serve, serve};
pub use crate::on_thread::OnThread;

/// Makes a future `Send` that is not, by leaving it on this thread. See the [module](self).
///
/// # Panics
///
/// When it is polled on another thread, which nothing that [`serve`] serves ever is.
///
/// # Cancel safety
///
/// That of `future`.
pub fn local<F: Future + 'static>(future: F) -> OnThread<Pin<Box<F>>> {
    OnThread::future(future)
}
