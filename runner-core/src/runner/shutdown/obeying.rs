//! How a sibling goes through the shutdown, as the first loop orders it.

use std::time::Duration;

use super::super::crew::{Desk, Order};
use super::super::hooks::ExitHooks;
use super::super::report::ShutdownReport;
use super::super::workers::Worker;
use super::{
    CLOSE_GENERATORS, END_CHILDREN, END_COMPANIONS, END_TASKS, Hurry, Phase, STOP_EXECUTOR,
    Shutdown,
};
use crate::event_loop::EventLoop;

static END_TASKS_OF_ROUND: Phase = Phase {
    name: "end tasks",
    go_through: |it| it.end_tasks_of_round(),
};

/// Goes through the phases on a sibling's loop, and closes it.
pub(in super::super) fn obey(
    event_loop: &EventLoop,
    worker: Worker,
    desk: &Desk,
    timeout: Option<Duration>,
) -> ShutdownReport {
    let exceptions = event_loop.core().scheduler.exceptions.clone();
    let _entered = event_loop.core().enter_companions();
    exceptions.begin_shutdown();
    exceptions.set_panic_keeper(None);
    let hooks = ExitHooks::default();
    let mut shutdown = Shutdown::new(event_loop, &hooks, Hurry::OfDesk(desk), timeout);
    shutdown.worker = worker;
    shutdown.obey_orders(desk);
    let Shutdown {
        mut report,
        failure,
        ..
    } = shutdown;
    let broke = failure.or(event_loop.close().err());
    report.errors.extend(exceptions.end_shutdown());
    let broke = broke.map(|error| format!("the event loop of {worker} broke: {error}"));
    report.errors.extend(broke);
    report
}

impl Shutdown<'_> {
    /// Does what it is told, up to the order to close.
    fn obey_orders(&mut self, desk: &Desk) {
        let mut ends_tasks = false;
        let mut known = self.commotion();
        loop {
            self.idle(desk, ends_tasks);
            let order = desk.take_order();
            match order {
                Some(Order::EndTasks) => {
                    ends_tasks = true;
                    self.attempt(&END_TASKS_OF_ROUND);
                }
                Some(Order::Rest) => ends_tasks = false,
                Some(Order::NoteSurvivors) => self.note_survivors(),
                Some(Order::CloseAsyncgens) => self.attempt(&CLOSE_GENERATORS),
                Some(Order::StopExecutor) => self.attempt(&STOP_EXECUTOR),
                Some(Order::EndCompanions) => self.attempt(&END_COMPANIONS),
                Some(Order::EndChildren) => self.attempt(&END_CHILDREN),
                Some(Order::Close) => return,
                None => {
                    // Somebody spawned a task while everybody ends.
                    self.attempt(&END_TASKS);
                    continue;
                }
            }
            // The tasks of the shutdown's own phases are no commotion.
            let is_busy = order == Some(Order::EndTasks) && self.commotion() > known;
            known = self.commotion();
            desk.note_done(is_busy);
        }
    }

    /// Lets the loop run until there is an order, or a task to end. One that broke just waits.
    fn idle(&mut self, desk: &Desk, ends_tasks: bool) {
        let scheduler = self.event_loop.core().scheduler.clone();
        loop {
            self.look_at_presses();
            let (hurry, hurried) = (self.hurry, self.hurried);
            let ends_tasks = ends_tasks && self.failure.is_none() && !self.is_over();
            let has_work = || desk.has_order() || ends_tasks && scheduler.task_count() > 0;
            let waited = self
                .event_loop
                .run_while(None, || !has_work() && hurry.is_on() == hurried);
            if let Err(error) = waited {
                self.failure.get_or_insert(error);
                return desk.wait_for_order();
            }
            if has_work() {
                return;
            }
        }
    }
}
