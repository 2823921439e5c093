//! Deadlines and what is to happen then, as pure data.
//!
//! Timers leave in the order of their deadlines, and those of one deadline in the order in which they came. Giving one
//! up costs next to nothing and never moves another.
//!
//! This file knows no clock and no I/O: a deadline is a number of nanoseconds since a start that only the caller knows.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use slab::Slab;

/// The deadline of a timer that never expires.
pub(crate) const NEVER: u64 = u64::MAX;

/// How many entries of removed timers the heap may hold before it is worth a sweep.
const SWEEP_ABOVE: usize = 100;

/// Timers with something to hand out at each deadline.
///
/// A removed timer leaves its entry in the heap, where it is known by a number that no timer has any more. It goes when
/// it comes to the top, or in a sweep once such entries outnumber the others. Timeouts, which are almost always given
/// up, so cost a push and now and then a share of a sweep; taking each out at once would cost a search.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    /// One entry for each timer here, and those of removed ones that nobody has met yet; the first deadline on top.
    heap: BinaryHeap<Entry>,
    /// What the timers hand out. Its length is the number of timers.
    items: Slab<Item<T>>,
    /// The number of the next timer; begins again after 2^32.
    next_seq: u32,
}

/// Names one timer, also after it is gone.
///
/// A key that is kept while 2^32 other timers come may name one of those by then, if that has its place by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    /// Where its item is, or was.
    slot: u32,
    /// Its number, which tells it from others in the same place.
    seq: u32,
}

/// What a timer hands out.
#[derive(Debug)]
struct Item<T> {
    /// The timer's number: an entry or a key with another one means an earlier timer in this place.
    seq: u32,
    /// The caller's.
    value: T,
}

/// A timer's place in the order; sixteen bytes, because moving them is most of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Nanoseconds since the caller's start.
    deadline: u64,
    /// The timer's number.
    seq: u32,
    /// Where its item is.
    slot: u32,
}

impl<T> Timers<T> {
    /// Creates an empty set, which allocates nothing.
    pub(crate) fn new() -> Timers<T> {
        Timers {
            heap: BinaryHeap::new(),
            items: Slab::new(),
            next_seq: 0,
        }
    }

    /// Adds a timer; one with the deadline [`NEVER`] stays until it is removed.
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        let slot = self.items.insert(Item { seq, value });
        let slot = u32::try_from(slot).expect("more than 2^32 timers at once");
        self.heap.push(Entry {
            deadline,
            seq,
            slot,
        });
        TimerKey { slot, seq }
    }

    /// Returns what the timer would hand out, unless it has done so or was removed.
    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let item = self.items.get_mut(key.slot as usize)?;
        (item.seq == key.seq).then_some(&mut item.value)
    }

    /// The same, to look at.
    #[cfg(feature = "console")]
    pub(crate) fn get(&self, key: TimerKey) -> Option<&T> {
        let item = self.items.get(key.slot as usize)?;
        (item.seq == key.seq).then_some(&item.value)
    }

    /// Removes a timer that has not expired.
    #[inline]
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        self.get_mut(key)?;
        let item = self.items.remove(key.slot as usize);
        self.sweep_if_worthwhile();
        Some(item.value)
    }

    /// Returns the earliest deadline of all; none if no timer will ever expire.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        while let Some(entry) = self.heap.peek() {
            if is_live(&self.items, entry) {
                return (entry.deadline != NEVER).then_some(entry.deadline);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes out the first of the timers whose deadline is `now` or earlier.
    ///
    /// What stands on top is not asked whether its timer is still there before its time has come: a busy loop calls this again
    /// and again, and taking a removed one out costs a way through the heap, where a sweep takes all out in one pass.
    pub(crate) fn pop_expired(&mut self, now: u64) -> Option<T> {
        loop {
            let deadline = self.heap.peek()?.deadline;
            if deadline > now || deadline == NEVER {
                return None;
            }
            let entry = self.heap.pop()?;
            if is_live(&self.items, &entry) {
                let item = self.items.remove(entry.slot as usize);
                self.sweep_if_worthwhile();
                return Some(item.value);
            }
        }
    }

    /// Calls `f` with each deadline that has passed at `now`, in no particular order. Looks at no others but their neighbours
    /// in the heap.
    pub(crate) fn for_each_overdue(&self, now: u64, mut f: impl FnMut(u64)) {
        self.visit_overdue(0, now, &mut f);
    }

    /// Those in that place of the heap and below it.
    fn visit_overdue(&self, place: usize, now: u64, f: &mut impl FnMut(u64)) {
        let entry = self.heap.as_slice().get(place);
        let Some(entry) = entry.filter(|entry| entry.deadline < now) else {
            return;
        };
        if is_live(&self.items, entry) {
            f(entry.deadline);
        }
        self.visit_overdue(2 * place + 1, now, f);
        self.visit_overdue(2 * place + 2, now, f);
    }

    /// Returns how many timers there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes out all timers, in no particular order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.heap.clear();
        self.items.drain().map(|item| item.value)
    }

    /// Rids the heap of removed timers once they outnumber the others, so that each pays for its own sweep.
    ///
    /// Called whenever a timer goes: also one that expires leaves the removed ones in greater number.
    /// A small heap is left alone, where a sweep would come every few removals.
    fn sweep_if_worthwhile(&mut self) {
        let dead = self.heap.len() - self.items.len();
        if dead > SWEEP_ABOVE && dead > self.items.len() {
            let items = &self.items;
            self.heap.retain(|entry| is_live(items, entry));
        }
    }
}

/// Tells whether the entry's timer is still there.
fn is_live<T>(items: &Slab<Item<T>>, entry: &Entry) -> bool {
    items
        .get(entry.slot as usize)
        .is_some_and(|item| item.seq == entry.seq)
}

impl Ord for Entry {
    /// Reversed, as the heap has its greatest entry on top: that is the earliest, and of those the first to come.
    ///
    /// Numbers are compared by their distance, which holds across the wrap for timers less than 2^31 insertions apart;
    /// of two further apart, with one deadline, the later goes first.
    fn cmp(&self, other: &Entry) -> Ordering {
        let age = other.seq.wrapping_sub(self.seq) as i32;
        other.deadline.cmp(&self.deadline).then(age.cmp(&0))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
