//! The rules of docs/cancellation.md as a machine of its own: no futures and no wakers, but stacks of frames, a clock and
//! a queue.
//!
//! A task is a stack of frames, the innermost last. A turn runs the innermost frame until it waits. Then every scope
//! around it is asked, from the inside out, whether it takes the request that is pending; what nobody takes, the task
//! takes. First in, first out; time passes only when nothing is ready.

use std::collections::{BTreeMap, VecDeque};

use asyncio::CancelReason;

use super::program::{Act, Block, Child, HandleEnd, Op, Program, Then, Whom};
use super::trace::{Event, Outcome, Request, What};

/// Runs the program to its end and returns what happens.
pub(crate) fn run(program: &Program) -> Vec<Event> {
    let mut machine = Machine::new(program);
    machine.start();
    machine.run();
    machine.events
}

/// A task's number.
type Number = usize;

/// The whole world of one program.
struct Machine<'p> {
    program: &'p Program,
    now: u64,
    /// What waits for its turn.
    ready: VecDeque<Ready>,
    /// By deadline, and by the order in which they were set.
    timers: BTreeMap<TimerKey, Due>,
    timers_set: u64,
    /// None before they are spawned.
    tasks: Vec<Option<Task<'p>>>,
    /// The task whose turn it is.
    current: Option<Number>,
    events: Vec<Event>,
}

type TimerKey = (u64, u64);

enum Ready {
    Task(Number),
    DoneCallback(Number),
    Outside(usize),
}

enum Due {
    /// One of the program's outside events.
    Outside(usize),
    Wake(Number),
}

struct Task<'p> {
    child: &'p Child,
    frames: Vec<Frame<'p>>,
    started: bool,
    /// In the queue, or to be put there after the turn that it has now.
    woken: bool,
    /// Requests made less requests withdrawn.
    requests: u32,
    /// A request waits to be delivered.
    pending: bool,
    /// The latest request.
    latest: Request,
    end: Option<End>,
    was_cancelled: bool,
    /// Nobody has the handle any more.
    detached: bool,
    awaiter: Option<Number>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Value,
    Failed,
    Panicked,
    Cancelled,
    /// Somebody has received it.
    Received,
}

/// What a frame leaves to the one below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completion {
    Done,
    Failed,
    Panicked,
}

/// One level of a task's code.
enum Frame<'p> {
    /// The next operation is the one with this index.
    Block(&'p Block, usize),
    /// The timer is set when the frame is run first.
    Sleep(u64, Option<TimerKey>),
    Yield {
        yielded: bool,
    },
    Raise(Request),
    /// The body is running.
    Catch(&'p Block, Then),
    /// The handler is running.
    Handling(Request, Then),
    /// The body is running.
    Finally(&'p Block),
    /// The cleanup is running; this comes after it.
    Cleaning(Result<Completion, Request>),
    Timeout(Timeout),
    /// Owns a task's handle, and a block runs meanwhile.
    Meanwhile(Handle, HandleEnd),
    /// The handle is awaited, in a scope.
    Insisting(Handle),
    /// The handle is awaited.
    Joining(Handle),
    /// What awaits the handle of the frame below.
    Join,
}

struct Timeout {
    limit: u64,
    timer: Option<TimerKey>,
    requests_at_entry: u32,
    /// It has expired, and a request is under way inside.
    sent: bool,
}

/// What somebody has of a task.
struct Handle {
    child: Number,
    /// A request that was handed on to the task.
    handed_on: Option<Request>,
    /// The task ended by that, and it was raised in the one who awaits.
    raised: bool,
}

/// What became of running the innermost frame.
enum Step {
    Moved,
    Waits,
    /// There is no frame any more.
    Ended(Completion),
}

impl<'p> Machine<'p> {
    fn new(program: &'p Program) -> Machine<'p> {
        Machine {
            program,
            now: 0,
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            timers_set: 0,
            tasks: (0..program.tasks).map(|_| None).collect(),
            current: None,
            events: Vec::new(),
        }
    }

    fn start(&mut self) {
        for (index, event) in self.program.events.iter().enumerate() {
            if event.at > 0 {
                self.set_timer(event.at, Due::Outside(index));
            }
        }
        let root = self.spawn(&self.program.root);
        self.drop_handle(root.child);
        for (index, event) in self.program.events.iter().enumerate() {
            if event.at == 0 {
                self.happen(index);
            }
        }
    }

    fn run(&mut self) {
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

    fn done_callback(&mut self, number: Number) {
        let cancelled = self.task(number).was_cancelled;
        self.note(What::Ended {
            task: number,
            cancelled,
        });
    }

    fn happen(&mut self, index: usize) {
        let event = &self.program.events[index];
        self.ask(event.act, event.task, event.request);
    }

    fn task(&mut self, number: Number) -> &mut Task<'p> {
        self.tasks[number]
            .as_mut()
            .expect("a task that was spawned")
    }

    // ----- what is written down -----

    fn note(&mut self, what: What) {
        self.write(what, None);
    }

    /// The same by running code, which looks at its count.
    fn look(&mut self, what: What) {
        let requests = self.current.map(|current| self.task(current).requests);
        self.write(what, requests);
    }

    fn write(&mut self, what: What, cancelling: Option<u32>) {
        self.events.push(Event {
            at: self.now,
            task: self.current,
            what,
            cancelling,
        });
    }

    // ----- time -----

    /// Goes to the next deadline, and makes ready what is due then.
    fn pass_time(&mut self) {
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

    fn set_timer(&mut self, after: u64, due: Due) -> TimerKey {
        self.timers_set += 1;
        let key = (self.now + after, self.timers_set);
        self.timers.insert(key, due);
        key
    }

    /// Looks at a timer, which is set when it is looked at first.
    fn has_passed(&mut self, number: Number, timer: &mut Option<TimerKey>, after: u64) -> bool {
        match *timer {
            Some(key) => !self.timers.contains_key(&key),
            None if after == 0 => true,
            None => {
                *timer = Some(self.set_timer(after, Due::Wake(number)));
                false
            }
        }
    }

    fn forget_timer(&mut self, timer: Option<TimerKey>) {
        timer.map(|key| self.timers.remove(&key));
    }

    // ----- tasks -----

    fn spawn(&mut self, child: &'p Child) -> Handle {
        self.tasks[child.task] = Some(Task {
            child,
            frames: Vec::new(),
            started: false,
            woken: true,
            requests: 0,
            pending: false,
            latest: Request::unnamed(CancelReason::User),
            end: None,
            was_cancelled: false,
            detached: false,
            awaiter: None,
        });
        self.ready.push_back(Ready::Task(child.task));
        Handle {
            child: child.task,
            handed_on: None,
            raised: false,
        }
    }

    /// Puts a task into the queue, once; the one whose turn it is comes back after its turn.
    fn wake(&mut self, number: Number) {
        let has_turn = self.current == Some(number);
        let task = self.task(number);
        if task.lives() && !task.woken {
            task.woken = true;
            if !has_turn {
                self.ready.push_back(Ready::Task(number));
            }
        }
    }

    fn turn_of(&mut self, number: Number) {
        self.current = Some(number);
        let task = self.task(number);
        task.woken = false;
        if !task.started {
            task.started = true;
            if task.pending {
                return self.end(number, End::Cancelled);
            }
            let body = &task.child.body;
            self.enter(number, body);
        }
        self.run_frames(number);
        self.current = None;
        let task = self.task(number);
        if task.lives() && task.woken {
            self.ready.push_back(Ready::Task(number));
        }
    }

    fn run_frames(&mut self, number: Number) {
        loop {
            match self.step(number) {
                Step::Moved => {}
                Step::Waits if self.ask_scopes(number) => {}
                Step::Waits => {
                    if self.task(number).pending {
                        self.unwind(number, 0);
                        self.end(number, End::Cancelled);
                    }
                    return;
                }
                Step::Ended(completion) => return self.end_by_itself(number, completion),
            }
        }
    }

    fn end_by_itself(&mut self, number: Number, completion: Completion) {
        let pending = self.task(number).pending;
        let end = match completion {
            Completion::Panicked => End::Panicked,
            Completion::Failed if !pending => End::Failed,
            Completion::Done if !pending => End::Value,
            Completion::Failed => End::Cancelled,
            Completion::Done => {
                self.note(What::ValueDropped(number));
                End::Cancelled
            }
        };
        self.end(number, end);
    }

    fn end(&mut self, number: Number, end: End) {
        let task = self.task(number);
        task.end = Some(end);
        task.was_cancelled = end == End::Cancelled;
        task.pending = false;
        let (detached, awaiter) = (task.detached, task.awaiter);
        self.current = None;
        self.ready.push_back(Ready::DoneCallback(number));
        if detached {
            self.drop_output(number);
        }
        if let Some(awaiter) = awaiter {
            self.wake(awaiter);
        }
    }

    fn drop_handle(&mut self, number: Number) {
        let task = self.task(number);
        task.detached = true;
        if !task.lives() {
            self.drop_output(number);
        }
    }

    /// Nobody will receive how the task ended.
    fn drop_output(&mut self, number: Number) {
        match self.task(number).end.replace(End::Received) {
            Some(End::Value) => self.note(What::ValueDropped(number)),
            Some(End::Panicked) => self.note(What::Reported(number)),
            _ => {}
        }
    }

    // ----- requests -----

    fn ask(&mut self, act: Act, number: Number, request: usize) {
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

    fn cancel(&mut self, number: Number, request: Request) -> bool {
        let task = self.task(number);
        if !task.lives() {
            return false;
        }
        task.request(request);
        self.wake(number);
        true
    }

    /// Makes a request pending again that was delivered before.
    fn raise(&mut self, number: Number, request: Request) {
        let task = self.task(number);
        task.pending = true;
        task.latest = request;
        self.wake(number);
    }

    // ----- frames -----

    fn push(&mut self, number: Number, frame: Frame<'p>) {
        self.task(number).frames.push(frame);
    }

    fn pop(&mut self, number: Number) -> Option<Frame<'p>> {
        self.task(number).frames.pop()
    }

    fn enter(&mut self, number: Number, block: &'p Block) {
        self.look(What::Enter(block.number));
        self.push(number, Frame::Block(block, 0));
    }

    /// Drops all frames but the outermost `left`, from the inside out.
    fn unwind(&mut self, number: Number, left: usize) {
        while self.task(number).frames.len() > left {
            match self.pop(number) {
                Some(Frame::Block(block, _)) => self.note(What::Leave(block.number)),
                Some(Frame::Sleep(_, timer) | Frame::Timeout(Timeout { timer, .. })) => {
                    self.forget_timer(timer);
                }
                Some(
                    Frame::Meanwhile(handle, _) | Frame::Insisting(handle) | Frame::Joining(handle),
                ) => self.drop_handle(handle.child),
                _ => {}
            }
        }
    }

    /// Runs the innermost frame for a bit.
    fn step(&mut self, number: Number) -> Step {
        let pending = self.task(number).pending;
        match self.pop(number).expect("a task that runs has frames") {
            Frame::Block(block, next) => match block.ops.get(next) {
                Some(op) => {
                    self.push(number, Frame::Block(block, next + 1));
                    self.begin(number, op)
                }
                None => {
                    self.note(What::Leave(block.number));
                    self.complete(number, Completion::Done)
                }
            },
            // What waits for the loop looks at the request first, and leaves its event alone.
            waiting @ (Frame::Sleep(..) | Frame::Yield { .. }) if pending => {
                self.wait_on(number, waiting)
            }
            Frame::Sleep(duration, mut timer) => {
                if self.has_passed(number, &mut timer, duration) {
                    return self.complete(number, Completion::Done);
                }
                self.wait_on(number, Frame::Sleep(duration, timer))
            }
            Frame::Yield { yielded: true } => self.complete(number, Completion::Done),
            Frame::Yield { yielded: false } => {
                self.wake(number);
                self.wait_on(number, Frame::Yield { yielded: true })
            }
            Frame::Raise(request) => {
                self.raise(number, request);
                self.wait_on(number, Frame::Raise(request))
            }
            Frame::Join => self.join(number),
            _ => unreachable!("a scope is never the innermost frame"),
        }
    }

    fn wait_on(&mut self, number: Number, frame: Frame<'p>) -> Step {
        self.push(number, frame);
        Step::Waits
    }

    fn begin(&mut self, number: Number, op: &'p Op) -> Step {
        match op {
            Op::Log(label) => self.look(What::Log(*label)),
            Op::Sleep(duration) => self.push(number, Frame::Sleep(*duration, None)),
            Op::Yield => self.push(number, Frame::Yield { yielded: false }),
            Op::Catch {
                body,
                handler,
                then,
            } => {
                self.push(number, Frame::Catch(handler, *then));
                self.enter(number, body);
            }
            Op::Finally { body, cleanup } => {
                self.push(number, Frame::Finally(cleanup));
                self.enter(number, body);
            }
            Op::Timeout { limit, body } => {
                let timeout = Timeout {
                    limit: *limit,
                    timer: None,
                    requests_at_entry: self.task(number).requests,
                    sent: false,
                };
                self.push(number, Frame::Timeout(timeout));
                self.enter(number, body);
            }
            Op::Spawn {
                child,
                meanwhile,
                end,
            } => {
                let handle = self.spawn(child);
                self.push(number, Frame::Meanwhile(handle, *end));
                self.enter(number, meanwhile);
            }
            Op::Ask { act, whom, request } => {
                let whom = match whom {
                    Whom::Itself => number,
                    Whom::Task(task) => *task,
                };
                self.ask(*act, whom, *request);
            }
            Op::Raise => self.push(number, Frame::Raise(Request::unnamed(CancelReason::User))),
            Op::Fail => return self.complete(number, Completion::Failed),
            Op::Panic => return self.complete(number, Completion::Panicked),
        }
        Step::Moved
    }

    /// The code in the innermost frame, which is gone, has come to this end; the one below goes on.
    fn complete(&mut self, number: Number, completion: Completion) -> Step {
        let returned = completion != Completion::Panicked;
        let Some(frame) = self.pop(number) else {
            return Step::Ended(completion);
        };
        match (frame, completion) {
            (Frame::Block(block, next), Completion::Done) => {
                self.push(number, Frame::Block(block, next));
                return Step::Moved;
            }
            (Frame::Block(block, _), _) => self.note(What::Leave(block.number)),
            (Frame::Catch(..), _) if returned => self.look(What::NotCancelled),
            (Frame::Catch(..), _) => {}
            (Frame::Handling(request, Then::Raise), Completion::Done) => {
                self.push(number, Frame::Raise(request));
                return Step::Moved;
            }
            (Frame::Handling(..), _) => {}
            (Frame::Finally(cleanup), _) => {
                self.push(number, Frame::Cleaning(Ok(completion)));
                self.enter(number, cleanup);
                return Step::Moved;
            }
            // A cleanup gives nothing; only its panic counts.
            (Frame::Cleaning(Ok(completion)), _) if returned => {
                return self.complete(number, completion);
            }
            (Frame::Cleaning(Err(request)), _) if returned => {
                self.push(number, Frame::Raise(request));
                return Step::Moved;
            }
            (Frame::Cleaning(_), _) => {}
            (Frame::Timeout(timeout), _) => {
                self.forget_timer(timeout.timer);
                if timeout.sent {
                    self.task(number).uncancel();
                }
                if returned {
                    self.look(What::InTime);
                }
            }
            (Frame::Meanwhile(handle, end), Completion::Done) => {
                return self.await_handle(number, handle, end);
            }
            (Frame::Meanwhile(handle, _), _) => self.drop_handle(handle.child),
            // The handle has given everything.
            (Frame::Insisting(_) | Frame::Joining(_), _) => {}
            _ => unreachable!("no code runs above a frame that waits"),
        }
        self.complete(number, completion)
    }

    fn await_handle(&mut self, number: Number, handle: Handle, end: HandleEnd) -> Step {
        match end {
            HandleEnd::Join => self.push(number, Frame::Joining(handle)),
            HandleEnd::Insist => self.push(number, Frame::Insisting(handle)),
            HandleEnd::Detach => {
                self.drop_handle(handle.child);
                return self.complete(number, Completion::Done);
            }
        }
        self.push(number, Frame::Join);
        Step::Moved
    }

    fn join(&mut self, number: Number) -> Step {
        match self.join_handle(number) {
            Some(outcome) => {
                let child = self.handle_below(number).child;
                let has_value = outcome == Outcome::Value;
                self.look(What::Joined(child, outcome));
                if has_value {
                    self.note(What::ValueDropped(child));
                }
                self.complete(number, Completion::Done)
            }
            None => self.wait_on(number, Frame::Join),
        }
    }

    fn handle_below(&mut self, number: Number) -> &mut Handle {
        match self.task(number).frames.last_mut() {
            Some(Frame::Insisting(handle) | Frame::Joining(handle)) => handle,
            _ => unreachable!("whoever joins has a handle"),
        }
    }

    /// What awaiting the task gives; none if that has to wait.
    fn join_handle(&mut self, number: Number) -> Option<Outcome> {
        let pending = self.task(number).pending;
        let child = self.handle_below(number).child;
        if self.task(child).lives() {
            if pending {
                self.hand_on(number, child);
            }
            self.task(child).awaiter = Some(number);
            return None;
        }
        if pending {
            return None;
        }
        let latest = self.task(child).latest;
        if std::mem::take(&mut self.handle_below(number).raised) {
            return Some(Outcome::Cancelled(latest));
        }
        let handed_on = self.handle_below(number).handed_on.take();
        match self.task(child).end.replace(End::Received) {
            Some(End::Value) => Some(Outcome::Value),
            Some(End::Failed) => Some(Outcome::Failed),
            Some(End::Panicked) => Some(Outcome::Panicked),
            Some(End::Cancelled) => match handed_on {
                None => Some(Outcome::Cancelled(latest)),
                Some(request) => {
                    self.handle_below(number).raised = true;
                    self.raise(number, request);
                    None
                }
            },
            Some(End::Received) | None => unreachable!("a handle gives its output once"),
        }
    }

    /// Instead of the one who awaits it, the awaited task is asked.
    fn hand_on(&mut self, number: Number, child: Number) {
        let task = self.task(number);
        task.pending = false;
        let request = task.latest;
        self.handle_below(number).handed_on = Some(request);
        let from_parent = Request {
            reason: CancelReason::Parent,
            ..request
        };
        self.cancel(child, from_parent);
    }

    // ----- delivery -----

    /// The innermost frame waits: asks the scopes around it. Returns `true` if one of them has something to do.
    fn ask_scopes(&mut self, number: Number) -> bool {
        let depth = self.task(number).frames.len();
        (0..depth).rev().any(|place| self.ask_scope(number, place))
    }

    fn ask_scope(&mut self, number: Number, place: usize) -> bool {
        let task = self.task(number);
        let pending = task.pending;
        match &mut task.frames[place] {
            Frame::Catch(..) | Frame::Finally(_) | Frame::Insisting(_) if pending => {
                self.deliver(number, place);
                return true;
            }
            Frame::Timeout(timeout) if timeout.sent && pending => {
                timeout.sent = false;
                let at_entry = timeout.requests_at_entry;
                // If more are left than there were before, somebody else asked as well, and it is theirs.
                if task.uncancel() <= at_entry {
                    self.time_out(number, place);
                    return true;
                }
            }
            Frame::Timeout(timeout) if !timeout.sent && !pending => {
                let (mut timer, limit) = (timeout.timer, timeout.limit);
                let passed = self.has_passed(number, &mut timer, limit);
                if let Frame::Timeout(timeout) = &mut self.task(number).frames[place] {
                    timeout.timer = timer;
                    timeout.sent = passed;
                }
                if passed {
                    self.expire(number);
                    return true;
                }
            }
            _ => {}
        }
        false
    }

    /// A scope takes the request: what is inside is dropped, and its own code goes on.
    fn deliver(&mut self, number: Number, place: usize) {
        let task = self.task(number);
        task.pending = false;
        let request = task.latest;
        self.unwind(number, place + 1);
        match self.pop(number) {
            Some(Frame::Catch(handler, then)) => {
                self.look(What::Caught(request));
                self.push(number, Frame::Handling(request, then));
                self.enter(number, handler);
            }
            Some(Frame::Finally(cleanup)) => {
                self.push(number, Frame::Cleaning(Err(request)));
                self.enter(number, cleanup);
            }
            Some(Frame::Insisting(handle)) => {
                self.look(What::Caught(request));
                self.push(number, Frame::Joining(handle));
                self.push(number, Frame::Join);
            }
            _ => unreachable!("only these catch"),
        }
    }

    /// A timeout's time is over: it makes a request for the code inside, which goes on at once.
    fn expire(&mut self, number: Number) {
        let expiry = Request::unnamed(CancelReason::Deadline);
        self.task(number).request(expiry);
    }

    /// A timeout's request came back out to it.
    fn time_out(&mut self, number: Number, place: usize) {
        self.task(number).pending = false;
        self.unwind(number, place);
        self.look(What::TimedOut);
    }
}

impl Task<'_> {
    fn lives(&self) -> bool {
        self.end.is_none()
    }

    fn request(&mut self, request: Request) {
        self.requests += 1;
        self.pending = true;
        self.latest = request;
    }

    /// The last one withdrawn is not delivered any more.
    fn uncancel(&mut self) -> u32 {
        self.requests = self.requests.saturating_sub(1);
        self.pending &= self.requests > 0;
        self.requests
    }
}
