//! Running the loop: until a future is done, or until it is told to stop.

use std::cell::Cell;
use std::future::{Future, IntoFuture};
use std::panic::{self, Location};
use std::time::Instant;

use super::{EnteredCompanions, EventLoop, LoopCore, current};
use crate::error::{JoinError, JoinErrorKind, RunError};
use crate::large::is_large;
use crate::task::cell::{RunsIn, TaskCell, TaskOptions};
use crate::task::{main_task, raw};

/// Whoever runs a loop holds this; it is what "running" means.
pub(crate) struct Running<'a> {
    event_loop: &'a EventLoop,
    _scheduler: raw::EnteredScheduler,
    _current: current::Entered,
    _companions: EnteredCompanions,
}

impl<'a> Running<'a> {
    /// The checks are asyncio's, in its order; nothing is changed when one fails.
    fn begin(event_loop: &'a EventLoop) -> Result<Running<'a>, RunError> {
        let core = event_loop.core();
        if core.is_closed() {
            return Err(RunError::LoopClosed);
        }
        if core.is_forked() {
            return Err(RunError::Forked);
        }
        if event_loop.is_running() {
            return Err(RunError::AlreadyRunning);
        }
        if current::try_running_loop().is_some() {
            return Err(RunError::AnotherLoopRunning);
        }
        // Somebody else's code, which may panic.
        let companions = core.enter_companions();
        core.running.set(true);
        core.look_at_timers_first();
        core.note_begin();
        Ok(Running {
            event_loop,
            _scheduler: core.scheduler.enter(),
            _current: current::enter(event_loop),
            _companions: companions,
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let core = self.event_loop.core();
        core.rest();
        core.running.set(false);
        core.stopping.set(false);
    }
}

impl EventLoop {
    /// Runs the loop until `future` is done, and returns its output.
    ///
    /// Everything that was ready when the future became done is run before this returns; the other tasks stay, and go on
    /// when the loop is run again. The future may borrow, and need not be `Send`.
    ///
    /// # Errors
    ///
    /// [`RunError::LoopClosed`], [`RunError::AlreadyRunning`] and [`RunError::AnotherLoopRunning`] before anything is done;
    /// [`RunError::Cancelled`] if the future was cancelled; [`RunError::Stopped`] if [`stop`](EventLoop::stop) was called
    /// first; [`RunError::EventLoop`] if the driver failed. In the last two cases the future is dropped.
    ///
    /// # Panics
    ///
    /// Goes on with the future's panic, if it panics. The loop stays usable.
    ///
    /// # Differences from asyncio
    ///
    /// After `stop` Python's future stays pending. Here it may borrow from the caller, so it cannot outlive the call;
    /// to keep a task over several runs, spawn it and pass `&mut task`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let event_loop = asyncio::EventLoop::new()?;
    /// let text = String::from("borrowed");
    /// let length = event_loop.run_until_complete(async { text.len() })?;
    /// assert_eq!(length, 8);
    /// event_loop.close()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn run_until_complete<F: IntoFuture>(&self, future: F) -> Result<F::Output, RunError> {
        let options = TaskOptions::at(Location::caller());
        let future = future.into_future();
        if const { is_large::<F::IntoFuture>() } {
            self.run_main(options, Box::pin(future), |_main| Ok(()), None)
        } else {
            self.run_main(options, future, |_main| Ok(()), None)
        }
    }

    /// The same in a given context, with a look at the main task before its first step (`prepare`), and without waiting for it
    /// any longer when it is `abandoned`.
    pub(crate) fn run_main<F: Future>(
        &self,
        options: TaskOptions,
        future: F,
        prepare: impl FnOnce(&TaskCell) -> Result<(), RunError>,
        abandoned: Option<&Cell<bool>>,
    ) -> Result<F::Output, RunError> {
        refuse_entered(&options.context)?;
        let running = Running::begin(self)?;
        let output = main_task::scoped(&self.core().scheduler, options, future, |main| {
            prepare(main)?;
            self.core().drive(main, abandoned)
        });
        drop(running);
        match output? {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(main_failure(error)),
            None => Err(RunError::Stopped),
        }
    }

    /// Runs the loop until [`stop`](EventLoop::stop) is called.
    ///
    /// If it was called before, exactly one turn is run, without waiting.
    ///
    /// # Errors
    ///
    /// As [`run_until_complete`](EventLoop::run_until_complete).
    pub fn run_forever(&self) -> Result<(), RunError> {
        let _running = Running::begin(self)?;
        let core = self.core();
        core.run_turns(|| core.stopping.get())
            .map_err(RunError::EventLoop)
    }

    /// Runs turns as long as `condition` holds and `deadline` has not passed, whoever calls `stop` meanwhile.
    pub(crate) fn run_while(
        &self,
        deadline: Option<Instant>,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), RunError> {
        let _running = Running::begin(self)?;
        while condition() && deadline.is_none_or(|deadline| self.core().now() < deadline) {
            self.core().stopping.set(false);
            self.core()
                .turn(true, deadline)
                .map_err(RunError::EventLoop)?;
        }
        Ok(())
    }

    /// Lets the loop return after the current turn. What this turn made ready stays for the next run.
    ///
    /// Called before the loop runs, it lets the next run end after one turn.
    pub fn stop(&self) {
        self.core().stopping.set(true);
    }
}

impl LoopCore {
    fn drive(&self, main: &TaskCell, abandoned: Option<&Cell<bool>>) -> Result<(), RunError> {
        let never = Cell::new(false);
        let abandoned = abandoned.unwrap_or(&never);
        self.run_turns(|| main.is_done() || self.stopping.get() || abandoned.get())
            .map_err(RunError::EventLoop)?;
        match main.is_done() {
            true => self.finish_batch(),
            false => Ok(()),
        }
    }

    /// asyncio stops through a callback of the finished future, so what was ready with it is run as well.
    fn finish_batch(&self) -> Result<(), RunError> {
        if self.scheduler.ready_len() == 0 {
            return Ok(());
        }
        self.turn(false, None).map_err(RunError::EventLoop)
    }
}

/// A context that is entered already would keep the main task from its first step: refused before anything happens.
fn refuse_entered(context: &RunsIn) -> Result<(), RunError> {
    match context {
        RunsIn::Copy | RunsIn::Lent(_) => Ok(()),
        RunsIn::Shared(context) => context.try_enter().map(drop).map_err(RunError::Context),
    }
}

/// What the main task's failure is to the caller of `run`.
fn main_failure(error: JoinError) -> RunError {
    match error.into_kind() {
        JoinErrorKind::Cancelled(error) => RunError::Cancelled(error),
        JoinErrorKind::Context(error) => RunError::Context(error),
        JoinErrorKind::Panic(payload) => panic::resume_unwind(
            payload
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        ),
        JoinErrorKind::ExecutorShutdown | JoinErrorKind::NoThread(_) | JoinErrorKind::Failed => {
            unreachable!("only a job, or a group's child, fails like that (a bug of this crate)")
        }
    }
}
