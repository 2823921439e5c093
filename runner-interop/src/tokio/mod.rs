//! A tokio context for libraries that need one, with its driver and its tasks on one thread beside the loop's.
//!
//! Beside it, and not as the loop's [`Driver`](runner_core::driver::Driver), because only `block_on` turns tokio's driver, and it
//! polls tokio's tasks as well. Inside of a driver's wait they would be polled while the loop has announced that it sleeps and has
//! lent its driver away: what they call of the loop would fail, what they wake of its tasks would not end the wait, and one that
//! computes would look like an idle loop. A loop that is under way could not change its driver, either.

mod compat;
mod runtime;

use std::io;

use runner_core::EventLoop;

pub use self::compat::{TokioCompat, tokio_compat};
use self::runtime::Tokio;

/// Gives everything that runs on `event_loop` a tokio context, from the loop's next run on.
///
/// What `#[asyncio::main(tokio)]` does, for [`loop_setup`](runner_core::RunnerBuilder::loop_setup). Starts tokio's thread, unless
/// that runs already. In the middle of a run [`tokio_compat`] does it for one future.
///
/// # Errors
///
/// If the thread or tokio's descriptors cannot be had.
///
/// # Panics
///
/// When the loop is closed.
///
/// # Examples
///
/// ```
/// # mod asyncio { pub use runner_core::*; pub use runner_interop::tokio::*; }
/// use std::time::Duration;
///
/// let runner = asyncio::Runner::builder().loop_setup(asyncio::tokio_context).build();
/// runner
///     .run(async {
///         let task = asyncio::spawn(tokio::time::sleep(Duration::from_millis(1)));
///         task.await.unwrap();
///     })
///     .unwrap();
/// ```
pub fn tokio_context(event_loop: &EventLoop) -> io::Result<()> {
    Tokio::of(event_loop)?.enter_everywhere();
    Ok(())
}

/// What the attributes' option `tokio` passes to `loop_setup`.
#[doc(hidden)]
pub fn option(is_on: bool) -> impl FnMut(&EventLoop) -> io::Result<()> {
    move |event_loop| match is_on {
        true => tokio_context(event_loop),
        false => Ok(()),
    }
}
