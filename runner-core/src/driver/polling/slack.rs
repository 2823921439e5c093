//! Linux lets a sleeping thread sleep on for 50 microseconds, so that it can wake several with one interrupt; not ours.
//!
//! A timerfd has no such slack, but is a descriptor, and a driver without sources has none. The slack is the thread's, and the
//! program's code runs on the same thread: it is taken away for one wait, and is what it was afterwards.

use std::num::NonZeroU64;

use rustix::thread::{current_timer_slack, set_current_timer_slack};

/// The least there is; zero would mean the default.
const NO_SLACK: NonZeroU64 = NonZeroU64::MIN;

/// While it lives, this thread's waits end when they should.
///
/// Where the system refuses, as some sandboxes do, waits end a little later.
pub(super) struct Punctual {
    /// What the program had; none if nothing was changed.
    before: Option<NonZeroU64>,
}

impl Punctual {
    pub(super) fn begin() -> Punctual {
        let before = current_timer_slack().ok().and_then(NonZeroU64::new);
        // The thread of a real-time class has none, and nothing that could be set.
        let before = before.filter(|&slack| slack > NO_SLACK);
        let before = before.filter(|_| set_current_timer_slack(Some(NO_SLACK)).is_ok());
        Punctual { before }
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = set_current_timer_slack(Some(before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_slack_is_gone_for_a_while_and_then_what_it_was() {
        let chosen = NonZeroU64::new(123_000).unwrap();
        set_current_timer_slack(Some(chosen)).unwrap();
        let punctual = Punctual::begin();
        assert_eq!(current_timer_slack().unwrap(), NO_SLACK.get());
        drop(punctual);
        assert_eq!(current_timer_slack().unwrap(), chosen.get());
    }

    #[test]
    fn a_thread_without_slack_stays_without() {
        set_current_timer_slack(Some(NO_SLACK)).unwrap();
        drop(Punctual::begin());
        assert_eq!(current_timer_slack().unwrap(), NO_SLACK.get());
    }
}
