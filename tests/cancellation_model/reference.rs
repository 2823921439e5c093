//! The rules of docs/cancellation.md as a machine of its own, without futures and wakers: stacks of frames, clock and queue.
//! A task is a stack of frames, the innermost last; a frame may hold branches, which are stacks again. A turn runs the
//! innermost frame until it waits. Then every scope around it is asked, from the inside out, whether it takes the request
//! that is pending; what nobody takes, the task takes. First in, first out; time passes only when nothing is ready.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use asyncio::CancelReason;

use super::frames::{Completion, Frame, Handle, Step};
use super::groups::Group;
use super::moving::{Moving, MovingNumber};
use super::program::{Act, Child, Program};
use super::requests::{Cancellation, Hold, LetGo};
use super::trace::{Event, Outcome, Request, What};

/// Runs the program to its end and returns what happens.
pub(crate) fn run(program: &Program) -> Vec<Event> {
    let mut machine = Machine::new(program);
    machine.start();
    machine.run();
    machine.events
}

/// A task's number.
pub(super) type Number = usize;
pub(super) type WatchNumber = usize;
pub(super) type GroupNumber = usize;
pub(super) type ScopeNumber = usize;

/// The whole world of one program.
pub(super) struct Machine<'p> {
    program: &'p Program,
    now: u64,
    /// What waits for its turn.
    ready: VecDeque<Ready>,
    /// By deadline, and by the order in which they were set.
    timers: BTreeMap<TimerKey, Due>,
    timers_set: u64,
    /// None before they are spawned.
    tasks: Vec<Option<Task<'p>>>,
    pub(super) watches: Vec<Watch>,
    pub(super) groups: Vec<Group>,
    pub(super) moving: Vec<Moving>,
    /// Requests that scopes have made.
    scopes: usize,
    /// The task whose turn it is.
    current: Option<Number>,
    /// The task that has the turn, also while others are dropped by it.
    running: Option<Number>,
    pub(super) let_go: LetGo,
    events: Vec<Event>,
}

pub(super) type TimerKey = (u64, u64);

enum Ready {
    Task(Number),
    DoneCallback(Number),
    Outside(usize),
}

pub(super) enum Due {
    /// One of the program's outside events.
    Outside(usize),
    Wake(Number),
}

pub(super) struct Task<'p> {
    child: &'p Child,
    /// Those of the branch that runs now.
    pub(super) frames: Vec<Frame<'p>>,
    /// Those around it, where the task has several branches.
    pub(super) around: Vec<Vec<Frame<'p>>>,
    started: bool,
    /// In the queue, or to be put there after the turn that it has now.
    woken: bool,
    /// Requests made less requests withdrawn.
    pub(super) requests: u32,
    /// A request waits to be delivered.
    pub(super) pending: bool,
    /// The latest request, and the scope that made it.
    pub(super) latest: Request,
    pub(super) scope: Option<ScopeNumber>,
    /// Code that waits for the loop has left its event alone, because of the pending request.
    pub(super) looked_away: bool,
    /// Who waits for what becomes of the pending request.
    pub(super) hold: Option<Rc<Hold>>,
    /// The pending request came together with an error, and is forgotten if the task ends before its next await.
    pub(super) afterwards: bool,
    /// The group that is told if the task fails.
    pub(super) owner: Option<GroupNumber>,
    /// The group that the task's text stands in.
    pub(super) place: Option<GroupNumber>,
    /// The moving timeout that it stands in.
    pub(super) limited: Option<MovingNumber>,
    /// Its group has its error.
    pub(super) failed: bool,
    end: Option<End>,
    was_cancelled: bool,
    panicked: bool,
    /// Nobody has the handle any more.
    detached: bool,
    pub(super) awaiter: Option<Number>,
    /// Told of the end.
    pub(super) watches: Vec<WatchNumber>,
}

/// Waits for the ends of several tasks.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) ended: VecDeque<Number>,
    pub(super) waiting: Option<Number>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Value,
    Failed,
    Panicked,
    Cancelled,
    /// Its group has the error.
    Taken,
    /// Somebody has received it.
    Received,
}

impl<'p> Machine<'p> {
    pub(super) fn new(program: &'p Program) -> Machine<'p> {
        Machine {
            program,
            now: 0,
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            timers_set: 0,
            tasks: (0..program.tasks).map(|_| None).collect(),
            watches: Vec::new(),
            groups: Vec::new(),
            moving: Vec::new(),
            scopes: 0,
            current: None,
            running: None,
            let_go: LetGo::default(),
            events: Vec::new(),
        }
    }

    pub(super) fn start(&mut self) {
        for (index, event) in self.program.events.iter().enumerate() {
            if event.at > 0 {
                self.set_timer(event.at, Due::Outside(index));
            }
        }
        let root = self.spawn(&self.program.root, None, None);
        self.drop_handle(root.child);
        for (index, event) in self.program.events.iter().enumerate() {
            if event.at == 0 {
                self.happen(index);
            }
        }
    }

    pub(super) fn run(&mut self) {
        loop {
            match self.ready.pop_front() {
                Some(Ready::Task(number)) => self.turn_of(number),
                Some(Ready::DoneCallback(number)) => self.done_callback(number),
                Some(Ready::Outside(index)) => self.happen(index),
                None if self.timers.is_empty() => break,
                None => self.pass_time(),
            }
        }
        for number in 0..self.tasks.len() {
            if self.tasks[number].as_ref().is_some_and(Task::lives) {
                self.note(What::Stuck(number));
            }
        }
    }

    pub(super) fn done_callback(&mut self, number: Number) {
        let cancelled = self.task(number).was_cancelled;
        self.note(What::Ended {
            task: number,
            cancelled,
        });
    }

    pub(super) fn happen(&mut self, index: usize) {
        let event = &self.program.events[index];
        self.ask(event.act, event.task, event.request);
    }

    pub(super) fn task(&mut self, number: Number) -> &mut Task<'p> {
        self.tasks[number]
            .as_mut()
            .expect("a task that was spawned")
    }

    // ----- what is written down -----

    pub(super) fn note(&mut self, what: What) {
        self.write(what, None);
    }

    /// The same by running code, which looks at its count.
    pub(super) fn look(&mut self, what: What) {
        let requests = self.current.map(|current| self.task(current).requests);
        self.write(what, requests);
    }

    pub(super) fn write(&mut self, what: What, cancelling: Option<u32>) {
        self.events.push(Event {
            at: self.now,
            task: self.current,
            what,
            cancelling,
        });
    }

    // ----- time -----

    /// Goes to the next deadline, and makes ready what is due then.
    pub(super) fn pass_time(&mut self) {
        let Some((&(next, _), _)) = self.timers.first_key_value() else {
            return;
        };
        self.now = next;
        while let Some(first) = self.timers.first_entry().filter(|it| it.key().0 == next) {
            match first.remove() {
                Due::Outside(index) => self.ready.push_back(Ready::Outside(index)),
                Due::Wake(number) => self.wake(number),
            }
        }
    }

    pub(super) fn set_timer(&mut self, after: u64, due: Due) -> TimerKey {
        self.timers_set += 1;
        let key = (self.now + after, self.timers_set);
        self.timers.insert(key, due);
        key
    }

    /// Looks at a timer, which is set when it is looked at first.
    pub(super) fn has_passed(
        &mut self,
        number: Number,
        timer: &mut Option<TimerKey>,
        after: u64,
    ) -> bool {
        match *timer {
            Some(key) => !self.timers.contains_key(&key),
            None if after == 0 => true,
            None => {
                *timer = Some(self.set_timer(after, Due::Wake(number)));
                false
            }
        }
    }

    /// The same for a moment.
    pub(super) fn has_come(
        &mut self,
        number: Number,
        timer: &mut Option<TimerKey>,
        when: u64,
    ) -> bool {
        self.has_passed(number, timer, when.saturating_sub(self.now))
    }

    pub(super) fn in_a_while(&self, after: Option<u64>) -> Option<u64> {
        after.map(|after| self.now + after)
    }

    pub(super) fn has_panicked(&mut self, number: Number) -> bool {
        self.task(number).panicked
    }

    pub(super) fn forget_timer(&mut self, timer: Option<TimerKey>) {
        timer.map(|key| self.timers.remove(&key));
    }

    // ----- tasks -----

    pub(super) fn spawn(
        &mut self,
        child: &'p Child,
        place: Option<GroupNumber>,
        limited: Option<MovingNumber>,
    ) -> Handle {
        self.tasks[child.task] = Some(Task {
            child,
            frames: Vec::new(),
            around: Vec::new(),
            started: false,
            woken: true,
            requests: 0,
            pending: false,
            afterwards: false,
            owner: None,
            place,
            limited,
            failed: false,
            latest: Request::unnamed(CancelReason::User),
            scope: None,
            looked_away: false,
            hold: None,
            end: None,
            was_cancelled: false,
            panicked: false,
            detached: false,
            awaiter: None,
            watches: Vec::new(),
        });
        self.ready.push_back(Ready::Task(child.task));
        Handle {
            child: child.task,
            handed_on: None,
            raised: None,
        }
    }

    /// Puts a task into the queue, once; the one whose turn it is comes back after its turn.
    pub(super) fn wake(&mut self, number: Number) {
        let has_turn = self.running == Some(number);
        let task = self.task(number);
        if task.lives() && !task.woken {
            task.woken = true;
            if !has_turn {
                self.ready.push_back(Ready::Task(number));
            }
        }
    }

    pub(super) fn turn_of(&mut self, number: Number) {
        if !self.task(number).lives() {
            // Woken by a child that was dropped together with it.
            return;
        }
        (self.current, self.running) = (Some(number), Some(number));
        self.task(number).woken = false;
        self.run_task(number);
        self.wake_those_let_go();
        (self.current, self.running) = (None, None);
        let task = self.task(number);
        if task.lives() && task.woken {
            self.ready.push_back(Ready::Task(number));
        }
    }

    fn run_task(&mut self, number: Number) {
        let task = self.task(number);
        if !task.started {
            task.started = true;
            if task.pending {
                return self.end(number, End::Cancelled);
            }
            let body = &task.child.body;
            self.enter(number, body);
        }
        match self.run_branch(number) {
            Some(completion) => self.end_by_itself(number, completion),
            None if self.task(number).pending => {
                self.unwind(number, 0);
                self.end(number, End::Cancelled);
            }
            None => {}
        }
    }

    /// Runs the task's frames until they wait, and no scope among them has anything to do, or until there are none.
    pub(super) fn run_branch(&mut self, number: Number) -> Option<Completion> {
        self.interrupt_group_bodies(number);
        loop {
            match self.step(number) {
                Step::Moved => {}
                Step::Waits if self.ask_scopes(number) => {}
                Step::Waits => return None,
                Step::Ended(completion) => return Some(completion),
            }
        }
    }

    /// Drops a task's code at once, wherever it waits.
    pub(super) fn kill(&mut self, number: Number) {
        let current = self.current.replace(number);
        let task = self.task(number);
        if !task.pending && task.requests == 0 {
            task.latest = Request::unnamed(CancelReason::Shutdown);
        }
        self.ready
            .retain(|ready| !matches!(ready, Ready::Task(queued) if *queued == number));
        self.unwind(number, 0);
        self.end(number, End::Cancelled);
        self.current = current;
    }

    pub(super) fn end_by_itself(&mut self, number: Number, completion: Completion) {
        let task = self.task(number);
        let cancelled = task.pending && !task.afterwards;
        let end = match (completion, task.owner) {
            (Completion::Failed | Completion::Panicked, Some(group)) => {
                task.failed = true;
                let panicked = completion == Completion::Panicked;
                self.fail(group, Some(number), panicked);
                End::Taken
            }
            (Completion::Panicked, None) => End::Panicked,
            (Completion::Done, _) if cancelled => {
                self.note(What::ValueDropped(number));
                End::Cancelled
            }
            (Completion::Failed, None) if cancelled => End::Cancelled,
            (Completion::Done, _) => End::Value,
            (Completion::Failed, None) => End::Failed,
        };
        self.end(number, end);
    }

    pub(super) fn end(&mut self, number: Number, end: End) {
        let task = self.task(number);
        task.end = Some(end);
        task.was_cancelled = end == End::Cancelled;
        task.panicked = matches!(end, End::Panicked | End::Taken);
        task.pending = false;
        let (detached, awaiter) = (task.detached, task.awaiter);
        let watches = std::mem::take(&mut task.watches);
        self.current = None;
        self.ready.push_back(Ready::DoneCallback(number));
        for watch in watches {
            let watch = &mut self.watches[watch];
            watch.ended.push_back(number);
            if let Some(waiting) = watch.waiting.take() {
                self.wake(waiting);
            }
        }
        if detached {
            self.drop_output(number);
        }
        if let Some(awaiter) = awaiter {
            self.wake(awaiter);
        }
    }

    /// Takes how the task ended.
    pub(super) fn receive(&mut self, number: Number) -> Outcome {
        let task = self.task(number);
        match task.end.replace(End::Received) {
            Some(End::Value) => Outcome::Value,
            Some(End::Failed) => Outcome::Failed,
            Some(End::Panicked) => Outcome::Panicked,
            Some(End::Cancelled) => Outcome::Cancelled(task.latest),
            Some(End::Taken) => Outcome::Taken,
            Some(End::Received) | None => unreachable!("a handle gives its output once"),
        }
    }

    pub(super) fn new_watch(&mut self) -> WatchNumber {
        self.watches.push(Watch::default());
        self.watches.len() - 1
    }

    pub(super) fn drop_handle(&mut self, number: Number) {
        let task = self.task(number);
        task.detached = true;
        if !task.lives() {
            self.drop_output(number);
        }
    }

    /// Nobody will receive how the task ended.
    pub(super) fn drop_output(&mut self, number: Number) {
        match self.task(number).end.replace(End::Received) {
            Some(End::Value) => self.note(What::ValueDropped(number)),
            Some(End::Panicked) => self.note(What::Reported(number)),
            _ => {}
        }
    }

    // ----- requests -----

    pub(super) fn ask(&mut self, act: Act, number: Number, request: usize) {
        let exists = self.tasks[number].is_some();
        match act {
            Act::Cancel => {
                let request = Request {
                    reason: CancelReason::User,
                    number: Some(request),
                };
                let answer = exists.then(|| self.cancel(number, request));
                self.look(What::Cancelled(number, answer));
            }
            Act::Uncancel => {
                let answer = exists.then(|| self.task(number).uncancel());
                self.look(What::Uncancelled(number, answer));
            }
        }
    }

    pub(super) fn cancel(&mut self, number: Number, request: Request) -> bool {
        let task = self.task(number);
        if !task.lives() {
            return false;
        }
        task.request(request, None);
        self.wake(number);
        true
    }

    /// A scope makes a request for the code inside of it.
    pub(super) fn send_inside(&mut self, number: Number, reason: CancelReason) -> ScopeNumber {
        self.scopes += 1;
        let scope = self.scopes;
        let request = Request::unnamed(reason);
        self.task(number).request(request, Some(scope));
        scope
    }
}

impl Task<'_> {
    pub(super) fn lives(&self) -> bool {
        self.end.is_none()
    }

    pub(super) fn request(&mut self, request: Request, scope: Option<ScopeNumber>) {
        self.requests += 1;
        self.make_pending(request, scope);
    }

    pub(super) fn make_pending(&mut self, request: Request, scope: Option<ScopeNumber>) {
        self.pending = true;
        self.afterwards = false;
        self.latest = request;
        self.scope = scope;
    }

    /// Whoever takes the request is to drop what is inside. What looked away outside of that looks again in the next turn.
    pub(super) fn take_request(&mut self) -> Cancellation {
        self.woken |= std::mem::take(&mut self.looked_away);
        self.pending = false;
        self.afterwards = false;
        Cancellation {
            request: self.latest,
            scope: self.scope,
            hold: self.hold.take(),
        }
    }

    /// The request of this scope has come to where the scope is.
    pub(super) fn has_come_back(&self, scope: Option<ScopeNumber>) -> bool {
        self.pending && scope.is_some() && self.scope == scope
    }

    /// A scope is left: the request that it made, if it did, is over.
    pub(super) fn withdraw(&mut self, scope: Option<ScopeNumber>) {
        if self.has_come_back(scope) {
            self.take_request();
        }
        if scope.is_some() {
            self.uncancel();
        }
    }

    /// The last one withdrawn is not delivered any more.
    pub(super) fn uncancel(&mut self) -> u32 {
        self.requests = self.requests.saturating_sub(1);
        if self.requests == 0 && self.pending {
            self.take_request();
        }
        self.requests
    }
}
