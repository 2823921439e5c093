//! SIGQUIT and SIGUSR1 as questions: the program says on stderr what each of its tasks waits for, and goes on.
//!
//! The loop answers itself, in its turn. One that does not answer in time is blocked, and is told about from outside, with
//! what it has published of itself (`watchdog.rs`). The signals are the runner's from its first use to the end of its close;
//! in between SIGUSR1 must not kill the program. One that the program ignores or handles itself stays as it is.

use std::sync::Arc;
use std::time::Duration;

use crate::debug::dump_tasks_of;
use crate::event_loop::{EventLoop, LoopHandle, running_loop};
use crate::logging::write_to_stderr;
use crate::signals::{Subscription, is_free, subscribe};
use crate::threads::{NotGiven, handover, start_thread};
use crate::watchdog::Beat;

/// The loop is given so long to answer, as long as with Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(100);

/// The signals that are answered, while this lives.
pub(super) struct Dumps {
    event_loop: EventLoop,
    _subscriptions: Vec<Subscription>,
}

impl Dumps {
    /// From now on the signals are answered that nobody else deals with.
    pub(super) fn begin(event_loop: &EventLoop) -> Dumps {
        let beat = event_loop.core().begin_dumps();
        let signals = [(libc::SIGQUIT, "SIGQUIT"), (libc::SIGUSR1, "SIGUSR1")];
        let subscriptions = signals
            .into_iter()
            .filter(|(signal, _)| is_free(*signal))
            .filter_map(|(signal, name)| {
                let question = Question {
                    handle: event_loop.handle(),
                    beat: beat.clone(),
                    signal: name,
                };
                subscribe(signal, Arc::new(move || question.ask())).ok()
            });
        Dumps {
            _subscriptions: subscriptions.collect(),
            event_loop: event_loop.clone(),
        }
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        self.event_loop.core().end_dumps();
    }
}

/// What a signal asks.
#[derive(Clone)]
struct Question {
    handle: LoopHandle,
    beat: Arc<Beat>,
    signal: &'static str,
}

impl Question {
    /// On the thread of the signal listeners, which must not be kept waiting.
    fn ask(&self) {
        let (done, answer) = handover();
        let question = self.clone();
        let asked = self.handle.call_soon_threadsafe(move || {
            question.answer();
            done.give(());
        });
        if asked.is_err() {
            // The loop is closed: there are no tasks.
            return;
        }
        let question = self.clone();
        let wait = move || {
            if answer.take_within(PATIENCE) == Err(NotGiven::TimedOut) {
                question.answer_from_outside();
            }
        };
        // Without a thread there is nobody to say more than the loop itself.
        let _ = start_thread("asyncio-dump".into(), Box::new(wait));
    }

    /// On the loop's thread.
    fn answer(&self) {
        let (signal, thread) = (self.signal, self.beat.thread().name());
        let dump = dump_tasks_of(&running_loop()).to_string();
        let dump = dump.trim_end();
        write_to_stderr(format_args!(
            "{signal}: the tasks of the event loop in thread '{thread}':\n{dump}"
        ));
    }

    fn answer_from_outside(&self) {
        let (signal, thread) = (self.signal, self.beat.thread());
        if self.beat.word().is_idle() {
            let name = thread.name();
            return write_to_stderr(format_args!(
                "{signal}: the event loop in thread '{name}' is not being run; it will answer when it is"
            ));
        }
        let (step, state) = (self.beat.step(), thread.state(None));
        write_to_stderr(format_args!(
            "{signal}: the event loop does not answer; it is blocked by {step}{state}"
        ));
    }
}
