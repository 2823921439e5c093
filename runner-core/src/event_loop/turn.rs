//! One turn of the loop.
//!
//! The order is asyncio's (`BaseEventLoop._run_once`): wait if nothing is ready, I/O, timers, then exactly the entries that
//! are ready at that point. asyncio polls once per turn even when busy; here a busy loop looks at the system only once per
//! [`LOOK_INTERVAL`] entries, which bounds the delay of an event just as well and makes a task switch cost no system call.

use std::cell::Cell;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use super::LoopCore;
use crate::context::{Identity, Snapshot};
use crate::driver::Wait;
use crate::exception::ExceptionContext;
use crate::handle::Handle;
use crate::task::observed::Interest;
use crate::task::scheduler::Ready;

/// Entries that are run at most between two looks at timers and I/O. tokio's figure; a power of two less three, so that
/// regular patterns of user code do not fall into step with it.
const LOOK_INTERVAL: u32 = 61;

impl LoopCore {
    /// Runs turns until `is_over` says so after one; waits for something to happen whenever nothing is ready.
    ///
    /// # Errors
    ///
    /// As of [`turn`](LoopCore::turn).
    #[inline]
    pub(super) fn run_turns(&self, is_over: impl Fn() -> bool) -> io::Result<()> {
        loop {
            self.turn_here(true, None)?;
            if is_over() {
                return Ok(());
            }
        }
    }

    /// Runs one turn; waits for something to happen, but not past `limit`, if nothing is ready and `may_wait`.
    ///
    /// # Errors
    ///
    /// The driver's: the loop cannot wait any more, and must end rather than spin.
    #[inline(never)]
    pub(super) fn turn(&self, may_wait: bool, limit: Option<Instant>) -> io::Result<()> {
        self.turn_here(may_wait, limit)
    }

    /// The same as a part of the caller: to save and restore its registers is a fifth of a turn with one entry.
    #[inline(always)]
    fn turn_here(&self, may_wait: bool, limit: Option<Instant>) -> io::Result<()> {
        self.receive_mail();
        self.look_around(may_wait, limit)?;
        if self.timer_due.get() {
            self.fire_timers();
        }
        self.run_batch()
    }

    /// Takes what other threads and signals left.
    #[inline(always)]
    fn receive_mail(&self) {
        if self.scheduler.has_mail() {
            self.open_mail();
        }
    }

    /// Apart from the question whether there is any, which every turn asks.
    #[inline(never)]
    fn open_mail(&self) {
        let is_interrupted = self.scheduler.inbox.take_interrupt();
        self.scheduler.collect_mail();
        if is_interrupted {
            self.attend();
        }
    }

    /// A signal asks for attention.
    #[cold]
    fn attend(&self) {
        let callback = self.on_interrupt.borrow().clone();
        if let Some(callback) = callback {
            callback();
        }
        if let Some(answer) = self.on_question.get() {
            answer();
        }
    }

    /// Looks at I/O and time: always when idle, else once in a while.
    #[inline(always)]
    fn look_around(&self, may_wait: bool, limit: Option<Instant>) -> io::Result<()> {
        let idle = self.scheduler.ready_len() == 0;
        if !idle && self.since_look.get() < LOOK_INTERVAL {
            return Ok(());
        }
        self.look_outside(idle, may_wait, limit)
    }

    #[inline(never)]
    fn look_outside(&self, idle: bool, may_wait: bool, limit: Option<Instant>) -> io::Result<()> {
        self.metrics.count_polls(self.since_look.replace(0));
        if idle && may_wait && !self.stopping.get() && !self.timer_due.get() {
            self.sleep(limit)?;
        } else {
            self.look()?;
        }
        self.note_time();
        self.fire_timers();
        Ok(())
    }

    /// Waits until something happens. An announced wait that finds mail becomes a mere look.
    fn sleep(&self, limit: Option<Instant>) -> io::Result<()> {
        let deadline = match (self.next_deadline(), limit) {
            (Some(timer), Some(limit)) => Some(timer.min(limit)),
            (timer, limit) => timer.or(limit),
        };
        let wait = deadline
            .map_or(Wait::forever(), Wait::until)
            .with_outside_work(self.outside_work());
        let wait = if self.scheduler.inbox.fall_asleep() {
            wait
        } else {
            Wait::look()
        };
        self.metrics.count_park();
        let result = if self.scheduler.observed.has(Interest::WAITS) {
            self.wait_observed(wait)
        } else {
            self.wait(wait).map(drop)
        };
        self.scheduler.inbox.wake_up();
        result?;
        self.receive_mail();
        Ok(())
    }

    fn look(&self) -> io::Result<()> {
        self.wait(Wait::look()).map(drop)
    }

    /// The number of jobs in other threads, and the like, whose end will wake the loop.
    fn outside_work(&self) -> usize {
        let executor = self.executor.borrow();
        let jobs = executor.as_ref().map_or(0, |it| it.outstanding());
        jobs + self.outside.get()
    }

    /// Returns how many events there were.
    pub(super) fn wait(&self, wait: Wait) -> io::Result<usize> {
        let mut events = self.events.borrow_mut();
        self.with_driver(|driver| driver.wait(wait, &mut events))?;
        let count = events.len();
        for readiness in events.drain() {
            self.sources.apply(readiness, &self.scheduler);
        }
        Ok(count)
    }

    /// Runs exactly what is ready now.
    #[inline(always)]
    fn run_batch(&self) -> io::Result<()> {
        let count = self.scheduler.ready_len();
        if self.shuffle.get() != 0 {
            self.scheduler
                .reorder(count, |remaining| self.random_below(remaining));
        }
        for _ in 0..count {
            let Some(entry) = self.scheduler.pop() else {
                break;
            };
            let since_look = self.since_look.get() + 1;
            self.since_look.set(since_look);
            if self.scheduler.observed.has(Interest::POLLS) {
                self.run_observed(entry);
            } else {
                self.run_entry(entry.open());
            }
            if since_look >= LOOK_INTERVAL {
                // What this finds joins the queue's end, and runs in the next turn.
                self.metrics.count_polls(self.since_look.replace(0));
                self.look()?;
                self.note_time();
                self.fire_timers();
            }
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn run_entry(&self, entry: Ready) {
        match entry {
            Ready::Task(runnable) => {
                runnable.run();
            }
            Ready::Callback(handle) => self.run_callback(&handle),
        }
    }

    /// Runs a callback in its context; a panic goes to the exception handler, in the same context, and the loop goes on.
    #[inline(never)]
    pub(super) fn run_callback(&self, handle: &Handle) {
        let Some((callback, snapshot)) = handle.take() else {
            return;
        };
        let snapshot = Cell::new(snapshot);
        let _entered = Snapshot::enter(&snapshot, Identity::UNASSIGNED);
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(callback)) {
            let context = ExceptionContext::new("Exception in callback").with_panic(payload);
            self.scheduler
                .exceptions
                .report(context.with_callback(handle.location()));
        }
    }

    /// Marsaglia's xorshift with the triple 13, 7, 17 ("Xorshift RNGs", 2003): no statistics, only variety.
    fn random_below(&self, bound: usize) -> usize {
        let mut state = self.shuffle.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.shuffle.set(state);
        (state % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::rc::Rc;

    use super::*;
    use crate::debug::dump_tasks;
    use crate::event_loop::{EventLoop, running_loop};
    use crate::yield_now;

    #[test]
    fn a_signal_that_comes_while_tasks_are_asked_is_answered_in_the_next_turn() {
        let event_loop = EventLoop::new().unwrap();
        let answered = Rc::new(Cell::new(0));
        let count = answered.clone();
        let answer = move || count.set(count.get() + 1);
        event_loop.core().set_on_interrupt(Some(Rc::new(answer)));
        let main = async {
            drop(crate::spawn(pending::<()>()));
            yield_now().await;
            // As the signal's thread does.
            running_loop().core().scheduler.inbox.interrupt();
            drop(dump_tasks());
            assert_eq!(answered.get(), 0);
            yield_now().await;
            yield_now().await;
            assert_eq!(answered.get(), 1);
        };
        event_loop.run_until_complete(main).unwrap();
    }
}
