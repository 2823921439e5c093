//! The `main` and `test` attributes of the `asyncio` crate.
//!
//! Every expansion consists of the user's own tokens, absolute paths and names from the runtime's `private` module.
//! Use these attributes through `asyncio`; nothing here is useful without it.
//!
//! From the bottom up: `options` lists what can be set, `duration` reads `"250ms"`, `args` and `item` read the two token
//! streams, `inner` the start of a body, `manifest` finds the crate's name and `linked` the crate, `cases` knows what `rstest`
//! writes, `check` judges what was written, `fallback` makes the best of a function with mistakes, `expand` writes the result. None
//! of them names `proc_macro`, so all of them are tested like any other code.

#![forbid(unsafe_code)]

mod args;
mod cases;
mod check;
mod duration;
mod expand;
mod fallback;
mod inner;
mod item;
mod linked;
mod manifest;
mod options;

use proc_macro::TokenStream;

/// Runs an `async fn` on an event loop of its own, from the first line to the orderly shutdown.
///
/// It goes on the program's `main`, or on any other function that is to be callable without `await`.
///
/// ```
/// # use std::time::Duration;
/// #[asyncio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     asyncio::sleep(Duration::from_millis(1)).await;
///     Ok(())
/// }
/// ```
///
/// # Options
///
/// * `debug`, or `debug = <bool>`: asyncio's debug mode.
/// * `loop_factory = <path or closure>`: makes the event loop, `FnOnce() -> EventLoop` or `io::Result<EventLoop>`.
/// * `terminate`, or `terminate = <bool>`: SIGTERM stops the program the way Ctrl-C does.
/// * `hangup`, or `hangup = <bool>`: the loss of the terminal (SIGHUP) does so as well.
/// * `shutdown_timeout = <Duration>`: one budget for the whole orderly shutdown.
/// * `workers = <number>`: how many event loops there are, each in a thread of its own; main runs on the first one.
/// * `tokio`, or `tokio = <bool>`: all that runs on the loop has a tokio context; with the crate's feature `tokio`.
/// * `crate = <path>`: where the `asyncio` crate is, if another crate re-exports it. A rename in the manifest is found.
///
/// A `Duration` is any expression of that type, or text such as `"5s"`, `"250ms"`, `"2min"`, `"1h 30min"`, which is
/// checked at compile time. The other values are expressions, too; on a function with parameters they may use them.
///
/// # Functions other than `main`
///
/// Any name, visibility, parameters, generics, `where`, `unsafe`, `extern "C"`, `impl Trait` and `self` are fine; the
/// attribute takes away the `async` and nothing else. On `main` itself the language allows no parameters, generics,
/// `where`, `unsafe` or `extern`.
///
/// # Errors
///
/// When the run fails and the function returns `Result<_, E>` with `E: From<RunError>`, that is what it returns.
/// Otherwise `main` prints the error and exits with status 1, and any other function panics at its caller's place.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::main(args.into(), item.into()).into()
}

/// Makes a test of an `async fn`: each test has an event loop of its own, in debug mode.
///
/// ```
/// # use std::time::Duration;
/// #[asyncio::test(timeout = "5s", virtual_time)]
/// async fn sleeping_takes_no_time() {
///     asyncio::sleep(Duration::from_secs(3600)).await;
/// }
/// ```
///
/// # Options
///
/// * `debug = <bool>`: debug mode is on unless this is `false`.
/// * `timeout = <Duration>`: fails the test, and prints the tasks it hangs on, after that time.
/// * `virtual_time`, or `virtual_time = <bool>`: sleeping takes no time.
/// * `seeds = <number>`: runs the test once for each of that many schedules.
/// * `leftovers = "error"`: fails the test if it leaves tasks, generators or jobs behind; `"cancel"` is the default.
/// * `loop_factory`, `shutdown_timeout`, `tokio`, `crate`: as on `main`.
///
/// # Other attributes
///
/// `#[should_panic]`, `#[ignore]`, `#[cfg(..)]` and the like work in any order. What makes several tests of one function
/// (`#[rstest]`, `#[test_case(..)]`) goes above this attribute.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(args.into(), item.into()).into()
}
