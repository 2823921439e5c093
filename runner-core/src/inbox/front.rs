//! The first word of an inbox: the task that came first, and whether there is more, and whether the loop is asleep.
//!
//! One word for all, so that a wake-up of a loop that is awake moves one cache line to the other processor and back, and takes no
//! lock: with a locked list alone it moved three, and the loop often came while the sender still held the lock.
//!
//! The order of arrival: as long as there is more behind the first, nothing is put in front; and who takes what is behind holds
//! the list's lock when it takes the word, so that nothing can be put in front and something else behind it in between.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The loop waits, or is about to: the next who puts something in must notify it. The lowest bit: what is above it is there to be
/// taken.
const ASLEEP: usize = 1 << 0;
/// Something is in the list, or a signal asks for attention.
const MORE: usize = 1 << 2;

/// The bits that whatever is put in front must leave free.
pub(crate) const FREE_BITS: usize = ASLEEP | MORE;

/// There is something already: the newcomer's place is behind it.
pub(super) struct Occupied;

/// A pointer, or null, with the marks above in its lowest bits.
pub(super) struct Front {
    word: AtomicPtr<()>,
}

impl Front {
    pub(super) const fn new() -> Front {
        Front {
            word: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Puts `item` in front, and says whether the loop was asleep: it is not any more, but must be notified.
    #[inline]
    pub(super) fn put(&self, item: NonNull<()>) -> Result<bool, Occupied> {
        debug_assert!(item.addr().get() & FREE_BITS == 0);
        let mut expected = ptr::null_mut();
        loop {
            // Release: the loop sees what `item` points to. The first guess is that the loop is awake and has taken everything:
            // to look first would move the cache line twice.
            let exchanged = self.word.compare_exchange(
                expected,
                item.as_ptr(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => return Ok(expected.addr() == ASLEEP),
                Err(found) if found.is_null() || found.addr() == ASLEEP => expected = found,
                Err(_) => return Err(Occupied),
            }
        }
    }

    /// Says that there is something in the list; under its lock. Returns whether the loop was asleep, as [`put`](Front::put).
    pub(super) fn add_more(&self) -> bool {
        let found = self.word.load(Ordering::Relaxed);
        if found.addr() & FREE_BITS == MORE {
            // It is taken back under the lock only.
            return false;
        }
        let awake_with_more = |address| (address | MORE) & !ASLEEP;
        self.update(awake_with_more) & ASLEEP != 0
    }

    /// Asks for the loop to look further than the word, from a signal's thread: the loop stays announced as asleep.
    pub(super) fn ask_for_attention(&self) {
        self.update(|address| address | MORE);
    }

    /// Returns the address before.
    fn update(&self, new: impl Fn(usize) -> usize) -> usize {
        let exchange = |word: *mut ()| Some(word.map_addr(&new));
        // The closure always gives a value, so both are what was there.
        match self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, exchange)
        {
            Ok(word) | Err(word) => word.addr(),
        }
    }

    /// Returns `true` if there is nothing, whether the loop is asleep or not.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // What this misses is seen on the next turn, or by `fall_asleep`. Who has learnt from another thread that it has put
        // something in does not miss that.
        self.word.load(Ordering::Relaxed).addr() <= ASLEEP
    }

    /// Takes what is in front, if that is all there is.
    #[inline]
    pub(super) fn take_only(&self) -> Option<NonNull<()>> {
        let found = self.word.load(Ordering::Relaxed);
        if found.addr() & FREE_BITS != 0 {
            return None;
        }
        let item = NonNull::new(found)?;
        // Acquire: pairs with the Release in `put`. It fails if there is more by now.
        self.word
            .compare_exchange(found, ptr::null_mut(), Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| item)
    }

    /// Takes what is in front, and says that there is no more; under the list's lock.
    pub(super) fn take(&self) -> Option<NonNull<()>> {
        let found = self.word.swap(ptr::null_mut(), Ordering::AcqRel);
        NonNull::new(found.map_addr(|address| address & !FREE_BITS))
    }

    /// Announces a wait; `false` if there is something, and the loop must not wait.
    pub(super) fn fall_asleep(&self) -> bool {
        let asleep = ptr::without_provenance_mut(ASLEEP);
        self.word
            .compare_exchange(ptr::null_mut(), asleep, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The wait is over; nobody needs to notify any more.
    pub(super) fn wake_up(&self) {
        // Nobody but the loop, which is here, announces a wait.
        if self.word.load(Ordering::Relaxed).addr() & ASLEEP != 0 {
            self.update(|address| address & !ASLEEP);
        }
    }
}
