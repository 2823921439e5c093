//! Awaiting tasks in other ways than one by one: `shield`, `gather`, `wait`, `as_completed`.
//!
//! Whatever is no task yet is made one first (`into_task.rs`). A `Watch` tells which tasks have ended, so that a hundred
//! of them cost no more wake-ups than one.

mod as_completed;
mod gather;
mod into_task;
mod shield;
mod wait;

pub use self::as_completed::{AsCompleted, as_completed};
pub use self::gather::{Gather, GatherSettled, gather};
pub use self::into_task::IntoTask;
pub use self::shield::{Shield, shield};
pub use self::wait::{ReturnWhen, Wait, wait};
