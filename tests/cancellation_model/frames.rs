//! The frames of the model: what code in each of them does, how it ends, and which request it takes.

use asyncio::CancelReason;

use super::groups::{Gathering, GroupBody, GroupEnd};
use super::moving::MovingNumber;
use super::program::{Block, HandleEnd, Op, Owner, Then, Whom};
use super::reference::{Machine, Number, ScopeNumber, TimerKey};
use super::requests::{Cancellation, Raising};
use super::trace::{Outcome, Request, What};
use super::waits::{Completing, Waiting};

/// What a frame leaves to the one below it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    Done,
    Failed,
    Panicked,
}

/// One level of a task's code.
pub(super) enum Frame<'p> {
    /// The next operation is the one with this index.
    Block(&'p Block, usize),
    /// The timer is set when the frame is run first.
    Sleep(u64, Option<TimerKey>),
    Yield {
        yielded: bool,
    },
    Raise(Raising),
    /// The body is running.
    Catch(&'p Block, Then),
    /// The handler is running.
    Handling(Cancellation, Then),
    /// The body is running.
    Finally(&'p Block),
    /// The cleanup is running; this comes after it.
    Cleaning(Result<Completion, Cancellation>),
    Timeout(Timeout),
    /// Owns a task's handle, and a block runs meanwhile.
    Meanwhile(Handle, HandleEnd),
    /// The handle is awaited, in a scope.
    Insisting(Handle),
    /// The handle is awaited, perhaps after something was caught, which whoever raised it still waits for.
    Joining {
        handle: Handle,
        _caught: Option<Cancellation>,
    },
    /// What awaits the handle of the frame below.
    Join,
    /// A task is awaited that requests do not reach.
    Shielding(Number),
    /// Two branches, run by turns.
    Both([Branch<'p>; 2]),
    Gathering(Gathering),
    Waiting(Waiting),
    Completing(Completing),
    GroupBody(GroupBody),
    GroupEnd(GroupEnd),
}

/// One branch of a task's code.
pub(super) struct Branch<'p> {
    /// What it begins with, until then.
    block: Option<&'p Block>,
    frames: Vec<Frame<'p>>,
    end: Option<Completion>,
}

pub(super) struct Timeout {
    pub(super) limit: u64,
    pub(super) timer: Option<TimerKey>,
    /// It has expired, and a request is under way inside.
    pub(super) sent: Option<ScopeNumber>,
    /// It has no limit, but a deadline that can be moved.
    pub(super) moving: Option<MovingNumber>,
}

/// What somebody has of a task.
pub(super) struct Handle {
    pub(super) child: Number,
    /// A request that was handed on to the task.
    pub(super) handed_on: Option<Cancellation>,
    /// The task ended by that, and it was raised in the one who awaits.
    pub(super) raised: Option<Raising>,
}

/// What became of running the innermost frame.
pub(super) enum Step {
    Moved,
    Waits,
    /// There is no frame any more.
    Ended(Completion),
}

impl<'p> Machine<'p> {
    pub(super) fn push(&mut self, number: Number, frame: Frame<'p>) {
        self.task(number).frames.push(frame);
    }

    pub(super) fn pop(&mut self, number: Number) -> Option<Frame<'p>> {
        self.task(number).frames.pop()
    }

    pub(super) fn enter(&mut self, number: Number, block: &'p Block) {
        self.look(What::Enter(block.number));
        self.push(number, Frame::Block(block, 0));
    }

    /// Drops all frames but the outermost `left`, from the inside out.
    pub(super) fn unwind(&mut self, number: Number, left: usize) {
        while self.task(number).frames.len() > left {
            match self.pop(number) {
                Some(Frame::Block(block, _)) => self.note(What::Leave(block.number)),
                Some(Frame::Sleep(_, timer)) => self.forget_timer(timer),
                Some(Frame::Timeout(timeout)) => self.leave_timeout(number, &timeout),
                Some(
                    Frame::Meanwhile(handle, _)
                    | Frame::Insisting(handle)
                    | Frame::Joining { handle, .. },
                ) => self.drop_handle(handle.child),
                Some(Frame::Both(branches)) => self.drop_branches(number, branches),
                Some(Frame::Shielding(child)) => self.drop_handle(child),
                Some(Frame::Waiting(waiting)) => self.drop_waiting(waiting),
                Some(Frame::Completing(completing)) => self.drop_completing(completing),
                Some(Frame::Gathering(gathering)) => self.drop_members(gathering.members),
                Some(Frame::GroupBody(body)) => self.drop_group_body(number, &body),
                Some(Frame::GroupEnd(end)) => self.drop_group(end.group),
                _ => {}
            }
        }
    }

    /// Runs the innermost frame for a bit.
    pub(super) fn step(&mut self, number: Number) -> Step {
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
                self.task(number).looked_away = true;
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
            Frame::Raise(mut raising) => {
                self.raise(number, &mut raising);
                self.wait_on(number, Frame::Raise(raising))
            }
            Frame::Both(branches) => self.run_both(number, branches),
            Frame::Join => self.join(number),
            Frame::Shielding(child) => self.shield(number, child),
            Frame::Gathering(gathering) => self.gather(number, gathering),
            Frame::Waiting(waiting) => self.wait_for(number, waiting),
            Frame::Completing(completing) => self.complete_next(number, completing),
            Frame::GroupEnd(end) => self.end_group(number, end),
            _ => unreachable!("a scope is never the innermost frame"),
        }
    }

    pub(super) fn wait_on(&mut self, number: Number, frame: Frame<'p>) -> Step {
        self.push(number, frame);
        Step::Waits
    }

    pub(super) fn begin(&mut self, number: Number, op: &'p Op) -> Step {
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
                    sent: None,
                    moving: None,
                };
                self.push(number, Frame::Timeout(timeout));
                self.enter(number, body);
            }
            Op::Moving { limit, body } => {
                let timeout = self.begin_moving(number, *limit);
                self.push(number, Frame::Timeout(timeout));
                self.enter(number, body);
            }
            Op::Reschedule(after) => self.reschedule(number, *after),
            Op::Wait {
                children,
                until,
                limit,
            } => self.begin_wait(number, children, *until, *limit),
            Op::AsCompleted(children) => self.begin_completing(number, children),
            Op::Spawn {
                owner,
                child,
                meanwhile,
                end,
            } => {
                let place = self.place(number);
                let limited = self.limited(number);
                let handle = self.spawn(child, place, limited);
                if let (Owner::Group, Some(group)) = (owner, place) {
                    self.adopt(group, child.task);
                }
                self.push(number, Frame::Meanwhile(handle, *end));
                self.enter(number, meanwhile);
            }
            Op::Both { left, right } => {
                let branch = |block| Branch {
                    block: Some(block),
                    frames: Vec::new(),
                    end: None,
                };
                self.push(number, Frame::Both([branch(left), branch(right)]));
            }
            Op::Gather { children, settled } => self.begin_gather(number, children, *settled),
            Op::Group { body } => {
                let group = self.begin_group(number);
                self.push(number, Frame::GroupBody(group));
                self.enter(number, body);
            }
            Op::StopGroup => {
                if let Some(group) = self.place(number) {
                    self.stop(group);
                }
            }
            Op::Ask { act, whom, request } => {
                let whom = match whom {
                    Whom::Itself => number,
                    Whom::Task(task) => *task,
                };
                self.ask(*act, whom, *request);
            }
            Op::Raise => {
                let foreign = Request::unnamed(CancelReason::User);
                let foreign = Cancellation::from_outside(foreign);
                self.push(number, Frame::Raise(Raising::new(foreign)));
            }
            Op::Fail => return self.complete(number, Completion::Failed),
            Op::Panic => return self.complete(number, Completion::Panicked),
        }
        Step::Moved
    }

    /// The code in the innermost frame, which is gone, has come to this end; the one below goes on.
    pub(super) fn complete(&mut self, number: Number, completion: Completion) -> Step {
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
                self.push(number, Frame::Raise(Raising::new(request)));
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
                self.push(number, Frame::Raise(Raising::new(request)));
                return Step::Moved;
            }
            (Frame::Cleaning(_), _) => {}
            (Frame::Timeout(timeout), _) => {
                self.leave_timeout(number, &timeout);
                if returned {
                    self.look(What::InTime);
                }
            }
            (Frame::Meanwhile(handle, end), Completion::Done) => {
                return self.await_handle(number, handle, end);
            }
            (Frame::Meanwhile(handle, _), _) => self.drop_handle(handle.child),
            (Frame::GroupBody(body), _) => {
                self.leave_body(number, body, completion);
                return Step::Moved;
            }
            // The handle has given everything.
            (Frame::Insisting(_) | Frame::Joining { .. }, _) => {}
            _ => unreachable!("no code runs above a frame that waits"),
        }
        self.complete(number, completion)
    }

    pub(super) fn await_handle(&mut self, number: Number, handle: Handle, end: HandleEnd) -> Step {
        match end {
            HandleEnd::Join => self.push(
                number,
                Frame::Joining {
                    handle,
                    _caught: None,
                },
            ),
            HandleEnd::Insist => self.push(number, Frame::Insisting(handle)),
            HandleEnd::Shield => {
                self.push(number, Frame::Shielding(handle.child));
                return Step::Moved;
            }
            HandleEnd::Detach => {
                self.drop_handle(handle.child);
                return self.complete(number, Completion::Done);
            }
        }
        self.push(number, Frame::Join);
        Step::Moved
    }

    pub(super) fn join(&mut self, number: Number) -> Step {
        match self.join_handle(number) {
            Some(outcome) => {
                let child = self.handle_below(number).child;
                self.joined(number, child, outcome)
            }
            None => self.wait_on(number, Frame::Join),
        }
    }

    /// Runs both branches, the left one first, until both have ended. A panic of one ends the other.
    fn run_both(&mut self, number: Number, mut branches: [Branch<'p>; 2]) -> Step {
        for branch in &mut branches {
            if branch.end.is_none() {
                branch.end = self.inside(number, &mut branch.frames, |this| {
                    if let Some(block) = branch.block.take() {
                        this.enter(number, block);
                    }
                    this.run_branch(number)
                });
            }
            if branch.end == Some(Completion::Panicked) {
                self.drop_branches(number, branches);
                return self.complete(number, Completion::Panicked);
            }
        }
        match [branches[0].end, branches[1].end] {
            [Some(left), Some(right)] => {
                let failed = [left, right].contains(&Completion::Failed);
                let both = if failed {
                    Completion::Failed
                } else {
                    Completion::Done
                };
                self.complete(number, both)
            }
            _ => self.wait_on(number, Frame::Both(branches)),
        }
    }

    fn drop_branches(&mut self, number: Number, mut branches: [Branch<'p>; 2]) {
        for branch in &mut branches {
            self.inside(number, &mut branch.frames, |this| this.unwind(number, 0));
        }
    }

    /// Does something with a branch's frames as the task's.
    fn inside<R>(
        &mut self,
        number: Number,
        frames: &mut Vec<Frame<'p>>,
        act: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let task = self.task(number);
        let around = std::mem::replace(&mut task.frames, std::mem::take(frames));
        task.around.push(around);
        let result = act(self);
        let task = self.task(number);
        let around = task.around.pop().expect("pushed above");
        *frames = std::mem::replace(&mut task.frames, around);
        result
    }

    /// The request stays where it is, for a scope around the shield.
    fn shield(&mut self, number: Number, child: Number) -> Step {
        let pending = self.task(number).pending;
        let ended = !self.task(child).lives();
        if !pending && ended {
            let outcome = self.receive(child);
            return self.joined(number, child, outcome);
        }
        if pending {
            self.task(number).looked_away = true;
        } else {
            self.task(child).awaiter = Some(number);
        }
        self.wait_on(number, Frame::Shielding(child))
    }

    fn joined(&mut self, number: Number, child: Number, outcome: Outcome) -> Step {
        let has_value = outcome == Outcome::Value;
        self.look(What::Joined(child, outcome));
        if has_value {
            self.note(What::ValueDropped(child));
        }
        self.complete(number, Completion::Done)
    }

    pub(super) fn handle_below(&mut self, number: Number) -> &mut Handle {
        match self.task(number).frames.last_mut() {
            Some(Frame::Insisting(handle) | Frame::Joining { handle, .. }) => handle,
            _ => unreachable!("whoever joins has a handle"),
        }
    }

    /// What awaiting the task gives; none if that has to wait.
    pub(super) fn join_handle(&mut self, number: Number) -> Option<Outcome> {
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
            self.task(number).looked_away = true;
            return None;
        }
        let latest = self.task(child).latest;
        if self.handle_below(number).raised.take().is_some() {
            return Some(Outcome::Cancelled(latest));
        }
        let handed_on = self.handle_below(number).handed_on.take();
        match (self.receive(child), handed_on) {
            (Outcome::Cancelled(_), Some(cancellation)) => {
                let mut raising = Raising::new(cancellation);
                self.raise(number, &mut raising);
                self.handle_below(number).raised = Some(raising);
                None
            }
            (outcome, _) => Some(outcome),
        }
    }

    /// Instead of the one who awaits it, the awaited task is asked.
    pub(super) fn hand_on(&mut self, number: Number, child: Number) {
        let cancellation = self.task(number).take_request();
        let request = cancellation.request.handed_on();
        self.handle_below(number).handed_on = Some(cancellation);
        self.cancel(child, request);
    }

    // ----- delivery -----

    /// The innermost frame waits: asks the scopes around it. Returns `true` if one of them has something to do.
    pub(super) fn ask_scopes(&mut self, number: Number) -> bool {
        let depth = self.task(number).frames.len();
        (0..depth).rev().any(|place| self.ask_scope(number, place))
    }

    pub(super) fn ask_scope(&mut self, number: Number, place: usize) -> bool {
        let task = self.task(number);
        let pending = task.pending;
        match &mut task.frames[place] {
            Frame::Catch(..) | Frame::Finally(_) | Frame::Insisting(_) if pending => {
                self.deliver(number, place);
                return true;
            }
            Frame::GroupBody(_) => return self.ask_group(number, place),
            Frame::Timeout(timeout) => {
                let (sent, mut timer, limit) = (timeout.sent, timeout.timer, timeout.limit);
                let moving = timeout.moving;
                if task.has_come_back(sent) {
                    self.time_out(number, place);
                    return true;
                }
                // A request from outside comes first.
                task.looked_away |= sent.is_none() && pending;
                if sent.is_none() && !pending {
                    let expired = match moving {
                        None => self.has_passed(number, &mut timer, limit),
                        Some(moving) => self.has_run_out(number, moving, &mut timer),
                    };
                    let sent = expired.then(|| self.send_inside(number, CancelReason::Deadline));
                    if let Frame::Timeout(timeout) = &mut self.task(number).frames[place] {
                        (timeout.timer, timeout.sent) = (timer, sent);
                    }
                    return expired;
                }
            }
            _ => {}
        }
        false
    }

    /// A scope takes the request: what is inside is dropped, and its own code goes on.
    pub(super) fn deliver(&mut self, number: Number, place: usize) {
        let cancellation = self.task(number).take_request();
        self.unwind(number, place + 1);
        match self.pop(number) {
            Some(Frame::Catch(handler, then)) => {
                self.look(What::Caught(cancellation.request));
                self.push(number, Frame::Handling(cancellation, then));
                self.enter(number, handler);
            }
            Some(Frame::Finally(cleanup)) => {
                self.push(number, Frame::Cleaning(Err(cancellation)));
                self.enter(number, cleanup);
            }
            Some(Frame::Insisting(handle)) => {
                self.look(What::Caught(cancellation.request));
                self.push(
                    number,
                    Frame::Joining {
                        handle,
                        _caught: Some(cancellation),
                    },
                );
                self.push(number, Frame::Join);
            }
            _ => unreachable!("only these catch"),
        }
    }

    /// A timeout's request came back out to it.
    pub(super) fn time_out(&mut self, number: Number, place: usize) {
        if let Frame::Timeout(timeout) = &mut self.task(number).frames[place] {
            let sent = timeout.sent.take();
            self.task(number).withdraw(sent);
        }
        self.unwind(number, place);
        self.look(What::TimedOut);
    }

    pub(super) fn leave_timeout(&mut self, number: Number, timeout: &Timeout) {
        if let Some(moving) = timeout.moving {
            self.leave_moving(moving);
        }
        self.forget_timer(timeout.timer);
        self.task(number).withdraw(timeout.sent);
    }
}
