//! Configuration of a loop before it is made.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::stopwatch::Stopwatch;
use super::{EventLoop, LoopCore};
use crate::driver::{Driver, PollingDriver, VirtualTime};
use crate::fork::ForkGuard;
use crate::pool::ThreadPoolExecutor;
use crate::task::scheduler::Scheduler;
use crate::timers::Timers;

/// Configures an [`EventLoop`]; made by [`EventLoop::builder`].
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let started = Instant::now();
/// let event_loop = asyncio::EventLoop::builder().virtual_time().build()?;
/// event_loop.run_until_complete(asyncio::sleep(Duration::from_secs(3600)))?;
/// assert!(started.elapsed() < Duration::from_secs(60));
/// event_loop.close()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct EventLoopBuilder {
    debug: Option<bool>,
    driver: Option<Box<dyn Driver>>,
    virtual_time: bool,
    seed: u64,
    executor: Option<ThreadPoolExecutor>,
    slow_callback_duration: Option<Duration>,
}

impl EventLoopBuilder {
    pub(super) fn new() -> EventLoopBuilder {
        EventLoopBuilder::default()
    }

    /// Switches debug mode on or off, whatever `ASYNCIO_DEBUG` says.
    pub fn debug(mut self, debug: bool) -> EventLoopBuilder {
        self.debug = Some(debug);
        self
    }

    /// Sets what waits for I/O and tells the time; a [`PollingDriver`] unless set.
    pub fn driver(mut self, driver: impl Driver + 'static) -> EventLoopBuilder {
        self.driver = Some(Box::new(driver));
        self
    }

    /// Lets the clock jump to the next deadline when nothing is ready, so that hours pass in milliseconds.
    pub fn virtual_time(mut self) -> EventLoopBuilder {
        self.virtual_time = true;
        self
    }

    /// Runs what is ready in one turn in an order that depends on `seed`, to find tests that depend on the order.
    /// With 0, the default, the order is first in, first out.
    pub fn seed(mut self, seed: u64) -> EventLoopBuilder {
        self.seed = seed;
        self
    }

    /// Sets the default executor.
    pub fn executor(mut self, executor: ThreadPoolExecutor) -> EventLoopBuilder {
        self.executor = Some(executor);
        self
    }

    /// Sets from which time on debug mode reports a callback as slow; 100 ms unless set.
    pub fn slow_callback_duration(mut self, duration: Duration) -> EventLoopBuilder {
        self.slow_callback_duration = Some(duration);
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// None with the drivers of this crate, which open nothing before it is needed.
    pub fn build(self) -> io::Result<EventLoop> {
        let has_system_time = self.driver.is_none() && !self.virtual_time;
        let driver = self
            .driver
            .unwrap_or_else(|| Box::new(PollingDriver::new()));
        let driver = if self.virtual_time {
            Box::new(VirtualTime::new(driver))
        } else {
            driver
        };
        let slow_callback_duration = self
            .slow_callback_duration
            .unwrap_or(Duration::from_millis(100));
        let core = LoopCore {
            scheduler: Scheduler::new(driver.notifier()),
            epoch: match has_system_time {
                true => system_epoch(),
                false => driver.now(),
            },
            has_system_time,
            driver: RefCell::new(Some(driver)),
            timers: RefCell::new(Timers::new()),
            timer_due: Cell::new(false),
            sources: Default::default(),
            asyncgens: Default::default(),
            companions: Default::default(),
            signal_handlers: Default::default(),
            events: RefCell::default(),
            since_look: Cell::new(0),
            stopping: Cell::new(false),
            running: Cell::new(false),
            closed: Cell::new(false),
            executor: RefCell::new(self.executor),
            executor_shutdown: Cell::new(false),
            outside: Cell::new(0),
            metrics: Default::default(),
            beat: Default::default(),
            watchdog: Default::default(),
            current_callback: Default::default(),
            timed_task: Default::default(),
            recording: Default::default(),
            #[cfg(feature = "console")]
            console: Default::default(),
            run_times: Default::default(),
            slow_callback_duration: Cell::new(slow_callback_duration),
            stopwatch: Stopwatch::new(slow_callback_duration),
            shuffle: Cell::new(self.seed),
            on_interrupt: RefCell::new(None),
            on_question: Cell::new(None),
            fork: ForkGuard::new(),
        };
        let event_loop = EventLoop {
            core: Rc::new(core),
        };
        event_loop.set_debug(self.debug.unwrap_or_else(debug_from_environment));
        #[cfg(feature = "console")]
        event_loop.offer_to_console();
        Ok(event_loop)
    }
}

/// One time for all loops: a look at the clock is a fair part of what it takes to make one.
fn system_epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// `ASYNCIO_DEBUG`: unset, empty, `0` and `false` mean off.
///
/// In CPython any text switches debug mode on, also `0`, which nobody who writes it means. Looked up once in a process: it
/// is a fair part of an empty run's cost, and grows with the number of variables.
fn debug_from_environment() -> bool {
    static DEBUG: OnceLock<bool> = OnceLock::new();
    let look_up = || {
        std::env::var_os("ASYNCIO_DEBUG")
            .is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
    };
    *DEBUG.get_or_init(look_up)
}
