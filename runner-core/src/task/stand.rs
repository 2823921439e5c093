//! Reaching a future inside of a task that waits behind a sub-executor.
//!
//! A request wakes the task, and the task polls what is inside of it. A sub-executor (`FuturesUnordered`, `join_all`) polls
//! only what was woken itself. Whoever deals with requests and finds itself polled with another waker than the task's own
//! therefore takes a stand: it is then woken as well. Without a sub-executor this costs one comparison.
//!
//! A sub-executor that has much to do yields before it has polled everybody that was woken. So being asked is noted, and
//! being polled is the answer: a scope lets a request pass only if nobody inside of it still has to answer. A sub-executor
//! that yields wakes its own waker, hence the task. Is the task not woken any more, and somebody has not answered, then
//! nobody polls that one, and it is not waited for any longer (`look_after`).
//!
//! A sub-executor can be moved into another scope while its futures wait, and does not tell them. So whoever has waited for
//! longer than a scope may be inside of that, until it is polled again.

use std::mem::ManuallyDrop;
use std::panic::Location;
use std::task::{Context as Cx, Waker};

use super::cell::TaskCell;
use super::raw::with_current;
use super::scheduler::{Ready, Scheduler};
use super::{TaskRef, current_task};
use crate::error::CancelledError;
use crate::handle::Handle;

/// A future's place on its task's list; given up when dropped.
#[derive(Default)]
pub(crate) enum Standing {
    /// Not polled yet.
    #[default]
    New,
    /// Waking the task reaches it.
    Reached,
    Taken(Taken),
}

pub(crate) struct Taken {
    task: TaskRef,
    number: u64,
}

impl Standing {
    /// Returns `true` if waking the current task does not reach whoever is polled with `cx`.
    #[inline]
    pub(crate) fn is_needed(cx: &mut Cx<'_>) -> bool {
        with_current(|task| task.is_some_and(|task| !task.is_woken_by(cx.waker())))
    }

    /// To be called before what is inside is polled; that is inside for as long as the answer lives.
    #[inline]
    pub(crate) fn enter(&mut self, cx: &mut Cx<'_>) -> Within {
        match self {
            Standing::Reached => Within(None),
            Standing::New if !Standing::is_needed(cx) => {
                *self = Standing::Reached;
                Within(None)
            }
            _ => self.enter_stand(cx),
        }
    }

    #[cold]
    fn enter_stand(&mut self, cx: &mut Cx<'_>) -> Within {
        if let Standing::New = self {
            *self = Standing::Reached;
            self.take(cx);
        }
        match self {
            Standing::Taken(taken) => taken.enter(),
            _ => Within(None),
        }
    }

    fn take(&mut self, cx: &mut Cx<'_>) {
        if let Some(task) = current_task() {
            let number = (task.cell()).with_stands(|stands| stands.take(cx.waker()));
            *self = Standing::Taken(Taken { task, number });
        }
    }

    /// Notes that the future waits. To be called each time before it returns `Pending`.
    pub(crate) fn wait(&mut self, cx: &mut Cx<'_>) {
        match self {
            Standing::Taken(taken) if taken.is_current() => taken.wait(cx),
            Standing::Taken(_) => {
                // Moved to another task.
                self.leave();
                self.wait(cx);
            }
            _ if Standing::is_needed(cx) => self.take(cx),
            _ => {}
        }
    }

    /// Takes a request that came out of what is inside.
    pub(crate) fn take_cancel(&self) -> Option<CancelledError> {
        with_current(|task| {
            let task = task.filter(|task| task.is_cancel_pending())?;
            self.may_take(task).then(|| task.take_cancel()).flatten()
        })
    }

    /// Returns `true` if nobody inside is still to be polled because of the pending request.
    pub(crate) fn may_take(&self, task: &TaskCell) -> bool {
        match self {
            Standing::Taken(taken) => task.may_take(taken.number),
            // Everybody with a stand may be inside.
            _ => !task.awaits_answer(),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Standing::Taken(taken) => Some(taken.number),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        match self {
            Standing::New | Standing::Reached => *self = Standing::New,
            Standing::Taken(_) => self.leave_stand(),
        }
    }

    #[cold]
    fn leave_stand(&mut self) {
        *self = Standing::New;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let cell = self.task.cell();
        let left = cell.peek_stands(|stands| stands.remove(self.number));
        // Dropped here, outside: a waker's destructor is not ours.
        if left.is_some_and(|it| it.asked) {
            cell.hear_answer();
        }
    }
}

impl Taken {
    fn is_current(&self) -> bool {
        with_current(|current| current.is_some_and(|task| std::ptr::eq(task, self.task.cell())))
    }

    fn wait(&self, cx: &mut Cx<'_>) {
        let cell = self.task.cell();
        if cell.with_stands(|stands| stands.wait(self.number, cx.waker())) {
            cell.hear_answer();
        }
    }

    fn enter(&self) -> Within {
        let around = (self.task.cell()).with_stands(|stands| stands.enter(self.number));
        Within(Some(ManuallyDrop::new((self.task.clone(), around))))
    }
}

/// While it lives, a future with a stand polls what is inside of it. Dropped by `leave` alone, so that all the others, without a
/// stand, pay one comparison.
pub(crate) struct Within(Option<ManuallyDrop<(TaskRef, u64)>>);

impl Drop for Within {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.leave();
        }
    }
}

impl Within {
    #[cold]
    fn leave(&mut self) {
        if let Some((task, around)) = self.0.take().map(ManuallyDrop::into_inner) {
            task.cell().with_stands(|stands| stands.within = around);
        }
    }
}

/// The futures of one task that deal with requests and wait behind a sub-executor.
#[derive(Default)]
pub(super) struct Stands {
    /// In the order of their numbers.
    list: Vec<Stand>,
    /// The last stand's number; the first is 1.
    last: u64,
    /// The innermost that polls what is inside of it; 0 is none.
    within: u64,
    /// How often somebody took a stand, waited, or made a request.
    time: u64,
    /// When the last request was made.
    asked_at: u64,
    /// Changes when a request is made or taken, and whenever somebody is to look after it.
    round: u64,
    /// How often somebody was to do so since the request.
    looks: u16,
    /// Requests of scopes, for the code inside of them, while that is not being polled.
    suspended: Vec<CancelledError>,
}

struct Stand {
    number: u64,
    /// The one around it, when it was last polled; 0 is none.
    around: u64,
    /// When it last began to wait; if that was an answer, when it was asked.
    waits_since: u64,
    /// What it was last polled with.
    waker: Waker,
    /// Woken by a request, and not polled since.
    asked: bool,
    /// It let a request wait for somebody, or did not answer the one before: it is to be asked again before a scope around
    /// takes it.
    deferred: bool,
}

/// A sub-executor that is busy for ever, with futures that wake themselves, is waited for no longer than so many polls of the
/// task, if it has not polled everybody by then.
const PATIENCE: u16 = 10_000;

impl Stands {
    fn find(&self, number: u64) -> Option<usize> {
        let found = self.list.binary_search_by_key(&number, |it| it.number);
        found.ok()
    }

    fn take(&mut self, waker: &Waker) -> u64 {
        self.last += 1;
        self.time += 1;
        self.list.push(Stand {
            number: self.last,
            around: self.within,
            waits_since: self.time,
            waker: waker.clone(),
            asked: false,
            deferred: false,
        });
        self.last
    }

    /// Returns `true` if this is an answer.
    fn wait(&mut self, number: u64, waker: &Waker) -> bool {
        let Some(place) = self.find(number) else {
            return false;
        };
        self.time += 1;
        let stand = &mut self.list[place];
        stand.waits_since = if stand.asked {
            self.asked_at
        } else {
            self.time
        };
        stand.waker.clone_from(waker);
        stand.around = self.within;
        std::mem::take(&mut stand.asked)
    }

    fn enter(&mut self, number: u64) -> u64 {
        let around = std::mem::replace(&mut self.within, number);
        if let Some(place) = self.find(number) {
            self.list[place].around = around;
        }
        around
    }

    fn remove(&mut self, number: u64) -> Option<Stand> {
        let place = self.find(number)?;
        Some(self.list.remove(place))
    }

    /// Returns `true` if `stand` was inside of this scope when it was last polled.
    fn is_inside(&self, stand: &Stand, scope: &Stand) -> bool {
        let mut around = stand.around;
        for _ in 0..self.list.len() {
            if around == scope.number || around == 0 {
                break;
            }
            match self.find(around) {
                Some(place) => around = self.list[place].around,
                // It was moved out of a scope that is over.
                None => return true,
            }
        }
        around == scope.number
    }

    /// Returns `true` if `stand` may be inside of this scope, though it was never polled there: has it waited for longer, then
    /// its sub-executor may have been moved into the scope meanwhile. Where that is, nobody knows but the sub-executor.
    fn may_have_moved(&self, stand: &Stand, scope: &Stand) -> bool {
        stand.waits_since < scope.waits_since && !self.is_inside(scope, stand)
    }

    fn may_be_inside(&self, stand: &Stand, scope: &Stand) -> bool {
        self.may_have_moved(stand, scope) || self.is_inside(stand, scope)
    }

    /// Notes whether this one, which has just been polled, lets the request wait for somebody inside of it who is asked.
    fn defer(&mut self, number: u64) -> bool {
        let Some(place) = self.find(number) else {
            return false;
        };
        let scope = &self.list[place];
        let mut asked = self.list.iter().filter(|it| it.asked);
        let defers = asked.any(|it| it.number != number && self.may_be_inside(it, scope));
        self.list[place].deferred = defers;
        defers
    }

    /// Asks once more whoever inside of this one let the request wait, and did not need to, as it turned out.
    fn ask_deferred(&mut self, number: u64) -> Vec<Waker> {
        let Some(scope) = self.find(number).map(|place| &self.list[place]) else {
            return Vec::new();
        };
        let is_meant = |it: &Stand| it.deferred && self.may_be_inside(it, scope);
        let places = (0..self.list.len()).filter(|place| is_meant(&self.list[*place]));
        let places: Vec<usize> = places.collect();
        let ask = |place: usize| {
            let stand = &mut self.list[place];
            stand.deferred = false;
            stand.asked = true;
            stand.waker.clone()
        };
        places.into_iter().map(ask).collect()
    }

    fn awaits_answer(&self) -> bool {
        self.list.iter().any(|stand| stand.asked)
    }

    /// A request was made for everybody inside of this one, or for all: who is to be woken.
    fn ask(&mut self, inside_of: Option<u64>) -> Vec<Waker> {
        self.round += 1;
        self.looks = 0;
        self.time += 1;
        self.asked_at = self.time;
        let scope = inside_of.and_then(|scope| self.find(scope));
        let scope = scope.map(|place| &self.list[place]);
        // May somebody have moved into the scope, then all are asked, and the next scope knows where they are.
        let scope =
            scope.filter(|scope| !self.list.iter().any(|it| self.may_have_moved(it, scope)));
        let is_meant = |it: &Stand| scope.is_none_or(|scope| self.is_inside(it, scope));
        let meant: Vec<bool> = self.list.iter().map(is_meant).collect();
        let mut wakers = Vec::new();
        for (stand, is_meant) in self.list.iter_mut().zip(meant) {
            if is_meant {
                stand.deferred |= stand.asked;
                stand.asked = true;
                wakers.push(stand.waker.clone());
            }
        }
        wakers
    }

    /// Nobody polls those that have not answered: those that waited for them are asked in their place.
    fn give_up(&mut self) -> Vec<Waker> {
        self.round += 1;
        self.looks = 0;
        self.ask_all_deferred()
    }

    /// Nobody else is asked any more.
    fn ask_all_deferred(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for stand in &mut self.list {
            stand.asked = std::mem::take(&mut stand.deferred);
            if stand.asked {
                wakers.push(stand.waker.clone());
            }
        }
        wakers
    }

    /// The request was taken.
    fn settle(&mut self) {
        self.round += 1;
    }

    fn take_suspended(&mut self, origin: u64) -> Option<CancelledError> {
        let is_it = |it: &CancelledError| it.origin() == origin;
        let place = self.suspended.iter().position(is_it)?;
        Some(self.suspended.swap_remove(place))
    }
}

impl TaskCell {
    /// Makes sure of a request that is not for the task's own code, but for that inside of `standing`.
    pub(super) fn ask_inside(&self, standing: &Standing) {
        self.ask(standing.number());
    }

    /// Asks all that wait behind a sub-executor to deal with the pending request.
    #[inline]
    pub(super) fn ask_stands(&self) {
        if self.has_extra() {
            self.ask(None);
        }
    }

    fn ask(&self, inside_of: Option<u64>) {
        let wakers = self.peek_stands(|stands| stands.ask(inside_of));
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn settle_stands(&self) {
        self.peek_stands(Stands::settle);
    }

    /// Takes the pending request for as long as the code that it is for is not polled.
    pub(crate) fn suspend_cancel(&self) {
        if let Some(request) = self.take_pending() {
            self.with_stands(|stands| stands.suspended.push(request));
            self.look_after();
        }
    }

    /// Makes the request of this scope pending again.
    pub(crate) fn resume_cancel(&self, origin: u64) {
        if let Some(request) = self.forget_suspended(origin) {
            self.deliver_again(request);
        }
    }

    /// Takes it out, to be dropped by the caller.
    pub(crate) fn forget_suspended(&self, origin: u64) -> Option<CancelledError> {
        self.peek_stands(|stands| stands.take_suspended(origin))
    }

    pub(super) fn forget_all_suspended(&self) -> Vec<CancelledError> {
        self.peek_stands(|stands| std::mem::take(&mut stands.suspended))
    }

    /// Was it the last that was missing, then whoever waited for it is polled with the request that is suspended meanwhile.
    fn hear_answer(&self) {
        let is_last = |stands: &mut Stands| !stands.suspended.is_empty() && !stands.awaits_answer();
        if self.peek_stands(is_last) {
            let wakers = self.peek_stands(Stands::ask_all_deferred);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Returns `true` if the scope with this number, which has just been polled, may take the pending request.
    fn may_take(&self, number: u64) -> bool {
        if self.peek_stands(|stands| stands.defer(number)) {
            return false;
        }
        let wakers = self.peek_stands(|stands| stands.ask_deferred(number));
        if wakers.is_empty() {
            return true;
        }
        wakers.into_iter().for_each(Waker::wake);
        self.peek_stands(|stands| !stands.defer(number))
    }

    /// Somebody behind a sub-executor was asked, and is to be polled first.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.peek_stands(|stands| stands.awaits_answer())
    }

    /// At the end of a poll, with a request pending: returns `true` if it waits for somebody to be polled.
    pub(super) fn waits_for_answers(&self) -> bool {
        if self.awaits_answer() {
            self.look_after();
            return true;
        }
        let has_deferred = |stands: &mut Stands| stands.list.iter().any(|it| it.deferred);
        // Whom they waited for was dropped, and not by them.
        let is_left = self.peek_stands(has_deferred);
        if is_left {
            self.give_up();
        }
        is_left
    }

    /// Somebody was asked and not polled yet. Sees to it that the request goes on if nobody polls that one.
    pub(crate) fn look_after(&self) {
        let (round, looks) = self.with_stands(|stands| {
            stands.round += 1;
            stands.looks += 1;
            (stands.round, stands.looks)
        });
        let scheduler = Scheduler::current().filter(|_| looks < PATIENCE);
        let Some(scheduler) = scheduler else {
            return self.give_up();
        };
        let task = self.to_ref();
        let look = move || {
            let is_queued = Scheduler::current().is_some_and(|it| it.is_queued(&task));
            let cell = task.cell();
            if !is_queued && cell.peek_stands(|stands| stands.round) == round {
                cell.give_up();
            }
        };
        // Before the task, if that was woken meanwhile.
        let handle = Handle::new(Box::new(look), Location::caller());
        scheduler.push(Ready::Callback(handle));
    }

    fn give_up(&self) {
        let wakers = self.peek_stands(Stands::give_up);
        wakers.into_iter().for_each(Waker::wake);
        self.wake();
    }
}
