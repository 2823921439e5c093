//! The part of the model for tasks that are waited for without being cancelled: `wait` and `as_completed`.

use asyncio::ReturnWhen;

use super::frames::{Completion, Frame, Step};
use super::program::Child;
use super::reference::{Machine, Number, TimerKey, WatchNumber};
use super::trace::{Outcome, What};

/// Waits for the ends of tasks, and has their handles.
pub(super) struct Waiting {
    watch: WatchNumber,
    tasks: Vec<Number>,
    /// Tasks whose end was not seen yet.
    left: usize,
    until: ReturnWhen,
    limit: Option<u64>,
    timer: Option<TimerKey>,
}

/// Takes the results of tasks as they come.
pub(super) struct Completing {
    watch: WatchNumber,
    /// Those whose result was not given.
    tasks: Vec<Number>,
}

impl<'p> Machine<'p> {
    pub(super) fn spawn_all(&mut self, number: Number, children: &'p [Child]) {
        let (place, limited) = (self.place(number), self.limited(number));
        for child in children {
            self.spawn(child, place, limited);
        }
    }

    fn watch_all(&mut self, number: Number, children: &'p [Child]) -> (WatchNumber, Vec<Number>) {
        let watch = self.new_watch();
        self.spawn_all(number, children);
        let tasks: Vec<_> = children.iter().map(|child| child.task).collect();
        for task in &tasks {
            self.task(*task).watches.push(watch);
        }
        (watch, tasks)
    }

    pub(super) fn begin_wait(
        &mut self,
        number: Number,
        children: &'p [Child],
        until: ReturnWhen,
        limit: Option<u64>,
    ) {
        let (watch, tasks) = self.watch_all(number, children);
        let waiting = Waiting {
            watch,
            left: tasks.len(),
            tasks,
            until,
            limit,
            timer: None,
        };
        self.push(number, Frame::Waiting(waiting));
    }

    pub(super) fn wait_for(&mut self, number: Number, mut waiting: Waiting) -> Step {
        if self.task(number).pending {
            self.task(number).looked_away = true;
            return self.wait_on(number, Frame::Waiting(waiting));
        }
        if !self.take_ends(&mut waiting) {
            self.watches[waiting.watch].waiting = Some(number);
            let limit = waiting.limit;
            if !limit.is_some_and(|limit| self.has_passed(number, &mut waiting.timer, limit)) {
                return self.wait_on(number, Frame::Waiting(waiting));
            }
        }
        let ended = waiting.tasks.iter().copied();
        let ended = ended.filter(|task| !self.task(*task).lives()).collect();
        self.look(What::Waited(ended));
        self.drop_waiting(waiting);
        self.complete(number, Completion::Done)
    }

    /// Returns `true` if what has ended is what is waited for.
    fn take_ends(&mut self, waiting: &mut Waiting) -> bool {
        let mut over = waiting.left == 0;
        while !over {
            let Some(ended) = self.watches[waiting.watch].ended.pop_front() else {
                return false;
            };
            waiting.left -= 1;
            over = waiting.left == 0
                || match waiting.until {
                    ReturnWhen::FirstCompleted => true,
                    ReturnWhen::FirstException => self.has_panicked(ended),
                    ReturnWhen::AllCompleted => false,
                };
        }
        true
    }

    pub(super) fn drop_waiting(&mut self, waiting: Waiting) {
        self.forget_timer(waiting.timer);
        for task in &waiting.tasks {
            self.task(*task).watches.retain(|it| *it != waiting.watch);
        }
        for task in waiting.tasks {
            self.drop_handle(task);
        }
    }

    pub(super) fn begin_completing(&mut self, number: Number, children: &'p [Child]) {
        let (watch, tasks) = self.watch_all(number, children);
        self.push(number, Frame::Completing(Completing { watch, tasks }));
    }

    pub(super) fn complete_next(&mut self, number: Number, mut completing: Completing) -> Step {
        if completing.tasks.is_empty() {
            return self.complete(number, Completion::Done);
        }
        if self.task(number).pending {
            self.task(number).looked_away = true;
            return self.wait_on(number, Frame::Completing(completing));
        }
        let watch = &mut self.watches[completing.watch];
        let Some(ended) = watch.ended.pop_front() else {
            watch.waiting = Some(number);
            return self.wait_on(number, Frame::Completing(completing));
        };
        completing.tasks.retain(|task| *task != ended);
        let outcome = self.receive(ended);
        let has_value = outcome == Outcome::Value;
        self.look(What::Completed(ended, outcome));
        if has_value {
            self.note(What::ValueDropped(ended));
        }
        self.push(number, Frame::Completing(completing));
        Step::Moved
    }

    pub(super) fn drop_completing(&mut self, completing: Completing) {
        for task in completing.tasks {
            self.drop_handle(task);
        }
    }
}
