//! What waits for its turn, and how the ready queue keeps it: in one word.
//!
//! A queue of many thousand entries is memory that is touched for the first time, and each page of it costs more than running
//! a task does. Hence a pointer with a mark in its lowest bit, and not an enum, which would be two words.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::rc::Rc;

use super::cell::TaskCell;
use super::main_task::{Block, MainTurn};
use super::raw::{Runnable, Spawned};
use crate::handle::{Callback, Handle};

/// What waits for its turn.
pub(crate) enum Ready {
    Task(Runnable),
    Callback(Handle),
}

/// The same in one word.
pub(crate) struct Packed {
    /// Of `into_raw` of a spawned task's runnable, or, with a mark, of a main task's turn or of the [`Rc`] of a callback.
    pointer: NonNull<()>,
}

/// The mark of a callback.
const CALLBACK: usize = 1;
/// The mark of a main task.
pub(super) const MAIN: usize = 2;
const MARKS: usize = CALLBACK | MAIN;
/// All kinds point to something that is aligned to more than that.
const _: () = assert!(
    align_of::<TaskCell>() > MARKS && align_of::<Callback>() > MARKS && align_of::<Block>() > MARKS
);

fn marked(pointer: NonNull<()>, mark: usize) -> NonNull<()> {
    pointer.map_addr(|address| address | mark)
}

impl Packed {
    #[inline(always)]
    pub(super) fn new(entry: Ready) -> Packed {
        let pointer = match entry {
            Ready::Task(Runnable::Spawned(runnable)) => runnable.into_raw(),
            Ready::Task(Runnable::Main(turn)) => marked(turn.into_raw(), MAIN),
            Ready::Callback(handle) => {
                let callback = Rc::into_raw(handle.into_callback());
                match NonNull::new(callback.cast_mut()) {
                    Some(callback) => marked(callback.cast(), CALLBACK),
                    None => unreachable!("a counted reference is not null"),
                }
            }
        };
        Packed { pointer }
    }

    /// Gives the entry away as a word, see [`from_raw`](Packed::from_raw).
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<()> {
        ManuallyDrop::new(self).pointer
    }

    /// # Safety
    ///
    /// `pointer` is of [`into_raw`](Packed::into_raw), and is used once.
    #[inline]
    pub(super) unsafe fn from_raw(pointer: NonNull<()>) -> Packed {
        Packed { pointer }
    }

    #[inline(always)]
    pub(crate) fn open(self) -> Ready {
        ManuallyDrop::into_inner(ManuallyDrop::new(self).unpacked())
    }

    /// Shows the entry without taking it out.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Ready) -> R) -> R {
        look(&self.unpacked())
    }

    /// The entry. Either this or `self` may be dropped, not both.
    #[inline(always)]
    fn unpacked(&self) -> ManuallyDrop<Ready> {
        let mark = self.pointer.addr().get() & MARKS;
        ManuallyDrop::new(if mark == 0 {
            // SAFETY: a pointer without a mark comes from `into_raw` of a spawned task's runnable, and its counted reference is
            // this word's, given away at most once (see above).
            Ready::Task(Runnable::Spawned(unsafe {
                Spawned::from_raw(self.pointer)
            }))
        } else {
            let pointer = self.pointer.as_ptr().map_addr(|address| address & !MARKS);
            if mark == CALLBACK {
                // SAFETY: with this mark it comes, without it, from `Rc::into_raw`; for the reference, see above.
                let callback = unsafe { Rc::from_raw(pointer.cast::<Callback>()) };
                Ready::Callback(Handle::from_callback(callback))
            } else {
                // SAFETY: with this mark it comes, without it, from `into_raw` of a main task's turn, used once (see above).
                let turn = unsafe { MainTurn::from_raw(NonNull::new_unchecked(pointer)) };
                Ready::Task(Runnable::Main(turn))
            }
        })
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        drop(ManuallyDrop::into_inner(self.unpacked()));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::Location;

    use super::*;

    #[test]
    fn an_entry_is_one_word() {
        assert_eq!(size_of::<Option<Packed>>(), size_of::<usize>());
    }

    #[test]
    fn a_callback_comes_out_as_it_went_in_and_is_dropped_once() {
        let kept = Rc::new(Cell::new(0));
        let count = kept.clone();
        let callback = move || count.set(count.get() + 1);
        let handle = Handle::new(Box::new(callback), Location::caller());
        let packed = Packed::new(Ready::Callback(handle.clone()));
        packed.with(|entry| assert!(matches!(entry, Ready::Callback(_))));
        let Ready::Callback(opened) = packed.open() else {
            panic!("it was a callback");
        };
        assert_eq!(opened.location(), handle.location());
        opened.take().unwrap().0();
        assert_eq!(kept.get(), 1);
        drop(Packed::new(Ready::Callback(opened)));
        assert_eq!(Rc::strong_count(&handle.into_callback()), 1);
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
