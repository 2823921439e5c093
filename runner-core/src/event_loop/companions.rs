//! What runs beside the loop in threads of its own, and ends with it: another runtime, for libraries that need that one.
//!
//! The loop keeps its companions, finds them by their type and enters them when it runs. When they are ended, and how long that may
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

    /// Enters what the code on the loop's thread needs of it, until what is returned is dropped. Nothing, unless it says so.
    ///
    /// It is called for each run of the loop, and for its close.
    fn enter(&self) -> Option<Box<dyn Any>> {
        None
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

    /// Returns `true` if anything runs beside the loop.
    #[inline]
    pub(crate) fn has_companions(&self) -> bool {
        !self.companions.0.borrow().is_empty()
    }

    /// Enters what the companions have around the code that runs on the loop, until what is returned is dropped.
    #[inline]
    pub(crate) fn enter_companions(&self) -> EnteredCompanions {
        EnteredCompanions(self.has_companions().then(|| self.enter_each()))
    }

    #[cold]
    fn enter_each(&self) -> Box<Guards> {
        let companions = self.companions();
        let guards = companions.iter().filter_map(|companion| companion.enter());
        Box::new(Guards(guards.collect()))
    }
}

/// What was entered, until it is dropped. Most loops have no companion: for them it is one word, and a test.
pub(crate) struct EnteredCompanions(Option<Box<Guards>>);

impl Drop for EnteredCompanions {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            drop(self.0.take());
        }
    }
}

/// One for each companion that was entered; the latest is left first.
struct Guards(Vec<Box<dyn Any>>);

impl Drop for Guards {
    fn drop(&mut self) {
        while let Some(guard) = self.0.pop() {
            drop(guard);
        }
    }
}
