//! What runs beside the loop in threads of its own, and ends with it: another runtime, for libraries that need that one.
//!
//! The loop keeps its companions, finds them by their type and runs inside of them. When they are ended, and how long that may
//! take, is the runner's affair.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use super::{EventLoop, LoopCore};

/// Something that runs beside one event loop, in threads of its own, and ends with it.
///
/// Started by [`EventLoop::companion_or_start`]. The orderly shutdown ends it when the tasks have ended, the async generators
/// are closed and the executor is shut down. A loop that is closed without one drops it.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::Companion;
/// use std::{future::Future, pin::Pin, rc::Rc};
///
/// struct Journal;
///
/// impl Companion for Journal {
///     fn name(&self) -> &str {
///         "journal"
///     }
///
///     fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
///         Box::pin(async { println!("written") })
///     }
/// }
///
/// asyncio::run(async {
///     let event_loop = asyncio::running_loop();
///     let journal = event_loop.companion_or_start(|| Ok(Journal)).unwrap();
///     assert!(Rc::ptr_eq(&journal, &event_loop.companion().unwrap()));
/// })
/// .unwrap();
/// ```
pub trait Companion: 'static {
    /// Returns what messages call it.
    fn name(&self) -> &str;

    /// Asks it to end. The future is done when nothing of it runs any more; it is awaited on the loop's thread, and dropped
    /// when the time is over.
    fn end(&self) -> Pin<Box<dyn Future<Output = ()>>>;

    /// Says what of it still runs, for those who wait for its end in vain. Nothing, unless it knows.
    fn leftovers(&self) -> String {
        String::new()
    }

    /// Calls `run` once, inside of whatever the code on the loop's thread needs of it.
    ///
    /// Each run of the loop passes through here, and so does its close.
    fn within(&self, run: &mut dyn FnMut()) {
        run();
    }
}

/// The companions of one loop.
#[derive(Default)]
pub(super) struct Companions(RefCell<Vec<Kept>>);

/// One companion, under both of its types.
#[derive(Clone)]
struct Kept {
    companion: Rc<dyn Companion>,
    any: Rc<dyn Any>,
}

impl Companions {
    /// Lets go of all of them. What they do then is somebody else's code, which may look for them here.
    pub(super) fn clear(&self) {
        let kept = self.0.take();
        drop(kept);
    }
}

impl EventLoop {
    /// Returns this loop's companion of that type, if it was started.
    pub fn companion<C: Companion>(&self) -> Option<Rc<C>> {
        let kept = self.core().companions.0.borrow();
        kept.iter()
            .find_map(|kept| kept.any.clone().downcast().ok())
    }

    /// Returns this loop's companion of that type, started now by `start` if this is its first use.
    ///
    /// # Errors
    ///
    /// Those of `start`. The next call tries again.
    ///
    /// # Panics
    ///
    /// When the loop is closed.
    #[track_caller]
    pub fn companion_or_start<C: Companion>(
        &self,
        start: impl FnOnce() -> io::Result<C>,
    ) -> io::Result<Rc<C>> {
        if let Some(started) = self.companion() {
            return Ok(started);
        }
        self.core().refuse_if_closed();
        let started = Rc::new(start()?);
        self.core().companions.0.borrow_mut().push(Kept {
            companion: started.clone(),
            any: started.clone(),
        });
        Ok(started)
    }
}

impl LoopCore {
    /// The companions, in the order in which they were started.
    pub(crate) fn companions(&self) -> Vec<Rc<dyn Companion>> {
        let kept = self.companions.0.borrow();
        kept.iter().map(|kept| kept.companion.clone()).collect()
    }

    /// Runs the loop, or closes it, inside of what the companions have around it.
    pub(super) fn within_companions<R>(&self, run: impl FnOnce() -> R) -> R {
        let mut run = Some(run);
        let mut output = None;
        within(&self.companions(), &mut || {
            if let Some(run) = run.take() {
                output = Some(run());
            }
        });
        output.expect("a companion calls what is run within it")
    }
}

fn within(companions: &[Rc<dyn Companion>], run: &mut dyn FnMut()) {
    match companions {
        [] => run(),
        [outer, others @ ..] => outer.within(&mut || within(others, run)),
    }
}
