//! The runner: owns one loop from its first use to its orderly end.
//!
//! It is lazy: nothing is made before the first run. Whatever happens in a run (an error, a panic, an interrupt), every
//! state is restored, the runner stays usable, and `close` still goes through all of its phases. This is the top of the
//! runtime: it puts the pieces together and nothing below knows it.

mod builder;
mod closing;
mod crew;
mod dumps;
mod exit;
mod hooks;
mod inspection;
pub(crate) mod interrupt;
mod ladder;
mod loop_maker;
mod observers;
mod outcome;
mod program;
mod report;
mod shutdown;
mod sibling;
mod workers;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::{self, Location};
use std::rc::Rc;

pub use self::builder::{DetachedPanic, IntoEventLoop, RunnerBuilder};
pub use self::exit::exit;
pub use self::hooks::at_exit;
pub(crate) use self::outcome::Ended;
pub use self::report::{
    AbandonedChild, AbandonedCompanion, AbandonedJob, AbandonedWorker, ShutdownReport, Survivor,
};
pub use self::workers::{Worker, WorkerTask, spawn_on, worker, workers};

use self::builder::Options;
use self::closing::Closing;
use self::crew::Crew;
use self::interrupt::{Armed, Presses};
use self::ladder::Ladder;
use self::observers::Observers;
use self::program::Program;
use crate::context::{Context, Lent, Snapshot};
use crate::error::RunError;
use crate::event_loop::{EventLoop, set_event_loop, try_running_loop};
use crate::exception::ExceptionContext;
use crate::large::is_large;
use crate::task::cell::{RunsIn, TaskOptions};

/// Runs `future` on a new loop, closes the loop in an orderly way, and returns the future's output.
///
/// The same as a [`Runner`] made, run once and closed. What goes wrong while closing is reported to the loop's exception
/// handler, and does not take the future's result away. Only Ctrl-C during the close, and [`exit()`] there, take its place,
/// as in Python; stderr tells so if the result has a value. A program that needs both uses a [`Runner`].
///
/// # Errors
///
/// As [`Runner::run`].
///
/// # Panics
///
/// Goes on with the future's panic, after the orderly shutdown.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// let text = String::from("borrowed");
/// let length = asyncio::run(async { text.len() });
/// assert_eq!(length.unwrap(), 8);
/// ```
#[track_caller]
pub fn run<F: IntoFuture>(future: F) -> Result<F::Output, RunError> {
    run_and_close(&Runner::new(), future.into_future()).settle()
}

/// Runs and closes; on a panic the runner's destructor closes.
#[track_caller]
pub(crate) fn run_and_close<F: Future>(runner: &Runner, future: F) -> Ended<F::Output> {
    let live = match runner.initialize() {
        Ok(live) => live,
        Err(error) => return Ended::new(Err(error)),
    };
    // One stretch for other threads' requests to exit: none falls between the run and the close.
    let _underway = live.program.begin();
    runner.closes_next.set(true);
    let mut ended = if const { is_large::<F>() } {
        runner.run_at(None, Location::caller(), Box::pin(future))
    } else {
        runner.run_at(None, Location::caller(), future)
    };
    let closed = runner.close_live();
    if let Err(error) = closed.report {
        // The result of the run is the caller's; this is what is left to say.
        let context = ExceptionContext::new("closing the runner failed").with_error(error);
        live.event_loop.call_exception_handler(context);
    }
    ended.followed_by(closed.ending);
    ended
}

/// Where a runner is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunnerState {
    /// Nothing was made yet.
    Created,
    /// The loop is there.
    Initialized,
    /// Closed for good.
    Closed,
}

/// Owns one event loop: makes it at first use, runs futures on it, and ends it in an orderly way.
///
/// Dropping the runner closes it.
///
/// # Differences from asyncio
///
/// Inside of a running loop a runner is refused at once, and not only when it is closed. `run` takes `&self`.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runner = asyncio::Runner::new();
/// assert_eq!(runner.run(async { 1 })?, 1);
/// assert_eq!(runner.run(async { 2 })?, 2);
/// let report = runner.close()?;
/// assert!(report.is_clean());
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    options: Options,
    state: RefCell<State>,
    /// The presses of Ctrl-C in the last run: the close goes on from there.
    presses: Rc<Cell<Presses>>,
    /// The run is followed by the close at once, which takes the signals over.
    closes_next: Cell<bool>,
    /// From such a run to its close: the signals.
    armed: Cell<Option<Armed>>,
    /// While the runner is initialised.
    observers: Cell<Observers>,
    /// While the runner is initialised: the other workers.
    crew: Cell<Option<Box<Crew>>>,
}

enum State {
    Created,
    Initialized(Live),
    Closed,
}

/// What an initialised runner has.
#[derive(Clone)]
struct Live {
    event_loop: EventLoop,
    /// Shared by all runs: what one sets, the next one sees.
    context: Rc<Lent>,
    /// The runner made the loop the thread's current one, and so takes that back.
    is_current: bool,
    /// What the code that runs here can reach of the runner.
    program: Rc<Program>,
}

/// What became of a close.
struct Closed {
    report: Result<ShutdownReport, RunError>,
    /// A press of Ctrl-C, or a request to exit, that came during the close.
    ending: Option<RunError>,
}

impl Runner {
    /// Creates a runner with the default settings. Nothing is opened or started.
    pub fn new() -> Runner {
        Runner::builder().build()
    }

    /// Configures a runner before it is made.
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder::new()
    }

    /// Runs `future` on the runner's loop until it is done, and returns its output.
    ///
    /// May be called again and again. Tasks that are left go on in the next run; context variables that one run sets,
    /// the next one sees. The future may borrow, and need not be `Send`.
    ///
    /// On the main thread Ctrl-C cancels the future, which may await its cleanup; a second one abandons it.
    ///
    /// # Errors
    ///
    /// [`RunError::Nested`] inside of a running loop and [`RunError::Closed`] after [`close`](Runner::close), both before
    /// anything is done and with the future dropped unpolled; [`RunError::EventLoop`] if the loop could not be made (the
    /// next call tries again) or broke; [`RunError::Cancelled`], [`RunError::KeyboardInterrupt`],
    /// [`RunError::Terminated`], [`RunError::HungUp`], [`RunError::Exit`] and [`RunError::Stopped`] for what they say.
    ///
    /// # Panics
    ///
    /// Goes on with the future's panic, or with that of a task if [`DetachedPanic::Stop`] is set. The runner stays usable,
    /// and its close still goes through all phases.
    #[track_caller]
    pub fn run<F: IntoFuture>(&self, future: F) -> Result<F::Output, RunError> {
        self.run_at(None, Location::caller(), future.into_future())
            .settle()
    }

    /// Runs `future` in the given context instead of the runner's own.
    ///
    /// # Errors
    ///
    /// As [`run`](Runner::run), and [`RunError::Context`] if the context is entered already.
    ///
    /// # Panics
    ///
    /// As [`run`](Runner::run).
    #[track_caller]
    pub fn run_in<F: IntoFuture>(
        &self,
        context: &Context,
        future: F,
    ) -> Result<F::Output, RunError> {
        self.run_at(
            Some(context.clone()),
            Location::caller(),
            future.into_future(),
        )
        .settle()
    }

    fn run_at<F: Future>(
        &self,
        context: Option<Context>,
        location: &'static Location<'static>,
        future: F,
    ) -> Ended<F::Output> {
        let ended = if const { is_large::<F>() } {
            self.run_with(context, location, Box::pin(future))
        } else {
            self.run_with(context, location, future)
        };
        ended.unwrap_or_else(|error| Ended::new(Err(error)))
    }

    fn run_with<F: Future>(
        &self,
        context: Option<Context>,
        location: &'static Location<'static>,
        future: F,
    ) -> Result<Ended<F::Output>, RunError> {
        if try_running_loop().is_some() {
            return Err(RunError::Nested);
        }
        let live = self.initialize()?;
        let program = &*live.program;
        let context = match context {
            None => RunsIn::Lent(live.context),
            Some(context) => RunsIn::Shared(context),
        };
        let _underway = program.begin();
        let wanted = self.options.presses();
        let ladder = Ladder::new(&live.event_loop, &self.presses, &wanted);
        let running = RunningMain::begin(&live.event_loop, &live.program, &self.options);
        let output = live.event_loop.run_main(
            TaskOptions {
                context,
                ..TaskOptions::at(location)
            },
            ladder.guard(future),
            |main| {
                program.begin_run(main);
                ladder.arm(main);
                Ok(())
            },
            ladder.abandoned(),
        );
        drop(running);
        let exit = program.exit.take();
        let heir = self.closes_next.get().then_some(&self.armed);
        let interruption = ladder.outcome(&output, exit, program.has_asked(), heir);
        if let Some(payload) = program.take_panic() {
            panic::resume_unwind(payload);
        }
        let exit = exit.map(|exit| RunError::Exit(exit.code));
        Ok(Ended::of_run(output, interruption.or(exit)))
    }

    /// Returns the runner's loop, made now if this is the first use.
    ///
    /// # Errors
    ///
    /// [`RunError::Closed`], [`RunError::Nested`] if it would have to be made inside of a running loop, and
    /// [`RunError::EventLoop`] if it cannot be made; the next call tries again.
    #[doc(alias = "get_loop")]
    pub fn event_loop(&self) -> Result<EventLoop, RunError> {
        self.initialize().map(|live| live.event_loop)
    }

    /// Returns where the runner is in its life.
    pub fn state(&self) -> RunnerState {
        match *self.state.borrow() {
            State::Created => RunnerState::Created,
            State::Initialized(_) => RunnerState::Initialized,
            State::Closed => RunnerState::Closed,
        }
    }

    /// Everything is made first and committed last, so that a failure leaves the runner as it was.
    fn initialize(&self) -> Result<Live, RunError> {
        match &*self.state.borrow() {
            State::Closed => return Err(RunError::Closed),
            State::Initialized(live) => return Ok(live.clone()),
            State::Created if try_running_loop().is_some() => return Err(RunError::Nested),
            State::Created => {}
        }
        let (event_loop, is_current) = self.make_loop()?;
        if let Some(debug) = self.options.debug {
            event_loop.set_debug(debug);
        }
        let crew = match self.options.siblings() {
            0 => None,
            count => Some(self.start_crew(&event_loop, count)?),
        };
        self.observers
            .set(Observers::begin(&event_loop, &self.options));
        if is_current {
            set_event_loop(event_loop.clone());
        }
        let live = Live {
            context: Rc::new(Lent::new(Snapshot::current())),
            is_current,
            program: Program::enter(&event_loop),
            event_loop,
        };
        if let Some(crew) = crew {
            observers::draw_siblings(&live.event_loop, &crew);
            let workers = crew.introduce(live.program.exit.clone());
            let _ = live.program.workers.set(workers);
            self.crew.set(Some(crew));
        }
        *self.state.borrow_mut() = State::Initialized(live.clone());
        Ok(live)
    }

    /// Starts the other workers. Without them the loop is of no use.
    #[cold]
    fn start_crew(&self, event_loop: &EventLoop, count: usize) -> Result<Box<Crew>, RunError> {
        let settings = self.options.of_siblings(event_loop.debug());
        match Crew::start(event_loop, count, &settings) {
            Ok(crew) => Ok(Box::new(crew)),
            Err(error) => {
                let _ = event_loop.close();
                Err(RunError::EventLoop(error))
            }
        }
    }

    /// Takes the other workers out. A process that was forked has none.
    fn take_crew(&self, event_loop: &EventLoop) -> Option<Box<Crew>> {
        let crew = self.crew.take()?;
        if event_loop.core().is_forked() {
            crew.forget();
            return None;
        }
        Some(crew)
    }

    /// Makes the loop; `true` if it is to be the thread's current one, which a factory's is not.
    fn make_loop(&self) -> Result<(EventLoop, bool), RunError> {
        match &mut *self.options.loop_maker.borrow_mut() {
            Some(maker) => maker.make(),
            None => Ok((EventLoop::new().map_err(RunError::EventLoop)?, true)),
        }
    }

    /// Ends the loop in an orderly way: cancels every task and waits for it, closes async generators, shuts the default
    /// executor down, closes the loop.
    ///
    /// Each phase is gone through whatever happened in the one before. Closing a runner that was not used yet, or is
    /// closed, does nothing.
    ///
    /// Ctrl-C is heard meanwhile, as in a run: the first press hurries the close, which then takes at most a second more and
    /// waits for no job, and the next one ends the process. Where the last run was interrupted already, the same presses
    /// count as the second and the third.
    ///
    /// # Errors
    ///
    /// [`RunError::AlreadyRunning`] or [`RunError::Nested`] inside of a running loop, with nothing changed. Else the runner is
    /// closed whatever this returns: [`RunError::EventLoop`] if the loop broke and tasks had to be dropped instead of
    /// awaited, [`RunError::KeyboardInterrupt`] or [`RunError::Terminated`] after a press during the close, and
    /// [`RunError::Exit`] if [`exit()`] was called there. What the report would have said was written to stderr and to the
    /// exception handler then.
    pub fn close(&self) -> Result<ShutdownReport, RunError> {
        let closed = self.close_live();
        match closed.ending {
            Some(ending) => closed.report.and(Err(ending)),
            None => closed.report,
        }
    }

    fn close_live(&self) -> Closed {
        let refused = |report| Closed {
            report,
            ending: None,
        };
        let live = match &*self.state.borrow() {
            State::Created | State::Closed => return refused(Ok(ShutdownReport::default())),
            State::Initialized(live) => live.clone(),
        };
        if live.event_loop.is_running() {
            return refused(Err(RunError::AlreadyRunning));
        }
        if try_running_loop().is_some() {
            return refused(Err(RunError::Nested));
        }
        let _underway = live.program.begin();
        let closing = Closing::new(&live.event_loop, self.presses.get());
        closing.arm(&self.options.presses(), self.armed.take());
        let timeout = self.options.shutdown_timeout;
        let crew = self.take_crew(&live.event_loop);
        let hooks = &live.program.hooks;
        let report = shutdown::shut_down(&live.event_loop, hooks, &closing, timeout, crew);
        live.program.leave();
        if live.is_current {
            set_event_loop(None);
        }
        *self.state.borrow_mut() = State::Closed;
        drop(self.observers.take());
        // Last, so that no press falls behind it that is still of this close.
        let interruption = closing.outcome();
        let exit = live.program.exit.take();
        Closed {
            report,
            ending: outcome::latest(interruption, exit),
        }
    }
}

/// While it lives, a run is under way, as the rest of the program sees it.
struct RunningMain<'a> {
    event_loop: &'a EventLoop,
    program: &'a Program,
}

impl<'a> RunningMain<'a> {
    fn begin(
        event_loop: &'a EventLoop,
        program: &'a Rc<Program>,
        options: &Options,
    ) -> RunningMain<'a> {
        if options.detached_panic == DetachedPanic::Stop {
            let keeper = program.clone();
            let keep = move |payload| keeper.stop_for(payload);
            event_loop
                .core()
                .scheduler
                .exceptions
                .set_panic_keeper(Some(Rc::new(keep)));
        }
        event_loop.core().record_run();
        RunningMain {
            event_loop,
            program,
        }
    }
}

impl Drop for RunningMain<'_> {
    fn drop(&mut self) {
        self.program.end_run();
        let exceptions = &self.event_loop.core().scheduler.exceptions;
        exceptions.set_panic_keeper(None);
        self.event_loop.core().record_end_of_run();
    }
}

impl Default for Runner {
    fn default() -> Runner {
        Runner::new()
    }
}

impl Drop for Runner {
    /// Closes. Where that is refused, inside of a running loop, the loop is ended without the orderly phases.
    fn drop(&mut self) {
        let closed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.close()));
        if let (Ok(Err(RunError::Nested)), State::Initialized(live)) =
            (closed, &*self.state.borrow())
        {
            let why = "the runner was dropped inside of another running loop";
            live.program.hooks.give_up(&live.event_loop, why);
            drop(self.take_crew(&live.event_loop));
            let _ = live.event_loop.close();
            live.program.leave();
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
