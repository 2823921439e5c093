//! What tasks need of the loop they run on: its ready queue, its registry, its inbox and its exception sink.
//!
//! Everything is first in, first out: a task or callback that becomes ready goes to the end. Only the loop's thread has
//! the scheduler; other threads have its inbox. This file knows neither time nor I/O, and runs nothing by itself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use super::TaskRef;
use super::cell::TaskCell;
use super::inboxes::InboxNumber;
use super::main_task::Spare;
use super::observed::{Interest, Observed};
use super::parcel::Parcel;
use super::raw::Runnable;
use super::ready::Packed;
pub(crate) use super::ready::Ready;
use super::registry::Registry;
use super::reports::UnseenResults;
use crate::context::{Identity, Snapshot};
use crate::driver::Notify;
use crate::exception::{ExceptionContext, ExceptionSink};
use crate::handle::Handle;
use crate::inbox::Inbox;

/// What arrives from other threads.
pub(crate) enum Mail {
    Task(Parcel),
    Callback(Posted),
}

/// A callback from another thread, with the context of whoever sent it.
pub(crate) struct Posted {
    pub(crate) run: Box<dyn FnOnce() + Send>,
    pub(crate) context: Snapshot,
    pub(crate) location: &'static Location<'static>,
}

/// The queue and the registry of one loop.
pub(crate) struct Scheduler {
    /// The door for other threads.
    pub(crate) inbox: &'static Inbox<Mail>,
    /// The same as tasks know it; compared to tell whether a wake-up comes from this loop's own thread.
    pub(crate) number: InboxNumber,
    /// The inbox's generation that is ours.
    pub(crate) generation: u64,
    /// In the order in which they became ready.
    ready: RefCell<VecDeque<Packed>>,
    /// Taken out of the inbox, and not in the queue yet.
    mail: RefCell<VecDeque<Mail>>,
    /// All tasks that are not done.
    pub(super) registry: Registry,
    /// Where lost failures go.
    pub(crate) exceptions: Rc<ExceptionSink>,
    /// What somebody wants to know; looked at once per poll.
    pub(crate) observed: Observed,
    /// See `reports.rs`.
    pub(super) unseen_results: UnseenResults,
    /// The reference of the latest task that has ended, which is given up when the next one does.
    ended_last: Cell<Option<Waker>>,
    /// The latest task that has ended, if it had a name, in debug mode: its last step may have been a slow one.
    ended: RefCell<Option<(u64, String)>>,
    /// What new tasks are born at, in whatever unit the loop tells it; 0 while nobody asks for ages.
    time: Cell<u32>,
    /// What came from other threads, ever.
    received: Cell<u64>,
    /// See `spawned()`.
    spawned: Cell<u64>,
    /// The context that the main task of the run under way runs in, if that is lent.
    lent_context: Cell<Identity>,
    /// For the main task of the next run.
    pub(super) spare_block: Spare,
    /// The loop is closing or closed: a new task is dropped unpolled.
    closing: Cell<bool>,
}

/// What is taken over from other threads in one turn.
const MAIL_PER_TURN: usize = 1024;

impl Scheduler {
    pub(crate) fn new(notifier: Arc<dyn Notify>) -> Rc<Scheduler> {
        let number = InboxNumber::take();
        let inbox = number.inbox();
        Rc::new(Scheduler {
            inbox,
            number,
            generation: inbox.open(notifier),
            ready: RefCell::default(),
            mail: RefCell::default(),
            registry: Registry::default(),
            exceptions: Rc::default(),
            observed: Observed::default(),
            unseen_results: UnseenResults::default(),
            ended_last: Cell::new(None),
            ended: RefCell::default(),
            time: Cell::new(0),
            received: Cell::new(0),
            spawned: Cell::new(0),
            lent_context: Cell::new(Identity::UNASSIGNED),
            spare_block: Spare::default(),
            closing: Cell::new(false),
        })
    }

    /// Appends to the queue, behind what other threads have sent until now: asyncio has one queue for both, so who has seen that
    /// another thread is done finds what that thread has sent done as well.
    #[inline(always)]
    pub(crate) fn push(&self, entry: Ready) {
        self.push_packed(Packed::new(entry));
    }

    #[inline]
    fn push_packed(&self, entry: Packed) {
        if self.inbox.has_mail() {
            self.collect_first();
        }
        self.ready.borrow_mut().push_back(entry);
    }

    #[cold]
    #[inline(never)]
    fn collect_first(&self) {
        self.collect_mail();
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<Packed> {
        self.ready.borrow_mut().pop_front()
    }

    /// The number of entries that are ready now.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Calls `look` with what stands in the queue from `place` on.
    pub(crate) fn for_each_ready_from(&self, place: usize, mut look: impl FnMut(&Ready)) {
        let ready = self.ready.borrow();
        let entries = ready.range(place.min(ready.len())..);
        entries.for_each(|entry| entry.with(&mut look));
    }

    /// Wakes somebody who may be anybody: a waker that panics is reported, and the others are woken as well.
    pub(crate) fn wake(&self, waker: Waker) {
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            self.exceptions
                .report(ExceptionContext::new("a waker panicked").with_panic(payload));
        }
    }

    /// Returns `true` if something arrived from other threads that is not in the queue yet.
    pub(crate) fn has_mail(&self) -> bool {
        self.inbox.has_mail() || !self.mail.borrow().is_empty()
    }

    /// Appends what arrived from other threads, in the order of arrival; at most so much that a turn stays short while
    /// others send faster than the loop can work.
    pub(crate) fn collect_mail(&self) {
        self.collect_at_most(MAIL_PER_TURN);
    }

    /// The same, without a bound, and in the middle of a turn.
    pub(crate) fn collect_all_mail(&self) {
        self.collect_at_most(usize::MAX);
    }

    fn collect_at_most(&self, bound: usize) {
        let mut mail = self.mail.borrow_mut();
        if mail.is_empty() {
            if let Some(parcel) = self.inbox.take_parcel() {
                self.received.set(self.received.get() + 1);
                self.ready.borrow_mut().push_back(parcel.open(self.number));
                return;
            }
        }
        if self.inbox.has_mail() {
            self.inbox.collect_mail(&mut mail);
        }
        let count = mail.len().min(bound);
        self.received.set(self.received.get() + count as u64);
        let arrived = mail.drain(..count).map(|item| match item {
            Mail::Task(parcel) => parcel.open(self.number),
            Mail::Callback(Posted {
                run,
                context,
                location,
            }) => Packed::new(Ready::Callback(Handle::in_context(context, run, location))),
        });
        self.ready.borrow_mut().extend(arrived);
    }

    /// Puts the first `count` entries into the order that `pick(remaining)` chooses.
    pub(crate) fn reorder(&self, count: usize, mut pick: impl FnMut(usize) -> usize) {
        let mut ready = self.ready.borrow_mut();
        for first in 0..count {
            let chosen = first + pick(count - first);
            ready.swap(first, chosen);
        }
    }

    /// Every task that is not done, oldest first.
    pub(crate) fn tasks(&self) -> Vec<TaskRef> {
        self.registry.tasks()
    }

    /// Returns tasks that are part of the program, oldest first, but `most` at most; and how many others there are.
    pub(crate) fn some_tasks(&self, most: usize) -> (Vec<TaskRef>, usize) {
        self.registry.some(most, |cell| !cell.is_background())
    }

    /// Returns the name of the task that has just ended, if it had one, and if this is debug mode.
    pub(crate) fn name_at_end(&self, id: u64) -> Option<String> {
        let ended = self.ended.take();
        ended.and_then(|(ended, name)| (ended == id).then_some(name))
    }

    /// Keeps the reference of a task that ends until the next one ends, or the loop is closed.
    #[inline]
    pub(super) fn let_go_next(&self, reference: Waker) {
        drop(self.ended_last.replace(Some(reference)));
    }

    /// The task ends: if this is debug mode, its name can be asked for once more.
    pub(crate) fn keep_name(&self, cell: &TaskCell) {
        if self.observed.has(Interest::DEBUG) {
            let name = cell.given_name();
            self.ended.replace(name.map(|name| (cell.id(), name)));
        }
    }

    /// Returns the task with this number, if it is not done.
    pub(crate) fn task(&self, id: u64) -> Option<TaskRef> {
        self.registry.find(id)
    }

    /// The same, given also its [`place`](TaskCell::place): at once, however many tasks there are.
    pub(crate) fn task_at(&self, place: u32, id: u64) -> Option<TaskRef> {
        self.registry.at(place, id)
    }

    /// See [`set_time`](Scheduler::set_time).
    pub(super) fn time(&self) -> u32 {
        self.time.get()
    }

    /// Tells the time at which tasks are born from now on.
    pub(crate) fn set_time(&self, time: u32) {
        self.time.set(time);
    }

    /// The number of tasks that were ever spawned here; tells whether there are new ones.
    pub(crate) fn spawned(&self) -> u64 {
        self.spawned.get()
    }

    pub(super) fn set_lent_context(&self, lent: Identity) {
        self.lent_context.set(lent);
    }

    /// Whose context the main task of the run under way runs in.
    pub(super) fn lent_context(&self) -> Identity {
        self.lent_context.get()
    }

    /// The number of wake-ups and calls that came from other threads.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(super) fn count_spawned(&self) {
        self.spawned.set(self.spawned.get() + 1);
    }

    pub(crate) fn task_count(&self) -> usize {
        self.registry.len()
    }

    /// Closed for good, not just being closed.
    pub(crate) fn inbox_is_closed(&self) -> bool {
        !self.inbox.is_open(self.generation)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Ends the life of everything that is left: every future is dropped, on this thread, and every callback unrun.
    ///
    /// Returns only when no task is left that could be woken, because a wake-up from another thread that is on its way
    /// holds the task's only [`Runnable`], which nobody but this thread may drop.
    pub(crate) fn close(self: &Rc<Self>) {
        self.closing.set(true);
        let entered = self.enter();
        while self.task_count() > 0 {
            self.end_tasks();
            self.drain();
        }
        self.drain();
        // What arrives from now on is refused or, for a wake-up, cannot happen: every task is done.
        for item in self.inbox.close() {
            self.exceptions.drop_left_over(item);
        }
        drop(self.ended_last.take());
        drop(entered);
        self.number.give_back();
    }

    /// Drops the futures of all tasks that wait or are queued, a few at a time, while the processor still has them at hand.
    fn end_tasks(&self) {
        for (order, (id, place)) in self.registry.places().into_iter().enumerate() {
            self.registry.look_at(place, id, |cell| {
                cell.kill();
                cell.wake();
            });
            if order % 16 == 15 {
                self.empty_queue();
            }
        }
    }

    /// Ends what is queued, and what arrives.
    fn drain(&self) {
        self.collect_all_mail();
        if self.ready_len() == 0 && self.task_count() > 0 {
            // The missing runnable is in another thread's hands, a few instructions away from the inbox.
            std::thread::yield_now();
        }
        self.empty_queue();
    }

    /// Drops the futures of the tasks that are queued, and the callbacks.
    fn empty_queue(&self) {
        while let Some(entry) = self.pop() {
            match entry.open() {
                Ready::Task(runnable) => {
                    // It may have been woken by the end of another one.
                    runnable.metadata().kill();
                    runnable.run();
                }
                Ready::Callback(handle) => self.exceptions.drop_left_over(handle.take()),
            }
        }
    }

    /// Drops the future of one task now, wherever it waits.
    pub(crate) fn finish_now(self: &Rc<Self>, task: &TaskRef) {
        let _entered = self.enter();
        task.kill();
        while !task.is_finished() {
            self.collect_all_mail();
            match self.take_runnable_of(task) {
                Some((_, runnable)) => runnable.run(),
                None => std::thread::yield_now(),
            }
        }
    }

    /// Drops the future of a task now, if it waits or is queued. One that is running, further up on this stack, ends when it
    /// next waits, and one whose wake-up another thread is just sending ends when that arrives; its code does not go on.
    pub(crate) fn drop_task(self: &Rc<Self>, task: &TaskRef) {
        let _entered = self.enter();
        task.kill();
        self.collect_all_mail();
        if let Some((_, runnable)) = self.take_runnable_of(task) {
            runnable.run();
        }
    }

    /// Puts the last entry where another one was taken out.
    pub(super) fn move_last_to(&self, place: usize) {
        let mut ready = self.ready.borrow_mut();
        if let Some(last) = ready.pop_back() {
            let place = place.min(ready.len());
            ready.insert(place, last);
        }
    }

    fn place_of(&self, task: &TaskRef) -> Option<usize> {
        let is_it = |entry: &Ready| match entry {
            Ready::Task(runnable) => runnable.metadata().id() == task.id(),
            Ready::Callback(_) => false,
        };
        let ready = self.ready.borrow();
        ready.iter().position(|entry| entry.with(is_it))
    }

    /// Returns `true` if the task waits for its turn.
    pub(super) fn is_queued(&self, task: &TaskRef) -> bool {
        self.place_of(task).is_some()
    }

    pub(super) fn take_runnable_of(&self, task: &TaskRef) -> Option<(usize, Runnable)> {
        let position = self.place_of(task)?;
        let mut ready = self.ready.borrow_mut();
        match ready.remove(position).map(Packed::open) {
            Some(Ready::Task(runnable)) => Some((position, runnable)),
            _ => unreachable!("the entry was a task a moment ago"),
        }
    }
}
