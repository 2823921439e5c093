//! Failures that nobody is there to receive, and the one place they go to.
//!
//! Each is reported exactly once: to the handler that the program set, else to its log (`logging.rs`). A handler that fails
//! itself is reported there together with what it was given. This file knows neither loop nor task, only their descriptions.

use std::any::Any;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;
use std::sync::OnceLock;

use crate::error::{JoinError, panic_text};
use crate::logging::{self, Level};

/// What failed, as given to the loop's exception handler.
///
/// # Differences from asyncio
///
/// asyncio passes a dictionary; the keys are methods here.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::ExceptionContext;
///
/// let context = ExceptionContext::new("the cache is cold").with_error(std::io::Error::other("no such entry"));
/// assert_eq!(context.message(), "the cache is cold");
/// assert_eq!(context.exception().unwrap(), "no such entry");
/// ```
pub struct ExceptionContext {
    /// One line: what happened.
    message: String,
    /// The panic's payload or the error.
    cause: Option<Cause>,
    /// The task that it is about.
    task: Option<TaskInfo>,
    /// The line that scheduled the callback that it is about.
    callback: Option<&'static Location<'static>>,
}

/// What was thrown.
enum Cause {
    Panic(Box<dyn Any + Send>),
    Error(Box<dyn Error>),
}

/// A task as the exception handler sees it: it may be gone by then.
#[derive(Clone)]
pub struct TaskInfo {
    id: u64,
    /// A name that was not given is made when it is asked for: a shutdown describes every task that is left.
    name: OnceLock<String>,
    spawn_location: &'static Location<'static>,
}

impl TaskInfo {
    pub(crate) fn new(
        id: u64,
        name: Option<String>,
        spawn_location: &'static Location<'static>,
    ) -> TaskInfo {
        TaskInfo {
            id,
            name: name.map_or_else(OnceLock::new, OnceLock::from),
            spawn_location,
        }
    }

    /// Returns the task's number, unique in the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the task's name.
    pub fn name(&self) -> &str {
        self.name.get_or_init(|| default_name(self.id))
    }

    /// Returns the line of the program that spawned the task.
    pub fn spawn_location(&self) -> &'static Location<'static> {
        self.spawn_location
    }
}

/// What a task is called that was given no name.
pub(crate) fn default_name(id: u64) -> String {
    format!("Task-{id}")
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("spawn_location", &self.spawn_location)
            .finish()
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.spawn_location;
        write!(
            f,
            "<Task name='{}' spawned at {}:{}>",
            self.name(),
            location.file(),
            location.line()
        )
    }
}

impl ExceptionContext {
    /// Creates a report with nothing but a message.
    pub fn new(message: impl Into<String>) -> ExceptionContext {
        ExceptionContext {
            message: message.into(),
            cause: None,
            task: None,
            callback: None,
        }
    }

    /// Adds the error that is reported.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<Box<dyn Error>>) -> ExceptionContext {
        self.cause = Some(Cause::Error(error.into()));
        self
    }

    /// Adds the payload of the panic that is reported.
    #[must_use]
    pub fn with_panic(mut self, payload: Box<dyn Any + Send>) -> ExceptionContext {
        self.cause = Some(Cause::Panic(payload));
        self
    }

    pub(crate) fn with_task(mut self, task: TaskInfo) -> ExceptionContext {
        self.task = Some(task);
        self
    }

    /// The callback is said to be the one at `location`, unless the report is about another one, or about a task.
    pub(crate) fn with_callback_if_none(self, location: &'static Location<'static>) -> Self {
        if self.callback.is_some() || self.task.is_some() {
            return self;
        }
        self.with_callback(location)
    }

    pub(crate) fn with_callback(
        mut self,
        location: &'static Location<'static>,
    ) -> ExceptionContext {
        self.callback = Some(location);
        self
    }

    /// Returns the message, one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the text of the error or panic, if there is one.
    pub fn exception(&self) -> Option<String> {
        match self.cause.as_ref()? {
            Cause::Panic(payload) => Some(panic_text(&**payload).to_owned()),
            Cause::Error(error) => Some(error.to_string()),
        }
    }

    /// Returns the error, if it is one and no panic.
    pub fn error(&self) -> Option<&(dyn Error + 'static)> {
        match self.cause.as_ref()? {
            Cause::Error(error) => Some(&**error),
            Cause::Panic(_) => None,
        }
    }

    /// Returns the payload, if it is a panic.
    pub fn panic_payload(&self) -> Option<&(dyn Any + Send)> {
        match self.cause.as_ref()? {
            Cause::Panic(payload) => Some(&**payload),
            Cause::Error(_) => None,
        }
    }

    /// Returns the task that the report is about, if there is one.
    pub fn task(&self) -> Option<&TaskInfo> {
        self.task.as_ref()
    }
}

impl fmt::Display for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.message.is_empty() {
            "Unhandled exception in event loop"
        } else {
            &self.message
        })?;
        match &self.cause {
            Some(Cause::Panic(payload)) => {
                write!(f, "\nexception: panicked: {}", panic_text(&**payload))?
            }
            Some(Cause::Error(error)) => write!(f, "\nexception: {error}")?,
            None => {}
        }
        if let Some(location) = self.callback {
            write!(
                f,
                "\nhandle: <Handle created at {}:{}>",
                location.file(),
                location.line()
            )?;
        }
        match &self.task {
            Some(task) => write!(f, "\ntask: {task}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExceptionContext({self})")
    }
}

/// The handler of one loop.
type Handler = Rc<dyn Fn(&ExceptionContext)>;

/// Takes the payload of a panic that nobody retrieved.
type PanicKeeper = Rc<dyn Fn(Box<dyn Any + Send>)>;

/// Where one loop's reports go.
#[derive(Default)]
pub(crate) struct ExceptionSink {
    /// The program's own handler, if it set one.
    handler: RefCell<Option<Handler>>,
    /// While the runner shuts the loop down: what was reported, for its own report.
    during_shutdown: RefCell<Option<Vec<String>>>,
    /// While a run lasts that such panics end: who is given their payloads once they are reported.
    panic_keeper: RefCell<Option<PanicKeeper>>,
}

impl ExceptionSink {
    pub(crate) fn set_handler(&self, handler: Option<Handler>) {
        let previous = self.handler.replace(handler);
        // Dropped outside of the cell: what the handler holds is not ours.
        drop(previous);
    }

    /// A runner ends the loop, and names what it finds.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.during_shutdown.borrow().is_some()
    }

    /// From now on reports are also collected.
    pub(crate) fn begin_shutdown(&self) {
        *self.during_shutdown.borrow_mut() = Some(Vec::new());
    }

    /// Returns what was reported since [`begin_shutdown`](ExceptionSink::begin_shutdown).
    pub(crate) fn end_shutdown(&self) -> Vec<String> {
        self.during_shutdown.borrow_mut().take().unwrap_or_default()
    }

    /// Drops what a loop that is being closed has left; a destructor that panics is reported.
    pub(crate) fn drop_left_over<T>(&self, value: T) {
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(move || drop(value))) {
            let message = "a destructor panicked while the loop was closed";
            self.report(ExceptionContext::new(message).with_panic(payload));
        }
    }

    /// From now on payloads of panics that nobody retrieved are given to `keeper`.
    pub(crate) fn set_panic_keeper(&self, keeper: Option<PanicKeeper>) {
        let previous = self.panic_keeper.replace(keeper);
        drop(previous);
    }

    /// Reports a task's panic that nobody retrieved.
    pub(crate) fn report_unseen_panic(&self, payload: Box<dyn Any + Send>, task: TaskInfo) {
        let context = ExceptionContext::new("Task exception was never retrieved").with_task(task);
        let keeper = self.panic_keeper.borrow().clone();
        let Some(keeper) = keeper else {
            return self.report(context.with_panic(payload));
        };
        let text: Box<dyn Any + Send> = Box::new(panic_text(&*payload).to_owned());
        self.report(context.with_panic(text));
        keeper(payload);
    }

    /// The same, where the panic was on its way to a handle that is gone.
    pub(crate) fn report_unseen_error(&self, error: JoinError) {
        let context = ExceptionContext::new("Task exception was never retrieved");
        let keeper = self.panic_keeper.borrow().clone();
        let Some(keeper) = keeper else {
            return self.report(context.with_error(error));
        };
        self.report(context.with_error(error.to_string()));
        if let Ok(payload) = error.try_into_panic() {
            keeper(payload);
        }
    }

    /// Reports the panic of a task that is being shut down, whether somebody retrieves it or not; `false` if no shutdown
    /// is under way. The payload stays for the one who may retrieve it.
    pub(crate) fn report_shutdown_panic(
        &self,
        payload: &(dyn Any + Send),
        task: impl FnOnce() -> TaskInfo,
    ) -> bool {
        if self.during_shutdown.borrow().is_none() {
            return false;
        }
        let text: Box<dyn Any + Send> = Box::new(panic_text(payload).to_owned());
        let context = ExceptionContext::new("unhandled exception during asyncio.run() shutdown");
        self.report(context.with_panic(text).with_task(task()));
        true
    }

    /// Reports to the program's handler, or to its log if there is none or if it panics.
    pub(crate) fn report(&self, context: ExceptionContext) {
        // Cloned, so that a handler may set another one.
        let handler = self.handler.borrow().clone();
        if let Some(collected) = &mut *self.during_shutdown.borrow_mut() {
            collected.push(context.to_string());
        }
        match handler.map(|handler| panic::catch_unwind(AssertUnwindSafe(|| handler(&context)))) {
            None => log_failure(&context),
            Some(Ok(())) => {}
            Some(Err(payload)) => {
                let failure = ExceptionContext::new("Unhandled error in exception handler")
                    .with_panic(payload);
                log_failure(&failure);
                log_failure(&context);
                drop_quietly(failure);
            }
        }
        drop_quietly(context);
    }
}

/// What becomes of a report that no handler takes.
pub(crate) fn log_failure(context: &ExceptionContext) {
    logging::say(Level::Error, format_args!("{context}"));
}

/// Drops `value` whose destructor may panic, where there is nobody left to tell.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(move || drop(value))) {
        // The payload's own destructor may panic as well; what that throws is leaked, for there is no end to it.
        std::mem::forget(panic::catch_unwind(AssertUnwindSafe(move || drop(payload))));
    }
}
