//! The inboxes of this process, by number. They are never freed (see `inbox.rs`), so there are as many as there were loops
//! alive at the same time.
//!
//! A task knows its inbox by that number, which takes half of a pointer's place: with eight bytes more, each task would need
//! sixteen of the allocator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::scheduler::Mail;
use crate::inbox::Inbox;

/// One of the inboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InboxNumber(u32);

/// Each chunk has twice as many as the one before, and never moves.
static CHUNKS: [OnceLock<Box<[Inbox<Mail>]>>; u32::BITS as usize] =
    [const { OnceLock::new() }; u32::BITS as usize];

/// Those whose loop is closed, and how many there are at all.
static UNUSED: Mutex<(Vec<InboxNumber>, u32)> = Mutex::new((Vec::new(), 0));

impl InboxNumber {
    /// Finds one for a new loop.
    pub(super) fn take() -> InboxNumber {
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        let (numbers, made) = &mut *unused;
        numbers.pop().unwrap_or_else(|| {
            let number = InboxNumber(*made);
            *made += 1;
            let (chunk, _) = number.place();
            CHUNKS[chunk].get_or_init(|| (0..1_u64 << chunk).map(|_| Inbox::new()).collect());
            number
        })
    }

    /// The loop is closed.
    pub(super) fn give_back(self) {
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        unused.0.push(self);
    }

    pub(super) fn inbox(self) -> &'static Inbox<Mail> {
        let (chunk, place) = self.place();
        let inboxes = CHUNKS[chunk].get();
        &inboxes.expect("the number of an inbox that was never made (a bug of this crate)")[place]
    }

    /// The chunk, and the place in it.
    fn place(self) -> (usize, usize) {
        let number = u64::from(self.0) + 1;
        let chunk = number.ilog2();
        (chunk as usize, (number - (1 << chunk)) as usize)
    }
}

/// One inbox, or none, that a signal's handler finds without a lock.
pub(crate) struct InboxOfHandler {
    /// The number and one more; 0 for none.
    number: AtomicU64,
}

impl InboxOfHandler {
    pub(crate) const fn none() -> InboxOfHandler {
        InboxOfHandler {
            number: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, number: Option<InboxNumber>) {
        let number = number.map_or(0, |number| u64::from(number.0) + 1);
        self.number.store(number, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Option<&'static Inbox<Mail>> {
        let number = self.number.load(Ordering::Acquire).checked_sub(1)?;
        Some(InboxNumber(number as u32).inbox())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_place_of_its_own() {
        let places: Vec<_> = (0..7).map(|number| InboxNumber(number).place()).collect();
        let expected = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)];
        assert_eq!(places, expected);
        assert_eq!(InboxNumber(u32::MAX - 1).place(), (31, (1 << 31) - 1));
    }

    #[test]
    fn an_inbox_is_used_again_and_stays_where_it_is() {
        let numbers: Vec<_> = (0..20).map(|_| InboxNumber::take()).collect();
        let inboxes: Vec<_> = numbers.iter().map(|number| number.inbox()).collect();
        for (place, inbox) in inboxes.iter().enumerate() {
            let is_same = |other: &&&Inbox<Mail>| std::ptr::eq(*inbox, **other);
            assert_eq!(inboxes.iter().filter(is_same).count(), 1);
            assert!(std::ptr::eq(*inbox, numbers[place].inbox()));
        }
        numbers.into_iter().for_each(InboxNumber::give_back);
    }
}
