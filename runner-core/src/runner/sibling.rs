//! A sibling's thread: one event loop from its making to its end, which the first loop orders.
//!
//! Between its making and the first order the loop runs whatever is sent to it, also between two runs of the runner.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::crew::{Desk, Settings};
use super::observers::Observers;
use super::program::Program;
use super::report::ShutdownReport;
use super::shutdown::obey;
use super::workers::{Worker, enter_sibling};
use crate::error::RunError;
use crate::event_loop::{EventLoop, LoopHandle, set_event_loop};
use crate::exception::ExceptionContext;
use crate::threads::Giver;

/// The thread's whole life. Says through `ready` whether there is a loop.
pub(super) fn live(desk: Arc<Desk>, settings: &Settings, ready: Giver<io::Result<LoopHandle>>) {
    let farewell = Farewell { desk };
    let desk = &farewell.desk;
    let event_loop = match make_loop(settings) {
        Ok(event_loop) => event_loop,
        Err(error) => return ready.give(Err(error)),
    };
    event_loop.set_debug(settings.debug);
    let observers = Observers::of_sibling(&event_loop, settings);
    set_panic_keeper(&event_loop, desk, settings);
    set_event_loop(event_loop.clone());
    enter_sibling(desk.mates.clone());
    ready.give(Ok(event_loop.handle()));
    let report = serve(&event_loop, desk, settings);
    set_event_loop(None);
    drop(observers);
    drop(event_loop);
    desk.note_end(report);
}

fn make_loop(settings: &Settings) -> io::Result<EventLoop> {
    let event_loop = match &settings.factory {
        None => EventLoop::new()?,
        Some(factory) => factory()?,
    };
    match event_loop.is_closed() {
        true => Err(io::Error::other("the factory gave one that is closed")),
        false => Ok(event_loop),
    }
}

/// A panic that is to stop the program is carried to the first loop.
fn set_panic_keeper(event_loop: &EventLoop, desk: &Desk, settings: &Settings) {
    if !settings.stop_on_panic {
        return;
    }
    let first = desk.first;
    let keep = move |payload| {
        let _ = first.call_soon_threadsafe(move || Program::stop_run_for(payload));
    };
    let exceptions = &event_loop.core().scheduler.exceptions;
    exceptions.set_panic_keeper(Some(Rc::new(keep)));
}

/// Runs the loop until there is an order, and then goes through the shutdown.
fn serve(event_loop: &EventLoop, desk: &Desk, settings: &Settings) -> ShutdownReport {
    let worker = Worker::new(desk.index, event_loop.handle());
    match event_loop.run_while(None, || !desk.has_order()) {
        Ok(()) => obey(event_loop, worker, desk, settings.shutdown_timeout),
        Err(error) => broken(event_loop, worker, &error),
    }
}

/// The loop cannot wait any more. It is closed at once: whoever awaits one of its tasks is told so.
fn broken(event_loop: &EventLoop, worker: Worker, error: &RunError) -> ShutdownReport {
    let text = format!("the event loop of {worker} broke, and was closed: {error}");
    event_loop.call_exception_handler(ExceptionContext::new(text.clone()));
    let _ = event_loop.close();
    let mut report = ShutdownReport::default();
    report.errors.push(text);
    report
}

/// Whatever becomes of the thread, the first loop hears of its end.
struct Farewell {
    desk: Arc<Desk>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let mut report = ShutdownReport::default();
        if std::thread::panicking() {
            let text = format!("the thread of worker {} panicked", self.desk.index);
            report.errors.push(text);
        }
        self.desk.note_end(report);
    }
}
