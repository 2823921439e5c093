//! What lies in the inbox, in which order it comes out, and what the inbox says of that.

use std::collections::VecDeque;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{FREE_BITS, Inbox};
use crate::driver::Notify;

#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Notify for Counting {
    fn notify(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Opened {
    inbox: Inbox<usize>,
    generation: u64,
    notifier: Arc<Counting>,
}

fn opened() -> Opened {
    let inbox = Inbox::new();
    let notifier = Arc::new(Counting::default());
    let generation = inbox.open(notifier.clone());
    Opened {
        inbox,
        generation,
        notifier,
    }
}

impl Opened {
    fn push(&self, number: usize) {
        self.inbox.push(self.generation, number).unwrap();
    }

    /// Puts `number` in front, or behind what is there.
    fn send(&self, number: usize) {
        if let Err(raw) = self.inbox.put_first(written(number)) {
            self.inbox.push_unchecked(read(raw));
        }
    }

    fn collect(&self, mail: &mut VecDeque<usize>) {
        self.inbox.collect(mail, read);
    }

    fn collected(&self) -> Vec<usize> {
        let mut mail = VecDeque::new();
        self.collect(&mut mail);
        mail.into()
    }

    fn notifications(&self) -> usize {
        self.notifier.0.load(Ordering::SeqCst)
    }
}

/// A pointer that is a number, with the bits free that must be.
fn written(number: usize) -> NonNull<()> {
    NonNull::without_provenance(NonZero::new((number + 1) << 3).unwrap())
}

fn read(raw: NonNull<()>) -> usize {
    assert_eq!(raw.addr().get() & FREE_BITS, 0);
    (raw.addr().get() >> 3) - 1
}

/// A press of Ctrl-C was lost that came before `call_soon` between two turns, which takes the mail out to keep its order.
#[test]
fn collecting_leaves_a_signals_request_announced() {
    let it = opened();
    it.inbox.interrupt();
    it.push(1);
    assert_eq!(it.collected(), [1]);
    assert!(it.inbox.has_mail());
    assert!(!it.inbox.fall_asleep());
    assert!(it.inbox.take_interrupt());
}

#[test]
fn nothing_is_announced_once_the_request_and_the_mail_are_taken() {
    let it = opened();
    it.inbox.interrupt();
    it.push(1);
    assert!(it.inbox.take_interrupt());
    assert_eq!(it.collected(), [1]);
    assert!(!it.inbox.has_mail() && !it.inbox.take_interrupt());
    assert!(it.inbox.fall_asleep());
}

#[test]
fn a_signal_does_not_take_what_is_in_front() {
    let it = opened();
    it.send(1);
    it.inbox.interrupt();
    assert_eq!(it.inbox.take_only(), None);
    assert!(it.inbox.take_interrupt());
    assert_eq!(it.collected(), [1]);
}

#[test]
fn what_is_alone_comes_out_without_the_list() {
    let it = opened();
    it.send(1);
    assert!(it.inbox.has_mail());
    assert_eq!(it.inbox.take_only().map(read), Some(1));
    assert!(!it.inbox.has_mail());
    assert_eq!(it.inbox.take_only(), None);
}

#[test]
fn what_came_first_comes_out_first() {
    let it = opened();
    it.send(1);
    it.push(2);
    it.send(3);
    assert_eq!(it.inbox.take_only(), None);
    let mut mail = VecDeque::from([0]);
    it.collect(&mut mail);
    assert_eq!(mail, [0, 1, 2, 3]);
    it.push(4);
    it.send(5);
    assert_eq!(it.collected(), [4, 5]);
}

#[test]
fn a_loop_that_is_asleep_is_notified_once() {
    for send in [Opened::send, Opened::push] {
        let it = opened();
        assert!(it.inbox.fall_asleep());
        // What the loop itself asks while it is still announced as asleep.
        assert!(!it.inbox.has_mail());
        send(&it, 1);
        send(&it, 2);
        assert_eq!(it.notifications(), 1);
        it.inbox.wake_up();
        assert_eq!(it.collected(), [1, 2]);
        send(&it, 3);
        assert_eq!(it.notifications(), 1, "it was awake");
    }
}

#[test]
fn a_loop_does_not_fall_asleep_over_its_mail() {
    for send in [Opened::send, Opened::push] {
        let it = opened();
        send(&it, 1);
        assert!(!it.inbox.fall_asleep());
        send(&it, 2);
        assert_eq!(it.notifications(), 0);
        assert_eq!(it.collected(), [1, 2]);
        assert!(it.inbox.fall_asleep());
    }
}

#[test]
fn a_wait_that_ends_by_itself_leaves_nothing_behind() {
    let it = opened();
    assert!(it.inbox.fall_asleep());
    it.inbox.wake_up();
    it.send(1);
    assert_eq!(it.notifications(), 0);
    assert_eq!(it.collected(), [1]);
}

#[test]
fn a_loop_that_is_interrupted_in_its_sleep_wakes_up_to_the_request() {
    let it = opened();
    assert!(it.inbox.fall_asleep());
    it.inbox.interrupt();
    assert!(it.inbox.has_mail());
    it.inbox.wake_up();
    assert!(it.inbox.has_mail() && it.inbox.take_interrupt());
    assert!(it.collected().is_empty());
    assert!(it.inbox.fall_asleep());
}

#[test]
fn a_handler_notifies_a_loop_that_is_asleep() {
    let it = opened();
    assert!(it.inbox.fall_asleep());
    it.inbox.interrupt_in_handler();
    assert_eq!(it.notifications(), 1);
    it.inbox.generation();
    assert_eq!(it.notifications(), 1, "nothing is owed");
    it.inbox.wake_up();
    assert!(it.inbox.has_mail() && it.inbox.take_interrupt());
}

/// Who only looked at the inbox, while a handler came, would have left the loop asleep.
#[test]
fn whoever_had_the_lock_notifies_for_the_handler() {
    let lookers: [fn(&Opened); 3] = [
        |it| assert_eq!(it.inbox.generation(), it.generation),
        |it| assert!(it.inbox.is_open(it.generation)),
        |it| assert!(it.inbox.push(it.generation + 1, 1).is_err()),
    ];
    for look in lookers {
        let it = opened();
        assert!(it.inbox.fall_asleep());
        let lock = it.inbox.lock();
        it.inbox.interrupt_in_handler();
        assert_eq!(it.notifications(), 0);
        drop(lock);
        look(&it);
        assert_eq!(it.notifications(), 1);
        look(&it);
        assert_eq!(it.notifications(), 1);
    }
}

/// Two threads send as fast as they can, both ways of sending mixed, to a loop that takes, sleeps and wakes.
#[test]
fn each_thread_finds_its_order_kept_and_nothing_is_lost() {
    const EACH: usize = 50_000;
    let it = Arc::new(opened());
    let senders = [0, 1].map(|thread| {
        let it = it.clone();
        thread::spawn(move || {
            for number in 0..EACH {
                let letter = number * 2 + thread;
                match number % 7 {
                    0 => it.push(letter),
                    _ => it.send(letter),
                }
            }
        })
    });
    let mut next = [0; 2];
    let mut take = |letter: usize| {
        let (thread, number) = (letter % 2, letter / 2);
        assert_eq!(number, next[thread], "of thread {thread}");
        next[thread] += 1;
    };
    let mut notified = 0;
    for _ in 0..100 * EACH {
        if let Some(raw) = it.inbox.take_only() {
            take(read(raw));
        } else if it.inbox.has_mail() {
            it.collected().into_iter().for_each(&mut take);
        } else if senders.iter().all(|sender| sender.is_finished()) {
            break;
        } else if it.inbox.fall_asleep() {
            // Who finds it asleep notifies it, and nobody else does.
            while it.notifications() == notified && !senders.iter().all(|it| it.is_finished()) {
                thread::yield_now();
            }
            notified = it.notifications();
            it.inbox.wake_up();
        }
    }
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    it.collected().into_iter().for_each(&mut take);
    assert_eq!(next, [EACH; 2]);
}
