//! What a shutdown says while it lasts, on stderr: whom it waits for.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::super::crew::Crew;
use super::super::report::{AbandonedCompanion, on_worker};
use super::super::workers::Worker;
use crate::event_loop::EventLoop;

/// After this, and then ever more rarely, the shutdown says whom it waits for.
const FIRST_NOTICE: Duration = Duration::from_secs(10);

/// Who is named by a notice.
#[derive(Clone, Copy)]
pub(super) enum WaitsFor {
    Tasks,
    Jobs,
    Companions,
    Workers,
}

/// When a long shutdown speaks up next.
pub(super) struct Notice {
    pub(super) due: Instant,
    interval: Duration,
}

impl Notice {
    pub(super) fn new(now: Instant) -> Notice {
        Notice {
            due: now + FIRST_NOTICE,
            interval: FIRST_NOTICE,
        }
    }

    pub(super) fn say(
        &mut self,
        event_loop: &EventLoop,
        worker: Worker,
        waits_for: WaitsFor,
        crew: Option<&Crew>,
    ) {
        let mut text = format!("The shutdown{} still waits for:\n", on_worker(worker));
        match waits_for {
            WaitsFor::Tasks => event_loop
                .all_tasks()
                .iter()
                .for_each(|task| text += &format!("  {}\n", task.info())),
            WaitsFor::Jobs => event_loop
                .core()
                .running_jobs()
                .iter()
                .for_each(|job| text += &format!("  {job}\n")),
            WaitsFor::Companions => event_loop
                .core()
                .companions()
                .iter()
                .for_each(|it| text += &format!("  {}\n", AbandonedCompanion::new(&**it))),
            WaitsFor::Workers => crew
                .into_iter()
                .flat_map(Crew::unfinished)
                .for_each(|worker| text += &format!("  {worker}\n")),
        }
        write_to_stderr(&text);
        self.interval *= 2;
        self.due += self.interval;
    }
}

/// Written as one piece; a closed stderr does not stop the shutdown.
pub(super) fn write_to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
