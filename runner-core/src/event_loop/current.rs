//! Which loop runs on this thread, and which one the program chose for it.
//!
//! A private child of the loop: the one file that may name its parent.

use std::cell::RefCell;

use super::EventLoop;

thread_local! {
    /// The loop that runs on this thread now.
    static RUNNING: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    /// The loop given to `set_event_loop`.
    static CHOSEN: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
}

/// Returns the loop that runs on this thread.
///
/// # Panics
///
/// When no loop runs here: outside of [`run`](crate::run) and in other threads. There,
/// [`try_running_loop`] tells.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     assert!(asyncio::running_loop().is_running());
/// })
/// .unwrap();
/// ```
#[doc(alias = "get_running_loop")]
#[track_caller]
pub fn running_loop() -> EventLoop {
    match try_running_loop() {
        Some(event_loop) => event_loop,
        None => panic!(
            "no running event loop; call this from inside of `asyncio::run` or `#[asyncio::main]`"
        ),
    }
}

/// Returns the loop that runs on this thread, or `None`.
pub fn try_running_loop() -> Option<EventLoop> {
    RUNNING
        .try_with(|running| running.borrow().clone())
        .ok()
        .flatten()
}

/// Returns the running loop, else the one given to [`set_event_loop`].
///
/// # Panics
///
/// When there is neither.
///
/// # Differences from asyncio
///
/// As since Python 3.14, no loop is ever created here.
#[doc(alias = "get_event_loop")]
#[track_caller]
pub fn event_loop() -> EventLoop {
    match try_event_loop() {
        Some(event_loop) => event_loop,
        None => {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed");
            panic!(
                "There is no current event loop in thread '{name}'; use `set_event_loop` or run a `Runner`"
            )
        }
    }
}

/// Returns what [`event_loop`] does, or `None`.
pub fn try_event_loop() -> Option<EventLoop> {
    try_running_loop().or_else(|| {
        CHOSEN
            .try_with(|chosen| chosen.borrow().clone())
            .ok()
            .flatten()
    })
}

/// Sets, or with `None` clears, this thread's current loop.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// # fn main() -> std::io::Result<()> {
/// let event_loop = asyncio::new_event_loop()?;
/// asyncio::set_event_loop(event_loop.clone());
/// assert_eq!(asyncio::event_loop(), event_loop);
/// asyncio::set_event_loop(None);
/// assert!(asyncio::try_event_loop().is_none());
/// # Ok(())
/// # }
/// ```
pub fn set_event_loop(event_loop: impl Into<Option<EventLoop>>) {
    let event_loop = event_loop.into();
    let previous = CHOSEN.try_with(|chosen| chosen.replace(event_loop));
    // Dropped outside of the slot: the last handle of a loop drops tasks, whose destructors may ask for the loop.
    drop(previous);
}

/// Makes `event_loop` the running one until the guard is dropped. A thread that is ending, and whose loop is closed by the
/// destructor of a thread-local variable, goes without.
pub(super) fn enter(event_loop: &EventLoop) -> Entered {
    let previous = RUNNING.try_with(|running| running.replace(Some(event_loop.clone())));
    Entered {
        previous: previous.ok().flatten(),
    }
}

/// Restores the previous running loop when dropped.
pub(super) struct Entered {
    previous: Option<EventLoop>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        let left = RUNNING.try_with(|running| running.replace(previous));
        drop(left);
    }
}
