//! What the ladder does as data, and as far as a process can go that has to live on. How a process dies of it is tested
//! with real children, over the runner.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;

const ARMED: Word = Word(Word::ARMED);

fn pressed(word: Word, signals: &[i32]) -> Word {
    signals.iter().fold(word, |word, &signal| {
        word.pressed(signal).expect("armed, and one of the signals")
    })
}

#[test]
fn presses_are_counted_up_to_the_last_one() {
    let word = pressed(ARMED, &[SIGINT, SIGTERM]);
    assert_eq!(
        (word.presses(), word.first(), word.last()),
        (2, Some(SIGINT), Some(SIGTERM))
    );
    let word = pressed(word, &[SIGHUP, SIGINT, SIGHUP]);
    assert_eq!(
        (word.presses(), word.first(), word.last()),
        (LAST_PRESS, Some(SIGINT), Some(SIGHUP))
    );
    assert_eq!((word.answered(), word.run(), word.is_armed()), (0, 0, true));
}

#[test]
fn nothing_is_counted_without_a_run_or_for_another_signal() {
    assert_eq!(Word::START.pressed(SIGINT), None);
    assert_eq!(pressed(ARMED, &[SIGINT]).disarmed().pressed(SIGINT), None);
    assert_eq!(ARMED.pressed(9), None);
}

#[test]
fn answers_go_forward_and_no_further_than_the_presses() {
    let word = pressed(ARMED, &[SIGINT, SIGINT]);
    assert_eq!(ARMED.with_answered(3), ARMED);
    assert_eq!(word.with_answered(1).answered(), 1);
    assert_eq!(word.with_answered(9).answered(), 2);
    assert_eq!(word.with_answered(2).with_answered(1).answered(), 2);
}

#[test]
fn a_run_begins_with_no_press() {
    let interrupted = pressed(ARMED, &[SIGTERM]).disarmed();
    let fresh = interrupted.next_run();
    assert_eq!((fresh.presses(), fresh.first()), (0, None));
    assert_eq!((fresh.run(), fresh.is_armed()), (1, true));
}

#[test]
fn a_close_without_a_press_before_has_one_rung_less() {
    let close = ARMED.disarmed().next_close(Presses::default());
    assert_eq!(
        (close.presses(), close.first(), close.last_press()),
        (0, None, 2)
    );
    assert_eq!((close.run(), close.is_armed()), (1, true));
    let pressed = pressed(close, &[SIGTERM]);
    assert_eq!((pressed.presses(), pressed.first()), (1, Some(SIGTERM)));
    // The next run has all of them again.
    assert_eq!(pressed.disarmed().next_run().last_press(), 3);
}

#[test]
fn a_close_begins_on_the_rung_that_its_run_had_reached() {
    for (signals, reached) in [
        (&[SIGTERM][..], 1),
        (&[SIGTERM, SIGINT], 2),
        (&[SIGTERM; 3], 2),
    ] {
        let close = ARMED.next_close(pressed(ARMED, signals).into());
        assert_eq!((close.presses(), close.answered()), (reached, reached));
        assert_eq!((close.first(), close.last_press()), (Some(SIGTERM), 3));
    }
}

#[test]
fn the_number_of_the_run_comes_round() {
    let last = Word(u32::MAX << Word::RUN | Word::ARMED);
    assert_eq!(last.disarmed().next_run(), ARMED);
}

#[test]
fn other_threads_than_the_main_one_go_without() {
    // libtest keeps the main thread for itself.
    assert!(matches!(
        try_arm(Bell::new(), &[SIGINT]),
        Err(NotArmed::OtherThread)
    ));
}

/// A loop that only counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn new() -> Arc<Bell> {
        Arc::default()
    }

    fn wait(&self) {
        while self.0.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }
}

impl Interruptible for Bell {
    fn interrupt(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// There is one ladder in a process, and these tests run side by side.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arms on this thread, main or not; `None` where the tests themselves were started with SIGINT ignored.
fn begin_here(target: Arc<dyn Interruptible>) -> Option<Armed> {
    match begin(target, &[SIGINT], Word::next_run) {
        Ok(armed) => Some(armed),
        Err(NotArmed::NotFree) => None,
        Err(error) => panic!("{error:?}"),
    }
}

#[cfg(unix)]
#[test]
fn a_press_wakes_the_loop_and_stays_in_its_run() {
    let _alone = alone();
    let bell = Bell::new();
    let Some(armed) = begin_here(bell.clone()) else {
        return;
    };
    assert_eq!(
        signals::disposition(SIGINT).unwrap(),
        signals::Disposition::Handled
    );

    signals::raise(SIGINT);
    assert_eq!((armed.presses(), armed.signal()), (1, Some(SIGINT)));
    bell.wait();
    armed.acknowledge(1);
    let presses = armed.disarm();
    assert_eq!(
        (presses.count, presses.acknowledged, presses.signal),
        (1, 1, Some(SIGINT))
    );
    assert_eq!(
        signals::disposition(SIGINT).unwrap(),
        signals::Disposition::Default
    );

    let next = begin_here(Bell::new()).expect("free again");
    assert_eq!((next.presses(), next.signal()), (0, None));
}

#[cfg(unix)]
#[test]
fn no_press_falls_between_a_run_and_the_close_that_follows_at_once() {
    let _alone = alone();
    for before in 0..2 {
        let Some(armed) = begin_here(Bell::new()) else {
            return;
        };
        (0..before).for_each(|_| signals::raise(SIGINT));
        armed.acknowledge(before);
        assert_eq!(armed.go_on_with_close().count, before);
        signals::raise(SIGINT);
        armed.acknowledge(before + 1);
        let presses = armed.disarm();
        assert_eq!((presses.count, presses.signal), (before + 1, Some(SIGINT)));
    }
}

#[cfg(unix)]
#[test]
fn a_press_before_the_end_is_in_the_final_count_and_in_no_other() {
    let _alone = alone();
    for round in 0..1_000 {
        let Some(armed) = begin_here(Bell::new()) else {
            return;
        };
        assert_eq!(armed.presses(), 0, "a late press of round {}", round - 1);
        signals::raise(SIGINT);
        assert_eq!(armed.disarm().count, 1);
    }
}

#[test]
fn the_first_to_arm_wins() {
    let _alone = alone();
    let Some(first) = begin_here(Bell::new()) else {
        return;
    };
    assert!(matches!(
        begin(Bell::new(), &[SIGINT], Word::next_run),
        Err(NotArmed::Taken)
    ));
    drop(first);
    assert!(begin_here(Bell::new()).is_some());
}

#[test]
fn a_run_leaves_nothing_of_its_target_behind() {
    let _alone = alone();
    let bell = Bell::new();
    for _ in 0..1_000 {
        drop(begin_here(bell.clone()));
    }
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[cfg(unix)]
#[test]
fn the_watcher_sees_answer_silence_and_end() {
    let _alone = alone();
    let Some(armed) = begin_here(Bell::new()) else {
        return;
    };
    let watch = Watch {
        run: look().run(),
        ..Watch::default()
    };
    signals::raise(SIGINT);

    // Waits the whole 100 ms, which is what it is about.
    let told = Instant::now();
    assert_eq!(watch.wait_for_answer(1, told), Answer::Missing);
    assert!(told.elapsed() >= PATIENCE);

    armed.acknowledge(1);
    assert_eq!(watch.wait_for_answer(1, told), Answer::Given);
    armed.disarm();
    assert_eq!(watch.wait_for_answer(2, told), Answer::RunOver);
    let _next = begin_here(Bell::new());
    assert_eq!(
        watch.wait_for_answer(2, told),
        Answer::RunOver,
        "another run answers for itself"
    );
}

#[test]
fn nobody_looks_at_what_was_taken_back() {
    /// Says when it is dropped.
    struct Lent<'a>(&'a AtomicUsize);
    impl Drop for Lent<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const ROUNDS: usize = 2_000;
    let dropped = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let slot = Slot::<AtomicBool>::new();
    let counted = Slot::<Lent<'_>>::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    slot.with(|is_lent| assert!(is_lent.load(Ordering::Relaxed)));
                    counted.with(|lent| assert!(lent.0.load(Ordering::Relaxed) <= ROUNDS));
                }
            });
        }
        for _ in 0..ROUNDS {
            let is_lent = Arc::new(AtomicBool::new(true));
            slot.put(is_lent.clone());
            counted.put(Arc::new(Lent(&dropped)));
            drop(slot.take().expect("put above"));
            // A borrower that was still inside would now fail its assertion.
            is_lent.store(false, Ordering::Relaxed);
            drop(counted.take());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(dropped.load(Ordering::Relaxed), ROUNDS);
    assert!(slot.take().is_none());
}
