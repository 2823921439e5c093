//! The names that an expansion of `#[asyncio::main]` and `#[asyncio::test]` may use. Nobody else should.
//!
//! An expansion ends in `(&&outcome).finish_run()`. Method resolution then picks [`Carry`] where the function's return type can
//! hold a [`RunError`], [`Keep`] where it is another `Result`, whose error is at least not lost, and [`Report`] for the rest:
//! a choice that a generic function could not make. The method's name is one that no trait of the user's has, or that one would
//! answer.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write as _};
use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use crate::error::RunError;
use crate::event_loop::EventLoop;
use crate::runner::{Ended, IntoEventLoop, Runner, RunnerBuilder, run_and_close};
use crate::signals::{SIGHUP, SIGINT, SIGTERM, die_of};
pub use crate::testing::{Run, TestOptions, test_options};
use crate::threads::{handover, start_thread};

/// Begins the configuration of an entry point's runner.
pub fn runner() -> RunnerBuilder {
    Runner::builder()
}

/// Makes a factory that is called once into one that could be called again.
///
/// In a box: a type that named the factory's would have the compiler report a wrong one twice.
pub fn factory<L: IntoEventLoop>(factory: impl FnOnce() -> L + 'static) -> Factory {
    let mut factory = Some(factory);
    Box::new(move || match factory.take() {
        Some(factory) => factory().into_event_loop(),
        None => Err(io::Error::other(
            "the loop factory was used up by the first attempt",
        )),
    })
}

/// What makes the loop.
pub type Factory = Box<dyn FnMut() -> io::Result<EventLoop>>;

/// Runs the program's `main`.
#[track_caller]
pub fn main<F: Future>(builder: RunnerBuilder, future: F) -> Outcome<F::Output> {
    Outcome::new(run_and_close(&builder.build(), future), Kind::Main)
}

/// After an interrupt, once the orderly shutdown is over, the process ends as the signal would have ended it, which its
/// parent can see; after a request to exit, with the status asked for.
fn end_as_asked(error: &RunError) {
    let signal = match error {
        RunError::KeyboardInterrupt => SIGINT,
        RunError::Terminated => SIGTERM,
        RunError::HungUp => SIGHUP,
        RunError::Exit(code) => std::process::exit(i32::from(*code)),
        _ => return,
    };
    flush_stdout();
    die_of(signal)
}

/// Writes out what was printed without a line's end, as an ordinary end of the process does. In a thread, which is not
/// waited for long: somebody who holds the lock for ever must not keep the process.
fn flush_stdout() {
    let (done, flushed) = handover();
    let flush = move || {
        let _ = io::stdout().flush();
        done.give(());
    };
    if start_thread("asyncio-flush".into(), Box::new(flush)).is_ok() {
        let _ = flushed.take_within(Duration::from_secs(1));
    }
}

/// Runs the body of any other function.
#[track_caller]
pub fn function<F: Future>(builder: RunnerBuilder, future: F) -> Outcome<F::Output> {
    Outcome::new(run_and_close(&builder.build(), future), Kind::Function)
}

/// Runs a test. Its future is pinned by the expansion, and nothing here is generic over it: whatever were, would be compiled
/// once per test.
#[track_caller]
pub fn test<T>(options: TestOptions, body: Pin<&mut dyn Future<Output = T>>) -> Outcome<T> {
    let output = crate::testing::test(options, body);
    Outcome::new(Ended::new(output), Kind::Test)
}

/// Runs a test that is to be run with several seeds; `body` calls what it is given with a fresh future.
#[track_caller]
pub fn test_seeds<T>(options: TestOptions, body: &mut dyn FnMut(&mut Run<'_, T>)) -> Outcome<T> {
    let output = crate::testing::test_seeds(options, body);
    Outcome::new(Ended::new(output), Kind::Test)
}

/// What a run gave, to be turned into the function's return value.
pub struct Outcome<T> {
    ended: Cell<Option<Ended<T>>>,
    kind: Kind,
    caller: &'static Location<'static>,
}

/// What an error does that the return type cannot hold.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Printed, and exit status 1; requests to end are carried out.
    Main,
    /// A panic, at the caller's place; requests to end are carried out, unless the return type can hold them.
    Function,
    /// A panic, at the caller's place.
    Test,
}

impl<T> Outcome<T> {
    #[track_caller]
    fn new(ended: Ended<T>, kind: Kind) -> Outcome<T> {
        Outcome {
            ended: Cell::new(Some(ended)),
            kind,
            caller: Location::caller(),
        }
    }

    fn take(&self) -> Ended<T> {
        self.ended
            .take()
            .expect("an expansion takes the outcome once (a bug of this crate)")
    }

    /// Returns the value, or ends as a function does that cannot return the error.
    #[track_caller]
    fn value_or_end(&self, output: Result<T, RunError>) -> T {
        let error = match output {
            Ok(value) => return value,
            Err(error) => error,
        };
        if self.kind != Kind::Test {
            end_as_asked(&error);
        }
        if self.kind == Kind::Main {
            let _ = writeln!(io::stderr(), "Error: {error}");
            std::process::exit(1)
        }
        panic!("{error} (the function called at {})", self.caller)
    }
}

impl<T, E> Ended<Result<T, E>> {
    /// The function's own error comes before a request to end, which only takes the place of success.
    fn with_error_first(self) -> Result<Result<T, E>, RunError> {
        match (self.output, self.instead) {
            (Ok(Ok(_)), Some(instead)) => Err(instead),
            (output, _) => output,
        }
    }
}

/// Ends an entry point whose return type can hold a [`RunError`].
pub trait Carry {
    /// The function's return type.
    type Output;

    /// Returns what the function returns.
    #[track_caller]
    fn finish_run(&self) -> Self::Output;
}

impl<T, E: From<RunError>> Carry for &Outcome<Result<T, E>> {
    type Output = Result<T, E>;

    fn finish_run(&self) -> Result<T, E> {
        self.take().with_error_first().unwrap_or_else(|error| {
            if self.kind == Kind::Main {
                end_as_asked(&error);
            }
            Err(error.into())
        })
    }
}

/// Ends an entry point that returns another `Result`.
pub trait Keep {
    /// The function's return type.
    type Output;

    /// Returns what the function returns, if it was computed.
    #[track_caller]
    fn finish_run(&self) -> Self::Output;
}

impl<T, E> Keep for &&Outcome<Result<T, E>> {
    type Output = Result<T, E>;

    #[track_caller]
    fn finish_run(&self) -> Result<T, E> {
        self.value_or_end(self.take().with_error_first())
    }
}

/// Ends any other entry point.
pub trait Report {
    /// The function's return type.
    type Output;

    /// Returns what the function returns, if it was computed.
    #[track_caller]
    fn finish_run(&self) -> Self::Output;
}

impl<T> Report for Outcome<T> {
    type Output = T;

    #[track_caller]
    fn finish_run(&self) -> T {
        let Ended { output, instead } = self.take();
        self.value_or_end(match instead {
            Some(instead) => Err(instead),
            None => output,
        })
    }
}
