//! SIGQUIT and SIGUSR1 as questions: the program says on stderr what each of its tasks waits for, and goes on.
//!
//! The loop answers itself, in its turn. One that does not answer in time is blocked, and is told about from outside, with
//! what it has published of itself (`watchdog.rs`). The signals are the runner's from its first use to the end of its close;
//! in between SIGUSR1 must not kill the program. One that the program ignores or handles itself stays as it is.
//!
//! All loops of the process share one listener for each signal, which stands by from the first of them on: the two handlers are
//! put in place once, not with each runtime.
//!
//! The listeners' thread is there in each program whose runner handles signals, or that asks for dumps. In debug mode alone there
//! is none: a thread makes glibc's allocator take locks, which is more than debug mode may cost. There the handler asks the loop,
//! which answers when it is its turn; one that is blocked is told about by nobody but the watchdog.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::debug::dump_tasks_of;
use crate::event_loop::{EventLoop, LoopHandle, running_loop};
use crate::fork::ForkGuard;
use crate::logging::write_to_stderr;
use crate::signals::{StandBy, is_free, listeners_stayed_behind, start_listening};
use crate::task::inboxes::InboxOfHandler;
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
    has_alone: false,
});

/// The loop that the handler asks; if there is a thread after all, that one does.
static ALONE: InboxOfHandler = InboxOfHandler::none();

/// By which of the [`SIGNALS`] it was asked.
static ASKED: [AtomicBool; SIGNALS.len()] = [const { AtomicBool::new(false) }; SIGNALS.len()];

struct Answering {
    /// One for each of the [`SIGNALS`] that was found free.
    stand_bys: [Option<StandBy>; SIGNALS.len()],
    /// Asked by the thread; in the order in which they began to answer.
    loops: Vec<Asked>,
    /// One more is asked by the handler.
    has_alone: bool,
}

/// `None` in a forked child: who would ask stayed in the parent, and somebody there may have held the lock.
///
/// No user code runs under the lock, so a poisoned one is still whole.
fn answering() -> Option<MutexGuard<'static, Answering>> {
    static FIRST: OnceLock<ForkGuard> = OnceLock::new();

    let is_forked = FIRST.get_or_init(ForkGuard::new).is_forked();
    let stayed_behind = is_forked || listeners_stayed_behind();
    (!stayed_behind).then(|| ANSWERING.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Answering {
    /// Has the thread ask the loop.
    fn add(&mut self, event_loop: &EventLoop) {
        let asked = Asked {
            handle: event_loop.handle(),
            beat: event_loop.core().begin_dumps(),
        };
        // Without the thread nobody answers, and the signals do what they did before.
        if start_listening().is_ok() {
            self.loops.push(asked);
            self.look();
        }
    }

    fn remove(&mut self, event_loop: &EventLoop) {
        let handle = event_loop.handle();
        self.loops.retain(|asked| !asked.handle.is_same(&handle));
        event_loop.core().end_dumps();
        self.look();
    }

    /// Has the handler ask the loop, if it can; `false` if it cannot.
    fn add_alone(&mut self, event_loop: &EventLoop) -> bool {
        if self.has_alone || !event_loop.core().may_be_notified_in_handler() {
            return false;
        }
        // The loop must listen before the first signal can come.
        event_loop.core().set_on_question(Some(answer_alone));
        ALONE.set(Some(event_loop.core().scheduler.number));
        self.has_alone = true;
        self.look();
        true
    }

    fn remove_alone(&mut self, event_loop: &EventLoop) {
        ALONE.set(None);
        event_loop.core().set_on_question(None);
        self.has_alone = false;
        self.look();
        // Of the last moment: there are no tasks any more.
        for asked in &ASKED {
            asked.store(false, Ordering::Relaxed);
        }
    }

    /// The signals are wanted if there is anybody to answer.
    fn look(&mut self) {
        let wanted = self.has_alone || !self.loops.is_empty();
        for ((signal, name), stand_by) in SIGNALS.into_iter().zip(&mut self.stand_bys) {
            if stand_by.is_none() && wanted && is_free(signal) {
                let listener = Arc::new(move || ask_all(signal, name));
                *stand_by = StandBy::new(signal, listener, ask_alone).ok();
            }
            if let Some(stand_by) = stand_by {
                stand_by.set_wanted(wanted);
            }
        }
    }
}

/// On the thread of the signal listeners, which must not be kept waiting.
fn ask_all(number: i32, signal: &'static str) {
    ask_alone(number);
    let loops = answering().map(|answering| answering.loops.clone());
    for asked in loops.into_iter().flatten() {
        Question { asked, signal }.ask();
    }
}

/// A loop that the thread asks.
#[derive(Clone)]
struct Asked {
    handle: LoopHandle,
    beat: Arc<Beat>,
}

/// Inside of a signal handler, unless there is a thread: atomics, and what wakes a loop of ours (an eventfd, or a futex).
fn ask_alone(signal: i32) {
    let Some(inbox) = ALONE.get() else { return };
    for ((number, _), asked) in SIGNALS.iter().zip(&ASKED) {
        if *number == signal {
            asked.store(true, Ordering::Relaxed);
        }
    }
    // Releases the step above.
    inbox.interrupt_in_handler();
}

/// On the loop's thread, in its turn.
fn answer_alone() {
    for ((_, name), asked) in SIGNALS.iter().zip(&ASKED) {
        if asked.swap(false, Ordering::Relaxed) {
            print_tasks(name);
        }
    }
}

/// One loop answers, while this lives.
pub(super) struct Dumps {
    event_loop: EventLoop,
    /// Asked by the handler, should there be no thread.
    is_alone: bool,
}

impl Dumps {
    /// From now on the signals are answered that nobody else deals with; without a thread, if `alone` and if that can be.
    pub(super) fn begin(event_loop: &EventLoop, alone: bool) -> Dumps {
        let mut is_alone = false;
        if let Some(mut answering) = answering() {
            is_alone = alone && answering.add_alone(event_loop);
            if !is_alone {
                answering.add(event_loop);
            }
        }
        Dumps {
            event_loop: event_loop.clone(),
            is_alone,
        }
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        let Some(mut answering) = answering() else {
            return;
        };
        match self.is_alone {
            true => answering.remove_alone(&self.event_loop),
            false => answering.remove(&self.event_loop),
        }
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
            print_tasks(question.signal);
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

/// On the loop's thread.
fn print_tasks(signal: &str) {
    let event_loop = running_loop();
    let dump = dump_tasks_of(&event_loop).to_string();
    let dump = dump.trim_end();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    write_to_stderr(format_args!(
        "{signal}: the tasks of the event loop in thread '{thread}':\n{dump}"
    ));
}
