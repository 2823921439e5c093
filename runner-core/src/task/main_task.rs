//! The main task of a run: its future stays where the caller has put it, and its allocation is used again by the next run.
//!
//! To everybody it is a task like any other, by its cell and its waker. But who runs a loop waits until its main task is
//! done, so the future may lie on that one's stack, where no other task's may; and what is left in the heap, [`Block`], has the
//! same size for all. A run so costs neither an allocation nor the reference counts of one.
//!
//! Whose turn it is, is in one word, [`Block::state`]: at most one [`MainTurn`] exists at a time, and none once the task is
//! done. It holds no reference, because the scope that runs the task keeps the block until then.

mod scoped;

use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context as Cx, RawWaker, RawWakerVTable, Waker};

pub(crate) use self::scoped::scoped;
use super::cell::TaskCell;
use super::raw::{Runnable, schedule};

/// There is a turn: in a queue, in the inbox, or asked for by a wake-up during the turn under way.
const SCHEDULED: u8 = 1;
/// A turn is under way.
const RUNNING: u8 = 1 << 1;
/// The future is gone: nobody is woken any more.
const DONE: u8 = 1 << 2;

/// What lies in the heap. Other threads, which may hold wakers, touch `state` and the cell's inbox, and no more.
#[repr(C)]
pub(super) struct Block {
    /// First, so that its address is the block's.
    pub(super) cell: TaskCell,
    state: AtomicU8,
    /// The future, and how to poll it, from `begin` to the task's end.
    main: Cell<Option<Main>>,
}

/// A future whose type is forgotten.
#[derive(Clone, Copy)]
pub(super) struct Main {
    pub(super) data: *mut (),
    /// Returns `true` once the future is done. Called with `data` only.
    pub(super) poll: unsafe fn(*mut (), &mut Cx<'_>) -> bool,
}

/// Blocks that wait for their next run: one, as runs of one loop do not overlap.
#[derive(Default)]
pub(super) struct Spare(Cell<Option<Arc<Block>>>);

impl Spare {
    /// Returns a block with that cell. One from an earlier run is used again, if nobody has kept that task's handle or waker.
    pub(super) fn block(&self, cell: TaskCell) -> Arc<Block> {
        if let Some(mut block) = self.0.take() {
            if let Some(spare) = Arc::get_mut(&mut block) {
                let old = mem::replace(&mut spare.cell, cell);
                *spare.state.get_mut() = SCHEDULED;
                drop(old);
                return exposed(block);
            }
        }
        #[allow(clippy::arc_with_non_send_sync, reason = "see `Block`")]
        exposed(Arc::new(Block {
            cell,
            state: AtomicU8::new(SCHEDULED),
            main: Cell::new(None),
        }))
    }

    pub(super) fn keep(&self, block: Arc<Block>) {
        drop(self.0.replace(Some(block)));
    }
}

/// From now on the address of the block, which is that of its cell, suffices to make a waker.
fn exposed(block: Arc<Block>) -> Arc<Block> {
    block.cell.waker_vtable.set(Some(&TABLE));
    // By the scope that runs the task.
    block.cell.mark_kept_alive(true);
    Arc::as_ptr(&block).expose_provenance();
    block
}

impl Block {
    /// Gives the block its future, and returns its first turn.
    ///
    /// # Safety
    ///
    /// `main.poll` may be called with `main.data`, on this thread, until it has returned `true`; before that, the caller neither
    /// lets go of the block nor touches what `data` points to.
    pub(super) unsafe fn begin(&self, main: Main) -> MainTurn {
        debug_assert!(self.state.load(Ordering::Relaxed) == SCHEDULED);
        self.main.set(Some(main));
        MainTurn(NonNull::from(self))
    }

    /// Wakes the task, on any thread.
    fn wake(&self) {
        // AcqRel: what was done before the wake-up is seen by the turn.
        if self.state.fetch_or(SCHEDULED, Ordering::AcqRel) == 0 {
            schedule(Runnable::Main(MainTurn(NonNull::from(self))));
        }
    }
}

/// The main task's turn to run.
pub(crate) struct MainTurn(NonNull<Block>);

impl MainTurn {
    pub(super) fn cell(&self) -> &TaskCell {
        &self.block().cell
    }

    fn block(&self) -> &Block {
        // SAFETY: the task is not done while there is a turn, and until it is, the caller of `begin` keeps the block.
        unsafe { self.0.as_ref() }
    }

    /// Polls the future.
    #[inline]
    pub(super) fn run(self) {
        let turn = ManuallyDrop::new(self);
        let block = turn.block();
        // Acquire: pairs with `wake`. From here on a wake-up asks for another turn.
        block.state.swap(RUNNING, Ordering::AcqRel);
        let underway = Underway(block);
        let Some(main) = block.main.get() else {
            unreachable!("the main task has a turn without a future (a bug of this crate)")
        };
        let data = ptr::with_exposed_provenance(turn.0.addr().get());
        // SAFETY: the block's address, exposed with all that its `Arc` owns, is what the table's functions want; `ManuallyDrop`
        // keeps the count as it was.
        let waker = ManuallyDrop::new(unsafe { Waker::new(data, &TABLE) });
        // SAFETY: the promise of `begin`'s caller; this is the loop's thread, where alone turns are run (see `raw.rs`), and the
        // future was not done before, for then there would be no turn. The block is kept beyond this call in any case, because
        // its scope looks at the cell after it.
        if unsafe { (main.poll)(main.data, &mut Cx::from_waker(&waker)) } {
            mem::forget(underway);
            block.main.set(None);
            block.state.store(DONE, Ordering::Release);
            return;
        }
        mem::forget(underway);
        // AcqRel: as in `wake`, whose place this takes if it came meanwhile.
        if block.state.fetch_and(!RUNNING, Ordering::AcqRel) & SCHEDULED != 0 {
            schedule(Runnable::Main(MainTurn(turn.0)));
        }
    }

    pub(super) fn into_raw(self) -> NonNull<()> {
        ManuallyDrop::new(self).0.cast()
    }

    /// # Safety
    ///
    /// `raw` is of [`into_raw`](MainTurn::into_raw), and is used once.
    pub(super) unsafe fn from_raw(raw: NonNull<()>) -> MainTurn {
        MainTurn(raw.cast())
    }
}

/// Dropped only by unwinding, which no future's panic causes: the next wake-up makes a turn, in which the scope ends the task.
struct Underway<'a>(&'a Block);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0
            .state
            .fetch_and(!(RUNNING | SCHEDULED), Ordering::AcqRel);
    }
}

impl Drop for MainTurn {
    /// Not run: the next wake-up makes another one. Reached only when somebody unwinds who holds it.
    fn drop(&mut self) {
        self.block().state.fetch_and(!SCHEDULED, Ordering::AcqRel);
    }
}

// ----- the waker -----

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// Returns `true` if that is the table of main tasks' wakers, whose pointers are to their cells.
#[inline]
pub(super) fn is_table(table: &'static RawWakerVTable) -> bool {
    ptr::eq(table, &TABLE)
}

/// # Safety
///
/// For all four: `block` is that of a waker, hence of an `Arc<Block>`, a reference of which is the waker's.
unsafe fn clone(block: *const ()) -> RawWaker {
    // SAFETY: see above.
    unsafe { Arc::increment_strong_count(block.cast::<Block>()) };
    RawWaker::new(block, &TABLE)
}

unsafe fn wake(block: *const ()) {
    // SAFETY: see above; the reference is given up after it was used.
    unsafe {
        wake_by_ref(block);
        release(block);
    }
}

unsafe fn wake_by_ref(block: *const ()) {
    // SAFETY: see above.
    unsafe { &*block.cast::<Block>() }.wake();
}

unsafe fn release(block: *const ()) {
    // SAFETY: see above. The last reference may be given up on any thread, when the task is done: what must stay on its own
    // thread has been taken out of the cell by then, and `main` is a pointer.
    unsafe { Arc::decrement_strong_count(block.cast::<Block>()) };
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, poll_fn};
    use std::rc::Rc;
    use std::task::{Poll, Waker};
    use std::thread;

    use crate::error::RunError;
    use crate::event_loop::{EventLoop, running_loop};
    use crate::task::{TaskRef, current_task};
    use crate::yield_now;

    fn main_task() -> TaskRef {
        current_task().unwrap()
    }

    /// Pending once, and wakes itself by `wake`.
    async fn woken_by(wake: impl Fn(Waker)) {
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            match polls {
                1 => {
                    wake(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    fn block_of(event_loop: &EventLoop) -> *const () {
        let main = async { std::ptr::from_ref(main_task().cell()).cast() };
        event_loop.run_until_complete(main).unwrap()
    }

    #[test]
    fn a_block_is_used_again_unless_somebody_keeps_its_task() {
        let event_loop = EventLoop::new().unwrap();
        let first = block_of(&event_loop);
        assert_eq!(block_of(&event_loop), first);
        let kept = event_loop
            .run_until_complete(async { main_task() })
            .unwrap();
        assert_ne!(block_of(&event_loop), first);
        assert!(kept.is_finished());
        assert_ne!(
            kept.id(),
            event_loop
                .run_until_complete(async { main_task().id() })
                .unwrap()
        );
        event_loop.close().unwrap();
        assert!(kept.is_finished());
    }

    #[test]
    fn the_waker_of_an_earlier_run_wakes_nobody() {
        let event_loop = EventLoop::new().unwrap();
        let kept = RefCell::new(None);
        let keep = poll_fn(|cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        });
        event_loop.run_until_complete(keep).unwrap();
        let waker = kept.take().unwrap();
        let polls = std::cell::Cell::new(0);
        let main = async {
            waker.wake_by_ref();
            let foreign = waker.clone();
            thread::spawn(move || foreign.wake()).join().unwrap();
            running_loop().call_soon(|| running_loop().stop());
            poll_fn(|_cx| {
                polls.set(polls.get() + 1);
                Poll::<()>::Pending
            })
            .await;
        };
        let stopped = event_loop.run_until_complete(main);
        assert!(matches!(stopped, Err(RunError::Stopped)));
        // The second poll would be the one that drops it; a future that is dropped is not polled.
        assert_eq!(polls.get(), 1);
        event_loop.close().unwrap();
        thread::spawn(move || drop(waker)).join().unwrap();
    }

    #[test]
    fn a_wake_up_during_the_turn_makes_one_more_turn() {
        let event_loop = EventLoop::new().unwrap();
        let here = woken_by(|waker| {
            waker.wake_by_ref();
            waker.wake();
        });
        event_loop.run_until_complete(here).unwrap();
        let elsewhere = woken_by(|waker| thread::spawn(move || waker.wake()).join().unwrap());
        event_loop.run_until_complete(elsewhere).unwrap();
        let later = woken_by(|waker| drop(thread::spawn(move || waker.wake())));
        event_loop.run_until_complete(later).unwrap();
        event_loop.close().unwrap();
    }

    #[test]
    fn a_run_that_ends_early_drops_its_future_and_the_loop_goes_on() {
        let event_loop = EventLoop::new().unwrap();
        let held = Rc::new(());
        let inside = held.clone();
        let main = async {
            let _inside = inside;
            running_loop().stop();
            pending::<()>().await;
        };
        let stopped = event_loop.run_until_complete(main);
        assert!(matches!(stopped, Err(RunError::Stopped)));
        assert_eq!(Rc::strong_count(&held), 1);
        let number = event_loop.run_until_complete(async {
            yield_now().await;
            7
        });
        assert_eq!(number.unwrap(), 7);
        event_loop.close().unwrap();
    }

    #[test]
    fn a_turn_that_is_dropped_unrun_keeps_nobody_from_ending_the_task() {
        use super::Runnable;
        use crate::task::cell::TaskOptions;
        let event_loop = EventLoop::new().unwrap();
        let scheduler = event_loop.core().scheduler.clone();
        let _entered = scheduler.enter();
        let options = TaskOptions::at(std::panic::Location::caller());
        let done: Result<_, ()> = super::scoped(&scheduler, options, async {}, |main| {
            // The turn is dropped unrun.
            let taken = scheduler.take_runnable_of(&main.to_ref());
            assert!(matches!(taken, Some((_, Runnable::Main(_)))));
            Ok(())
        });
        assert!(done.unwrap().is_none());
        assert_eq!(scheduler.task_count(), 0);
        event_loop.close().unwrap();
    }
}
