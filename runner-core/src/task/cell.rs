//! What a task is, apart from its future: identity, cancel state, and what others attached to it.
//!
//! The cell lives in the task's one allocation, as `async-task`'s metadata. Every field but `inbox` is for the loop's
//! thread alone; other threads, which may hold wakers, read only `inbox`. When the task is done, everything that must
//! not leave the thread (context, callbacks, wakers) has been taken out, because the last waker may be dropped anywhere.
//!
//! This file knows no future and no loop: it changes state and says what is to be woken.

use std::cell::Cell;
use std::mem;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{RawWakerVTable, Waker};

use super::inboxes::InboxNumber;
use super::inquiry::is_asking;
use super::raw::with_current;
use super::stand::Stands;
use super::watch::Watch;
use crate::context::{Context, EnterGuard, Lent, Snapshot};
use crate::error::{CancelReason, CancelledError, ContextError, Hold, Origin, Subject};
use crate::exception::{TaskInfo, default_name};
use crate::handle::Handle;
use crate::watchdog::{forget_name, note_name};

/// The first number that no thread has. Process-wide, as `Task-N` is in asyncio.
static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

/// So many numbers a thread takes at a time: to take each by itself would be an atomic step for each task.
const BLOCK: u64 = 64;

thread_local! {
    /// The next number of this thread; the first one of any block if it has none left.
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
}

fn next_id() -> u64 {
    let mut id = NEXT_ID.get();
    if id % BLOCK == 1 {
        id = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed);
    }
    NEXT_ID.set(id + 1);
    id
}

/// The state of one task. Its address leaves three bits free, which `ready.rs` and the inbox use; on some processors of 32 bits a
/// word of 64 would leave two.
#[repr(align(8))]
pub(crate) struct TaskCell {
    /// Where a wake-up from another thread goes. The only field that other threads read.
    pub(super) inbox: InboxNumber,
    /// Process-wide number; on one thread in the order of spawning.
    id: Cell<u64>,
    /// The line that spawned the task.
    location: &'static Location<'static>,
    /// The bits below.
    flags: Cell<u16>,
    /// Who asked for the latest cancellation.
    reason: Cell<CancelReason>,
    /// asyncio's `cancelling()`: requests made less requests withdrawn. [`MANY`] of them are counted elsewhere.
    requests: Cell<u8>,
    /// The task's key in the registry.
    pub(super) slot: Cell<u32>,
    /// How many tasks were numbered from the one that spawned this to this; 0 if none did, or if it was too long ago to tell.
    parent: Cell<u32>,
    /// When it was spawned, by the scheduler's time; 0 if that stood still.
    pub(super) born: Cell<u32>,
    /// How often it was polled, as far as that can be counted here.
    polls: Cell<u32>,
    /// The variables of its own context, also while it is polled; empty if it runs in another.
    pub(super) context: Cell<Snapshot>,
    /// What few tasks have.
    extra: Rare,
    /// What the task's own waker is made of, beside the address: see `raw.rs`.
    pub(super) waker_vtable: Cell<Option<&'static RawWakerVTable>>,
}

/// So many requests, or more, are counted among what few tasks have.
const MANY: u8 = u8::MAX;

/// A request that nobody has taken yet.
const PENDING: u16 = 1 << 1;
/// The future is gone, the outcome is known.
const DONE: u16 = 1 << 2;
/// Done by cancellation.
const CANCELLED: u16 = 1 << 3;
/// The loop is closing: the next poll drops the future whatever it says.
const KILLED: u16 = 1 << 4;
/// The loop's own work: the shutdown waits for it, but does not cancel it.
const BACKGROUND: u16 = 1 << 5;
/// Ended by a panic, or (before it is done: about to end) by an error that its owner has taken.
const FAILED: u16 = 1 << 6;
/// The pending request was taken before and handed back together with an error: if there is no further await, the error
/// stands, and the request is forgotten.
const AFTERWARDS: u16 = 1 << 7;
/// A leaf future has left its event alone, because a request was pending: it is to be polled again if it outlives that.
const LOOKED_AWAY: u16 = 1 << 8;
/// The builder was given a context, which is among what few tasks have.
const SHARED_CONTEXT: u16 = 1 << 9;
/// The context is lent, and given back by whoever runs the task.
const LENT_CONTEXT: u16 = 1 << 10;

/// The handle has given its output.
const RECEIVED: u16 = 1 << 11;

/// There is a counted reference that lasts until the task is done, whoever else lets go of it.
const KEPT_ALIVE: u16 = 1 << 12;

/// What few tasks have, so that all the others pay one word for it.
#[derive(Default)]
struct Extra {
    /// Set by `set_name` or the builder.
    name: Option<String>,
    /// How many requests there are, if there are [`MANY`].
    requests: u32,
    /// The text of the latest request.
    message: Option<Arc<str>>,
    /// The scope that made it; 0 for a request from outside.
    origin: u64,
    /// Who raised it, and waits for what becomes of it.
    hold: Option<Arc<Hold>>,
    /// Given to the builder: shared with others, entered for each poll.
    shared_context: Option<Context>,
    /// While the task is polled.
    entered: Option<EnterGuard>,
    /// Called in this order when the task is done.
    done_callbacks: Vec<Handle>,
    /// Told when the task is done, each with the key it asked for.
    watches: Vec<(Rc<Watch>, usize)>,
    /// The futures that deal with requests and wait behind a sub-executor.
    stands: Stands,
    /// The leaf futures that have looked away and that the task's own waker does not reach.
    looked_away: Vec<Waker>,
    /// In debug mode: the handle is gone, and the output is a `Result`.
    is_result_unseen: bool,
}

/// What few tasks have, if this one has it.
struct Rare(Cell<Option<Box<Extra>>>);

impl Drop for Rare {
    /// What drops a part of which each field has a destructor of its own is called, and saves registers, before it looks whether
    /// there is one: for each task that ends.
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(extra) = self.0.take() {
            drop_extra(extra);
        }
    }
}

#[cold]
#[inline(never)]
fn drop_extra(extra: Box<Extra>) {
    drop(extra);
}

/// How a task ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Returned,
    Cancelled,
    Failed,
}

/// What is left to do for others when a task is done.
pub(super) struct Bequest {
    /// Nobody will ask for the result, and somebody should have.
    pub(super) is_result_unseen: bool,
    pub(super) callbacks: Vec<Handle>,
    pub(super) watches: Vec<(Rc<Watch>, usize)>,
}

impl TaskCell {
    /// A cell that nobody knows yet: `begin` or `begin_with` makes it a task's. All of it is known here but two words, so that it is
    /// written where it stays, and not moved there.
    #[inline(always)]
    pub(super) fn new(inbox: InboxNumber, location: &'static Location<'static>) -> TaskCell {
        TaskCell {
            inbox,
            id: Cell::new(0),
            location,
            flags: Cell::new(0),
            reason: Cell::new(CancelReason::User),
            requests: Cell::new(0),
            slot: Cell::new(u32::MAX),
            parent: Cell::new(0),
            born: Cell::new(0),
            polls: Cell::new(0),
            context: Cell::new(Snapshot::EMPTY),
            extra: Rare(Cell::new(None)),
            waker_vtable: Cell::new(None),
        }
    }

    /// The task begins, with a number of its own, and in a copy of the current context.
    pub(super) fn begin(&self) {
        self.number();
        self.context.set(Snapshot::current());
    }

    /// The same, with what was asked for.
    pub(super) fn begin_with(&self, options: TaskOptions) {
        self.number();
        if options.background {
            self.set(BACKGROUND);
        }
        match options.context {
            RunsIn::Copy => self.context.set(Snapshot::current()),
            RunsIn::Lent(lent) => {
                self.set(LENT_CONTEXT);
                self.context.set(lent.snapshot.take());
            }
            RunsIn::Shared(context) => {
                self.set(SHARED_CONTEXT);
                self.with_extra(|extra| extra.shared_context = Some(context));
            }
        }
        if let Some(name) = options.name {
            self.set_name(name);
        }
    }

    #[inline]
    fn number(&self) {
        let id = next_id();
        let parent = with_current(|task| task.map_or(id, TaskCell::id));
        self.id.set(id);
        self.parent.set(u32::try_from(id - parent).unwrap_or(0));
    }

    fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    fn set(&self, flag: u16) {
        self.flags.set(self.flags.get() | flag);
    }

    fn clear(&self, flag: u16) {
        self.flags.set(self.flags.get() & !flag);
    }

    /// Runs `f` on the extra part. `f` must not call user code, which would find the part missing.
    fn with_extra<R>(&self, f: impl FnOnce(&mut Extra) -> R) -> R {
        let mut extra = self.extra.0.take().unwrap_or_default();
        let result = f(&mut extra);
        self.extra.0.set(Some(extra));
        result
    }

    /// Whether there is one.
    #[inline]
    pub(super) fn has_extra(&self) -> bool {
        let extra = self.extra.0.take();
        let has_extra = extra.is_some();
        self.extra.0.set(extra);
        has_extra
    }

    /// The same, without making one.
    fn peek_extra<R>(&self, f: impl FnOnce(&mut Extra) -> R) -> Option<R> {
        let mut extra = self.extra.0.take()?;
        let result = f(&mut extra);
        self.extra.0.set(Some(extra));
        Some(result)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id.get()
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn name(&self) -> String {
        self.given_name().unwrap_or_else(|| default_name(self.id()))
    }

    #[inline]
    pub(crate) fn given_name(&self) -> Option<String> {
        self.peek_extra(|extra| extra.name.clone()).flatten()
    }

    pub(crate) fn set_name(&self, name: String) {
        // One that is done has been forgotten.
        if !self.is_done() {
            note_name(self.id(), &name);
        }
        self.with_extra(|extra| extra.name = Some(name));
    }

    pub(crate) fn info(&self) -> TaskInfo {
        TaskInfo::new(self.id(), self.given_name(), self.location)
    }

    /// Nobody will ask for the result, which may be an error.
    pub(super) fn mark_result_unseen(&self) {
        self.with_extra(|extra| extra.is_result_unseen = true);
    }

    /// The latest request was the shutdown's, which asks for an end and gets one.
    pub(super) fn is_shut_down(&self) -> bool {
        self.reason.get() == CancelReason::Shutdown
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin {
            subject: Subject::Task {
                id: self.id(),
                name: self.given_name(),
            },
            location: self.location,
        }
    }

    pub(super) fn has_shared_context(&self) -> bool {
        self.has(SHARED_CONTEXT)
    }

    pub(super) fn has_lent_context(&self) -> bool {
        self.has(LENT_CONTEXT)
    }

    /// There is something for [`drop_variables`](TaskCell::drop_variables).
    pub(super) fn has_variables(&self) -> bool {
        let variables = self.context.take();
        let has_any = !variables.is_empty();
        self.context.set(variables);
        has_any && !self.has_lent_context()
    }

    /// The task is over, and nobody else wants what its context variables are set to.
    pub(super) fn drop_variables(&self) {
        drop(self.context.take());
    }

    #[cold]
    pub(super) fn enter_shared_context(&self) -> Result<(), ContextError> {
        let context = self.peek_extra(|extra| extra.shared_context.clone());
        let entered = context.flatten().map(|context| context.try_enter());
        let entered = entered.transpose()?;
        self.with_extra(|extra| extra.entered = entered);
        Ok(())
    }

    #[cold]
    pub(super) fn leave_shared_context(&self) {
        drop(self.peek_extra(|extra| extra.entered.take()));
    }

    // ----- life -----

    pub(crate) fn is_started(&self) -> bool {
        self.polls.get() > 0
    }

    /// Where the registry has it.
    #[inline]
    pub(crate) fn place(&self) -> u32 {
        self.slot.get()
    }

    #[inline]
    pub(super) fn count_poll(&self) {
        self.polls.set(self.polls.get().saturating_add(1));
    }

    /// The poll that has just been was an inquiry.
    pub(super) fn discount_poll(&self) {
        self.polls.set(self.polls.get() - 1);
    }

    /// How often it was polled; after four billion times that is not counted any more.
    pub(crate) fn polls(&self) -> u32 {
        self.polls.get()
    }

    /// The number of the task that spawned it.
    pub(crate) fn parent(&self) -> Option<u64> {
        match self.parent.get() {
            0 => None,
            since => Some(self.id() - u64::from(since)),
        }
    }

    /// How old it is at that time of the scheduler's, in the same unit.
    pub(crate) fn age(&self, now: u32) -> Option<u32> {
        match self.born.get() {
            0 => None,
            born => Some(now.wrapping_sub(born)),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.has(CANCELLED)
    }

    /// Ended by a panic, or by an error that its owner has taken.
    pub(crate) fn is_failed(&self) -> bool {
        self.has(DONE) && self.has(FAILED)
    }

    /// The running task has failed, and its error is with its owner: what it returns `Pending` with is its end.
    pub(crate) fn fail(&self) {
        self.set(FAILED);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has(FAILED)
    }

    /// See `raw.rs`.
    pub(super) fn is_kept_alive(&self) -> bool {
        self.has(KEPT_ALIVE)
    }

    pub(super) fn mark_kept_alive(&self, is_kept: bool) {
        match is_kept {
            true => self.set(KEPT_ALIVE),
            false => self.clear(KEPT_ALIVE),
        }
    }

    /// After a poll that returned `Pending`: the task must not wait.
    pub(super) fn must_end(&self) -> bool {
        self.has(PENDING | FAILED)
    }

    /// The output was given to whoever awaits the handle.
    pub(super) fn is_received(&self) -> bool {
        self.has(RECEIVED)
    }

    pub(super) fn mark_received(&self) {
        self.set(RECEIVED);
    }

    /// Has `watch` told when the task is done; gives it back if it is.
    pub(super) fn watch(&self, watch: Rc<Watch>, key: usize) -> Option<Rc<Watch>> {
        if self.is_done() {
            return Some(watch);
        }
        self.with_extra(|extra| extra.watches.push((watch, key)));
        None
    }

    pub(super) fn unwatch(&self, watch: &Rc<Watch>) {
        self.peek_extra(|extra| extra.watches.retain(|(known, _)| !Rc::ptr_eq(known, watch)));
    }

    #[cfg(test)]
    pub(crate) fn watch_count(&self) -> usize {
        self.peek_extra(|extra| extra.watches.len()).unwrap_or(0)
    }

    pub(crate) fn is_background(&self) -> bool {
        self.has(BACKGROUND)
    }

    pub(super) fn is_asked_to_end(&self) -> bool {
        self.has(KILLED | PENDING)
    }

    pub(super) fn is_killed(&self) -> bool {
        self.has(KILLED)
    }

    /// From now on the next poll drops the future; what it has to say is not asked for.
    pub(super) fn kill(&self) {
        if !self.has(PENDING) && self.cancelling() == 0 {
            self.reason.set(CancelReason::Shutdown);
        }
        self.set(KILLED);
    }

    /// The future is gone. Returns what must be dropped or called on the loop's thread, and leaves the rest.
    pub(super) fn mark_done(&self, end: End) -> Option<Bequest> {
        self.clear(PENDING | FAILED);
        self.set(match end {
            End::Returned => DONE,
            End::Cancelled => DONE | CANCELLED,
            End::Failed => DONE | FAILED,
        });
        let taken = self.peek_extra(|extra| {
            if extra.name.is_some() {
                forget_name(self.id());
            }
            let bequest = Bequest {
                is_result_unseen: extra.is_result_unseen,
                callbacks: mem::take(&mut extra.done_callbacks),
                watches: mem::take(&mut extra.watches),
            };
            let dropped = (
                extra.shared_context.take(),
                extra.hold.take(),
                mem::take(&mut extra.stands),
                mem::take(&mut extra.looked_away),
            );
            (bequest, dropped)
        });
        taken.map(|(bequest, _dropped)| bequest)
    }

    /// Keeps `callback` for the end; gives it back if the end has come.
    pub(super) fn add_done_callback(&self, callback: Handle) -> Option<Handle> {
        if self.is_done() {
            return Some(callback);
        }
        self.with_extra(|extra| extra.done_callbacks.push(callback));
        None
    }

    // ----- cancellation -----

    /// Records a request from outside; `false` if the task is done. The caller wakes the task afterwards.
    pub(super) fn request_cancel(&self, reason: CancelReason, message: Option<Arc<str>>) -> bool {
        if self.is_done() {
            return false;
        }
        if message.is_none() && !self.has_extra() && self.requests.get() == 0 {
            // As most are.
            self.requests.set(1);
            self.flags.set(self.flags.get() & !AFTERWARDS | PENDING);
            self.reason.set(reason);
        } else {
            self.count_request();
            self.make_pending(reason, message, 0);
        }
        true
    }

    /// Records the request of a scope, for the code inside of it.
    pub(super) fn request_from_scope(&self, reason: CancelReason, origin: u64) {
        self.count_request();
        self.make_pending(reason, None, origin);
    }

    fn count_request(&self) {
        self.set_requests(self.cancelling().saturating_add(1));
    }

    fn make_pending(&self, reason: CancelReason, message: Option<Arc<str>>, origin: u64) {
        self.clear(AFTERWARDS);
        self.set(PENDING);
        self.reason.set(reason);
        if message.is_some() || origin != 0 {
            self.with_extra(|extra| (extra.message, extra.origin) = (message, origin));
        } else {
            self.peek_extra(|extra| (extra.message, extra.origin) = (None, 0));
        }
    }

    /// Makes a request pending that is counted already. One from outside that is pending stays what it is.
    pub(super) fn redeliver(&self, request: &CancelledError) {
        if self.pending_origin() != Some(0) {
            self.make_pending(request.reason(), request.shared_message(), request.origin());
        }
    }

    /// The same, for a request that must not take away what is returned together with it.
    pub(super) fn redeliver_afterwards(&self, request: &CancelledError) {
        let is_alone = !self.is_cancel_pending();
        self.redeliver(request);
        if is_alone {
            self.set(AFTERWARDS);
        }
    }

    /// Has whoever takes the pending request hold on to this as well.
    pub(super) fn hold_request(&self, make: impl FnOnce(Option<Arc<Hold>>) -> Option<Arc<Hold>>) {
        self.with_extra(|extra| extra.hold = make(extra.hold.take()));
    }

    /// The scope that made the pending request, 0 if it came from outside; `None` without one.
    pub(crate) fn pending_origin(&self) -> Option<u64> {
        (self.is_cancel_pending() && !is_asking())
            .then(|| self.peek_extra(|extra| extra.origin).unwrap_or(0))
    }

    /// The task returns now: `true` if it ends cancelled nevertheless.
    pub(super) fn ends_cancelled(&self) -> bool {
        self.flags.get() & (PENDING | AFTERWARDS) == PENDING
    }

    /// asyncio's `uncancel`: withdraws one request. The last one withdrawn is also not delivered any more (3.13).
    pub(crate) fn uncancel(&self) -> u32 {
        let requests = self.cancelling().saturating_sub(1);
        self.set_requests(requests);
        if requests == 0 {
            drop(self.take_cancel());
            drop(self.forget_all_suspended());
        }
        requests
    }

    /// asyncio's `cancelling`.
    pub(crate) fn cancelling(&self) -> u32 {
        match self.requests.get() {
            MANY => self.peek_extra(|extra| extra.requests).unwrap_or(0),
            few => u32::from(few),
        }
    }

    fn set_requests(&self, requests: u32) {
        match u8::try_from(requests) {
            Ok(few) if few != MANY => self.requests.set(few),
            _ => {
                self.requests.set(MANY);
                self.with_extra(|extra| extra.requests = requests);
            }
        }
    }

    /// A request waits for the innermost scope, or the task, to take it.
    pub(crate) fn is_cancel_pending(&self) -> bool {
        self.has(PENDING)
    }

    /// Makes the task look as if a request were pending, for one poll. See `inquiry.rs`.
    pub(super) fn begin_inquiry(&self) {
        self.set(PENDING | AFTERWARDS);
    }

    /// Returns `true` if a real request was made meanwhile, which is still to be delivered.
    pub(super) fn end_inquiry(&self) -> bool {
        let is_real = !self.has(AFTERWARDS);
        if !is_real {
            self.clear(PENDING | AFTERWARDS);
        }
        is_real
    }

    /// Takes the pending request: whoever gets it must drop what is inside of it.
    pub(crate) fn take_cancel(&self) -> Option<CancelledError> {
        let taken = self.take_pending()?;
        if self.has(LOOKED_AWAY) {
            self.wake_who_looked_away();
        }
        self.settle_stands();
        Some(taken)
    }

    /// The same, and it will come back: nobody is told.
    pub(super) fn take_pending(&self) -> Option<CancelledError> {
        if !self.is_cancel_pending() || is_asking() {
            return None;
        }
        self.clear(PENDING | AFTERWARDS);
        let reason = self.reason.get();
        let taken =
            self.peek_extra(|extra| (extra.message.clone(), extra.origin, extra.hold.take()));
        let (message, origin, hold) = taken.unwrap_or_default();
        Some(CancelledError::with_origin(reason, message, origin, hold))
    }

    /// Notes that a leaf future was polled with this waker and left its event alone, because of the pending request.
    pub(super) fn note_looking_away(&self, waker: &Waker) {
        self.set(LOOKED_AWAY);
        if !self.is_woken_by(waker) {
            self.with_extra(|extra| extra.looked_away.push(waker.clone()));
        }
    }

    #[cold]
    fn wake_who_looked_away(&self) {
        self.clear(LOOKED_AWAY);
        let wakers = self.peek_extra(|extra| mem::take(&mut extra.looked_away));
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.wake();
    }

    /// The latest request, as an error.
    pub(crate) fn cancelled_error(&self) -> CancelledError {
        let message = self.peek_extra(|extra| extra.message.clone()).flatten();
        CancelledError::new(self.reason.get(), message)
    }

    pub(super) fn with_stands<R>(&self, f: impl FnOnce(&mut Stands) -> R) -> R {
        self.with_extra(|extra| f(&mut extra.stands))
    }

    /// The same, without making a list.
    pub(super) fn peek_stands<R: Default>(&self, f: impl FnOnce(&mut Stands) -> R) -> R {
        self.peek_extra(|extra| f(&mut extra.stands))
            .unwrap_or_default()
    }
}

/// Which context a task runs in.
#[derive(Clone, Default)]
pub(crate) enum RunsIn {
    /// A copy of the one it is spawned in.
    #[default]
    Copy,
    /// One that others may hold as well, and enter while the task waits.
    Shared(Context),
    /// One that is lent until the task ends.
    Lent(Rc<Lent>),
}

/// What a task is spawned with.
pub(crate) struct TaskOptions {
    pub(crate) location: &'static Location<'static>,
    pub(crate) name: Option<String>,
    pub(crate) context: RunsIn,
    /// The loop's own work, which the shutdown does not cancel.
    pub(crate) background: bool,
    /// The first step runs at once, on spawning.
    pub(crate) eager: bool,
}

impl TaskOptions {
    pub(crate) fn at(location: &'static Location<'static>) -> TaskOptions {
        TaskOptions {
            location,
            name: None,
            context: RunsIn::Copy,
            background: false,
            eager: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `async-task`'s header is four words, the future's wrapper one, the registry has one per task, and the allocator one. So a
    /// task with a future of two words fits 128 bytes of the GNU allocator, which has nothing between that and 144.
    #[test]
    fn a_task_costs_at_most_120_bytes_beside_its_future() {
        let others = (4 + 1 + 1 + 1) * 8;
        assert_eq!(size_of::<TaskCell>() + others, 120);
    }

    #[test]
    fn however_many_requests_there_are_all_are_counted() {
        let cell = TaskCell::new(InboxNumber::take(), Location::caller());
        for count in 1..=600 {
            cell.count_request();
            assert_eq!(cell.cancelling(), count);
        }
        for left in (0..600).rev() {
            assert_eq!(cell.uncancel(), left);
            assert_eq!(cell.cancelling(), left);
        }
        assert_eq!(cell.uncancel(), 0);
    }
}
