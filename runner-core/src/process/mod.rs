//! Child processes: started, awaited, fed and read, and never left behind as zombies.
//!
//! ```
//! # use runner_core as asyncio;
//! use asyncio::process::Command;
//!
//! asyncio::run(async {
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"hello\n");
//!     std::io::Result::Ok(())
//! })
//! .unwrap()
//! .unwrap();
//! ```
//!
//! # Who ends them
//!
//! A child goes on when its [`Child`] is dropped, unless [`kill_on_drop`](Command::kill_on_drop) was asked for. When a runner
//! closes, children with `kill_on_drop` that were started in its loop are killed, wherever their handles are, and waited for
//! within the shutdown's budget; one that does not end is named in the
//! [`ShutdownReport`](crate::ShutdownReport::abandoned_children). All others are left alone.
//!
//! Every child's status is taken as soon as the child ends, whether somebody awaits it or not, so none stays a zombie, also
//! if the loop is busy or closed by then.
//!
//! # Ctrl-C
//!
//! A terminal sends SIGINT to all processes in its foreground group, and a child belongs to the group of its parent: it gets
//! Ctrl-C as well, at the same moment, and most programs end of it. Where the child is to be ended by the program alone, give
//! it a group of its own: [`process_group(0)`](Command::process_group).
//!
//! # Differences from asyncio
//!
//! asyncio kills the child when its transport is closed or collected; here that is `kill_on_drop`, which is off unless it is
//! asked for, as elsewhere in Rust. Starting a child takes the loop's thread for the moment that the system needs, as there.
//!
//! This module is there on Unix only.
//
// Who waits for a child is neither loop nor task but the reaper, a thread of the process: see `reaper.rs`. So the handles
// need no loop, and closing one leaves no child without somebody to wait for it.

mod child;
mod command;
mod reaper;

pub use std::process::{ExitStatus, Output, Stdio};

pub use self::child::Child;
pub use self::command::Command;
pub(crate) use self::reaper::{LeftChild, end_killed, has_killed, is_in_use};

#[cfg(test)]
mod tests;
