//! What code inside of a runner's program can reach of its runner: the request to exit, the exit hooks, the main task.
//!
//! The loop does not know its runner, so the way back goes over a list of this thread's runners, compared with the loop
//! that runs here. Other threads see only the exit requests, and of those only the ones of runners that run or close at the
//! moment: a run says so in its request, and enters itself into no list.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exit::ExitRequest;
use super::hooks::ExitHooks;
use super::workers::Worker;
use crate::error::CancelReason;
use crate::event_loop::{EventLoop, LoopCore, LoopHandle, try_running_loop};
use crate::exception::drop_quietly;
use crate::task::cell::TaskCell;

/// The part of an initialised runner that belongs to its loop's thread.
pub(super) struct Program {
    /// Tells the loop.
    handle: LoopHandle,
    core: Weak<LoopCore>,
    pub(super) exit: Arc<ExitRequest>,
    pub(super) hooks: ExitHooks,
    /// All loops of the program, if there are several.
    pub(super) workers: OnceCell<Arc<[Worker]>>,
    /// The number of the main task of the run under way.
    main: Cell<Option<u64>>,
    /// It was asked to stop by `exit`, or by a panic that stops the program.
    asked: Cell<bool>,
    /// The panic that stops the program.
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

thread_local! {
    /// The programs of this thread's runners that are initialised and not closed.
    static PROGRAMS: RefCell<Vec<Rc<Program>>> = const { RefCell::new(Vec::new()) };
}

/// The exit requests of all programs.
static REQUESTS: Mutex<Vec<Arc<ExitRequest>>> = Mutex::new(Vec::new());

/// No user code runs under the lock, so a poisoned one is still whole.
fn requests() -> MutexGuard<'static, Vec<Arc<ExitRequest>>> {
    REQUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Program {
    /// Makes the program of a runner with that loop, and enters it into this thread's list.
    pub(super) fn enter(event_loop: &EventLoop) -> Rc<Program> {
        let handle = event_loop.handle();
        let exit = Arc::new(ExitRequest::new(handle));
        requests().push(exit.clone());
        let program = Rc::new(Program {
            handle,
            core: Rc::downgrade(event_loop.core()),
            exit,
            hooks: ExitHooks::default(),
            workers: OnceCell::new(),
            main: Cell::new(None),
            asked: Cell::new(false),
            panic: Cell::new(None),
        });
        let _ = PROGRAMS.try_with(|programs| programs.borrow_mut().push(program.clone()));
        program
    }

    /// Takes it off the list again.
    pub(super) fn leave(&self) {
        let left = PROGRAMS.try_with(|programs| {
            let mut programs = programs.borrow_mut();
            let position = programs
                .iter()
                .position(|program| std::ptr::eq(&**program, self))?;
            Some(programs.remove(position))
        });
        drop(left);
    }

    /// The program of the loop that runs on this thread, if a runner owns that loop.
    pub(super) fn here() -> Option<Rc<Program>> {
        let handle = try_running_loop()?.handle();
        PROGRAMS
            .try_with(|programs| {
                let programs = programs.borrow();
                programs
                    .iter()
                    .find(|program| program.handle == handle)
                    .cloned()
            })
            .ok()
            .flatten()
    }

    /// A run begins: from now on `main` is what an exit stops. Nothing is left of the run before.
    pub(super) fn begin_run(&self, main: &TaskCell) {
        self.exit.take();
        self.asked.set(false);
        self.main.set(Some(main.id()));
    }

    /// The run is over, whatever became of it.
    pub(super) fn end_run(&self) {
        self.main.set(None);
    }

    /// Asks the main task to stop; once, however often the program wants to end.
    pub(super) fn stop_main(&self) {
        let Some(main) = self.main.get().filter(|_| !self.asked.replace(true)) else {
            return;
        };
        let core = self.core.upgrade();
        if let Some(main) = core.and_then(|core| core.scheduler.task(main)) {
            main.cancel_for(CancelReason::Shutdown, None);
        }
    }

    /// The main task was asked to stop by [`stop_main`](Program::stop_main).
    pub(super) fn has_asked(&self) -> bool {
        self.asked.get()
    }

    /// Stops the program because of a panic. The first one is what its end is told with.
    pub(super) fn stop_for(&self, payload: Box<dyn Any + Send>) {
        match self.panic.take() {
            None => self.panic.set(Some(payload)),
            Some(first) => {
                self.panic.set(Some(first));
                drop_quietly(payload);
            }
        }
        self.stop_main();
    }

    /// The same for a panic on another worker, told in a callback of the first loop. Between two runs there is nobody to stop.
    pub(super) fn stop_run_for(payload: Box<dyn Any + Send>) {
        match Program::here() {
            Some(program) if program.main.get().is_some() => program.stop_for(payload),
            _ => drop_quietly(payload),
        }
    }

    /// Takes the panic that stopped the program.
    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }

    /// From now on, until the guard is dropped, other threads can reach this program's exit request.
    pub(super) fn begin(&self) -> Underway<'_> {
        Underway(self.exit.begin().then_some(&*self.exit))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        requests().retain(|request| !Arc::ptr_eq(request, &self.exit));
    }
}

/// A runner runs or closes. Empty where that is part of something longer.
pub(super) struct Underway<'a>(Option<&'a ExitRequest>);

impl Underway<'_> {
    /// The request of the one that began first.
    pub(super) fn oldest() -> Option<Arc<ExitRequest>> {
        let requests = requests();
        let underway = requests.iter().filter(|request| request.since().is_some());
        underway.min_by_key(|request| request.since()).cloned()
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if let Some(exit) = self.0 {
            exit.end();
        }
    }
}
