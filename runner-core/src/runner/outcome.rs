//! How a program ended: the main task's result, and what may take its place.
//!
//! The rules: an error is never lost, and of the requests to end (Ctrl-C, `exit`) the last one counts. A value of main gives
//! way to such a request; whether the value is itself an error only the attributes can see, which therefore get both.

use super::exit::Exit;
use crate::error::RunError;
use crate::exception::{ExceptionContext, log_failure};

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
            log_failure(&ExceptionContext::new(format!("{instead}: {text}")));
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

#[cfg(test)]
mod tests {
    use super::*;
    use RunError::{Exit as Exited, KeyboardInterrupt, Stopped, Terminated};

    /// What a run and a close come to together, as text.
    fn together(output: Result<u32, RunError>, ending: Option<RunError>) -> String {
        let mut ended = Ended::new(output);
        ended.followed_by(ending);
        format!("{:?} instead: {:?}", ended.output, ended.instead)
    }

    #[test]
    fn an_error_is_never_lost_and_of_requests_the_last_one_counts() {
        for (run, close, both) in [
            (Ok(7), None, "Ok(7) instead: None"),
            (Ok(7), Some(Terminated), "Ok(7) instead: Some(Terminated)"),
            (Ok(7), Some(Exited(3)), "Ok(7) instead: Some(Exit(3))"),
            (
                Err(Stopped),
                Some(KeyboardInterrupt),
                "Err(Stopped) instead: None",
            ),
            (Err(Stopped), Some(Exited(0)), "Err(Stopped) instead: None"),
            (
                Err(Terminated),
                Some(KeyboardInterrupt),
                "Err(Terminated) instead: None",
            ),
            (
                Err(Terminated),
                Some(Exited(3)),
                "Err(Exit(3)) instead: None",
            ),
            (
                Err(Exited(3)),
                Some(KeyboardInterrupt),
                "Err(KeyboardInterrupt) instead: None",
            ),
            (
                Err(Exited(3)),
                Some(Exited(0)),
                "Err(Exit(3)) instead: None",
            ),
            (
                Err(Exited(0)),
                Some(Exited(4)),
                "Err(Exit(4)) instead: None",
            ),
        ] {
            assert_eq!(together(run, close), both);
        }
    }

    #[test]
    fn of_a_press_and_an_exit_the_later_one_counts() {
        let exit = |presses| Some(Exit { code: 3, presses });
        let latest = |interruption, exit| format!("{:?}", latest(interruption, exit));
        assert_eq!(latest(None, None), "None");
        assert_eq!(latest(None, exit(0)), "Some(Exit(3))");
        assert_eq!(latest(Some((Terminated, 1)), None), "Some(Terminated)");
        assert_eq!(latest(Some((Terminated, 1)), exit(1)), "Some(Exit(3))");
        assert_eq!(latest(Some((Terminated, 2)), exit(1)), "Some(Terminated)");
    }
}
