//! The wakers of tasks that tokio-console shows: each clone, drop and wake of them is told, from whatever thread.
//!
//! A task that is shown is polled with such a waker around its own. What its future keeps are clones of that, so
//! nothing has to be asked of whoever keeps them. A task that is not shown has its own waker, and nobody pays for this.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::{Arc, Weak};
use std::task::{Context as Cx, RawWaker, RawWakerVTable, Waker};

use super::TaskSpan;

/// What a waker of a task that is shown points to; shared by all clones.
struct Shown {
    /// The task's own.
    waker: Waker,
    /// Gone when the task has ended: what happens to its wakers then is nobody's concern.
    span: Weak<TaskSpan>,
}

/// One task of this thread that is shown.
struct Entry {
    span: Weak<TaskSpan>,
    /// Made at the first poll.
    shown: Option<Arc<Shown>>,
}

thread_local! {
    /// By the tasks' numbers.
    static SHOWN: RefCell<HashMap<u64, Entry>> = RefCell::default();
    /// A subscriber is being told on this thread.
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
}

/// From now on the task is polled on this thread with wakers that are told of.
pub(crate) fn show(task: u64, span: &Arc<TaskSpan>) {
    let entry = Entry {
        span: Arc::downgrade(span),
        shown: None,
    };
    let before = SHOWN.with_borrow_mut(|tasks| tasks.insert(task, entry));
    drop(before);
}

/// No longer.
pub(crate) fn hide(task: u64) {
    // Dropped outside of the borrow: it may be the last reference of the task.
    let entry = SHOWN.try_with(|tasks| tasks.borrow_mut().remove(&task));
    drop(entry);
}

/// Calls `poll` with the waker of this task that is told of, if the task is shown.
pub(crate) fn with_shown<R>(task: u64, cx: &mut Cx<'_>, poll: impl FnOnce(&mut Cx<'_>) -> R) -> R {
    match find(task, cx.waker()) {
        Some(shown) => {
            let waker = lend(&shown);
            poll(&mut Cx::from_waker(&waker))
        }
        None => poll(cx),
    }
}

fn find(task: u64, waker: &Waker) -> Option<Arc<Shown>> {
    SHOWN.with_borrow_mut(|tasks| {
        let Entry { span, shown } = tasks.get_mut(&task)?;
        let shown = shown.get_or_insert_with(|| {
            Arc::new(Shown {
                waker: waker.clone(),
                span: span.clone(),
            })
        });
        Some(shown.clone())
    })
}

/// Returns the task's own waker if `waker` is one that is told of.
pub(crate) fn inside(waker: &Waker) -> Option<&Waker> {
    if !ptr::eq(waker.vtable(), &VTABLE) {
        return None;
    }
    // SAFETY: only this file has the table, and gives it to pointers that come from an `Arc<Shown>`, of which the waker
    // holds a count, or is lent by somebody who does; so it lives as long as the borrow of the waker.
    Some(unsafe { &(*waker.data().cast::<Shown>()).waker })
}

impl Shown {
    /// Tells the subscriber, unless it is the one who does it, while it is being told: that would not end.
    fn tell(&self, tell: impl FnOnce(&TaskSpan)) {
        let is_telling = IS_TELLING.try_with(|it| it.replace(true));
        if is_telling != Ok(false) {
            return;
        }
        let _telling = Telling;
        if let Some(span) = self.span.upgrade() {
            tell(&span);
        }
    }
}

/// While it lives, a subscriber is being told; also when that panics.
struct Telling;

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = IS_TELLING.try_with(|it| it.set(false));
    }
}

// ----- the waker -----

/// A waker may be used by several threads at once, which the compiler does not look at here.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Shown>();
};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// A waker that holds no count of its own, and is not told of.
fn lend(shown: &Arc<Shown>) -> ManuallyDrop<Waker> {
    let data = Arc::as_ptr(shown).cast();
    // SAFETY: the functions of the table are made for a pointer to a `Shown` in an `Arc`. The count that `drop_waker` and
    // `wake` would give up is not this waker's, and neither is called: `ManuallyDrop` drops nothing, and gives out borrows
    // only. Whoever borrows it has `shown` further up on the stack (`with_shown`).
    ManuallyDrop::new(unsafe { Waker::new(data, &VTABLE) })
}

/// # Safety
///
/// `data` must be of an `Arc<Shown>` that is alive, as for all functions below.
unsafe fn clone(data: *const ()) -> RawWaker {
    let data = data.cast::<Shown>();
    // SAFETY: by the caller's promise; the new count is the new waker's.
    let shown = unsafe {
        Arc::increment_strong_count(data);
        &*data
    };
    shown.tell(TaskSpan::waker_is_cloned);
    RawWaker::new(data.cast(), &VTABLE)
}

/// # Safety
///
/// See [`clone`]; and the waker's count is given up.
unsafe fn wake(data: *const ()) {
    // SAFETY: by the caller's promise.
    let shown = unsafe { Arc::from_raw(data.cast::<Shown>()) };
    // Before it is done: the task may have run when that returns.
    shown.tell(TaskSpan::waker_wakes);
    shown.waker.wake_by_ref();
}

/// # Safety
///
/// See [`clone`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: by the caller's promise; the count stays the waker's.
    let shown = unsafe { &*data.cast::<Shown>() };
    shown.tell(TaskSpan::waker_wakes_by_ref);
    shown.waker.wake_by_ref();
}

/// # Safety
///
/// See [`wake`].
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: by the caller's promise.
    let shown = unsafe { Arc::from_raw(data.cast::<Shown>()) };
    shown.tell(TaskSpan::waker_is_dropped);
}
