//! What a runner is told before it is made.
//!
//! Plain settings: nothing is opened or started here, and each is explained where it is set.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::crew::{Settings, WorkerFactory};
use super::loop_maker::LoopMaker;
use super::{Runner, State};
use crate::event_loop::EventLoop;
use crate::signals::{SIGHUP, SIGINT, SIGTERM};

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
    pub(super) fn new() -> RunnerBuilder {
        RunnerBuilder {
            options: Options {
                debug: None,
                loop_maker: RefCell::new(None),
                interrupt: true,
                terminate: false,
                hangup: false,
                shutdown_timeout: None,
                detached_panic: DetachedPanic::Report,
                blocked_loop_after: None,
                trace: None,
                dump_on_signal: None,
                workers: None,
            },
        }
    }

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
        self.loop_maker().factory = Some(Box::new(move || factory().into_event_loop()));
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
        self.loop_maker().set_up.push(Box::new(set_up));
        self
    }

    fn loop_maker(&mut self) -> &mut LoopMaker {
        self.options.loop_maker.get_mut().get_or_insert_default()
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
    /// [`EventLoop::set_blocked_loop_after`]. Debug mode is not needed. With the crate's feature `backtrace`, on Linux, the
    /// blocked thread's backtrace is told as well.
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
    /// The signals are answered from the runner's first use to the end of its close, and then do what they did before. One that
    /// the program ignores, or has a handler of its own for, is left alone; listeners of [`signal`](crate::signal) are told
    /// beside this. Without either, both signals end the process, by default. If the loop does not answer within 100 ms, the
    /// program says what blocks it instead (with the feature `backtrace`, on Linux, also where), and prints the tasks when the
    /// loop goes on. That takes a thread. A runner that has none, as it handles no other signals and has one loop, does without on
    /// Linux unless this is called with `true`: if its loop is blocked, it prints its tasks when it goes on, and nothing before.
    ///
    /// The handlers stay from the first such runner on, also while there is none; they do what the system does then. A program
    /// that installs its own later keeps it.
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

    /// Sets how many event loops the program has, each in a thread of its own: one, unless this is called.
    ///
    /// Main runs on the first one, in the runner's thread. The others, its siblings, start with the runner's first use and end
    /// with its close. They run what is sent to them by [`spawn_on`](crate::spawn_on); a task stays on the loop where it was
    /// started, and nothing of it need be `Send`. To use all processors: [`std::thread::available_parallelism`].
    ///
    /// There is one shutdown for all: when main is over, the tasks of all loops are cancelled at the same moment and awaited,
    /// then all go on to the next phase. [`shutdown_timeout`](RunnerBuilder::shutdown_timeout) bounds the whole of it, and the
    /// [`ShutdownReport`](crate::ShutdownReport) is about all loops. A loop that is blocked, and does not answer within a second
    /// more, is named in it and left. Ctrl-C and the other signals are the first loop's, which tells the others;
    /// [`exit()`](crate::exit()) may be called on any of them. Debug mode, [`detached_panic`](RunnerBuilder::detached_panic),
    /// [`blocked_loop_after`](RunnerBuilder::blocked_loop_after) and [`dump_on_signal`](RunnerBuilder::dump_on_signal) count
    /// for every loop; the [`loop_factory`](RunnerBuilder::loop_factory) and
    /// [`loop_setup`](RunnerBuilder::loop_setup) are about the first one only, see
    /// [`worker_loop_factory`](RunnerBuilder::worker_loop_factory). What a loop is told about itself stays with it: an exception
    /// handler is set on each. A [`trace`](RunnerBuilder::trace) draws all of them, each as the thread that it runs in.
    /// [`EventLoop::stop`] does nothing to a sibling.
    ///
    /// If one of the loops cannot be made, [`run`](Runner::run) says why, and nothing is left of the others.
    ///
    /// # Panics
    ///
    /// With 0: somebody has to run main.
    ///
    /// # Differences from asyncio
    ///
    /// asyncio has one loop per thread, too, but leaves the threads and their orderly end to the program.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// let runner = asyncio::Runner::builder().workers(3).build();
    /// let main = async {
    ///     let add = |worker| asyncio::spawn_on(worker, || async { asyncio::worker().index() });
    ///     let tasks: Vec<_> = asyncio::workers().into_iter().map(add).collect();
    ///     let mut sum = 0;
    ///     for task in tasks {
    ///         sum += task.await.unwrap();
    ///     }
    ///     sum
    /// };
    /// assert_eq!(runner.run(main).unwrap(), 0 + 1 + 2);
    /// ```
    #[track_caller]
    pub fn workers(mut self, count: usize) -> RunnerBuilder {
        assert!(
            count > 0,
            "`workers(0)` leaves nobody to run main; `workers(1)` is the least"
        );
        self.options.workers.get_or_insert_default().count = count;
        self
    }

    /// Sets what makes the loops of all [`workers`](RunnerBuilder::workers) but the first, each in its own thread; the default
    /// loop unless this is called.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::{EventLoop, Runner};
    /// use std::time::Duration;
    ///
    /// let slow = || EventLoop::builder().slow_callback_duration(Duration::from_secs(1)).build();
    /// let runner = Runner::builder().workers(2).worker_loop_factory(slow).build();
    /// let main = async {
    ///     let limit = || async { asyncio::running_loop().slow_callback_duration() };
    ///     asyncio::spawn_on(asyncio::workers()[1], limit).await.unwrap()
    /// };
    /// assert_eq!(runner.run(main).unwrap(), Duration::from_secs(1));
    /// ```
    pub fn worker_loop_factory<L: IntoEventLoop>(
        mut self,
        factory: impl Fn() -> L + Send + Sync + 'static,
    ) -> RunnerBuilder {
        let factory: WorkerFactory = Arc::new(move || factory().into_event_loop());
        self.options.workers.get_or_insert_default().factory = Some(factory);
        self
    }

    /// Writes the program's life to a file that [Perfetto](https://ui.perfetto.dev) and other viewers of Chrome's trace format
    /// draw: each poll with the task's name and the line that spawned it, waits, wakes, spawns, timers, blocking jobs and the
    /// phases of the shutdown. The environment variable `ASYNCIO_TRACE` does the same for a program as it is, unless this is
    /// called. `%p` in the name becomes the process's number.
    ///
    /// The file is a whole JSON array at each moment, with what is under way at its end, so that it can be read whatever the
    /// process has died of; only the last 20 ms may be missing then. It holds at most 64 MiB, or as many bytes as
    /// `ASYNCIO_TRACE_LIMIT` says, and its last event says so if that was not enough. A later runner of the same process that
    /// is given the same name continues it. A trace that cannot be written is said on stderr, and keeps nothing from running.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// let path = std::env::temp_dir().join("asyncio-example-%p.json");
    /// let runner = asyncio::Runner::builder().trace(path).build();
    /// runner.run(asyncio::yield_now()).unwrap();
    /// runner.close().unwrap();
    /// # let name = format!("asyncio-example-{}.json", std::process::id());
    /// # let text = std::fs::read_to_string(std::env::temp_dir().join(&name)).unwrap();
    /// # std::fs::remove_file(std::env::temp_dir().join(&name)).unwrap();
    /// # assert!(text.contains("\"cat\":\"poll\""), "{text}");
    /// ```
    pub fn trace(mut self, path: impl Into<PathBuf>) -> RunnerBuilder {
        self.options.trace = Some(path.into().into());
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
            observers: Cell::default(),
            crew: Cell::new(None),
        }
    }
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

/// What the builder was told.
pub(super) struct Options {
    pub(super) debug: Option<bool>,
    /// Boxed, as hardly any program says anything of it.
    pub(super) loop_maker: RefCell<Option<Box<LoopMaker>>>,
    interrupt: bool,
    terminate: bool,
    hangup: bool,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) detached_panic: DetachedPanic,
    pub(super) blocked_loop_after: Option<Duration>,
    /// As the environment says, unless set.
    pub(super) trace: Option<Box<Path>>,
    /// As debug mode, unless set.
    pub(super) dump_on_signal: Option<bool>,
    /// Boxed, as most programs have one loop: a runner is moved about.
    workers: Option<Box<Workers>>,
}

/// How many loops there are, and what makes those after the first.
struct Workers {
    count: usize,
    factory: Option<WorkerFactory>,
}

impl Default for Workers {
    fn default() -> Workers {
        Workers {
            count: 1,
            factory: None,
        }
    }
}

/// Signals, without an allocation: every run asks for them.
#[derive(Default)]
pub(super) struct Wanted {
    signals: [i32; 3],
    count: usize,
}

impl Deref for Wanted {
    type Target = [i32];

    fn deref(&self) -> &[i32] {
        &self.signals[..self.count]
    }
}

impl Options {
    /// The signals that are presses of the ladder.
    #[inline]
    pub(super) fn presses(&self) -> Wanted {
        let asked = [
            (self.interrupt, SIGINT),
            (self.terminate, SIGTERM),
            (self.hangup, SIGHUP),
        ];
        let mut wanted = Wanted::default();
        for (_, signal) in asked.into_iter().filter(|(is_wanted, _)| *is_wanted) {
            wanted.signals[wanted.count] = signal;
            wanted.count += 1;
        }
        wanted
    }

    #[inline]
    pub(super) fn answers_dumps(&self, debug: bool) -> bool {
        self.dump_on_signal.unwrap_or(debug)
    }

    /// The runner starts threads for signals or siblings, or is asked for something that takes one.
    pub(super) fn has_other_threads(&self) -> bool {
        let handles_signals = self.interrupt || self.terminate || self.hangup;
        handles_signals || self.siblings() > 0 || self.dump_on_signal == Some(true)
    }

    /// How many loops there are beside the first.
    #[inline]
    pub(super) fn siblings(&self) -> usize {
        self.workers.as_ref().map_or(0, |workers| workers.count - 1)
    }

    /// What they are to know. `debug` is what the first loop says.
    pub(super) fn of_siblings(&self, debug: bool) -> Settings {
        Settings {
            factory: self.workers.as_ref().and_then(|it| it.factory.clone()),
            debug,
            shutdown_timeout: self.shutdown_timeout,
            stop_on_panic: self.detached_panic == DetachedPanic::Stop,
            blocked_loop_after: self.blocked_loop_after,
            dump_on_signal: self.answers_dumps(debug),
        }
    }
}
