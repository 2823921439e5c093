//! Living through a cancellation: catch scopes, and what is built on them.
//!
//! A request goes to the innermost scope that is waiting: what is inside of it is dropped, and the scope's code goes on,
//! and may await. Each file is one small future over the task's cancel state (`task/cell.rs`). Nothing here spawns.

mod catch;
pub(crate) mod delivery;
mod finally;
mod timeout;
mod timeout_scope;

pub use self::catch::{CatchCancelled, catch_cancelled};
pub(crate) use self::finally::catch_panic;
pub use self::finally::finally;
pub use self::timeout::{WithTimeout, timeout, timeout_at};
pub use self::timeout_scope::Timeout;
