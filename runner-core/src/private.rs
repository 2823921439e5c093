//! The names that an expansion of `#[asyncio::main]` and `#[asyncio::test]` may use. Nobody else should.
//!
//! An expansion ends in `(&&outcome).finish()`. Method resolution then picks [`Carry`] where the function's return type can
//! hold a [`RunError`], [`Keep`] where it is another `Result`, whose error is at least not lost, and [`Report`] for the rest:
//! a choice that a generic function could not make.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write as _};
use std::panic::Location;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::RunError;
use crate::event_loop::EventLoop;
use crate::runner::{Ended, IntoEventLoop, Runner, RunnerBuilder, run_and_close};
use crate::signals::{SIGHUP, SIGINT, SIGTERM, die_of};
use crate::testing::BoxedTest;
pub use crate::testing::{TestOptions, test_options};

/// Begins the configuration of an entry point's runner.
pub fn runner() -> RunnerBuilder {
    Runner::builder()
}

/// Makes a factory that is called once into one that could be called again.
pub fn factory<L: IntoEventLoop>(
    factory: impl FnOnce() -> L + 'static,
) -> impl FnMut() -> io::Result<EventLoop> {
    let mut factory = Some(factory);
    move || match factory.take() {
        Some(factory) => factory().into_event_loop(),
        None => Err(io::Error::other(
            "the loop factory was used up by the first attempt",
        )),
    }
}

/// Pins a test's future in a box, so that one runner function is compiled per output type and not one per test.
pub fn boxed<'a, F: Future + 'a>(future: F) -> Pin<Box<dyn Future<Output = F::Output> + 'a>> {
    Box::pin(future)
}

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
    let (done, flushed) = mpsc::channel();
    let flush = move || {
        let _ = io::stdout().flush();
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(flush).is_ok() {
        let _ = flushed.recv_timeout(Duration::from_secs(1));
    }
}

/// Runs the body of any other function.
#[track_caller]
pub fn function<F: Future>(builder: RunnerBuilder, future: F) -> Outcome<F::Output> {
    Outcome::new(run_and_close(&builder.build(), future), Kind::Function)
}

/// Runs a test; `make` gives a fresh future for each seed.
#[track_caller]
pub fn test<'a, T>(options: TestOptions, make: impl FnMut() -> BoxedTest<'a, T>) -> Outcome<T> {
    let output = crate::testing::test(options, make);
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
    fn finish(&self) -> Self::Output;
}

impl<T, E: From<RunError>> Carry for &Outcome<Result<T, E>> {
    type Output = Result<T, E>;

    fn finish(&self) -> Result<T, E> {
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
    fn finish(&self) -> Self::Output;
}

impl<T, E> Keep for &&Outcome<Result<T, E>> {
    type Output = Result<T, E>;

    #[track_caller]
    fn finish(&self) -> Result<T, E> {
        self.value_or_end(self.take().with_error_first())
    }
}

/// Ends any other entry point.
pub trait Report {
    /// The function's return type.
    type Output;

    /// Returns what the function returns, if it was computed.
    #[track_caller]
    fn finish(&self) -> Self::Output;
}

impl<T> Report for Outcome<T> {
    type Output = T;

    #[track_caller]
    fn finish(&self) -> T {
        let Ended { output, instead } = self.take();
        self.value_or_end(match instead {
            Some(instead) => Err(instead),
            None => output,
        })
    }
}
