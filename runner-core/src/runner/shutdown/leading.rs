//! How the first loop leads its siblings through the shutdown.
//!
//! It lays the order for a phase on each desk, goes through the phase itself, and waits until all are done. All loops turn
//! meanwhile: whoever waits may be waited for.

use super::super::crew::{Crew, Order};
use super::notice::WaitsFor;
use super::{Phase, Shutdown};
use crate::error::RunError;

static END_TASKS_IN_ROUNDS: Phase = Phase {
    name: "end tasks",
    go_through: |it| it.end_tasks_in_rounds(),
};
static AWAIT_SIBLINGS: Phase = Phase {
    name: "await the other workers",
    go_through: |it| it.await_siblings(),
};

impl Shutdown<'_> {
    #[inline]
    pub(super) fn order(&self, order: Order) {
        if let Some(crew) = self.crew {
            crew.order(order);
        }
    }

    /// Goes through a phase, while the siblings do what is ordered, if there are any.
    #[inline]
    pub(super) fn attempt_on_all(&mut self, order: Order, phase: &'static Phase) {
        match self.crew {
            None => self.attempt(phase),
            Some(crew) => self.lead(crew, order, phase),
        }
    }

    #[cold]
    fn lead(&mut self, crew: &Crew, order: Order, phase: &'static Phase) {
        if order == Order::EndTasks {
            self.attempt(&END_TASKS_IN_ROUNDS);
            crew.order(Order::Rest);
        } else {
            crew.order(order);
            self.attempt(phase);
        }
        self.attempt(&AWAIT_SIBLINGS);
    }

    /// The last order, and the last wait.
    #[inline]
    pub(super) fn close_siblings(&mut self) {
        if let Some(crew) = self.crew {
            crew.order(Order::Close);
            self.attempt(&AWAIT_SIBLINGS);
        }
    }

    /// Waits until the siblings have done what they were told.
    fn await_siblings(&mut self) -> Result<(), RunError> {
        match self.crew {
            None => Ok(()),
            Some(crew) => self.wait_for_siblings(|| !crew.is_done()),
        }
    }

    /// No clock may jump past what other threads do.
    fn wait_for_siblings(&mut self, busy: impl FnMut() -> bool) -> Result<(), RunError> {
        let core = self.event_loop.core().clone();
        core.outside.set(core.outside.get() + 1);
        let waited = self.wait_while(None, WaitsFor::Workers, busy);
        core.outside.set(core.outside.get() - 1);
        waited
    }

    /// Ends the tasks of all loops at once, until a round finds none on any of them: while one loop's task cleans up, it may
    /// start one on another loop.
    fn end_tasks_in_rounds(&mut self) -> Result<(), RunError> {
        let Some(crew) = self.crew else { return Ok(()) };
        let scheduler = self.event_loop.core().scheduler.clone();
        loop {
            let before = self.commotion();
            crew.order(Order::EndTasks);
            self.end_tasks_of_round()?;
            while !crew.is_done() && !self.is_over() {
                self.wait_for_siblings(|| !crew.is_done() && scheduler.task_count() == 0)?;
                self.end_tasks()?;
            }
            // They are asked in any case: what they say is about one round.
            let is_quiet = !crew.was_busy() && self.commotion() == before;
            if self.is_over() || is_quiet {
                return Ok(());
            }
        }
    }

    /// The same for this loop, which first hears what was sent to it.
    pub(super) fn end_tasks_of_round(&mut self) -> Result<(), RunError> {
        if self.event_loop.is_closed() {
            return Err(RunError::LoopClosed);
        }
        self.event_loop.call_soon(|| {});
        self.take_one_turn()?;
        self.end_tasks()
    }

    /// Grows with each task that comes, and each that is asked to stop. Not only the latter: one that ends in its first step
    /// is asked by nobody, and may have sent another one on.
    pub(super) fn commotion(&self) -> u64 {
        self.event_loop.core().scheduler.spawned() + self.asked.len() as u64
    }
}
