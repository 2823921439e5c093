//! The Ctrl-C ladder: each press does more than the one before, and the last one always works.
//!
//! The wish: the first press lets the program clean up in peace, the second ends the run at once, the third ends the
//! process whatever it is doing; and a program that does not react ends at the second. A press is never lost, never hits
//! another run than the one it was meant for, and where no run is armed the process dies as it always did.
//!
//! The difficulty: nothing can be raised inside of a computation that does not await, so somebody else has to find out
//! whether the loop still turns, without asking it for a lock. And "is a run armed", "which press is this" and "count
//! it" have to be one step, or a press falls between two runs.
//!
//! Rejected ways:
//! - *The loop's thread decides.* A tight loop decides nothing.
//! - *A lock around the armed run.* The watching thread would wait for whoever holds it, and deaf is dead (to the user).
//! - *Kill at every second press.* Parents that forward Ctrl-C (`npm`, `docker`) double each press.
//! - *One generation per wake-up.* Wake-ups can be merged and late; the word cannot.
//!
//! The choice: one atomic word holds the run's number, the presses and how many of them the loop has answered. The
//! signal handler counts a press in it, or finds that none can be counted, and then the process dies right there. The
//! watching thread wakes the loop and, from the second press on, waits for the answer, looking at the word every
//! millisecond. The loop answers with `Armed::acknowledge`.
//!
//! ```text
//!              arm                 press                    press                  press
//!  (disarmed) -----> (0 presses) ---------> (1 press) ---------------> (2 presses) -------> dies
//!      |  ^                |   interrupt()      |    1st not answered in     |    interrupt()
//!      |  |                |                    |    100 ms: dies            |    2nd not answered in 100 ms: dies
//!      |  +----------------+--------------------+----------------------------+
//!      |                        disarm
//!      +--> press: dies
//! ```
//!
//! While the runner closes, the ladder stands again. It begins on the rung that the last run had reached, so that a press
//! after the run's first one is the second. Where nothing was pressed before, there is no main task to cancel, and the
//! first press does at once what is left to do (hurry); such a ladder is one rung shorter.
//!
//! What stays broken: a process that was stopped (Ctrl-Z) or starved for 100 ms between two presses looks like one that
//! does not react; and of two presses within the same instant the kernel may make one.
//!
//! This file takes no decision about tasks and prints nothing: the runner reads `Armed::presses` and does both.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::signals::{self, Noted, Router, SIGHUP, SIGINT, SIGTERM, Slot, die_of};
use crate::timeline::flush_all;

#[cfg(test)]
mod tests;

/// How long a loop may take to answer a press before the process dies of the second one.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often the word is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(1);
/// The press that always kills.
const LAST_PRESS: u32 = 3;
/// The press that kills where the first one already hurried: in a close that began without any.
const LAST_PRESS_OF_CLOSE: u32 = 2;
/// The signals that can be a press; a position in this list plus one fits the word's two bits.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// What a press wakes.
pub(crate) trait Interruptible: Send + Sync {
    /// Makes the loop look at [`Armed::presses`] soon.
    ///
    /// Called on a foreign thread, at any time until the [`Armed`] is gone, and sometimes without need. Takes no lock,
    /// allocates nothing, prints nothing, does not panic.
    fn interrupt(&self);
}

/// One moment of the ladder, small enough to change in one atomic step.
///
/// From the lowest bit: presses (2 bits), answered presses (2), the first press's signal (2), the last press's signal
/// (2), armed (1), one rung less (1), the run's number (the other 22). The number may come round: it only has to differ
/// between runs that the watching thread can confuse, which looks once a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u32);

impl Word {
    const ANSWERED: u32 = 2;
    const FIRST: u32 = 4;
    const LAST: u32 = 6;
    const ARMED: u32 = 1 << 8;
    const SHORT: u32 = 1 << 9;
    const RUN: u32 = 10;

    /// No run was ever armed.
    const START: Word = Word(0);

    fn presses(self) -> u32 {
        self.0 & 3
    }

    fn answered(self) -> u32 {
        self.0 >> Word::ANSWERED & 3
    }

    /// The signal of the first press.
    fn first(self) -> Option<i32> {
        signal_of(self.0 >> Word::FIRST & 3)
    }

    /// The signal of the latest press.
    fn last(self) -> Option<i32> {
        signal_of(self.0 >> Word::LAST & 3)
    }

    fn is_armed(self) -> bool {
        self.0 & Word::ARMED != 0
    }

    fn run(self) -> u32 {
        self.0 >> Word::RUN
    }

    /// The next run, armed, with no press.
    fn next_run(self) -> Word {
        Word(self.run().wrapping_add(1) << Word::RUN | Word::ARMED)
    }

    /// The close that follows `before`, armed, on the rung that was reached.
    fn next_close(self, before: Presses) -> Word {
        let next = self.next_run();
        let count = before.count.min(LAST_PRESS - 1);
        match before.signal.and_then(code_of) {
            Some(code) if count > 0 => {
                let signals = code << Word::FIRST | code << Word::LAST;
                Word(next.0 | signals | count << Word::ANSWERED | count)
            }
            _ => Word(next.0 | Word::SHORT),
        }
    }

    /// The press that kills.
    fn last_press(self) -> u32 {
        if self.0 & Word::SHORT != 0 {
            LAST_PRESS_OF_CLOSE
        } else {
            LAST_PRESS
        }
    }

    /// The run is over.
    fn disarmed(self) -> Word {
        Word(self.0 & !Word::ARMED)
    }

    /// One press more; `None` if no run is armed, or `signal` cannot be a press.
    fn pressed(self, signal: i32) -> Option<Word> {
        if !self.is_armed() {
            return None;
        }
        let code = code_of(signal)?;
        let presses = (self.presses() + 1).min(LAST_PRESS);
        let mut next = self.0 & !3 & !(3 << Word::LAST) | presses | code << Word::LAST;
        if presses == 1 {
            next = next & !(3 << Word::FIRST) | code << Word::FIRST;
        }
        Some(Word(next))
    }

    /// Answered up to that press; never less than before, never more than there are.
    fn with_answered(self, presses: u32) -> Word {
        let answered = presses.min(self.presses()).max(self.answered());
        Word(self.0 & !(3 << Word::ANSWERED) | answered << Word::ANSWERED)
    }
}

fn code_of(signal: i32) -> Option<u32> {
    let position = SIGNALS.iter().position(|&known| known == signal)?;
    Some(position as u32 + 1)
}

fn signal_of(code: u32) -> Option<i32> {
    SIGNALS.get((code as usize).checked_sub(1)?).copied()
}

/// The ladder of this process.
static WORD: AtomicU32 = AtomicU32::new(Word::START.0);
/// What the watching thread wakes.
static TARGET: Slot<dyn Interruptible> = Slot::new();
/// Somebody is arming, armed or disarming; the first one wins.
static OWNED: AtomicBool = AtomicBool::new(false);

/// Reads the ladder. Acquire: pairs with the Release of every step below, so that who sees a press or an answer also
/// sees what was done before it.
fn look() -> Word {
    Word(WORD.load(Ordering::Acquire))
}

/// Takes one step, computed from what is there; gives the new word, or what was there if there is no step.
///
/// Release: pairs with `look`. A loop without a lock: also a signal handler that interrupts it can take its step.
fn step(next: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
    let mut word = look();
    while let Some(new) = next(word) {
        match WORD.compare_exchange_weak(word.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(new),
            Err(other) => word = Word(other),
        }
    }
    Err(word)
}

/// Counts a press. Runs inside of the signal handler: one atomic step, nothing else.
fn note(signal: i32) -> Noted {
    match step(|word| word.pressed(signal)) {
        Ok(word) if word.presses() < word.last_press() => Noted::Counted,
        // The last press, or nobody to press for.
        _ => Noted::Deadly,
    }
}

/// What the watching thread remembers between two looks.
#[derive(Default)]
struct Watch {
    /// The run that the rest is about.
    run: u32,
    /// How many of its presses the loop was told of.
    told: u32,
    /// When it was told of the first one. Not when it was pressed: a watcher that was late lets the loop have its time.
    first_told: Option<Instant>,
}

/// How the waiting for the loop ended.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The loop has reacted.
    Given,
    /// The run ended meanwhile: nobody is left to answer.
    RunOver,
    /// The patience is over.
    Missing,
}

impl Watch {
    /// Does what the presses ask for that were counted since the last look. Runs on the watching thread.
    fn react(&mut self) {
        let word = look();
        if !word.is_armed() {
            return;
        }
        if word.run() != self.run {
            *self = Watch {
                run: word.run(),
                ..Watch::default()
            };
        }
        if self.told < 1 && word.presses() >= 1 {
            self.told = 1;
            self.first_told = Some(Instant::now());
            TARGET.with(|target| target.interrupt());
        }
        if self.told < 2 && word.presses() >= 2 {
            self.told = 2;
            self.insist();
        }
    }

    /// The second press: the loop gets the rest of its time for the first one, then as much again for this one.
    fn insist(&self) {
        let first_told = self.first_told.unwrap_or_else(Instant::now);
        if self.is_answered(1, first_told) {
            TARGET.with(|target| target.interrupt());
            self.is_answered(2, Instant::now());
        }
    }

    /// Waits until the loop has answered that press, told at `since`. If it does not, the process dies here.
    fn is_answered(&self, press: u32, since: Instant) -> bool {
        match self.wait_for_answer(press, since) {
            Answer::Given => true,
            Answer::RunOver => false,
            Answer::Missing => {
                flush_all();
                die_of(look().last().unwrap_or(SIGINT))
            }
        }
    }

    fn wait_for_answer(&self, press: u32, since: Instant) -> Answer {
        loop {
            // Time first, word second: an answer in time is seen even if this thread was late.
            let is_over = since.elapsed() >= PATIENCE;
            let word = look();
            if !word.is_armed() || word.run() != self.run {
                return Answer::RunOver;
            }
            if word.answered() >= press {
                return Answer::Given;
            }
            if is_over {
                return Answer::Missing;
            }
            thread::sleep(LOOK);
        }
    }
}

/// Why a run goes without the ladder.
#[derive(Debug)]
pub(crate) enum NotArmed {
    /// This is not the process's main thread.
    OtherThread,
    /// Another runner is armed.
    Taken,
    /// Every signal asked for is ignored, or belongs to a handler of the program.
    NotFree,
    /// The watching thread could not be started, or stayed in the process that forked this one.
    NoThread(io::Error),
}

/// A run that hears the presses. Dropped, it gives the signals back; see [`Armed::disarm`].
#[must_use = "dropping it disarms the run at once"]
pub(crate) struct Armed {
    /// The way the signals take.
    router: &'static Router,
    /// Which of [`SIGNALS`] are claimed. Not all that were wanted: the ignored and the foreign ones are left alone.
    claimed: [bool; SIGNALS.len()],
}

/// The presses of a run that is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Presses {
    /// How many there were.
    pub(crate) count: u32,
    /// How many of them were acknowledged. Fewer than `count`: the last ones came after the loop's last look.
    pub(crate) acknowledged: u32,
    /// The signal of the first one.
    pub(crate) signal: Option<i32>,
}

/// Arms the ladder for one run, with those of the `wanted` signals that are free.
///
/// One of them suffices: a job that a script starts in the background ignores SIGINT, but may well want SIGTERM.
///
/// # Errors
///
/// The run has to go without; nothing has changed.
pub(crate) fn try_arm(target: Arc<dyn Interruptible>, wanted: &[i32]) -> Result<Armed, NotArmed> {
    if !signals::on_main_thread() {
        return Err(NotArmed::OtherThread);
    }
    begin(target, wanted, Word::next_run)
}

/// Arms the ladder for the close after a run with those presses, on the rung that they have reached.
///
/// # Errors
///
/// As [`try_arm`].
pub(crate) fn try_arm_close(
    target: Arc<dyn Interruptible>,
    wanted: &[i32],
    before: Presses,
) -> Result<Armed, NotArmed> {
    if !signals::on_main_thread() {
        return Err(NotArmed::OtherThread);
    }
    begin(target, wanted, |word| word.next_close(before))
}

/// The presses so far of whatever run or close is armed, 0 if none is.
pub(crate) fn presses_now() -> u32 {
    let word = look();
    if word.is_armed() { word.presses() } else { 0 }
}

/// Arms on any thread.
fn begin(
    target: Arc<dyn Interruptible>,
    wanted: &[i32],
    start: impl FnOnce(Word) -> Word,
) -> Result<Armed, NotArmed> {
    // Acquire: pairs with the Release in `end`; the last owner is done with the word and the slot.
    if OWNED.swap(true, Ordering::Acquire) {
        return Err(NotArmed::Taken);
    }
    let armed = begin_owned(target, wanted, start);
    if armed.is_err() {
        OWNED.store(false, Ordering::Release);
    }
    armed
}

fn begin_owned(
    target: Arc<dyn Interruptible>,
    wanted: &[i32],
    start: impl FnOnce(Word) -> Word,
) -> Result<Armed, NotArmed> {
    // Before the thread is started, which is for ever: most programs with handlers of their own never need it.
    if !signals::has_router() && !wanted.iter().any(|&signal| signals::is_free(signal)) {
        return Err(NotArmed::NotFree);
    }
    let router = signals::router(note, new_watch).map_err(NotArmed::NoThread)?;
    // The order is the point: whom to wake, then the fresh count, and only then the signals that are counted. (CPython
    // resets the count last and so forgets a press in between.)
    TARGET.put(target);
    WORD.store(start(look()).0, Ordering::Release);
    let claimed = SIGNALS.map(|signal| wanted.contains(&signal) && router.claim(signal));
    let mut armed = Armed { router, claimed };
    if claimed.contains(&true) {
        return Ok(armed);
    }
    // Another thread took the last free signal after we had looked.
    armed.unhook();
    std::mem::forget(armed);
    Err(NotArmed::NotFree)
}

/// Makes what the watching thread calls.
fn new_watch() -> impl FnMut() + Send + 'static {
    let mut watch = Watch::default();
    move || watch.react()
}

impl Armed {
    /// Returns how many presses arrived in this run. One load: cheap enough for every turn of the loop.
    pub(crate) fn presses(&self) -> u32 {
        look().presses()
    }

    /// Returns the first signal that arrived.
    pub(crate) fn signal(&self) -> Option<i32> {
        look().first()
    }

    /// Tells the watching thread that the loop has reacted to that many presses.
    ///
    /// Has to follow within 100 ms of a press, whatever phase the run or its close is in: without it the second press
    /// kills. Late is better than never, as long as there is no second one.
    pub(crate) fn acknowledge(&self, presses: u32) {
        // No step without a press: the loop may call this at every turn.
        let _ = step(|word| {
            let next = word.with_answered(presses);
            (next != word).then_some(next)
        });
    }

    /// Ends the run for the ladder, and begins the close that follows in the same step: no press falls between the two.
    /// Says what came until this moment.
    pub(crate) fn go_on_with_close(&self) -> Presses {
        match step(|word| Some(word.next_close(word.into()))) {
            Ok(word) | Err(word) => word.into(),
        }
    }

    /// Ends the run for the ladder, gives the signals back, and says what came until this moment.
    ///
    /// Compare `count` with what the loop has reacted to: a press after its last look is in there, and nowhere else. A
    /// later one meets the disposition from before the run.
    pub(crate) fn disarm(mut self) -> Presses {
        let (word, _target) = self.end();
        std::mem::forget(self);
        word.into()
    }

    /// Gives the signals back and everything up, in the reverse order of `begin`.
    fn end(&mut self) -> (Word, Option<Arc<dyn Interruptible>>) {
        let ended = self.unhook();
        // Release: pairs with the Acquire in `begin`.
        OWNED.store(false, Ordering::Release);
        ended
    }

    fn unhook(&mut self) -> (Word, Option<Arc<dyn Interruptible>>) {
        // From here on the system acts, not we ...
        for (signal, _) in SIGNALS
            .iter()
            .zip(self.claimed)
            .filter(|(_, claimed)| *claimed)
        {
            self.router.release(*signal);
        }
        // ... but a handler may be running in another thread. Either it counts its press before this step, and the press
        // is in what we return, or it comes after it, finds no run, and the process dies as by default.
        let word = match step(|word| Some(word.disarmed())) {
            Ok(word) | Err(word) => word,
        };
        if self.router.is_foreign() {
            // A forked child: the presses were its parent's, and if the parent's thread was inside of the slot when it
            // forked, it will never leave this copy of it. The target stays where it is, for good.
            return (Word::START, None);
        }
        (word, TARGET.take())
    }
}

impl Drop for Armed {
    /// Disarms on the ways out that look at no presses (a panic). A press that nobody has answered is not lost: the
    /// process dies of it, as it would have if the press had come a moment later.
    fn drop(&mut self) {
        let (word, target) = self.end();
        drop(target);
        if word.presses() > word.answered() {
            die_of(word.last().unwrap_or(SIGINT));
        }
    }
}

impl From<Word> for Presses {
    fn from(word: Word) -> Presses {
        Presses {
            count: word.presses(),
            acknowledged: word.answered(),
            signal: word.first(),
        }
    }
}
