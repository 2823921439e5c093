//! What code inside of a runner's program can reach of its runner: the request to exit, the exit hooks, the main task.
//!
//! The loop does not know its runner, so the way back goes over a list of this thread's runners, compared with the loop
//! that runs here. Other threads see only the exit requests of runners that run or close at the moment.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exit::ExitRequest;
use super::hooks::ExitHooks;
use super::workers::Worker;
use crate::error::CancelReason;
use crate::event_loop::{EventLoop, LoopHandle, try_running_loop};
use crate::exception::drop_quietly;
use crate::task::TaskRef;

/// The part of an initialised runner that belongs to its loop's thread.
pub(super) struct Program {
    /// Tells the loop.
    handle: LoopHandle,
    pub(super) exit: Arc<ExitRequest>,
    pub(super) hooks: ExitHooks,
    /// All loops of the program, if there are several.
    pub(super) workers: OnceCell<Arc<[Worker]>>,
    /// The main task of the run under way.
    main: RefCell<Option<TaskRef>>,
    /// It was asked to stop by `exit`, or by a panic that stops the program.
    asked: Cell<bool>,
    /// The panic that stops the program.
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

thread_local! {
    /// The programs of this thread's runners that are initialised and not closed.
    static PROGRAMS: RefCell<Vec<Rc<Program>>> = const { RefCell::new(Vec::new()) };
}

/// The exit requests of the runners that run or close now, in the order in which they began. One that is in the middle of
/// something longer is in here more than once.
static UNDERWAY: Mutex<Vec<Arc<ExitRequest>>> = Mutex::new(Vec::new());

/// No user code runs under the lock, so a poisoned one is still whole.
fn underway() -> MutexGuard<'static, Vec<Arc<ExitRequest>>> {
    UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Program {
    /// Makes the program of a runner with that loop, and enters it into this thread's list.
    pub(super) fn enter(event_loop: &EventLoop) -> Rc<Program> {
        let handle = event_loop.handle();
        let program = Rc::new(Program {
            handle,
            exit: Arc::new(ExitRequest::new(handle)),
            hooks: ExitHooks::default(),
            workers: OnceCell::new(),
            main: RefCell::default(),
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
    pub(super) fn begin_run(&self, main: &TaskRef) {
        self.exit.take();
        self.asked.set(false);
        *self.main.borrow_mut() = Some(main.clone());
    }

    /// The run is over, whatever became of it.
    pub(super) fn end_run(&self) {
        drop(self.main.take());
    }

    /// Asks the main task to stop; once, however often the program wants to end.
    pub(super) fn stop_main(&self) {
        let main = self.main.borrow().clone();
        if let Some(main) = main.filter(|_| !self.asked.replace(true)) {
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
            Some(program) if program.main.borrow().is_some() => program.stop_for(payload),
            _ => drop_quietly(payload),
        }
    }

    /// Takes the panic that stopped the program.
    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }

    /// From now on, until the guard is dropped, other threads can reach this program's exit request.
    pub(super) fn begin(&self) -> Underway {
        underway().push(self.exit.clone());
        Underway(self.exit.clone())
    }
}

/// A runner runs or closes.
pub(super) struct Underway(Arc<ExitRequest>);

impl Underway {
    /// The one that began first.
    pub(super) fn oldest() -> Option<Arc<ExitRequest>> {
        underway().first().cloned()
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut requests = underway();
        if let Some(position) = requests
            .iter()
            .rposition(|request| Arc::ptr_eq(request, &self.0))
        {
            requests.remove(position);
        }
    }
}
