//! The tasks of one loop that are not done, by their place and by their number.
//!
//! It counts no references: a task that is not done has one from elsewhere (`raw.rs`), and leaves before that is given up.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::ptr;

use super::TaskRef;
use super::cell::TaskCell;

/// The tasks of one loop that are not done.
#[derive(Default)]
pub(crate) struct Registry {
    slots: RefCell<Vec<Slot>>,
    /// The place that was left last; the length if none is free.
    free: Cell<usize>,
    /// How many tasks there are.
    len: Cell<usize>,
}

/// One place in the registry, in one word: a task's cell, or the number of the place that was left before this one, doubled
/// and with the lowest bit set, which no cell's address has. In a `Slab` it would be two words, of fresh memory for each task.
#[derive(Clone, Copy)]
struct Slot(*const TaskCell);

impl Slot {
    fn vacant(next: usize) -> Slot {
        Slot(ptr::without_provenance(next << 1 | 1))
    }

    fn next(self) -> Option<usize> {
        (self.0.addr() & 1 == 1).then_some(self.0.addr() >> 1)
    }
}

impl Registry {
    pub(super) fn insert(&self, cell: &TaskCell) {
        let mut slots = self.slots.borrow_mut();
        let place = self.free.get();
        let slot = u32::try_from(place).expect("more than four billion tasks in one loop");
        let next = match slots.get_mut(place) {
            Some(slot) => {
                let next = slot.next();
                *slot = Slot(cell);
                next.expect("a task is in a free place (a bug of this crate)")
            }
            None => {
                slots.push(Slot(cell));
                place + 1
            }
        };
        self.free.set(next);
        self.len.set(self.len.get() + 1);
        cell.slot.set(slot);
    }

    pub(super) fn remove(&self, cell: &TaskCell) {
        let place = cell.slot.get() as usize;
        self.slots.borrow_mut()[place] = Slot::vacant(self.free.replace(place));
        self.len.set(self.len.get() - 1);
    }

    pub(super) fn len(&self) -> usize {
        self.len.get()
    }

    /// Calls `f` with each of them, until it says to break. `f` must not finish a task.
    fn try_for_each(&self, mut f: impl FnMut(&TaskCell) -> ControlFlow<()>) -> ControlFlow<()> {
        for slot in &*self.slots.borrow() {
            if slot.next().is_none() {
                // SAFETY: not a free place, so it is a cell. Every task in here has a reference: its first runnable, from its
                // first `Pending` on the scheduler's (`keep_alive`, `let_go`), and a main task its scope's.
                f(unsafe { &*slot.0 })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Calls `f` with each of them. `f` must not finish a task.
    fn for_each(&self, mut f: impl FnMut(&TaskCell)) {
        let _ = self.try_for_each(|cell| {
            f(cell);
            ControlFlow::Continue(())
        });
    }

    /// Returns all of them, oldest first.
    pub(super) fn tasks(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::with_capacity(self.len());
        self.for_each(|cell| tasks.push(cell.to_ref()));
        tasks.sort_unstable_by_key(TaskRef::id);
        tasks
    }

    /// Returns those that are `wanted`, oldest first, but `most` at most; and how many others were not looked at then.
    pub(super) fn some(
        &self,
        most: usize,
        wanted: impl Fn(&TaskCell) -> bool,
    ) -> (Vec<TaskRef>, usize) {
        let (mut tasks, mut looked_at) = (Vec::new(), 0);
        let _ = self.try_for_each(|cell| {
            if tasks.len() == most {
                return ControlFlow::Break(());
            }
            looked_at += 1;
            tasks.extend(wanted(cell).then(|| cell.to_ref()));
            ControlFlow::Continue(())
        });
        tasks.sort_unstable_by_key(TaskRef::id);
        (tasks, self.len() - looked_at)
    }

    /// Returns the numbers and the places of all of them, oldest first.
    pub(super) fn places(&self) -> Vec<(u64, u32)> {
        let mut places = Vec::with_capacity(self.len());
        self.for_each(|cell| places.push((cell.id(), cell.place())));
        places.sort_unstable();
        places
    }

    /// Calls `f` with the task in that place, if it is that one. `f` must not finish a task.
    pub(super) fn look_at<R>(
        &self,
        place: u32,
        id: u64,
        f: impl FnOnce(&TaskCell) -> R,
    ) -> Option<R> {
        let slot = *self.slots.borrow().get(place as usize)?;
        if slot.next().is_some() {
            return None;
        }
        // SAFETY: as in `try_for_each`.
        let cell = unsafe { &*slot.0 };
        (cell.id() == id).then(|| f(cell))
    }

    /// Returns the task in that place, if it is that one.
    pub(super) fn at(&self, place: u32, id: u64) -> Option<TaskRef> {
        self.look_at(place, id, TaskCell::to_ref)
    }

    pub(super) fn find(&self, id: u64) -> Option<TaskRef> {
        let mut found = None;
        self.for_each(|cell| {
            if cell.id() == id {
                found = Some(cell.to_ref());
            }
        });
        found
    }
}
