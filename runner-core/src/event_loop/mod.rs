//! The event loop: one thread's queue of ready callbacks and tasks, its timers, and its sources of I/O.
//!
//! One turn (`turn.rs`) collects what arrived, waits if nothing is ready, and runs exactly what was ready then; whatever
//! becomes ready meanwhile waits for the next turn. Nothing opened here costs anything before its first use.
//!
//! The loop knows a task as a runnable with a cell, never as a future or an output, and nothing of signals or runners.

mod asyncgens;
mod belief;
mod builder;
mod companions;
#[cfg(feature = "console")]
mod console;
mod current;
mod drawing;
mod leftovers;
mod metrics;
mod observe;
mod recording;
mod remote;
mod run;
#[cfg(unix)]
mod signal_handlers;
mod sources;
mod spawn;
mod stopwatch;
mod time;
mod turn;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use self::asyncgens::CloseAsync;
pub use self::builder::EventLoopBuilder;
pub use self::companions::Companion;
pub(crate) use self::companions::EnteredCompanions;
pub use self::current::{
    event_loop, running_loop, set_event_loop, try_event_loop, try_running_loop,
};
pub use self::metrics::Metrics;
pub(crate) use self::remote::RemoteControl;
pub use self::remote::{CancelHandle, ClosedError, LoopHandle, RemoteTask};
pub(crate) use self::sources::{Direction, Registration};
pub use self::spawn::{TaskBuilder, all_tasks, spawn, task};
pub(crate) use self::time::Timeout;
pub use self::time::TimerHandle;

use self::asyncgens::AsyncGens;
use self::companions::Companions;
#[cfg(feature = "console")]
use self::console::Console;
use self::metrics::Counters;
use self::observe::{CurrentCallback, TimedTask};
use self::recording::{Recording, RunTimes};
use self::signal_handlers::SignalHandlers;
use self::sources::Sources;
use self::stopwatch::Stopwatch;
use self::time::TimerEntry;
use crate::driver::{Driver, Events};
use crate::error::RunError;
use crate::exception::{ExceptionContext, log_failure};
use crate::fork::ForkGuard;
use crate::handle::Handle;
use crate::logging::{Level, say};
use crate::pool::{RunningJob, ThreadPoolExecutor};
use crate::task::TaskRef;
use crate::task::observed::Interest;
use crate::task::raw::with_current;
use crate::task::scheduler::{Ready, Scheduler};
use crate::timers::Timers;
use crate::watchdog::{Beat, Watchdog};

/// One thread's event loop. Cloning gives another handle of the same loop.
///
/// A [`Runner`](crate::Runner) makes, runs and closes one; by hand it is for those who drive it themselves, or configure it
/// in a `loop_factory`. Close it when done: a loop that is only dropped leaves behind what its tasks hold.
///
/// # Differences from asyncio
///
/// `EventLoop` stays on its thread (it is not `Send`), which the compiler checks; [`handle`](EventLoop::handle) gives the
/// remote control for other threads.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event_loop = asyncio::EventLoop::new()?;
/// let answer = event_loop.run_until_complete(async {
///     asyncio::sleep(Duration::from_millis(1)).await;
///     42
/// })?;
/// assert_eq!(answer, 42);
/// event_loop.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EventLoop {
    core: Rc<LoopCore>,
}

/// What the clones of an [`EventLoop`] share.
pub(crate) struct LoopCore {
    /// The queue, the tasks, the inbox and the exception sink.
    pub(crate) scheduler: Rc<Scheduler>,
    /// Waits and tells the time; gone once the loop is closed.
    driver: RefCell<Option<Box<dyn Driver>>>,
    /// Deadlines, in nanoseconds since `epoch`.
    timers: RefCell<Timers<TimerEntry>>,
    /// A deadline was due already when it was set: it is looked at in the next turn even if nothing waits.
    timer_due: Cell<bool>,
    /// A time by the driver's clock, not after the loop was made.
    epoch: Instant,
    /// The driver's clock is the system's.
    has_system_time: bool,
    /// The descriptors that are watched.
    sources: Sources,
    /// Async generators that are under way.
    asyncgens: AsyncGens,
    /// What runs beside the loop and ends with it.
    companions: Companions,
    /// See `add_signal_handler`.
    signal_handlers: SignalHandlers,
    /// Storage for events, kept for reuse.
    events: RefCell<Events>,
    /// Entries run since time and I/O were last looked at.
    since_look: Cell<u32>,
    /// `stop` was called.
    stopping: Cell<bool>,
    /// A `run_*` call is under way.
    running: Cell<bool>,
    /// `close` was called.
    closed: Cell<bool>,
    /// The default executor, made at first use.
    executor: RefCell<Option<ThreadPoolExecutor>>,
    /// `shutdown_default_executor` was called.
    executor_shutdown: Cell<bool>,
    /// What is waited for outside of the loop, other than jobs; a clock that jumps must not jump past it.
    pub(crate) outside: Cell<usize>,
    /// What is counted.
    metrics: Counters,
    /// Which poll is under way, for other threads.
    beat: OnceCell<Arc<Beat>>,
    /// Who looks at that.
    watchdog: RefCell<Option<Watchdog>>,
    current_callback: CurrentCallback,
    timed_task: TimedTask,
    /// Who is told what is seen here, while there is somebody.
    recording: RefCell<Option<Rc<Recording>>>,
    /// One of them, which is told more.
    #[cfg(feature = "console")]
    console: RefCell<Option<Rc<Console>>>,
    /// How long tasks have run.
    run_times: RunTimes,
    /// From this on a callback is slow.
    slow_callback_duration: Cell<Duration>,
    /// How long steps take, in debug mode.
    stopwatch: Stopwatch,
    /// State of the generator that shuffles ready entries; 0 keeps them first in, first out.
    shuffle: Cell<u64>,
    /// Called on the loop's thread when a signal's thread asked for attention.
    on_interrupt: RefCell<Option<Rc<dyn Fn()>>>,
    /// Called then, too, for a signal that asks and does not stop anybody.
    on_question: Cell<Option<fn()>>,
    /// Tells whether this is the process that made the loop.
    fork: ForkGuard,
}

/// Makes a new loop; the same as [`EventLoop::new`].
///
/// # Errors
///
/// As [`EventLoop::new`].
pub fn new_event_loop() -> io::Result<EventLoop> {
    EventLoop::new()
}

impl EventLoop {
    /// Makes a loop with the default driver.
    ///
    /// No descriptor is opened and no thread started: that waits until the loop is used for I/O or blocking jobs.
    ///
    /// # Errors
    ///
    /// None today; a driver that opens something at once may fail.
    #[doc(alias = "new_event_loop")]
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::builder().build()
    }

    /// Configures a loop before it is made.
    pub fn builder() -> EventLoopBuilder {
        EventLoopBuilder::new()
    }

    pub(crate) fn core(&self) -> &Rc<LoopCore> {
        &self.core
    }

    /// Has `callback` called in the next turn, after everything that is scheduled already.
    ///
    /// # Panics
    ///
    /// When the loop is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let event_loop = asyncio::EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.call_soon(move || stopper.stop());
    /// event_loop.run_forever()?;
    /// event_loop.close()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        self.core.refuse_if_closed();
        self.core.keep_order_of_mail();
        let handle = Handle::new(Box::new(callback), Location::caller());
        self.core.scheduler.push(Ready::Callback(handle.clone()));
        handle
    }

    /// Returns the driver's time: the clock of [`call_at`](EventLoop::call_at). Monotonic.
    pub fn time(&self) -> Instant {
        self.core.now()
    }

    /// Returns `true` while a `run_*` call is under way.
    pub fn is_running(&self) -> bool {
        self.core.running.get()
    }

    /// Returns `true` once the loop was closed.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Returns the remote control, for other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle::new(self.core.scheduler.inbox, self.core.scheduler.generation)
    }

    /// Returns every task of this loop that is not done, oldest first.
    pub fn all_tasks(&self) -> Vec<TaskRef> {
        self.core.scheduler.tasks()
    }

    /// Switches debug mode, also while the loop runs.
    ///
    /// What debug mode says, it says by itself: `asyncio::debug` lists it.
    pub fn set_debug(&self, debug: bool) {
        let scheduler = &self.core.scheduler;
        // The step under way is still measured, and the task may end in it.
        with_current(|task| task.map(|task| scheduler.keep_name(task)));
        scheduler.observed.set(Interest::DEBUG, debug);
        self.core.forget_step();
        self.core.note_time();
    }

    /// Returns `true` in debug mode.
    #[doc(alias = "get_debug")]
    pub fn debug(&self) -> bool {
        self.core.scheduler.observed.has(Interest::DEBUG)
    }

    /// Sets from which time on debug mode reports a callback or a task's step as slow; 100 ms unless set.
    ///
    /// On Linux limits of 50 ms and more are measured by the system's tick, which is off by some milliseconds and hardly costs
    /// anything; shorter ones by the exact clock.
    pub fn set_slow_callback_duration(&self, duration: Duration) {
        self.core.slow_callback_duration.set(duration);
        self.core.stopwatch.set_limit(duration);
    }

    /// Returns the limit set by [`set_slow_callback_duration`](EventLoop::set_slow_callback_duration).
    pub fn slow_callback_duration(&self) -> Duration {
        self.core.slow_callback_duration.get()
    }

    /// Sets who is told of failures that nobody receives instead of the program's log, or of stderr.
    ///
    /// The handler runs on the loop's thread, until the loop is closed. If it panics, the log gets both its panic and what it
    /// was given.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let seen = Rc::new(RefCell::new(Vec::new()));
    /// let log = seen.clone();
    /// asyncio::run(async {
    ///     asyncio::running_loop().set_exception_handler(move |_loop, context| {
    ///         log.borrow_mut().push(context.message().to_owned());
    ///     });
    ///     drop(asyncio::spawn(async { panic!("nobody listens") }));
    ///     asyncio::yield_now().await;
    /// })
    /// .unwrap();
    /// assert_eq!(*seen.borrow(), ["Task exception was never retrieved"]);
    /// ```
    pub fn set_exception_handler(&self, handler: impl Fn(&EventLoop, &ExceptionContext) + 'static) {
        let core = Rc::downgrade(&self.core);
        self.core.scheduler.exceptions.set_handler(Some(Rc::new(
            move |context: &ExceptionContext| match core.upgrade() {
                Some(core) => handler(&EventLoop { core }, context),
                None => log_failure(context),
            },
        )));
    }

    /// Brings the default back: failures that nobody receives go to the program's log, or to stderr.
    pub fn reset_exception_handler(&self) {
        self.core.scheduler.exceptions.set_handler(None);
    }

    /// Reports a failure to the exception handler.
    pub fn call_exception_handler(&self, context: ExceptionContext) {
        let context = self.core.name_reporter(context);
        self.core.scheduler.exceptions.report(context);
    }

    /// Reports a failure as if no handler was set: one record in the program's log, or on stderr.
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        log_failure(context);
    }

    /// Ends the loop: tasks that are left are dropped unasked, callbacks and timers unrun, the executor is told to end.
    ///
    /// A runner cancels and awaits everything first. Closing a closed loop does nothing.
    ///
    /// # Errors
    ///
    /// [`RunError::AlreadyRunning`] from inside of the loop ("Cannot close a running event loop" in asyncio); nothing is
    /// changed then.
    pub fn close(&self) -> Result<(), RunError> {
        if self.is_running() {
            return Err(RunError::AlreadyRunning);
        }
        // Destructors find their loop, also while it is closed.
        let _current = current::enter(self);
        if self.debug() && !self.is_closed() {
            say(Level::Debug, format_args!("Close {self:?}"));
        }
        let _entered = self.core.enter_companions();
        self.core.close();
        Ok(())
    }
}

impl LoopCore {
    pub(crate) fn now(&self) -> Instant {
        self.driver
            .borrow()
            .as_ref()
            .map_or_else(Instant::now, |driver| driver.now())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// While the loop is just being closed, destructors may still schedule: what they schedule is dropped unrun.
    #[track_caller]
    #[inline]
    fn refuse_if_closed(&self) {
        if self.is_closed() {
            self.refuse_if_closed_for_good();
        }
    }

    #[track_caller]
    #[cold]
    fn refuse_if_closed_for_good(&self) {
        if self.scheduler.inbox_is_closed() {
            panic!("Event loop is closed; make a new one, or use the loop before it is closed");
        }
    }

    /// Between two runs this thread's own `call_soon_threadsafe` goes through the inbox: what came first stays first.
    #[inline]
    fn keep_order_of_mail(&self) {
        if !self.running.get() && self.scheduler.has_mail() {
            self.scheduler.collect_all_mail();
        }
    }

    /// Runs `f` on the driver. Nothing that `f` calls may come back here.
    fn with_driver(&self, f: impl FnOnce(&mut dyn Driver) -> io::Result<()>) -> io::Result<()> {
        match &mut *self.driver.borrow_mut() {
            Some(driver) => f(&mut **driver),
            None => Err(sources::closed_error()),
        }
    }

    /// The order matters: tasks first, whose destructors may still use everything else.
    fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        self.tell_leftovers();
        self.scheduler.close();
        self.abandon_asyncgens();
        let timers: Vec<TimerEntry> = self.timers.borrow_mut().drain().collect();
        for timer in timers {
            self.scheduler.exceptions.drop_left_over(timer);
        }
        self.tell_left_sources();
        self.sources.close();
        self.end_recording();
        #[cfg(feature = "console")]
        self.leave_console();
        drop(self.signal_handlers.take());
        self.executor_shutdown.set(true);
        if let Some(executor) = self.executor.borrow_mut().take() {
            executor.begin_shutdown();
        }
        if self.has_companions() {
            self.companions.clear();
        }
        self.on_interrupt.borrow_mut().take();
        drop(self.watchdog.take());
        // A handler that holds the loop would keep it for ever. What is reported from now on goes to the program's log.
        self.scheduler.exceptions.set_handler(None);
        if let Some(mut driver) = self.driver.borrow_mut().take() {
            if self.fork.is_forked() {
                driver.forget();
            }
        }
    }

    /// Has `callback` called on the loop's thread whenever a signal asks for attention.
    pub(crate) fn set_on_interrupt(&self, callback: Option<Rc<dyn Fn()>>) {
        let previous = std::mem::replace(&mut *self.on_interrupt.borrow_mut(), callback);
        drop(previous);
    }

    /// The same, for signals that only ask.
    pub(crate) fn set_on_question(&self, answer: Option<fn()>) {
        self.on_question.set(answer);
    }

    /// A handle on what ends the driver's wait, for a signal's thread.
    pub(crate) fn notifier(&self) -> Option<std::sync::Arc<dyn crate::driver::Notify>> {
        self.driver
            .borrow()
            .as_ref()
            .map(|driver| driver.notifier())
    }

    /// The notifier is one of ours, that takes no lock, and neither does the system for it.
    pub(crate) fn may_be_notified_in_handler(&self) -> bool {
        cfg!(target_os = "linux") && self.has_system_time
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.fork.is_forked()
    }

    /// The default executor, made now if it is the first use; after its shutdown one that refuses every job.
    pub(crate) fn default_executor(&self) -> ThreadPoolExecutor {
        let mut executor = self.executor.borrow_mut();
        let executor = executor.get_or_insert_with(ThreadPoolExecutor::new);
        if self.executor_shutdown.get() {
            executor.begin_shutdown();
        }
        executor.clone()
    }

    /// Begins the default executor's shutdown; `None` if there never was one.
    pub(crate) fn retire_executor(&self) -> Option<ThreadPoolExecutor> {
        self.executor_shutdown.set(true);
        let executor = self.executor.borrow().clone();
        executor.inspect(ThreadPoolExecutor::begin_shutdown)
    }

    /// Returns `true` if the default executor was used, or set.
    pub(crate) fn has_executor(&self) -> bool {
        self.executor.borrow().is_some()
    }

    /// The default executor's jobs that are running now.
    pub(crate) fn running_jobs(&self) -> Vec<RunningJob> {
        self.executor
            .borrow()
            .as_ref()
            .map(ThreadPoolExecutor::running_jobs)
            .unwrap_or_default()
    }

    pub(crate) fn replace_executor(&self, executor: ThreadPoolExecutor) {
        *self.executor.borrow_mut() = Some(executor);
    }
}

impl Drop for LoopCore {
    fn drop(&mut self) {
        self.tell_unclosed();
        if !self.is_closed() {
            let _entered = self.enter_companions();
            self.close();
        }
        if let Some(beat) = self.beat.take() {
            Beat::end(beat);
        }
    }
}

impl PartialEq for EventLoop {
    /// Two handles are equal if they are of the same loop.
    fn eq(&self, other: &EventLoop) -> bool {
        Rc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, closed, debug) = (self.is_running(), self.is_closed(), self.debug());
        write!(
            f,
            "<EventLoop running={running} closed={closed} debug={debug}>"
        )
    }
}
