//! How a program ended: the main task's result, and what may take its place.
//!
//! The rules: an error is never lost, and of the requests to end (Ctrl-C, `exit`) the last one counts. A value of main gives
//! way to such a request; whether the value is itself an error only the attributes can see, which therefore get both.

use super::exit::Exit;
use crate::error::RunError;
use crate::exception::{ExceptionContext, write_to_stderr};

/// What a run, or a run and its close, came to.
pub(crate) struct Ended<T> {
    pub(crate) output: Result<T, RunError>,
    /// What takes the place of a value; only where there is one.
    pub(crate) instead: Option<RunError>,
}

impl<T> Ended<T> {
    pub(crate) fn new(output: Result<T, RunError>) -> Ended<T> {
        Ended {
            output,
            instead: None,
        }
    }

    /// A run that was asked to end in that way, or not.
    pub(super) fn of_run(output: Result<T, RunError>, ending: Option<RunError>) -> Ended<T> {
        match (output, ending) {
            (output, None) => Ended::new(output),
            (Ok(value), instead) => Ended {
                output: Ok(value),
                instead,
            },
            // What the request had led to.
            (Err(RunError::Cancelled(_) | RunError::Stopped), Some(ending)) => {
                Ended::new(Err(ending))
            }
            (Err(error), Some(_)) => Ended::new(Err(error)),
        }
    }

    /// The close was asked to end in that way, or not.
    pub(super) fn followed_by(&mut self, ending: Option<RunError>) {
        let Some(ending) = ending else { return };
        match &mut self.output {
            Ok(_) => {
                self.instead = Some(match self.instead.take() {
                    Some(first) => later(first, ending),
                    None => ending,
                });
            }
            Err(first) => {
                let before = std::mem::replace(first, RunError::Closed);
                *first = later(before, ending);
            }
        }
    }

    /// The one result, for a caller who can be given but one. A value that is dropped for it is not dropped silently.
    pub(crate) fn settle(self) -> Result<T, RunError> {
        let Some(instead) = self.instead else {
            return self.output;
        };
        if size_of::<T>() > 0 {
            let text = format!(
                "the main task's value, a {}, was dropped for this",
                std::any::type_name::<T>()
            );
            write_to_stderr(&ExceptionContext::new(format!("{instead}: {text}")));
        }
        drop(self.output);
        Err(instead)
    }
}

/// What the close asked for, after what the run had come to.
fn later(run: RunError, close: RunError) -> RunError {
    match (run, close) {
        (RunError::Exit(first), RunError::Exit(second)) => {
            RunError::Exit(Exit::join_codes(first, second))
        }
        // The first signal names the death.
        (run, close) if run.is_interrupt() && close.is_interrupt() => run,
        (run, close) if run.is_interrupt() || matches!(run, RunError::Exit(_)) => close,
        (run, _close) => run,
    }
}

/// Of a press of Ctrl-C and a request to exit, the one that came last.
pub(super) fn latest(
    interruption: Option<(RunError, u32)>,
    exit: Option<Exit>,
) -> Option<RunError> {
    match (interruption, exit) {
        (Some((_, presses)), Some(exit)) if exit.presses >= presses => {
            Some(RunError::Exit(exit.code))
        }
        (Some((interruption, _)), _) => Some(interruption),
        (None, exit) => exit.map(|exit| RunError::Exit(exit.code)),
    }
}
