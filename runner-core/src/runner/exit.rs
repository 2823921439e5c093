//! `exit`: the program asks for its own orderly end, with a status.
//!
//! A request is a number in a place that every thread can reach; the loop's thread then cancels the main task. What the run
//! gives in the end is decided by the runner, which compares the request with the presses of Ctrl-C: the last one counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::interrupt::presses_now;
use super::program::{Program, Underway};
use super::workers::with_crewmates;
use crate::event_loop::LoopHandle;

/// Asks for the orderly end of the program, with `code` as its exit status.
///
/// The main task is cancelled (with [`CancelReason::Shutdown`](crate::CancelReason::Shutdown)) and may clean up; then the
/// runner closes as always: tasks, exit hooks, async generators, jobs. After that `#[asyncio::main]` ends the process with
/// `code`; [`run`](crate::run) and [`Runner::run`](crate::Runner::run) return [`RunError::Exit`](crate::RunError::Exit).
///
/// Call it from anywhere: in a task or a callback it ends the run that this belongs to, on the loop of any of its workers;
/// in any other thread the run that began first of those under way. It returns at once; what follows the call still runs, up
/// to the next await of the main task. Called while the runner closes, it only sets the status.
///
/// * The first code other than 0 stays: a later call does not hide a failure, but 0 gives way to one.
/// * A main task that swallows the cancellation and returns does not undo the exit, but if `#[asyncio::main]` is on a
///   function that returns an error then, the error is what is reported. A panic of main goes on as ever.
/// * Of an exit and a Ctrl-C, the one that came last decides how the process ends.
///
/// # Panics
///
/// When no runner runs or closes: there is nobody to carry the request out.
///
/// # Differences from asyncio
///
/// `sys.exit` raises, and breaks out of the loop at once; the main task is then cancelled by the close, and its result is
/// not asked for. Here it ends first, as after Ctrl-C.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::RunError;
///
/// let outcome = asyncio::run(async {
///     drop(asyncio::spawn(async { asyncio::exit(3) }));
///     std::future::pending::<()>().await;
/// });
/// assert!(matches!(outcome, Err(RunError::Exit(3))));
/// ```
#[doc(alias = "sys.exit")]
#[track_caller]
pub fn exit(code: u8) {
    if let Some(program) = Program::here() {
        program.exit.note(code);
        program.stop_main();
        return;
    }
    let of_crew = with_crewmates(|mates| mates.exit.clone());
    let Some(request) = of_crew.or_else(Underway::oldest) else {
        panic!(
            "`asyncio::exit({code})` was called while no runner runs or closes; use `std::process::exit`, or return from `main`"
        );
    };
    request.send(code);
}

/// One runner's request to exit; of all threads.
pub(super) struct ExitRequest {
    handle: LoopHandle,
    requested: Mutex<Option<Exit>>,
}

/// What was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: u8,
    /// The presses of Ctrl-C that came before.
    pub(super) presses: u32,
}

impl Exit {
    /// Of two codes the first stays, unless it is 0.
    pub(super) fn join_codes(first: u8, second: u8) -> u8 {
        if first == 0 { second } else { first }
    }
}

impl ExitRequest {
    pub(super) fn new(handle: LoopHandle) -> ExitRequest {
        ExitRequest {
            handle,
            requested: Mutex::new(None),
        }
    }

    /// No user code runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Option<Exit>> {
        self.requested
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, code: u8) {
        let mut requested = self.lock();
        let code = match *requested {
            Some(first) => Exit::join_codes(first.code, code),
            None => code,
        };
        *requested = Some(Exit {
            code,
            presses: presses_now(),
        });
    }

    /// Requests from another thread. If the loop is closed before it hears of it, the code still counts.
    fn send(&self, code: u8) {
        self.note(code);
        let _closed = self.handle.call_soon_threadsafe(|| {
            // A callback that comes late must not hit the next run.
            if let Some(program) = Program::here().filter(|program| program.exit.is_requested()) {
                program.stop_main();
            }
        });
    }

    fn is_requested(&self) -> bool {
        self.lock().is_some()
    }

    /// Takes what was requested: it is carried out now.
    pub(super) fn take(&self) -> Option<Exit> {
        self.lock().take()
    }
}
