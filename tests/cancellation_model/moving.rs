//! The part of the model for timeouts whose deadline can be moved.

use asyncio::RescheduleError;

use super::frames::{Frame, Timeout};
use super::reference::{Machine, Number, TimerKey};
use super::trace::What;

pub(super) type MovingNumber = usize;

/// What is known of a timeout whose deadline can be moved.
pub(super) struct Moving {
    /// The task that it limits.
    task: Number,
    /// None is never.
    when: Option<u64>,
    /// What its timer was set for.
    known: Option<u64>,
    /// Why it cannot be moved any more.
    over: Option<RescheduleError>,
}

impl<'p> Machine<'p> {
    pub(super) fn begin_moving(&mut self, number: Number, limit: Option<u64>) -> Timeout {
        self.moving.push(Moving {
            task: number,
            when: self.in_a_while(limit),
            known: None,
            over: None,
        });
        Timeout {
            limit: 0,
            timer: None,
            sent: None,
            moving: Some(self.moving.len() - 1),
        }
    }

    /// The innermost one around the code that runs now.
    pub(super) fn limited(&mut self, number: Number) -> Option<MovingNumber> {
        let task = self.task(number);
        let around = task.around.iter().flatten();
        let frames = around.chain(&task.frames).collect::<Vec<_>>();
        let inner = frames.into_iter().rev().find_map(|frame| match frame {
            Frame::Timeout(timeout) => timeout.moving,
            _ => None,
        });
        inner.or(task.limited)
    }

    pub(super) fn reschedule(&mut self, number: Number, after: Option<u64>) {
        let Some(moving) = self.limited(number) else {
            return;
        };
        let when = self.in_a_while(after);
        let moving = &mut self.moving[moving];
        let answer = match moving.over {
            Some(error) => Err(error),
            None => {
                moving.when = when;
                Ok(())
            }
        };
        let task = moving.task;
        // Its own task is running, and looks at it before it waits.
        if answer.is_ok() && task != number {
            self.wake(task);
        }
        self.look(What::Rescheduled(answer));
    }

    /// The code inside waits: looks at the deadline, which may have been moved.
    pub(super) fn has_run_out(
        &mut self,
        number: Number,
        moving: MovingNumber,
        timer: &mut Option<TimerKey>,
    ) -> bool {
        let Moving { when, known, .. } = self.moving[moving];
        if when != known {
            self.moving[moving].known = when;
            self.forget_timer(timer.take());
        }
        let expired = when.is_some_and(|when| self.has_come(number, timer, when));
        if expired {
            self.moving[moving].over = Some(RescheduleError::Expiring);
        }
        expired
    }

    pub(super) fn leave_moving(&mut self, moving: MovingNumber) {
        let moving = &mut self.moving[moving];
        moving.over = Some(match moving.over {
            None | Some(RescheduleError::Finished) => RescheduleError::Finished,
            Some(_) => RescheduleError::Expired,
        });
    }
}
