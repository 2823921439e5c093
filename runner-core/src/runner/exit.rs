//! `exit`: the program asks for its own orderly end, with a status.
//!
//! A request is a number in a place that every thread can reach; the loop's thread then cancels the main task. What the run
//! gives in the end is decided by the runner, which compares the request with the presses of Ctrl-C: the last one counts.

use std::sync::atomic::{AtomicU64, Ordering};

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
    /// An [`Exit`], packed; 0 if there is none. Every run asks for it, and hardly any has one: hence no lock.
    requested: AtomicU64,
    /// When the run or the close began that is under way, counted over all runners; 0 between two of them.
    since: AtomicU64,
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

    /// One number, never 0.
    fn pack(self) -> u64 {
        1 << 40 | u64::from(self.code) << 32 | u64::from(self.presses)
    }

    fn unpack(packed: u64) -> Option<Exit> {
        (packed != 0).then_some(Exit {
            code: (packed >> 32) as u8,
            presses: packed as u32,
        })
    }
}

/// How many runs and closes have begun in this process.
static BEGUN: AtomicU64 = AtomicU64::new(0);

impl ExitRequest {
    pub(super) fn new(handle: LoopHandle) -> ExitRequest {
        ExitRequest {
            handle,
            requested: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    fn note(&self, code: u8) {
        let next = |requested| {
            let code = match Exit::unpack(requested) {
                Some(first) => Exit::join_codes(first.code, code),
                None => code,
            };
            let presses = presses_now();
            Some(Exit { code, presses }.pack())
        };
        let _ = self
            .requested
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
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
        self.requested.load(Ordering::Acquire) != 0
    }

    /// Takes what was requested: it is carried out now.
    pub(super) fn take(&self) -> Option<Exit> {
        if !self.is_requested() {
            return None;
        }
        Exit::unpack(self.requested.swap(0, Ordering::AcqRel))
    }

    /// A run or a close begins; `false` if it is part of one that is under way. Called on the loop's thread only, as is `end`.
    pub(super) fn begin(&self) -> bool {
        if self.since.load(Ordering::Relaxed) != 0 {
            return false;
        }
        let number = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
        self.since.store(number, Ordering::Release);
        true
    }

    pub(super) fn end(&self) {
        self.since.store(0, Ordering::Release);
    }

    /// When what is under way has begun.
    pub(super) fn since(&self) -> Option<u64> {
        let since = self.since.load(Ordering::Acquire);
        (since != 0).then_some(since)
    }
}
