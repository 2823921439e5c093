//! The async generators that the loop has to close in the end.
//!
//! A generator is entered at its first iteration and leaves when it is done; the registry holds it weakly, so that
//! dropping it stays the owner's business. This file knows a generator only as something that can be closed.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use slab::Slab;

use super::{EventLoop, LoopCore};
use crate::exception::ExceptionContext;
use crate::task::Task;
use crate::task::cell::TaskOptions;

/// An async generator, as the loop sees it.
pub(crate) trait CloseAsync {
    /// The line that made it.
    fn location(&self) -> &'static Location<'static>;

    /// Ends it: its cleanup runs, and may await.
    fn close(self: Rc<Self>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// The generators of one loop.
#[derive(Default)]
pub(super) struct AsyncGens {
    /// Started and not done.
    live: RefCell<Slab<Weak<dyn CloseAsync>>>,
    /// Dropped unfinished, and the task that was to close it was cancelled: closed at the loop's end.
    orphans: RefCell<Vec<Rc<dyn CloseAsync>>>,
    /// The number of generators that were dropped unfinished and whose cleanup runs in a task now.
    finalizing: Cell<usize>,
    /// Woken when that number falls to zero.
    waiter: Cell<Option<Waker>>,
    /// `shutdown_asyncgens` was called.
    shut_down: Cell<bool>,
}

impl LoopCore {
    /// Enters a generator that is being iterated for the first time; returns its key.
    pub(crate) fn enter_asyncgen(&self, generator: Weak<dyn CloseAsync>) -> usize {
        if self.asyncgens.shut_down.get() {
            let message =
                "an asynchronous generator was scheduled after loop.shutdown_asyncgens() call";
            self.scheduler
                .exceptions
                .report(ExceptionContext::new(message));
        }
        self.asyncgens.live.borrow_mut().insert(generator)
    }

    pub(crate) fn leave_asyncgen(&self, key: usize) {
        self.asyncgens.live.borrow_mut().try_remove(key);
    }

    /// Closes a generator that was dropped unfinished, in a task of its own.
    pub(crate) fn finalize_asyncgen(self: &Rc<Self>, generator: Rc<dyn CloseAsync>) {
        self.asyncgens
            .finalizing
            .set(self.asyncgens.finalizing.get() + 1);
        let mut finalizing = Finalizing {
            core: self.clone(),
            generator: Some(generator),
        };
        let close = async move {
            if let Some(generator) = finalizing.generator.clone() {
                generator.close().await;
            }
            // Through: nothing is left for the loop's end.
            drop(finalizing.generator.take());
        };
        let close: Pin<Box<dyn Future<Output = ()>>> = Box::pin(close);
        let options = TaskOptions {
            name: Some("aclose".to_owned()),
            background: true,
            ..TaskOptions::at(Location::caller())
        };
        drop(Task::spawn(&self.scheduler, options, close));
    }

    /// Returns `true` if there is a generator to close or to wait for.
    pub(crate) fn has_asyncgens(&self) -> bool {
        let asyncgens = &self.asyncgens;
        !asyncgens.live.borrow().is_empty()
            || !asyncgens.orphans.borrow().is_empty()
            || asyncgens.finalizing.get() > 0
    }

    /// Says where the generators were made that are to be closed, or whose cleanup runs: those stay entered until it is over.
    pub(crate) fn asyncgens_left(&self) -> Vec<&'static Location<'static>> {
        let live = self.asyncgens.live.borrow();
        live.iter()
            .filter_map(|(_, generator)| generator.upgrade())
            .map(|generator| generator.location())
            .collect()
    }

    /// The next one to close at the loop's end: orphans first, then what lives, latest first.
    fn next_asyncgen(&self) -> Option<Rc<dyn CloseAsync>> {
        let orphan = self.asyncgens.orphans.borrow_mut().pop();
        orphan.or_else(|| {
            let live = self.asyncgens.live.borrow();
            live.iter()
                .rev()
                .find_map(|(_, generator)| generator.upgrade())
        })
    }

    /// Drops what was left to close; their bodies go unasked.
    pub(super) fn abandon_asyncgens(&self) {
        let orphans = self.asyncgens.orphans.take();
        for orphan in orphans {
            self.scheduler.exceptions.drop_left_over(orphan);
        }
    }

    async fn asyncgens_finalized(&self) {
        poll_fn(|cx| {
            if self.asyncgens.finalizing.get() == 0 {
                return Poll::Ready(());
            }
            self.asyncgens.waiter.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// A generator's cleanup in the background. Cancelled before it is through, it leaves the rest to the loop's end.
struct Finalizing {
    core: Rc<LoopCore>,
    generator: Option<Rc<dyn CloseAsync>>,
}

impl Drop for Finalizing {
    fn drop(&mut self) {
        let asyncgens = &self.core.asyncgens;
        if let Some(generator) = self.generator.take() {
            if !self.core.scheduler.is_closing() {
                asyncgens.orphans.borrow_mut().push(generator);
            }
        }
        asyncgens.finalizing.set(asyncgens.finalizing.get() - 1);
        if asyncgens.finalizing.get() == 0 {
            asyncgens.waiter.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl EventLoop {
    /// Closes every async generator of this loop that was started and is not done, one after another, latest first, and
    /// waits for those that were dropped and are cleaning up in the background.
    ///
    /// A panic in a generator's cleanup goes to the exception handler. Generators started afterwards are reported.
    ///
    /// # Cancel safety
    ///
    /// Generators that were not closed yet stay as they are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(async {
    ///     let mut numbers = asyncio::generator(async |y| {
    ///         y.emit(1).await;
    ///         y.emit(2).await;
    ///     });
    ///     assert_eq!(numbers.next().await, Some(1));
    ///     asyncio::running_loop().shutdown_asyncgens().await;
    ///     assert_eq!(numbers.next().await, None);
    /// })
    /// .unwrap();
    /// ```
    pub fn shutdown_asyncgens(&self) -> impl Future<Output = ()> + 'static {
        let core = self.core().clone();
        async move {
            core.asyncgens.shut_down.set(true);
            loop {
                while let Some(generator) = core.next_asyncgen() {
                    generator.close().await;
                }
                // Closing one may have dropped others that it held.
                core.asyncgens_finalized().await;
                if core.asyncgens.orphans.borrow().is_empty() {
                    return;
                }
            }
        }
    }
}
