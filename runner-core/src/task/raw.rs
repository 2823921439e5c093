//! The future wrapper, spawning, and references into the allocation: what `async-task` has to be promised.
//!
//! A task is one allocation of `async-task`: header, [`TaskCell`] as metadata, and [`TaskFuture`] or its output. What the
//! safe code around relies on:
//!
//! * A future is polled and dropped on the loop's thread only. Runnables leave that thread never, except that a wake-up
//!   elsewhere makes one appear there, which goes straight into the inbox (`parcel.rs`).
//! * No panic crosses `async-task`: it aborts the process when a destructor panics while it drops a future, so every
//!   future is polled and dropped inside `catch_unwind` here, and is gone before `async-task` drops the wrapper.
//! * A task that waits has a counted reference that is the scheduler's, from the first time that its future returned `Pending`
//!   until it is gone and the next task ends. Before that there is always a runnable, which is one as well. So the registry
//!   need not count its pointers, and the loop closes only with an empty registry.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Cx, Poll, RawWakerVTable, Waker};

use super::TaskRef;
use super::cell::{Bequest, End, TaskCell, TaskOptions};
use super::inboxes::InboxNumber;
use super::inquiry::is_asking;
use super::main_task::{self, MainTurn};
#[cfg(feature = "console")]
use super::observed::Interest;
use super::output::{Failure, Kept};
use super::parcel::send;
use super::reports::{report_swallowed, report_unseen_result};
use super::scheduler::{Ready, Scheduler};
#[cfg(feature = "console")]
use crate::console;
use crate::context::{Identity, Keeper, Kept as KeptContext, Lodged, Look, Snapshot};
use crate::error::ContextError;
use crate::exception::ExceptionContext;

/// The turn of a task that was spawned.
pub(super) type Spawned = async_task::Runnable<TaskCell>;

/// A task's turn to run.
pub(crate) enum Runnable {
    Spawned(Spawned),
    /// Of the main task of a run.
    Main(MainTurn),
}

impl Runnable {
    pub(crate) fn metadata(&self) -> &TaskCell {
        match self {
            Runnable::Spawned(runnable) => runnable.metadata(),
            Runnable::Main(turn) => turn.cell(),
        }
    }

    /// Polls the task.
    #[inline(always)]
    pub(crate) fn run(self) {
        match self {
            Runnable::Spawned(runnable) => {
                runnable.run();
            }
            Runnable::Main(turn) => turn.run(),
        }
    }
}

/// `async-task`'s handle of one of our tasks.
pub(super) type Joinable<T> = async_task::Task<Result<Kept<T>, Failure>, TaskCell>;

/// `async-task`'s schedule function. It captures nothing, so that a wake-up costs no reference count.
fn schedule_spawned(runnable: Spawned) {
    schedule(Runnable::Spawned(runnable));
}

/// Puts a task that was woken, on whatever thread, into the queue of its loop.
#[inline(always)]
pub(super) fn schedule(runnable: Runnable) {
    let inbox = runnable.metadata().inbox;
    if let Err(runnable) = push_local(runnable, inbox) {
        send(runnable, inbox);
    }
}

// ----- the scheduler of this thread -----

thread_local! {
    /// The scheduler whose tasks run on this thread now; null outside. A pointer, because it is looked at at each wake-up.
    static LOCAL: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

/// While it lives, its scheduler is the thread's.
pub(crate) struct EnteredScheduler {
    /// Keeps what `LOCAL` points to alive.
    _scheduler: Rc<Scheduler>,
    previous: *const Scheduler,
}

impl Drop for EnteredScheduler {
    fn drop(&mut self) {
        LOCAL.set(self.previous);
    }
}

impl Scheduler {
    /// Makes this the thread's scheduler until the guard is dropped. Guards must be dropped in reverse order.
    pub(crate) fn enter(self: &Rc<Self>) -> EnteredScheduler {
        EnteredScheduler {
            _scheduler: self.clone(),
            previous: LOCAL.replace(Rc::as_ptr(self)),
        }
    }

    /// Returns the scheduler of the loop that runs on this thread.
    pub(crate) fn current() -> Option<Rc<Scheduler>> {
        let local = LOCAL.get();
        if local.is_null() {
            return None;
        }
        // SAFETY: the pointer comes from the `Rc` in an `EnteredScheduler` further up on this thread's stack, which sets it
        // and whose destructor takes it back, also while unwinding; the count is made one more for what is returned.
        unsafe {
            Rc::increment_strong_count(local);
            Some(Rc::from_raw(local))
        }
    }
}

/// Gives `call` the scheduler of a task that is being polled or dropped, which happens only on the thread and inside of the
/// loop that it belongs to.
pub(super) fn local_scheduler<R>(cell: &TaskCell, call: impl FnOnce(&Scheduler) -> R) -> R {
    // SAFETY: see `Scheduler::current`; nobody leaves the scheduler before `call` returns.
    match unsafe { LOCAL.get().as_ref() } {
        Some(scheduler) if scheduler.number == cell.inbox => call(scheduler),
        _ => panic!("a task was run or dropped outside of its loop (a bug of this crate)"),
    }
}

/// Puts `runnable` into the queue of the loop on this thread, or gives it back if it belongs to another loop.
#[inline(always)]
fn push_local(runnable: Runnable, inbox: InboxNumber) -> Result<(), Runnable> {
    // SAFETY: see `Scheduler::current`.
    match unsafe { LOCAL.get().as_ref() } {
        Some(scheduler) if scheduler.number == inbox => {
            scheduler.push(Ready::Task(runnable));
            Ok(())
        }
        _ => Err(runnable),
    }
}

// ----- the cell's own waker, and references to tasks -----

/// The cell's place in a task's allocation, in bytes; 0 before the first task. It lies in `async-task`'s header, whose layout
/// depends on nothing but the cell's type.
static CELL_OFFSET: AtomicUsize = AtomicUsize::new(0);

impl TaskCell {
    /// The task's waker, borrowed.
    pub(super) fn own_waker(&self) -> ManuallyDrop<Waker> {
        let table = self.waker_vtable.get().unwrap_or_else(|| self.find_table());
        let data = ptr::with_exposed_provenance(self.waker_address(table));
        // SAFETY: of a main task, whose table is `main_task`'s: the cell is at its block's address, which was exposed together
        // with setting the table, and the block is kept by an `Arc`. Of others: the table was taken from a waker of this very
        // task, and `note_place`, which is called before anybody sees the task, has made sure that the data pointer of its
        // wakers lies so far before the cell, and exposed it: the allocation that `self` lies in, which is therefore alive.
        // `ManuallyDrop` keeps the count as it was.
        ManuallyDrop::new(unsafe { Waker::new(data, table) })
    }

    /// The table of a task that was not polled yet: the first poll brings a waker along, and most tasks need none before.
    #[cold]
    fn find_table(&self) -> &'static RawWakerVTable {
        let header = ptr::with_exposed_provenance_mut(
            ptr::from_ref(self).addr() - CELL_OFFSET.load(Ordering::Relaxed),
        );
        // SAFETY: not null, as it is where the allocation begins, see `own_waker`; main tasks have a table. A runnable is nothing
        // but that pointer. `async-task` warns of making a second one, because each gives up a reference when it is run or
        // dropped: this one is neither, and is only asked for a waker, which counts a reference of its own.
        let runnable =
            ManuallyDrop::new(unsafe { Spawned::from_raw(NonNull::new_unchecked(header)) });
        let table = runnable.waker().vtable();
        self.waker_vtable.set(Some(table));
        table
    }

    /// Where the wakers with that table point to.
    #[inline]
    fn waker_address(&self, table: &'static RawWakerVTable) -> usize {
        let offset = match main_task::is_table(table) {
            true => 0,
            false => CELL_OFFSET.load(Ordering::Relaxed),
        };
        ptr::from_ref(self).addr() - offset
    }

    /// Makes the scheduler's own reference to a task that waits: without it `async-task` would free a task, future undropped,
    /// that nobody holds and nobody can wake. A task that never waits needs none.
    #[inline(never)]
    fn keep_alive(&self) {
        mem::forget(Waker::clone(&self.own_waker()));
        self.mark_kept_alive(true);
    }

    /// Notes where the allocation is that the cell lies in.
    #[inline]
    fn note_place(&self, allocation: NonNull<()>) {
        let offset = ptr::from_ref(self).addr() - allocation.as_ptr().expose_provenance();
        if CELL_OFFSET.load(Ordering::Relaxed) != offset {
            let first = CELL_OFFSET.swap(offset, Ordering::Relaxed);
            assert!(
                first == 0 || first == offset,
                "the cell has its place in a header that is the same for all tasks (a bug of this crate)"
            );
        }
    }

    /// Gives the scheduler's own reference up, as soon as the next task ends: `async-task`, which is about to end this one, has
    /// compared the count before the poll and would have to begin again.
    fn let_go(&self, scheduler: &Scheduler) {
        if let Some(reference) = self.take_reference() {
            scheduler.let_go_next(reference);
        }
    }

    /// Takes the scheduler's own reference, if there is one. The main task's is its scope's, which outlives its future.
    fn take_reference(&self) -> Option<Waker> {
        if !self.is_kept_alive() || self.waker_vtable.get().is_some_and(main_task::is_table) {
            return None;
        }
        self.mark_kept_alive(false);
        Some(ManuallyDrop::into_inner(self.own_waker()))
    }

    /// Returns `true` if `waker` is the task's own, so that waking the task reaches whoever was polled with it.
    #[inline]
    pub(super) fn is_woken_by(&self, waker: &Waker) -> bool {
        self.is_own(waker) || self.is_shown_as(waker)
    }

    #[inline(always)]
    fn is_own(&self, waker: &Waker) -> bool {
        self.waker_vtable.get().is_some_and(|table| {
            ptr::eq(waker.vtable(), table) && waker.data().addr() == self.waker_address(table)
        })
    }

    /// The same, of a waker that tokio-console is told of.
    #[cfg(feature = "console")]
    #[cold]
    fn is_shown_as(&self, waker: &Waker) -> bool {
        console::waker::inside(waker).is_some_and(|inside| self.is_own(inside))
    }

    #[cfg(not(feature = "console"))]
    #[inline(always)]
    fn is_shown_as(&self, _waker: &Waker) -> bool {
        false
    }

    /// Makes the task run (again). The scheduler's own reference, if there is one, becomes that of its turn: who is woken by this
    /// is mostly about to end, and whoever waits again gets another one.
    pub(super) fn wake(&self) {
        match self.take_reference() {
            Some(reference) => reference.wake(),
            None => self.own_waker().wake_by_ref(),
        }
    }

    /// Returns a counted reference to the task.
    pub(crate) fn to_ref(&self) -> TaskRef {
        TaskRef {
            cell: NonNull::from(self),
            _keep_alive: Waker::clone(&self.own_waker()),
        }
    }
}

impl TaskRef {
    pub(crate) fn cell(&self) -> &TaskCell {
        // SAFETY: the cell is the metadata of an allocation that is freed only when its last reference is dropped, and
        // `_keep_alive` is one. `TaskRef` is neither `Send` nor `Sync`, so this is the loop's thread.
        unsafe { self.cell.as_ref() }
    }
}

// ----- the current task -----

thread_local! {
    /// The task that is polled (or whose future is dropped) on this thread now; null outside.
    static CURRENT: Cell<*const TaskCell> = const { Cell::new(ptr::null()) };
}

/// Gives `f` the task that is being polled on this thread.
pub(crate) fn with_current<R>(f: impl FnOnce(Option<&TaskCell>) -> R) -> R {
    let current = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: the pointer is set by `Polling` for as long as the task is polled further up on this thread's stack, which
    // keeps its allocation alive; `Polling`'s destructor takes it back, also while unwinding.
    f(unsafe { current.as_ref() })
}

/// Successful operations that a task may do in one poll before it has to let the others run. tokio's figure.
const BUDGET: u8 = 128;

thread_local! {
    /// What is left of the current task's budget.
    static BUDGET_LEFT: Cell<u8> = const { Cell::new(BUDGET) };
}

/// Takes one operation out of the current task's budget. A task that found everything ready for so long is put back into
/// the queue, so that a source that is always ready starves nobody.
pub(crate) fn spend_budget(cx: &mut Cx<'_>) -> Poll<()> {
    let left = BUDGET_LEFT.get();
    if left == 0 && with_current(|current| current.is_some()) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    BUDGET_LEFT.set(left.saturating_sub(1));
    Poll::Ready(())
}

/// The current task has its context itself.
static CONTEXT_KEEPER: Keeper = Keeper {
    show: show_context,
    copy: || {
        with_current(|task| task.map(|cell| Snapshot::copied(&cell.context))).unwrap_or_default()
    },
};

fn show_context(look: &mut Look<'_>) {
    with_current(|task| {
        if let Some(cell) = task {
            look(&Lodged {
                home: &cell.context,
                identity: context_identity(cell),
            });
        }
    });
}

/// A lent context is the same for all who borrow it.
fn context_identity(cell: &TaskCell) -> Identity {
    match cell.has_lent_context() {
        false => Identity::task(cell.id()),
        true => local_scheduler(cell, Scheduler::lent_context),
    }
}

/// While it lives, its task is the current one, and its context the thread's.
struct Polling {
    _context: KeptContext,
    /// The current task before, non-null where a loop is closed inside of another one's task.
    previous: *const TaskCell,
}

impl Polling {
    /// Inlined, and nothing fallible, so that the guard is made where it stays: moving what was written a moment ago
    /// stalls the processor.
    #[inline(always)]
    fn begin(cell: &TaskCell) -> Polling {
        BUDGET_LEFT.set(BUDGET);
        let previous = CURRENT.replace(ptr::from_ref(cell));
        Polling {
            _context: KeptContext::by(&CONTEXT_KEEPER),
            previous,
        }
    }
}

impl Drop for Polling {
    #[inline(always)]
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

/// While it lives, the context that was given to the builder is the current one, and not the task's own, which is empty then.
/// The guard itself is with what few tasks have: moving it would stall the others, too.
struct InSharedContext<'a>(Option<&'a TaskCell>);

impl<'a> InSharedContext<'a> {
    #[inline(always)]
    fn enter(cell: &'a TaskCell) -> Result<InSharedContext<'a>, ContextError> {
        if !cell.has_shared_context() {
            return Ok(InSharedContext(None));
        }
        cell.enter_shared_context()?;
        Ok(InSharedContext(Some(cell)))
    }
}

impl Drop for InSharedContext<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(cell) = self.0 {
            cell.leave_shared_context();
        }
    }
}

// ----- the future wrapper -----

/// What `async-task` polls: the user's future, inside of its task and context, with panics and cancellation handled.
pub(super) struct TaskFuture<F> {
    /// The metadata of the same allocation.
    cell: NonNull<TaskCell>,
    /// Dropped by `finish`, exactly when the cell becomes done.
    future: ManuallyDrop<F>,
}

impl<F> TaskFuture<F> {
    /// Of the task whose cell that is, which outlives what is made here.
    pub(super) fn new(cell: &TaskCell, future: F) -> TaskFuture<F> {
        TaskFuture {
            cell: NonNull::from(cell),
            future: ManuallyDrop::new(future),
        }
    }

    /// The lifetime is the caller's, not `self`'s, so that the future can be borrowed beside it.
    fn cell<'a>(&self) -> &'a TaskCell {
        // SAFETY: `async-task` drops this wrapper before it frees the allocation that both lie in; every caller's
        // reference ends inside of a method of the wrapper.
        unsafe { self.cell.as_ref() }
    }

    /// Drops the user's future inside of its task and context, and tells everybody that the task is done.
    fn finish(&mut self, end: End) {
        let cell = self.cell();
        let future = &mut self.future;
        // SAFETY: `finish` runs once, guarded by the cell's `is_done` in `poll` (which is not called again after it
        // returned `Ready`) and in `drop`. The future is dropped in place, as pinning demands.
        let dropped =
            panic::catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(future) }));
        if let Err(payload) = dropped {
            report_destructor(FUTURE_DROPPED, payload, cell);
        }
        local_scheduler(cell, |scheduler| leave_scheduler(cell, scheduler, end));
        if cell.has_variables() {
            drop_variables(cell);
        }
    }
}

/// Drops what is the task's own to keep; a value's destructor is the user's code, too.
#[cold]
fn drop_variables(cell: &TaskCell) {
    let variables = AssertUnwindSafe(|| cell.drop_variables());
    if let Err(payload) = panic::catch_unwind(variables) {
        report_destructor(VARIABLES_DROPPED, payload, cell);
    }
}

/// The part of the end that does not depend on the future's type.
fn leave_scheduler(cell: &TaskCell, scheduler: &Scheduler, end: End) {
    scheduler.registry.remove(cell);
    // Not the last reference: the task is being run, or its runnable dropped, by `async-task`.
    cell.let_go(scheduler);
    if end == End::Returned && cell.cancelling() > 0 {
        report_swallowed(cell, scheduler);
    }
    let Some(Bequest {
        is_result_unseen,
        callbacks,
        watches,
    }) = cell.mark_done(end)
    else {
        return;
    };
    scheduler.keep_name(cell);
    if is_result_unseen && end == End::Returned {
        report_unseen_result(cell, scheduler);
    }
    for callback in callbacks {
        scheduler.push(Ready::Callback(callback));
    }
    for (watch, key) in watches {
        if let Some(waker) = watch.note(key) {
            scheduler.wake(waker);
        }
    }
}

/// What a destructor's panic is said to have come from.
const FUTURE_DROPPED: &str = "a destructor panicked while the task's future was dropped";
const VARIABLES_DROPPED: &str =
    "a destructor panicked while the task's context variables were dropped";

#[cold]
fn report_destructor(message: &'static str, payload: Box<dyn Any + Send>, cell: &TaskCell) {
    let context = ExceptionContext::new(message);
    let exceptions = local_scheduler(cell, |scheduler| scheduler.exceptions.clone());
    exceptions.report(context.with_panic(payload).with_task(cell.info()));
}

/// A task that is killed, or was cancelled before its first step, never runs (again).
#[inline(always)]
fn must_not_run(cell: &TaskCell) -> bool {
    cell.is_asked_to_end() && (cell.is_killed() || !cell.is_started())
}

/// Polls a task's future with the task's own waker.
#[cfg(not(feature = "console"))]
#[inline(always)]
fn poll_inside<F: Future>(_: &TaskCell, future: Pin<&mut F>, cx: &mut Cx<'_>) -> Poll<F::Output> {
    future.poll(cx)
}

/// The same, but if tokio-console shows the task, with one around it that is told of.
#[cfg(feature = "console")]
#[inline(always)]
fn poll_inside<F: Future>(
    cell: &TaskCell,
    future: Pin<&mut F>,
    cx: &mut Cx<'_>,
) -> Poll<F::Output> {
    match local_scheduler(cell, |it| it.observed.has(Interest::CONSOLE)) {
        false => future.poll(cx),
        true => console::waker::with_shown(cell.id(), cx, |cx| future.poll(cx)),
    }
}

/// What a poll returns after which the task waits.
#[inline(always)]
fn wait<T>(cell: &TaskCell) -> Poll<T> {
    if !cell.is_kept_alive() {
        cell.keep_alive();
    }
    Poll::Pending
}

impl<F: Future> Future for TaskFuture<F> {
    type Output = Result<Kept<F::Output>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is not moved: it is polled through a pin and dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        let cell = this.cell();
        cell.waker_vtable.set(Some(cx.waker().vtable()));
        let _polling = Polling::begin(cell);
        let _shared = match InSharedContext::enter(cell) {
            Ok(entered) => entered,
            Err(error) => {
                this.finish(End::Failed);
                return Poll::Ready(Err(Failure::Context(error)));
            }
        };
        if must_not_run(cell) {
            this.finish(End::Cancelled);
            return Poll::Ready(Err(Failure::Cancelled));
        }
        cell.count_poll();
        // SAFETY: the wrapper is pinned, hence so is its field; see above.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        let output = match panic::catch_unwind(AssertUnwindSafe(|| poll_inside(cell, future, cx))) {
            Ok(Poll::Pending) if !cell.must_end() => return wait(cell),
            Ok(Poll::Pending) if is_asking() => return wait(cell),
            Ok(Poll::Pending) if cell.has_failed() => Err(Failure::Taken),
            Ok(Poll::Pending) if cell.waits_for_answers() => return wait(cell),
            // Nobody inside took the request: it is the task's.
            Ok(Poll::Pending) => Err(Failure::Cancelled),
            // As in asyncio, a request made during the last step ends the task cancelled, and the value is lost.
            Ok(Poll::Ready(value)) if cell.ends_cancelled() => {
                if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
                    report_destructor(FUTURE_DROPPED, payload, cell);
                }
                Err(Failure::Cancelled)
            }
            Ok(Poll::Ready(value)) => Ok(Kept::new(value)),
            Err(payload) => Err(Failure::panic(payload, cell)),
        };
        this.finish(match &output {
            Ok(_) => End::Returned,
            Err(Failure::Cancelled) => End::Cancelled,
            Err(_) => End::Failed,
        });
        Poll::Ready(output)
    }
}

impl<F> Drop for TaskFuture<F> {
    /// Reached with the future still alive only if somebody dropped a runnable, which this crate does not.
    fn drop(&mut self) {
        let cell = self.cell();
        if !cell.is_done() {
            let _polling = Polling::begin(cell);
            let _shared = InSharedContext::enter(cell);
            self.finish(End::Cancelled);
        }
    }
}

// ----- spawning -----

/// Starts a task for which nothing special was asked.
#[inline]
pub(super) fn spawn_plain<F>(
    scheduler: &Rc<Scheduler>,
    location: &'static Location<'static>,
    future: F,
) -> Joinable<F::Output>
where
    F: Future + 'static,
{
    // SAFETY: nothing is borrowed.
    let (runnable, task) = unsafe { allocate(scheduler, location, future) };
    runnable.metadata().begin();
    admit(scheduler, Runnable::Spawned(runnable), false);
    task
}

/// Starts a task.
pub(super) fn spawn<F>(
    scheduler: &Rc<Scheduler>,
    options: TaskOptions,
    future: F,
) -> Joinable<F::Output>
where
    F: Future + 'static,
{
    let is_eager = options.eager;
    // SAFETY: nothing is borrowed.
    let (runnable, task) = unsafe { allocate(scheduler, options.location, future) };
    runnable.metadata().begin_with(options);
    admit(scheduler, Runnable::Spawned(runnable), is_eager);
    task
}

/// Makes a task that has not begun. Its future may borrow.
///
/// # Safety
///
/// The caller must see to it that the task is done ([`Scheduler::finish_now`]) before anything that the future or its
/// output borrows ends, and must then drop the handle as well, which may hold the output.
#[inline]
unsafe fn allocate<F: Future>(
    scheduler: &Scheduler,
    location: &'static Location<'static>,
    future: F,
) -> (Spawned, Joinable<F::Output>) {
    let wrap = |cell: &TaskCell| TaskFuture::new(cell, future);
    // SAFETY: the future need not be `Send`, as the runnable is run and dropped on this thread only (see the file's
    // head); it need not be `'static`, by the caller's promise; `schedule` borrows nothing and is `Send + Sync`.
    let (runnable, task) = unsafe {
        async_task::Builder::new()
            .metadata(TaskCell::new(scheduler.number, location))
            .spawn_unchecked(wrap, schedule_spawned)
    };
    let raw = runnable.into_raw();
    // SAFETY: it comes from `into_raw`, and is used once.
    let runnable = unsafe { Spawned::from_raw(raw) };
    runnable.metadata().note_place(raw);
    (runnable, task)
}

/// Enters a new task into the scheduler; the part of spawning that does not depend on the future's type.
pub(super) fn admit(scheduler: &Rc<Scheduler>, runnable: Runnable, is_eager: bool) {
    let cell = runnable.metadata();
    scheduler.registry.insert(cell);
    scheduler.count_spawned();
    cell.born.set(scheduler.time());
    if scheduler.is_closing() {
        // A task spawned by a destructor while the loop closes: its future is dropped here and now.
        cell.kill();
        let _entered = scheduler.enter();
        runnable.run();
    } else if is_eager {
        run_first_step(runnable);
    } else {
        scheduler.push(Ready::Task(runnable));
    }
}

/// Polls a new task inside of the one that spawns it, which is the current one again afterwards, with what is left of its
/// budget.
fn run_first_step(runnable: Runnable) {
    let budget = BUDGET_LEFT.get();
    runnable.run();
    BUDGET_LEFT.set(budget);
}
