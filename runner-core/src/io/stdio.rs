//! The standard streams of the process, read and written by threads of their own.
//!
//! The wish: nobody waits for a terminal but the task that asked, and the process can end at any moment.
//!
//! The difficulty: whoever started the program shares the open file behind each stream. Non-blocking mode would be a mode of
//! theirs as well, and a terminal left in it breaks the shell. And a call that blocks in a thread of the executor holds the
//! shutdown back, until somebody presses Enter.
//!
//! The choice: a thread for each stream that is used, not of the executor, which nobody waits for. It works in the mode that
//! it finds. Between it and the tasks lies a buffer that belongs to the process, so a read that is cancelled loses nothing:
//! what came for it is there for the next one, in whatever loop.
//!
//! Readiness alone would not do: another process may be faster with the read that was announced, or take the room that a
//! write was promised, and then the loop would block.

mod input;
mod output;

pub use self::input::{Stdin, stdin};
pub use self::output::{Stderr, Stdout, stderr, stdout};
pub(crate) use self::output::{are_streams_in_use, flush_all, has_unwritten, take_losses};
