//! The part of the model for tasks that are awaited together: `gather` and `TaskGroup`.

use asyncio::CancelReason;

use super::frames::{Completion, Frame, Step};
use super::program::Child;
use super::reference::{GroupNumber, Machine, Number, ScopeNumber, WatchNumber};
use super::requests::{Cancellation, Raising};
use super::trace::{Failure, Outcome, Request, What};

/// Awaits several tasks.
pub(super) struct Gathering {
    watch: WatchNumber,
    pub(super) members: Vec<Member>,
    /// Every outcome is wanted.
    settled: bool,
    /// A request that the tasks were given.
    passed_on: Option<Cancellation>,
    /// The same request on its way out.
    raising: Option<Raising>,
    /// The member whose failure ends the wait.
    failed: Option<usize>,
}

pub(super) struct Member {
    task: Number,
    outcome: Option<Outcome>,
}

/// What a group knows.
pub(super) struct Group {
    /// The task that waits for the children.
    task: Number,
    phase: Phase,
    /// In the order in which they were started.
    children: Vec<Number>,
    watch: WatchNumber,
    failures: Vec<Failure>,
    /// The scope was last seen waiting for its body: it is woken when the group begins to stop.
    waits: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stopping,
    Finished,
}

/// A group's body is running.
pub(super) struct GroupBody {
    group: GroupNumber,
    /// A request is under way inside, because the group stops.
    sent: Option<ScopeNumber>,
}

/// A group waits for its children.
pub(super) struct GroupEnd {
    pub(super) group: GroupNumber,
    /// The last request from outside.
    taken: Option<Cancellation>,
    /// How the body ended, unless it was interrupted or has failed.
    body: Option<Completion>,
}

impl<'p> Machine<'p> {
    // ----- gather -----

    pub(super) fn begin_gather(&mut self, number: Number, children: &'p [Child], settled: bool) {
        let watch = self.new_watch();
        self.spawn_all(number, children);
        let member = |child: &Child| Member {
            task: child.task,
            outcome: None,
        };
        for child in children {
            self.task(child.task).watches.push(watch);
        }
        let gathering = Gathering {
            watch,
            members: children.iter().map(member).collect(),
            settled,
            passed_on: None,
            raising: None,
            failed: None,
        };
        self.push(number, Frame::Gathering(gathering));
    }

    pub(super) fn gather(&mut self, number: Number, mut gathering: Gathering) -> Step {
        self.take_outcomes(&mut gathering);
        let over = gathering.is_over();
        if self.task(number).pending && !over {
            let cancellation = self.task(number).take_request();
            let request = cancellation.request;
            gathering.passed_on = Some(cancellation);
            for member in gathering.members.iter().filter(|it| it.outcome.is_none()) {
                self.cancel(member.task, request.handed_on());
            }
        }
        if !over {
            self.watches[gathering.watch].waiting = Some(number);
            return self.wait_on(number, Frame::Gathering(gathering));
        }
        // A request that is pending goes further out, and the outcomes stay here.
        if self.task(number).pending {
            self.task(number).looked_away = true;
        } else {
            match gathering.passed_on.take() {
                None => return self.gathered(number, gathering),
                Some(cancellation) => {
                    let mut raising = Raising::new(cancellation);
                    self.raise(number, &mut raising);
                    gathering.raising = Some(raising);
                }
            }
        }
        self.wait_on(number, Frame::Gathering(gathering))
    }

    /// Keeps the outcomes that are there, in the order of the ends, up to the first failure.
    fn take_outcomes(&mut self, gathering: &mut Gathering) {
        while !gathering.is_over() {
            let Some(ended) = self.watches[gathering.watch].ended.pop_front() else {
                return;
            };
            let outcome = self.receive(ended);
            let mut members = gathering.members.iter();
            let index = members.position(|member| member.task == ended);
            let index = index.expect("only members are watched");
            gathering.members[index].outcome = Some(outcome);
            let no_value = gathering.members[index].has_no_value();
            if no_value && !gathering.settled && gathering.passed_on.is_none() {
                gathering.failed = Some(index);
            }
        }
    }

    fn gathered(&mut self, number: Number, gathering: Gathering) -> Step {
        let mut members = gathering.members;
        // All may have ended, and some cancelled, if the request was raised and a branch beside this one took it.
        let first = || members.iter().position(Member::has_no_value);
        let failed = gathering.failed.or_else(first);
        match failed.filter(|_| !gathering.settled) {
            Some(index) => {
                // The order in which the others are let go is no rule; this is the crate's.
                let failed = if gathering.failed.is_some() {
                    members.swap_remove(index)
                } else {
                    members.rotate_left(index);
                    members.remove(0)
                };
                self.drop_members(members);
                let outcome = failed.outcome.expect("it has failed");
                self.look(What::Gathered(Err(outcome)));
            }
            None => {
                let outcomes = members.iter().filter_map(|it| it.outcome.clone());
                let outcomes = outcomes.collect();
                self.look(What::Gathered(Ok(outcomes)));
                self.drop_members(members);
            }
        }
        self.complete(number, Completion::Done)
    }

    /// Drops outcomes that were kept, and the handles of the others.
    pub(super) fn drop_members(&mut self, members: Vec<Member>) {
        for member in members {
            match member.outcome {
                None => self.drop_handle(member.task),
                Some(Outcome::Value) => self.note(What::ValueDropped(member.task)),
                Some(_) => {}
            }
        }
    }

    // ----- groups -----

    /// The innermost group around the code that runs now.
    pub(super) fn place(&mut self, number: Number) -> Option<GroupNumber> {
        let task = self.task(number);
        let around = task.around.iter().flatten();
        let frames = around.chain(&task.frames).collect::<Vec<_>>();
        let inner = frames.into_iter().rev().find_map(|frame| match frame {
            Frame::GroupBody(body) => Some(body.group),
            _ => None,
        });
        inner.or(task.place)
    }

    pub(super) fn begin_group(&mut self, number: Number) -> GroupBody {
        let watch = self.new_watch();
        self.groups.push(Group {
            task: number,
            phase: Phase::Open,
            children: Vec::new(),
            watch,
            failures: Vec::new(),
            waits: false,
        });
        GroupBody {
            group: self.groups.len() - 1,
            sent: None,
        }
    }

    /// A task that was started in the group.
    pub(super) fn adopt(&mut self, group: GroupNumber, child: Number) {
        self.task(child).owner = Some(group);
        if self.groups[group].phase != Phase::Finished {
            let watch = self.groups[group].watch;
            self.groups[group].children.push(child);
            self.task(child).watches.push(watch);
        }
        if self.groups[group].phase != Phase::Open {
            self.cancel(child, Request::unnamed(CancelReason::Parent));
        }
    }

    /// Notes a failure of a child, or of the body, and stops the group.
    pub(super) fn fail(&mut self, group: GroupNumber, task: Option<Number>, panicked: bool) {
        let failure = Failure { task, panicked };
        self.groups[group].failures.push(failure);
        self.stop(group);
    }

    /// Cancels the children, once, and has the scope interrupt its body.
    pub(super) fn stop(&mut self, group: GroupNumber) {
        if self.groups[group].phase != Phase::Open {
            return;
        }
        self.groups[group].phase = Phase::Stopping;
        self.cancel_children(group, Request::unnamed(CancelReason::Parent));
        if std::mem::take(&mut self.groups[group].waits) {
            let task = self.groups[group].task;
            self.wake(task);
        }
    }

    fn cancel_children(&mut self, group: GroupNumber, request: Request) {
        for child in self.groups[group].children.clone() {
            if !self.task(child).failed {
                self.cancel(child, request);
            }
        }
    }

    /// A task's turn begins: bodies of groups that stop get a request, the outermost first.
    pub(super) fn interrupt_group_bodies(&mut self, number: Number) {
        for place in 0..self.task(number).frames.len() {
            if !self.task(number).pending {
                self.interrupt_group_body(number, place);
            }
        }
    }

    /// Returns `true` if the code inside has a request now.
    fn interrupt_group_body(&mut self, number: Number, place: usize) -> bool {
        let Some(Frame::GroupBody(body)) = self.task(number).frames.get(place) else {
            return false;
        };
        let (group, sent) = (body.group, body.sent);
        if sent.is_some() || self.groups[group].phase == Phase::Open {
            return false;
        }
        let sent = self.send_inside(number, CancelReason::Parent);
        if let Some(Frame::GroupBody(body)) = self.task(number).frames.get_mut(place) {
            body.sent = Some(sent);
        }
        true
    }

    /// The code inside of a group's body waits. Returns `true` if there is something to do.
    pub(super) fn ask_group(&mut self, number: Number, place: usize) -> bool {
        let Some(Frame::GroupBody(body)) = self.task(number).frames.get_mut(place) else {
            unreachable!("only bodies are asked");
        };
        let (group, sent) = (body.group, body.sent);
        if self.task(number).pending {
            let own = self.task(number).has_come_back(sent);
            let cancellation = self.task(number).take_request();
            self.task(number).withdraw(sent);
            self.drop_body(number, place, (!own).then_some(cancellation));
            return true;
        }
        if self.interrupt_group_body(number, place) {
            return true;
        }
        self.groups[group].waits = true;
        false
    }

    /// Drops the body, because of the group itself or of a request from outside.
    fn drop_body(&mut self, number: Number, place: usize, request: Option<Cancellation>) {
        self.unwind(number, place + 1);
        let Some(Frame::GroupBody(body)) = self.pop(number) else {
            unreachable!("only bodies are dropped");
        };
        let mut end = GroupEnd {
            group: body.group,
            taken: None,
            body: None,
        };
        if let Some(request) = request {
            self.pass_on(&mut end, request);
        }
        self.push(number, Frame::GroupEnd(end));
    }

    /// Somebody around drops the scope while the body runs.
    pub(super) fn drop_group_body(&mut self, number: Number, body: &GroupBody) {
        self.task(number).withdraw(body.sent);
        self.drop_group(body.group);
    }

    /// No child outlives the scope.
    pub(super) fn drop_group(&mut self, group: GroupNumber) {
        self.groups[group].phase = Phase::Finished;
        for child in self.groups[group].children.clone() {
            if self.task(child).lives() {
                self.kill(child);
            }
        }
    }

    /// The body has come to an end by itself.
    pub(super) fn leave_body(&mut self, number: Number, body: GroupBody, completion: Completion) {
        self.task(number).withdraw(body.sent);
        match completion {
            Completion::Done => {}
            Completion::Failed => self.fail(body.group, None, false),
            Completion::Panicked => self.stop(body.group),
        }
        let end = GroupEnd {
            group: body.group,
            taken: None,
            body: (completion != Completion::Failed).then_some(completion),
        };
        self.push(number, Frame::GroupEnd(end));
    }

    /// Hands a request from outside to the children: the first one only if they were not cancelled anyway.
    fn pass_on(&mut self, end: &mut GroupEnd, cancellation: Cancellation) {
        let group = &mut self.groups[end.group];
        if end.taken.is_some() || group.phase == Phase::Open {
            group.phase = Phase::Stopping;
            let request = cancellation.request.handed_on();
            self.cancel_children(end.group, request);
        }
        end.taken = Some(cancellation);
    }

    /// Waits until every child has ended.
    pub(super) fn end_group(&mut self, number: Number, mut end: GroupEnd) -> Step {
        let children = self.groups[end.group].children.clone();
        if !children.into_iter().any(|child| self.task(child).lives()) {
            return self.finish_group(number, end);
        }
        if self.task(number).pending {
            let request = self.task(number).take_request();
            self.pass_on(&mut end, request);
        }
        let watch = self.groups[end.group].watch;
        self.watches[watch].waiting = Some(number);
        self.wait_on(number, Frame::GroupEnd(end))
    }

    /// Errors first; a request that came with them is delivered at the next await.
    fn finish_group(&mut self, number: Number, end: GroupEnd) -> Step {
        let group = &mut self.groups[end.group];
        group.phase = Phase::Finished;
        let failures = std::mem::take(&mut group.failures);
        let panicked = end.body == Some(Completion::Panicked);
        if panicked {
            failures.iter().for_each(|_| self.note(What::GroupReported));
        }
        match end.taken {
            Some(cancellation) if panicked || !failures.is_empty() => {
                self.raise_afterwards(number, cancellation);
            }
            Some(cancellation) => {
                self.push(number, Frame::Raise(Raising::new(cancellation)));
                return Step::Moved;
            }
            None => {}
        }
        if panicked {
            return self.complete(number, Completion::Panicked);
        }
        let done = failures.is_empty() && end.body == Some(Completion::Done);
        self.look(What::Grouped(if done { Ok(()) } else { Err(failures) }));
        self.complete(number, Completion::Done)
    }
}

impl Member {
    fn has_no_value(&self) -> bool {
        !matches!(self.outcome, None | Some(Outcome::Value | Outcome::Failed))
    }
}

impl Gathering {
    fn is_over(&self) -> bool {
        let has_ended = |member: &Member| member.outcome.is_some();
        self.failed.is_some() || self.members.iter().all(has_ended)
    }
}
