//! The runner: owns one loop from its first use to its orderly end.
//!
//! It is lazy: nothing is made before the first run. Whatever happens in a run (an error, a panic, an interrupt), every
//! state is restored, the runner stays usable, and `close` still goes through all of its phases. This is the top of the
//! runtime: it puts the pieces together and nothing below knows it.

mod closing;
mod dumps;
mod exit;
mod hooks;
pub(crate) mod interrupt;
mod ladder;
mod outcome;
mod program;
mod report;
mod shutdown;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::panic::{self, Location};
use std::rc::Rc;
use std::time::Duration;

pub use self::exit::exit;
pub use self::hooks::at_exit;
pub(crate) use self::outcome::Ended;
pub use self::report::{
    AbandonedChild, AbandonedCompanion, AbandonedJob, ShutdownReport, Survivor,
};

use self::closing::Closing;
use self::dumps::Dumps;
use self::interrupt::{Armed, Presses};
use self::ladder::Ladder;
use self::program::Program;
use crate::context::{Context, Lent, Snapshot};
use crate::error::RunError;
use crate::event_loop::{EventLoop, set_event_loop, try_running_loop};
use crate::exception::ExceptionContext;
use crate::large::is_large;
use crate::logging::{Level, say};
use crate::signals::{SIGHUP, SIGINT, SIGTERM};
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
    let mut ended = if is_large::<F>() {
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
    /// While the runner is initialised: the signals that ask what the program is doing.
    dumps: Cell<Option<Dumps>>,
}

/// What the builder was told.
struct Options {
    debug: Option<bool>,
    /// Made if anything is said of it.
    making: RefCell<Option<Box<LoopMaking>>>,
    interrupt: bool,
    terminate: bool,
    hangup: bool,
    shutdown_timeout: Option<Duration>,
    detached_panic: DetachedPanic,
    blocked_loop_after: Option<Duration>,
    /// As debug mode, unless set.
    dump_on_signal: Option<bool>,
}

/// What a panic does in a task that nobody awaits; see [`RunnerBuilder::detached_panic`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DetachedPanic {
    /// It is reported to the exception handler, and the program goes on.
    #[default]
    Report,
    /// It is reported, the main task is cancelled, and the run goes on with the panic once that has ended.
    Stop,
}

impl Options {
    /// The signals that are presses of the ladder.
    fn presses(&self) -> Vec<i32> {
        let asked = [
            (self.interrupt, SIGINT),
            (self.terminate, SIGTERM),
            (self.hangup, SIGHUP),
        ];
        let wanted = asked.into_iter().filter(|(is_wanted, _)| *is_wanted);
        wanted.map(|(_, signal)| signal).collect()
    }
}

/// How the loop is made, where the builder was told.
#[derive(Default)]
struct LoopMaking {
    factory: Option<LoopFactory>,
    set_up: Vec<LoopSetup>,
}

type LoopFactory = Box<dyn FnMut() -> io::Result<EventLoop>>;

type LoopSetup = Box<dyn FnMut(&EventLoop) -> io::Result<()>>;

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
        RunnerBuilder {
            options: Options {
                debug: None,
                making: RefCell::new(None),
                interrupt: true,
                terminate: false,
                hangup: false,
                shutdown_timeout: None,
                detached_panic: DetachedPanic::Report,
                blocked_loop_after: None,
                dump_on_signal: None,
            },
        }
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
        let ended = if is_large::<F>() {
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
        let ladder = Ladder::new(&live.event_loop, &self.presses);
        let running = RunningMain::begin(&live.event_loop, &live.program, &self.options);
        let output = live.event_loop.run_main(
            TaskOptions {
                context,
                ..TaskOptions::at(location)
            },
            ladder.guard(future),
            |main| {
                program.begin_run(main);
                ladder.arm(main, &self.options.presses());
                Ok(())
            },
            |_main| ladder.is_abandoned(),
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
        self.begin_observation(&event_loop);
        if is_current {
            set_event_loop(event_loop.clone());
        }
        let live = Live {
            context: Rc::new(Lent::new(Snapshot::current())),
            is_current,
            program: Program::enter(&event_loop),
            event_loop,
        };
        *self.state.borrow_mut() = State::Initialized(live.clone());
        Ok(live)
    }

    /// What cannot be looked at does not keep the program from running.
    fn begin_observation(&self, event_loop: &EventLoop) {
        if let Some(limit) = self.options.blocked_loop_after {
            if let Err(error) = event_loop.set_blocked_loop_after(limit) {
                say(
                    Level::Warning,
                    format_args!("Blocked loops will not be reported: {error}"),
                );
            }
        }
        let is_wanted = self.options.dump_on_signal;
        if is_wanted.unwrap_or_else(|| event_loop.debug()) {
            self.dumps.set(Some(Dumps::begin(event_loop)));
        }
    }

    /// Makes the loop; `true` if it is to be the thread's current one, which a factory's is not.
    fn make_loop(&self) -> Result<(EventLoop, bool), RunError> {
        match &mut *self.options.making.borrow_mut() {
            Some(making) => making.make(),
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
        let report = shutdown::shut_down(&live.event_loop, &live.program.hooks, &closing, timeout);
        live.program.leave();
        if live.is_current {
            set_event_loop(None);
        }
        *self.state.borrow_mut() = State::Closed;
        drop(self.dumps.take());
        // Last, so that no press falls behind it that is still of this close.
        let interruption = closing.outcome();
        let exit = live.program.exit.take();
        Closed {
            report,
            ending: outcome::latest(interruption, exit),
        }
    }
}

impl LoopMaking {
    fn make(&mut self) -> Result<(EventLoop, bool), RunError> {
        let event_loop = match &mut self.factory {
            Some(factory) => factory(),
            None => EventLoop::new(),
        };
        let event_loop = event_loop.map_err(RunError::EventLoop)?;
        if event_loop.is_closed() {
            return Err(RunError::LoopClosed);
        }
        if event_loop.is_running() {
            return Err(RunError::AlreadyRunning);
        }
        for set_up in &mut self.set_up {
            if let Err(error) = set_up(&event_loop) {
                let _ = event_loop.close();
                return Err(RunError::EventLoop(error));
            }
        }
        Ok((event_loop, self.factory.is_none()))
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

/// Configures a [`Runner`]; made by [`Runner::builder`].
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runner = asyncio::Runner::builder()
///     .loop_factory(|| asyncio::EventLoop::builder().virtual_time().build())
///     .debug(true)
///     .shutdown_timeout(Duration::from_secs(20))
///     .build();
/// runner.run(asyncio::sleep(Duration::from_secs(86_400)))?;
/// runner.close()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct RunnerBuilder {
    options: Options,
}

impl RunnerBuilder {
    /// Switches debug mode on or off; unless this is called, the loop decides (`ASYNCIO_DEBUG`). What it does is in
    /// [`debug`](crate::debug).
    pub fn debug(mut self, debug: bool) -> RunnerBuilder {
        self.options.debug = Some(debug);
        self
    }

    /// Sets what makes the loop. Called at the first use, and again at the next one if it failed.
    ///
    /// The runner closes the loop that it got, but does not make it the thread's current one.
    pub fn loop_factory<L: IntoEventLoop>(
        mut self,
        mut factory: impl FnMut() -> L + 'static,
    ) -> RunnerBuilder {
        self.making().factory = Some(Box::new(move || factory().into_event_loop()));
        self
    }

    /// Has `set_up` called with the loop when it was made, before anything runs on it. What is called more than once is added.
    ///
    /// An error is the runner's: it closes that loop, and its next use makes another one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// let runner = asyncio::Runner::builder()
    ///     .loop_setup(|event_loop| {
    ///         event_loop.set_exception_handler(|_loop, context| eprintln!("{}", context.message()));
    ///         Ok(())
    ///     })
    ///     .build();
    /// runner.run(async {}).unwrap();
    /// ```
    pub fn loop_setup(
        mut self,
        set_up: impl FnMut(&EventLoop) -> io::Result<()> + 'static,
    ) -> RunnerBuilder {
        self.making().set_up.push(Box::new(set_up));
        self
    }

    fn making(&mut self) -> &mut LoopMaking {
        self.options.making.get_mut().get_or_insert_default()
    }

    /// Says whether Ctrl-C cancels the running future; it does unless this is called with `false`. The other signals have
    /// switches of their own.
    pub fn interrupt(mut self, interrupt: bool) -> RunnerBuilder {
        self.options.interrupt = interrupt;
        self
    }

    /// Says whether the system's request to end the program (SIGTERM) is treated like Ctrl-C.
    pub fn terminate(mut self, terminate: bool) -> RunnerBuilder {
        self.options.terminate = terminate;
        self
    }

    /// Says whether the loss of the terminal (SIGHUP) is treated like Ctrl-C.
    ///
    /// Without it the process dies at once when its terminal is closed, as any program does. Under `nohup`, SIGHUP stays
    /// ignored. A service that reads its configuration again at SIGHUP wants [`signal::hangup`](crate::signal::hangup)
    /// instead.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # use std::{process::Command, time::Duration};
    /// # fn hang_up() { Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap(); }
    /// let runner = asyncio::Runner::builder().terminate(true).hangup(true).build();
    /// # if cfg!(target_os = "linux") {
    /// let outcome = runner.run(async {
    /// #   asyncio::running_loop().call_soon(hang_up);
    ///     let session = asyncio::sleep(Duration::from_secs(3600));
    ///     asyncio::finally(session, async || println!("saved")).await;
    /// });
    /// assert!(matches!(outcome, Err(asyncio::RunError::HungUp)));
    /// # }
    /// ```
    pub fn hangup(mut self, hangup: bool) -> RunnerBuilder {
        self.options.hangup = hangup;
        self
    }

    /// Limits the whole orderly shutdown. Tasks that are left then are named on stderr, and dropped.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> RunnerBuilder {
        self.options.shutdown_timeout = Some(timeout);
        self
    }

    /// Says what a panic does in a task that nobody awaits: it is reported and the program goes on, unless this is called
    /// with [`DetachedPanic::Stop`].
    ///
    /// Then the first such panic ends the program in an orderly way: it is reported, the main task is cancelled and may
    /// clean up, and [`run`](Runner::run) goes on with the task's panic, whatever main has returned; the close goes through
    /// all phases, and the process ends with status 101. A panic during the close is reported, as ever. A task counts as one
    /// that nobody awaits from the moment its handle is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// let runner = asyncio::Runner::builder()
    ///     .detached_panic(asyncio::DetachedPanic::Stop)
    ///     .build();
    /// let run = || {
    ///     runner.run(async {
    ///         drop(asyncio::spawn(async { panic!("out of cheese") }));
    ///         std::future::pending::<()>().await;
    ///     })
    /// };
    /// let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    /// assert_eq!(*panic.downcast::<&str>().unwrap(), "out of cheese");
    /// ```
    pub fn detached_panic(mut self, detached_panic: DetachedPanic) -> RunnerBuilder {
        self.options.detached_panic = detached_panic;
        self
    }

    /// Has a thread report when the loop is blocked for so long; see
    /// [`EventLoop::set_blocked_loop_after`]. Debug mode is not needed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::time::Duration;
    ///
    /// let runner = asyncio::Runner::builder().blocked_loop_after(Duration::from_secs(1)).build();
    /// runner.run(async { "no harm done" }).unwrap();
    /// ```
    pub fn blocked_loop_after(mut self, limit: Duration) -> RunnerBuilder {
        self.options.blocked_loop_after = Some(limit);
        self
    }

    /// Says whether SIGQUIT (Ctrl-\ on a terminal) and SIGUSR1 make the program print on stderr what each of its tasks waits
    /// for, and go on, as Java programs do at SIGQUIT. Unless this is called they do in debug mode.
    ///
    /// The signals are taken from the runner's first use to the end of its close, and then do what they did before. One that
    /// the program ignores, or has a handler of its own for, is left alone; listeners of [`signal`](crate::signal) are told
    /// beside this. Without either, both signals end the process, by default. If the loop does not answer within 100 ms, the
    /// program says what blocks it instead, and prints the tasks when the loop goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # use std::{process::Command, time::Duration};
    /// # fn ask() { Command::new("kill").args(["-USR1", &std::process::id().to_string()]).status().unwrap(); }
    /// let runner = asyncio::Runner::builder().dump_on_signal(true).build();
    /// runner
    ///     .run(async {
    /// #       ask();
    ///         // `kill -USR1` prints: main waits for sleep (..), with the line that started it.
    ///         asyncio::sleep(Duration::from_millis(10)).await;
    ///     })
    ///     .unwrap();
    /// ```
    pub fn dump_on_signal(mut self, dump: bool) -> RunnerBuilder {
        self.options.dump_on_signal = Some(dump);
        self
    }

    /// Makes the runner. Nothing is opened or started.
    pub fn build(self) -> Runner {
        Runner {
            options: self.options,
            state: RefCell::new(State::Created),
            presses: Rc::default(),
            closes_next: Cell::new(false),
            armed: Cell::new(None),
            dumps: Cell::new(None),
        }
    }
}

/// What a loop factory may return: a loop, or the attempt to make one.
#[diagnostic::on_unimplemented(
    message = "a loop factory returns `EventLoop` or `io::Result<EventLoop>`, not `{Self}`",
    label = "this one returns `{Self}`"
)]
pub trait IntoEventLoop {
    /// Returns the loop.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn into_event_loop(self) -> io::Result<EventLoop>;
}

impl IntoEventLoop for EventLoop {
    fn into_event_loop(self) -> io::Result<EventLoop> {
        Ok(self)
    }
}

impl IntoEventLoop for io::Result<EventLoop> {
    fn into_event_loop(self) -> io::Result<EventLoop> {
        self
    }
}
