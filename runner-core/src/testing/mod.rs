//! What `#[asyncio::test]` runs: each test on a loop of its own, in debug mode, without touching any signal.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::cancel::timeout_at;
use crate::debug::dump_tasks_of;
use crate::error::RunError;
use crate::event_loop::{EventLoop, running_loop};
use crate::runner::{IntoEventLoop, Runner};
use crate::task::TaskRef;

/// A test's future, wherever it is kept.
type Body<'a, T> = Pin<&'a mut dyn Future<Output = T>>;

/// Runs a test once, with the future it is given.
pub type Run<'a, T> = dyn FnMut(Body<'_, T>) + 'a;

/// Configures one test; written by the expansion of `#[asyncio::test]`.
pub struct TestOptions {
    debug: bool,
    timeout: Option<Duration>,
    virtual_time: bool,
    /// The test is run once with each seed up to this one; 0 runs it once, first in, first out.
    seeds: u64,
    leftovers_error: bool,
    loop_factory: Option<Box<dyn FnMut() -> io::Result<EventLoop>>>,
    loop_setup: Vec<LoopSetup>,
    shutdown_timeout: Option<Duration>,
    blocked_loop_after: Option<Duration>,
}

/// Called for each loop that the test is run on.
type LoopSetup = Rc<RefCell<dyn FnMut(&EventLoop) -> io::Result<()>>>;

/// Returns the settings of a plain `#[asyncio::test]`.
pub fn test_options() -> TestOptions {
    TestOptions {
        debug: true,
        timeout: None,
        virtual_time: false,
        seeds: 0,
        leftovers_error: false,
        loop_factory: None,
        loop_setup: Vec::new(),
        shutdown_timeout: None,
        blocked_loop_after: None,
    }
}

impl TestOptions {
    /// Switches debug mode, which is on in tests, on or off.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> TestOptions {
        self.debug = debug;
        self
    }

    /// Fails the test, and says what each task waits for, if it takes longer than this.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> TestOptions {
        self.timeout = Some(timeout);
        self
    }

    /// Lets the clock jump when nothing is ready.
    #[must_use]
    pub fn virtual_time(mut self, virtual_time: bool) -> TestOptions {
        self.virtual_time = virtual_time;
        self
    }

    /// Runs the test once with each of so many orders of what is ready.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> TestOptions {
        self.seeds = seeds;
        self
    }

    /// Fails the test if it leaves tasks behind.
    #[must_use]
    pub fn leftovers_error(mut self, error: bool) -> TestOptions {
        self.leftovers_error = error;
        self
    }

    /// Sets what makes the loop.
    #[must_use]
    pub fn loop_factory<L: IntoEventLoop>(
        mut self,
        mut factory: impl FnMut() -> L + 'static,
    ) -> TestOptions {
        self.loop_factory = Some(Box::new(move || factory().into_event_loop()));
        self
    }

    /// Has `set_up` called with the loop when it was made.
    #[must_use]
    pub fn loop_setup(
        mut self,
        set_up: impl FnMut(&EventLoop) -> io::Result<()> + 'static,
    ) -> TestOptions {
        self.loop_setup.push(Rc::new(RefCell::new(set_up)));
        self
    }

    /// Has a thread report when the test blocks its thread for so long.
    #[must_use]
    pub fn blocked_loop_after(mut self, limit: Duration) -> TestOptions {
        self.blocked_loop_after = Some(limit);
        self
    }

    /// Limits the orderly shutdown after the test.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> TestOptions {
        self.shutdown_timeout = Some(timeout);
        self
    }

    fn runner(&mut self, seed: u64) -> Runner {
        let builder = Runner::builder()
            .debug(self.debug)
            .interrupt(false)
            // The signals are the test harness's.
            .dump_on_signal(false);
        let builder = match self.blocked_loop_after {
            Some(limit) => builder.blocked_loop_after(limit),
            None => builder,
        };
        let builder = match self.shutdown_timeout {
            Some(timeout) => builder.shutdown_timeout(timeout),
            None => builder,
        };
        let builder = self.loop_setup.iter().fold(builder, |builder, set_up| {
            let set_up = set_up.clone();
            builder.loop_setup(move |event_loop| (set_up.borrow_mut())(event_loop))
        });
        let virtual_time = self.virtual_time;
        match self.loop_factory.take() {
            Some(factory) => builder.loop_factory(factory),
            None => builder.loop_factory(move || {
                let event_loop = EventLoop::builder().seed(seed);
                if virtual_time {
                    event_loop.virtual_time().build()
                } else {
                    event_loop.build()
                }
            }),
        }
        .build()
    }
}

/// Runs a test.
///
/// # Errors
///
/// As [`Runner::run`].
///
/// # Panics
///
/// With the test's panic, when it takes too long, and when it leaves tasks behind that it must not leave.
#[track_caller]
pub(crate) fn test<T>(mut options: TestOptions, body: Body<'_, T>) -> Result<T, RunError> {
    run_once(&mut options, body, 0)
}

/// Runs a test once with each seed; `body` calls what it is given with a fresh future.
///
/// # Errors
///
/// As [`test`].
///
/// # Panics
///
/// As [`test`].
pub(crate) fn test_seeds<T>(
    mut options: TestOptions,
    body: &mut dyn FnMut(&mut Run<'_, T>),
) -> Result<T, RunError> {
    let mut seed = options.seeds.min(1);
    loop {
        let output = panic::catch_unwind(AssertUnwindSafe(|| run_seed(&mut options, body, seed)));
        let output = output.unwrap_or_else(|payload| {
            if seed > 0 {
                eprintln!("the test failed with seed {seed} of {}", options.seeds);
            }
            panic::resume_unwind(payload)
        });
        if seed >= options.seeds || output.is_err() {
            return output;
        }
        seed += 1;
    }
}

fn run_seed<T>(
    options: &mut TestOptions,
    body: &mut dyn FnMut(&mut Run<'_, T>),
    seed: u64,
) -> Result<T, RunError> {
    let mut output = None;
    body(&mut |future| output = Some(run_once(options, future, seed)));
    output.expect("an expansion runs its test (a bug of this crate)")
}

#[track_caller]
fn run_once<T>(options: &mut TestOptions, body: Body<'_, T>, seed: u64) -> Result<T, RunError> {
    let runner = options.runner(seed);
    let output = match options.timeout {
        None => runner.run(body),
        Some(limit) => runner.run(fail_after(limit, body)),
    };
    let leftovers = if options.leftovers_error {
        leftovers(&runner.event_loop()?)
    } else {
        String::new()
    };
    let closed = runner.close();
    assert!(leftovers.is_empty(), "the test left behind:{leftovers}");
    closed?;
    output
}

/// Runs the test's body, and says at the moment when the time is over who was there.
async fn fail_after<T>(limit: Duration, body: Body<'_, T>) -> T {
    let tasks = Rc::new(RefCell::new(String::new()));
    let noted = tasks.clone();
    // Set before the timeout, and so called before it ends the tasks that the body awaits.
    let event_loop = running_loop();
    let note = event_loop.call_later(limit, move || *noted.borrow_mut() = tree(&running_loop()));
    let deadline = note.when();
    match timeout_at(deadline, body).await {
        Ok(value) => {
            note.cancel();
            value
        }
        Err(_timeout) => panic!(
            "the test did not finish within {limit:?}; tasks:{}",
            tasks.borrow()
        ),
    }
}

/// Names everything that a test should have ended itself.
fn leftovers(event_loop: &EventLoop) -> String {
    let mut text = list(&event_loop.all_tasks());
    for job in event_loop.core().running_jobs() {
        text += &format!("\n  an {job}");
    }
    for location in event_loop.core().asyncgens_left() {
        text += &format!("\n  an async generator made at {location}");
    }
    text
}

/// Every task with what it waits for, below the line that announces it.
fn tree(event_loop: &EventLoop) -> String {
    let dump = dump_tasks_of(event_loop).to_string();
    dump.lines().map(|line| format!("\n  {line}")).collect()
}

fn list(tasks: &[TaskRef]) -> String {
    tasks.iter().map(|task| format!("\n  {task:?}")).collect()
}
