//! What lies in a queue, and which item comes out next.

use std::cmp::Ordering;
use std::collections::VecDeque;

/// The items of a queue.
pub(super) struct Items<T> {
    /// How many there are. Asked for several times in each call, and so not left to the one who keeps them.
    len: usize,
    kept: Kept<T>,
}

/// asyncio's three orders.
enum Kept<T> {
    /// The oldest first.
    Fifo(VecDeque<T>),
    /// The newest first.
    Lifo(Vec<T>),
    /// The least first.
    Priority(Heap<T>),
}

impl<T> Items<T> {
    pub(super) const fn fifo() -> Items<T> {
        Items::of(Kept::Fifo(VecDeque::new()))
    }

    pub(super) const fn lifo() -> Items<T> {
        Items::of(Kept::Lifo(Vec::new()))
    }

    pub(super) fn priority() -> Items<T>
    where
        T: Ord,
    {
        Items::of(Kept::Priority(Heap::new()))
    }

    const fn of(kept: Kept<T>) -> Items<T> {
        Items { len: 0, kept }
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        // Before, in case that comparing panics: the item is in then, though perhaps in the wrong place.
        self.len += 1;
        match &mut self.kept {
            Kept::Fifo(items) => items.push_back(item),
            Kept::Lifo(items) => items.push(item),
            Kept::Priority(items) => items.push(item),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        match &mut self.kept {
            Kept::Fifo(items) => items.pop_front(),
            Kept::Lifo(items) => items.pop(),
            Kept::Priority(items) => items.pop(),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes all of them out, in no certain order.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        self.len = 0;
        match &mut self.kept {
            Kept::Fifo(items) => std::mem::take(items).into(),
            Kept::Lifo(items) => std::mem::take(items),
            Kept::Priority(items) => {
                let entries = std::mem::take(&mut items.entries);
                entries.into_iter().map(|entry| entry.item).collect()
            }
        }
    }
}

/// A binary heap that carries its order with it, so that only those who make one need items that have an order.
struct Heap<T> {
    entries: Vec<Entry<T>>,
    compare: fn(&T, &T) -> Ordering,
    /// How many were ever pushed.
    pushed: u64,
}

struct Entry<T> {
    item: T,
    /// Among equals the oldest is first.
    number: u64,
}

impl<T: Ord> Heap<T> {
    fn new() -> Heap<T> {
        Heap {
            entries: Vec::new(),
            compare: T::cmp,
            pushed: 0,
        }
    }
}

impl<T> Heap<T> {
    #[inline(never)]
    fn push(&mut self, item: T) {
        let number = self.pushed;
        self.pushed += 1;
        self.entries.push(Entry { item, number });
        let mut place = self.entries.len() - 1;
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.is_before(place, parent) {
                break;
            }
            self.entries.swap(place, parent);
            place = parent;
        }
    }

    #[inline(never)]
    fn pop(&mut self) -> Option<T> {
        if self.entries.is_empty() {
            return None;
        }
        let least = self.entries.swap_remove(0);
        let mut place = 0;
        while let Some(child) = self.lesser_child(place) {
            if !self.is_before(child, place) {
                break;
            }
            self.entries.swap(place, child);
            place = child;
        }
        Some(least.item)
    }

    fn lesser_child(&self, place: usize) -> Option<usize> {
        let (left, right) = (2 * place + 1, 2 * place + 2);
        if left >= self.entries.len() {
            return None;
        }
        let has_lesser_right = right < self.entries.len() && self.is_before(right, left);
        Some(if has_lesser_right { right } else { left })
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.entries[one], &self.entries[other]);
        let order = (self.compare)(&one.item, &other.item);
        order.then(one.number.cmp(&other.number)) == Ordering::Less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every permutation of seven items, some of them equal, comes out sorted, and equals in the order in which they went in.
    #[test]
    fn a_heap_gives_the_least_first_and_the_oldest_among_equals() {
        for permutation in 0..5040 {
            let mut rest = vec![0, 1, 1, 2, 3, 3, 3];
            let (mut index, mut heap, mut pushed) = (permutation, Heap::new(), Vec::new());
            for left in (1..=7).rev() {
                // Only the first part of a pair is compared.
                let item = rest.remove(index % left);
                index /= left;
                pushed.push((item, pushed.len()));
            }
            heap.compare = |one: &(i32, usize), other| one.0.cmp(&other.0);
            pushed.iter().for_each(|item| heap.push(*item));
            pushed.sort();
            let popped: Vec<_> = std::iter::from_fn(|| heap.pop()).collect();
            assert_eq!(popped, pushed);
        }
    }
}
