//! SIGQUIT and SIGUSR1 as questions: the program says on stderr what each of its tasks waits for, and goes on.
//!
//! The loop answers itself, in its turn. One that does not answer in time is blocked, and is told about from outside, with
//! what it has published of itself (`watchdog.rs`). The signals are the runner's from its first use to the end of its close;
//! in between SIGUSR1 must not kill the program. One that the program ignores or handles itself stays as it is.
//!
//! All loops of the process share one listener for each signal, which stands by from the first of them on: the two handlers are
//! put in place once, not with each runtime.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::debug::dump_tasks_of;
use crate::event_loop::{EventLoop, LoopHandle, running_loop};
use crate::logging::write_to_stderr;
use crate::signals::{self, StandBy, is_free};
use crate::threads::{NotGiven, handover, start_thread};
use crate::watchdog::{Beat, tell_stack};

/// The loop is given so long to answer, as long as with Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(100);

/// The questions.
const SIGNALS: [(i32, &str); 2] = [(libc::SIGQUIT, "SIGQUIT"), (libc::SIGUSR1, "SIGUSR1")];

/// Who answers.
static ANSWERING: Mutex<Answering> = Mutex::new(Answering {
    stand_bys: [const { None }; SIGNALS.len()],
    loops: Vec::new(),
});

struct Answering {
    /// One for each of the [`SIGNALS`] that was found free.
    stand_bys: [Option<StandBy>; SIGNALS.len()],
    /// In the order in which they began to answer.
    loops: Vec<Asked>,
}

/// `None` in a forked child: the thread that would ask stayed in the parent, and somebody there may have held the lock.
///
/// No user code runs under the lock, so a poisoned one is still whole.
fn answering() -> Option<MutexGuard<'static, Answering>> {
    let stayed_behind = signals::listeners_stayed_behind();
    (!stayed_behind).then(|| ANSWERING.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Answering {
    fn add(&mut self, asked: Asked) {
        self.loops.push(asked);
        for ((signal, name), stand_by) in SIGNALS.into_iter().zip(&mut self.stand_bys) {
            if stand_by.is_none() && is_free(signal) {
                *stand_by = StandBy::new(signal, Arc::new(move || ask_all(name))).ok();
            }
        }
        self.set_wanted(true);
    }

    fn remove(&mut self, handle: &LoopHandle) {
        self.loops.retain(|asked| !asked.handle.is_same(handle));
        self.set_wanted(!self.loops.is_empty());
    }

    fn set_wanted(&self, wanted: bool) {
        let stand_bys = self.stand_bys.iter().flatten();
        stand_bys.for_each(|stand_by| stand_by.set_wanted(wanted));
    }
}

/// On the thread of the signal listeners, which must not be kept waiting.
fn ask_all(signal: &'static str) {
    let loops = answering().map(|answering| answering.loops.clone());
    for asked in loops.into_iter().flatten() {
        Question { asked, signal }.ask();
    }
}

/// A loop that answers.
#[derive(Clone)]
struct Asked {
    handle: LoopHandle,
    beat: Arc<Beat>,
}

/// One loop answers, while this lives.
pub(super) struct Dumps {
    event_loop: EventLoop,
}

impl Dumps {
    /// From now on the signals are answered that nobody else deals with.
    pub(super) fn begin(event_loop: &EventLoop) -> Dumps {
        let asked = Asked {
            handle: event_loop.handle(),
            beat: event_loop.core().begin_dumps(),
        };
        if let Some(mut answering) = answering() {
            answering.add(asked);
        }
        Dumps {
            event_loop: event_loop.clone(),
        }
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        if let Some(mut answering) = answering() {
            answering.remove(&self.event_loop.handle());
        }
        self.event_loop.core().end_dumps();
    }
}

/// What a signal asks.
#[derive(Clone)]
struct Question {
    asked: Asked,
    signal: &'static str,
}

impl Question {
    fn ask(&self) {
        let (done, answer) = handover();
        let question = self.clone();
        let asked = self.asked.handle.call_soon_threadsafe(move || {
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
        let (signal, thread) = (self.signal, self.asked.beat.thread().name());
        let dump = dump_tasks_of(&running_loop()).to_string();
        let dump = dump.trim_end();
        write_to_stderr(format_args!(
            "{signal}: the tasks of the event loop in thread '{thread}':\n{dump}"
        ));
    }

    fn answer_from_outside(&self) {
        let beat = &self.asked.beat;
        let (signal, thread, word) = (self.signal, beat.thread(), beat.word());
        if word.is_idle() {
            let name = thread.name();
            return write_to_stderr(format_args!(
                "{signal}: the event loop in thread '{name}' is not being run; it will answer when it is"
            ));
        }
        let (step, state) = (beat.step(), thread.state(None));
        write_to_stderr(format_args!(
            "{signal}: the event loop does not answer; it is blocked by {step}{state}"
        ));
        tell_stack(beat, word);
    }
}
