//! Exit hooks: futures that the runner awaits while it closes, after the tasks and before the async generators.
//!
//! This file only keeps them; `shutdown.rs` runs them. Each is taken out before it runs, hence none runs twice.

use std::cell::{Cell, RefCell};
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;

use super::program::Program;
use super::workers::with_crewmates;
use crate::context::{Context, copy_context};
use crate::event_loop::{EventLoop, running_loop};
use crate::exception::ExceptionContext;

/// A hook that waits for the end.
pub(super) struct Hook {
    pub(super) future: Pin<Box<dyn Future<Output = ()>>>,
    /// That of whoever registered it, as it was then.
    pub(super) context: Context,
    pub(super) location: &'static Location<'static>,
}

/// The hooks of one runner.
#[derive(Default)]
pub(super) struct ExitHooks {
    /// In the order of registration.
    waiting: RefCell<Vec<Hook>>,
    /// All that are run were run.
    over: Cell<bool>,
}

/// Has `hook` awaited when the runner closes, after every task has ended and before async generators are closed.
///
/// Hooks run one after another, the latest first, each once, however the program ends in an orderly way: by its own
/// return, an error, a panic of main, Ctrl-C, [`exit`](crate::exit). `std::process::exit` and the last press of Ctrl-C run
/// none. A hook runs in a copy of the context in which it was registered, and may do all that a task may: await, spawn (what
/// it spawns and leaves is cancelled and awaited after the last hook), start blocking jobs, register another hook, which
/// then runs next.
///
/// A panic of a hook goes to the exception handler and into the [`ShutdownReport`](crate::ShutdownReport), and the other
/// hooks run all the same. A hook that can fail otherwise reports that itself, with
/// [`call_exception_handler`](crate::EventLoop::call_exception_handler).
///
/// Hooks share the budget of `shutdown_timeout` with everything else. When it is used up, each hook is still begun, and
/// dropped where it would have to wait.
///
/// # Panics
///
/// When no loop runs on this thread, or one that no [`Runner`](crate::Runner) owns: nobody would run the hook. On a worker
/// other than the first as well: hooks run on the loop of main, one after another, and are registered there.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     asyncio::at_exit(async {
///         asyncio::sleep(Duration::from_millis(1)).await;
///         println!("after every task");
///     });
///     println!("main");
/// })
/// .unwrap();
/// ```
#[doc(alias = "atexit")]
#[track_caller]
pub fn at_exit<F>(hook: F)
where
    F: IntoFuture<Output = ()>,
    F::IntoFuture: 'static,
{
    let event_loop = running_loop();
    let Some(program) = Program::here() else {
        assert!(
            with_crewmates(|_| ()).is_none(),
            "exit hooks run on the loop of main: call `asyncio::at_exit` there, and not on another worker"
        );
        panic!(
            "`asyncio::at_exit` needs a runner: the loop that runs here is driven by hand, and nobody would run the hook"
        );
    };
    let hook = Hook {
        future: Box::pin(hook.into_future()),
        context: copy_context(),
        location: Location::caller(),
    };
    if let Err(late) = program.hooks.push(hook) {
        give_up(&event_loop, late, "it came after the last of them had run");
    }
}

/// A report about the hook that was registered there.
pub(super) fn report(location: &'static Location<'static>, what: &str) -> ExceptionContext {
    ExceptionContext::new(format!(
        "the exit hook registered at {}:{} {what}",
        location.file(),
        location.line()
    ))
}

/// Reports and drops a hook that will not run.
fn give_up(event_loop: &EventLoop, hook: Hook, why: &str) {
    let report = report(hook.location, &format!("was not run: {why}"));
    event_loop.call_exception_handler(report);
    event_loop.core().scheduler.exceptions.drop_left_over(hook);
}

impl ExitHooks {
    fn push(&self, hook: Hook) -> Result<(), Hook> {
        if self.over.get() {
            return Err(hook);
        }
        self.waiting.borrow_mut().push(hook);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Takes the latest one out.
    pub(super) fn pop(&self) -> Option<Hook> {
        self.waiting.borrow_mut().pop()
    }

    /// Takes no more, and gives up those that were not run.
    pub(super) fn give_up(&self, event_loop: &EventLoop, why: &str) {
        self.over.set(true);
        while let Some(hook) = self.pop() {
            give_up(event_loop, hook, why);
        }
    }
}
