//! Waiting for the ends of several tasks at once, without receiving their outputs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context as Cx, Poll, Waker};

use super::TaskRef;

/// The ends of the tasks that are watched, each under the key it was given, in the order in which they came.
///
/// A task notes its end when its future is gone. It costs the task's loop one wake-up per waiter, whatever the number of
/// tasks.
#[derive(Default)]
pub(crate) struct Watch {
    ended: RefCell<VecDeque<usize>>,
    waker: Cell<Option<Waker>>,
}

impl Watch {
    pub(crate) fn new() -> Rc<Watch> {
        Rc::default()
    }

    /// Waits for the end of `task` as well, which may be over.
    pub(crate) fn add(self: &Rc<Self>, task: &TaskRef, key: usize) {
        match task.cell().watch(self.clone(), key) {
            Some(watch) => drop(watch.note(key)),
            None => task.cell().refuse_from_another_loop(),
        }
    }

    /// Does not wait for `task` any longer.
    pub(crate) fn remove(self: &Rc<Self>, task: &TaskRef) {
        task.cell().unwatch(self);
    }

    /// Notes an end. Returns who is to be woken.
    pub(super) fn note(&self, key: usize) -> Option<Waker> {
        self.ended.borrow_mut().push_back(key);
        self.waker.take()
    }

    /// Takes the next end that was noted.
    pub(crate) fn next(&self) -> Option<usize> {
        self.ended.borrow_mut().pop_front()
    }

    /// Waits for the next end.
    pub(crate) fn poll_next(&self, cx: &mut Cx<'_>) -> Poll<usize> {
        match self.next() {
            Some(key) => Poll::Ready(key),
            None => {
                self.wake_later(cx);
                Poll::Pending
            }
        }
    }

    /// Has the next end wake whoever is polled with `cx`.
    pub(crate) fn wake_later(&self, cx: &mut Cx<'_>) {
        let waker = match self.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            _ => cx.waker().clone(),
        };
        self.waker.set(Some(waker));
    }
}
