//! Every public error of the crate, and the words in which it speaks to its reader.
//!
//! An error keeps all it was given: a panic its payload, a failed system call its `io::Error`, a task its name and
//! the line that spawned it. This file knows neither loop nor task: it only describes them.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// Why a task was asked to stop.
///
/// # Differences from asyncio
///
/// asyncio's `CancelledError` carries only a message; who asked is lost. Here the reason travels with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// Somebody called `cancel` on the task.
    User,
    /// Ctrl-C.
    Interrupt,
    /// The operating system asked the program to end (SIGTERM on Unix, or SIGHUP, where the runner handles it).
    Terminate,
    /// A `timeout` around the code ran out.
    Deadline,
    /// The task that awaits this one, or the group that owns it, was cancelled.
    Parent,
    /// The runner is closing, or the main task is to end so that it can ([`exit`](crate::exit), a panic that stops the
    /// program).
    Shutdown,
}

impl CancelReason {
    fn as_str(self) -> &'static str {
        match self {
            CancelReason::User => "by the program",
            CancelReason::Interrupt => "by an interrupt",
            CancelReason::Terminate => "by a termination request",
            CancelReason::Deadline => "by a deadline",
            CancelReason::Parent => "by its parent",
            CancelReason::Shutdown => "by the shutdown",
        }
    }
}

/// The code was asked to stop, and did.
///
/// Yielded by `catch_cancelled` to the code around it, and held by the [`JoinError`] and [`RunError`] of a task that
/// ended cancelled.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// let outcome: Result<u32, asyncio::RunError> = asyncio::run(async {
///     let task = asyncio::spawn(async { asyncio::sleep(std::time::Duration::MAX).await });
///     task.cancel_with("no longer needed");
///     let error = task.await.unwrap_err();
///     assert!(error.is_cancelled());
///     assert_eq!(error.cancelled().unwrap().message(), Some("no longer needed"));
///     7
/// });
/// assert_eq!(outcome.unwrap(), 7);
/// ```
#[derive(Clone)]
pub struct CancelledError {
    /// Who asked.
    reason: CancelReason,
    /// What few requests have, so that every result that may be a cancellation stays small.
    details: Option<Box<Details>>,
}

#[derive(Clone, Default)]
struct Details {
    /// The text given to `cancel_with`, if any; the last one wins.
    message: Option<Arc<str>>,
    /// The scope inside of the task that made the request, which claims it on the way out; 0 if it came from outside.
    origin: u64,
    /// Others in the same task who raised the request, and wait for what becomes of it.
    hold: Option<Arc<Hold>>,
}

impl CancelledError {
    pub(crate) fn new(reason: CancelReason, message: Option<Arc<str>>) -> CancelledError {
        CancelledError::with_origin(reason, message, 0, None)
    }

    pub(crate) fn with_origin(
        reason: CancelReason,
        message: Option<Arc<str>>,
        origin: u64,
        hold: Option<Arc<Hold>>,
    ) -> CancelledError {
        let is_plain = message.is_none() && origin == 0 && hold.is_none();
        let details = Details {
            message,
            origin,
            hold,
        };
        CancelledError {
            reason,
            details: (!is_plain).then(|| Box::new(details)),
        }
    }

    pub(crate) fn origin(&self) -> u64 {
        self.details.as_ref().map_or(0, |details| details.origin)
    }

    pub(crate) fn shared_message(&self) -> Option<Arc<str>> {
        self.details.as_ref()?.message.clone()
    }

    pub(crate) fn take_hold(&mut self) -> Option<Arc<Hold>> {
        self.details.as_mut()?.hold.take()
    }

    /// Returns the text that came with the request.
    pub fn message(&self) -> Option<&str> {
        self.details.as_ref()?.message.as_deref()
    }

    /// Returns who asked for the cancellation.
    pub fn reason(&self) -> CancelReason {
        self.reason
    }
}

impl PartialEq for CancelledError {
    fn eq(&self, other: &CancelledError) -> bool {
        (self.message(), self.reason) == (other.message(), other.reason)
    }
}

impl Eq for CancelledError {}

impl fmt::Debug for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelledError")
            .field("message", &self.message())
            .field("reason", &self.reason)
            .finish()
    }
}

/// Wakes whoever raised a request once nobody holds it any longer: neither the task, nor code that received it.
pub(crate) struct Hold {
    waker: Mutex<Option<Waker>>,
    /// Other requests that this one was joined to.
    _others: Vec<Arc<Hold>>,
}

impl Hold {
    pub(crate) fn new(waker: &Waker, other: Option<Arc<Hold>>) -> Arc<Hold> {
        Arc::new(Hold {
            waker: Mutex::new(Some(waker.clone())),
            _others: Vec::from_iter(other),
        })
    }

    pub(crate) fn both(one: Arc<Hold>, other: Option<Arc<Hold>>) -> Arc<Hold> {
        match other {
            None => one,
            Some(other) => Arc::new(Hold {
                waker: Mutex::default(),
                _others: vec![one, other],
            }),
        }
    }

    /// Has the end wake this one instead.
    pub(crate) fn wake_later(&self, waker: &Waker) {
        let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    pub(crate) fn wake_nobody(&self) {
        let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        drop(known.take());
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let waker = self.waker.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled {}", self.reason.as_str())?;
        match self.message() {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl Error for CancelledError {}

/// The time given to `timeout` or `timeout_at` ran out before the code inside was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TimeoutError;

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation did not finish in time")
    }
}

impl Error for TimeoutError {}

/// [`Timeout::reschedule`](crate::Timeout::reschedule) came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RescheduleError {
    /// The time is over, and the code inside is ending because of it.
    Expiring,
    /// The scope is over, and its time was over before.
    Expired,
    /// The scope was over in time.
    Finished,
}

impl fmt::Display for RescheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RescheduleError::Expiring => "cannot reschedule a timeout that is expiring",
            RescheduleError::Expired => "cannot reschedule a timeout that has expired",
            RescheduleError::Finished => "cannot reschedule a timeout whose scope is over",
        })
    }
}

impl Error for RescheduleError {}

impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// A [`Context`](crate::Context) was entered while it was already entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextError;

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot enter the context: it is already entered; run in a copy of it instead (Context::copy)")
    }
}

impl Error for ContextError {}

/// Why [`run`](crate::run), a [`Runner`](crate::Runner) or a loop did not return the future's output.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The runner was closed.
    Closed,
    /// The event loop was closed.
    LoopClosed,
    /// A runner was used inside of a running loop.
    Nested,
    /// The loop is already running.
    AlreadyRunning,
    /// Another loop is running in this thread.
    AnotherLoopRunning,
    /// The future ended cancelled, and no interrupt was the reason.
    Cancelled(CancelledError),
    /// Ctrl-C.
    KeyboardInterrupt,
    /// The operating system asked the program to end.
    Terminated,
    /// The program asked to end with this status; see [`exit`](crate::exit).
    Exit(u8),
    /// The terminal is gone, or somebody sent SIGHUP as if it were.
    HungUp,
    /// `stop` was called before the future was done.
    Stopped,
    /// The loop belongs to the process that forked this one.
    Forked,
    /// The context that the future was to run in is entered already.
    Context(ContextError),
    /// The event loop could not be made, or waiting for events failed.
    EventLoop(io::Error),
}

impl RunError {
    /// Returns the shell's convention for this outcome: 130 for an interrupt, 143 for a termination, 129 for a lost terminal,
    /// else 1; for [`RunError::Exit`] its status.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use std::process::ExitCode;
    /// assert_eq!(asyncio::RunError::KeyboardInterrupt.exit_code(), ExitCode::from(130));
    /// ```
    pub fn exit_code(&self) -> ExitCode {
        match self {
            RunError::KeyboardInterrupt => ExitCode::from(130),
            RunError::Terminated => ExitCode::from(143),
            RunError::Exit(code) => ExitCode::from(*code),
            RunError::HungUp => ExitCode::from(129),
            _ => ExitCode::FAILURE,
        }
    }

    /// Returns `true` if Ctrl-C or another request to stop, by a signal, ended the run.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            RunError::KeyboardInterrupt | RunError::Terminated | RunError::HungUp
        )
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Closed => f.write_str("Runner is closed"),
            RunError::LoopClosed => f.write_str("Event loop is closed"),
            RunError::Nested => f.write_str("Runner.run() cannot be called from a running event loop"),
            RunError::AlreadyRunning => f.write_str("This event loop is already running"),
            RunError::AnotherLoopRunning => {
                f.write_str("Cannot run the event loop while another loop is running")
            }
            RunError::Cancelled(error) => write!(f, "the main task was {error}"),
            RunError::KeyboardInterrupt => f.write_str("KeyboardInterrupt"),
            RunError::Terminated => f.write_str("terminated by a signal"),
            RunError::Exit(code) => write!(f, "the program asked to exit with status {code}"),
            RunError::HungUp => f.write_str("hung up by a signal"),
            RunError::Stopped => f.write_str("Event loop stopped before Future completed."),
            RunError::Forked => f.write_str(
                "the event loop belongs to the process that forked this one; create a new runner in the child",
            ),
            RunError::Context(error) => error.fmt(f),
            RunError::EventLoop(error) => write!(f, "the event loop failed: {error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Cancelled(error) => Some(error),
            RunError::Context(error) => Some(error),
            RunError::EventLoop(error) => Some(error),
            _ => None,
        }
    }
}

/// What a [`JoinError`] tells about the task or job that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) subject: Subject,
    /// The line that spawned or submitted it.
    pub(crate) location: &'static Location<'static>,
}

/// Who failed. Put into words only when somebody reads them: most cancelled tasks nobody asks about.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// A task with this number, and the name that it was given, if any.
    Task { id: u64, name: Option<String> },
    /// A task spawned from another thread.
    RemoteTask,
    /// A blocking job.
    Job,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Task {
                name: Some(name), ..
            } => write!(f, "task '{name}'"),
            Subject::Task { id, name: None } => write!(f, "task 'Task-{id}'"),
            Subject::RemoteTask => f.write_str("remote task"),
            Subject::Job => f.write_str("executor job"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, location) = (&self.subject, self.location);
        write!(
            f,
            "{subject} (spawned at {}:{}:{})",
            location.file(),
            location.line(),
            location.column()
        )
    }
}

/// Why a task or an executor job gave no value.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let error = asyncio::spawn(async { panic!("out of cheese") }).await.unwrap_err();
///     assert!(error.is_panic());
///     assert!(error.to_string().contains("out of cheese"));
///     assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "out of cheese");
/// })
/// .unwrap();
/// ```
///
/// It is not `Unpin`, which matters to nobody who only holds or returns it: `IntoTask` tells by it what is a task's result
/// already from what is not.
pub struct JoinError(Box<JoinErrorInner>, PhantomPinned);

struct JoinErrorInner {
    kind: JoinErrorKind,
    origin: Origin,
}

/// What happened to the task or job.
pub(crate) enum JoinErrorKind {
    /// It ended cancelled.
    Cancelled(CancelledError),
    /// It panicked. Behind a lock only because a payload is not `Sync`, and an error should be.
    Panic(Mutex<Box<dyn Any + Send>>),
    /// The executor was shut down before the job had begun, or before it was submitted.
    ExecutorShutdown,
    /// No thread could be started to run the job.
    NoThread(io::Error),
    /// The task was to run in a context that is entered already.
    Context(ContextError),
    /// It returned an error or panicked, and its task group has what it said.
    Failed,
}

impl JoinError {
    pub(crate) fn new(kind: JoinErrorKind, origin: Origin) -> JoinError {
        JoinError(Box::new(JoinErrorInner { kind, origin }), PhantomPinned)
    }

    pub(crate) fn panic(payload: Box<dyn Any + Send>, origin: Origin) -> JoinError {
        JoinError::new(JoinErrorKind::Panic(Mutex::new(payload)), origin)
    }

    /// Returns `true` if the task ended cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.kind, JoinErrorKind::Cancelled(_))
    }

    /// Returns `true` if the task or job panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.0.kind, JoinErrorKind::Panic(_))
    }

    /// Returns `true` if the task failed as a child of a task group, whose error has what happened.
    pub fn is_failed(&self) -> bool {
        matches!(self.0.kind, JoinErrorKind::Failed)
    }

    /// Returns `true` if the executor was shut down before it ran the job.
    pub fn is_executor_shutdown(&self) -> bool {
        matches!(self.0.kind, JoinErrorKind::ExecutorShutdown)
    }

    /// Returns the cancellation that ended the task, if one did.
    pub fn cancelled(&self) -> Option<&CancelledError> {
        match &self.0.kind {
            JoinErrorKind::Cancelled(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the line of the program that spawned the task or submitted the job.
    pub fn spawn_location(&self) -> &'static Location<'static> {
        self.0.origin.location
    }

    /// Returns the panic's payload, to be inspected or given to [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// When the error is no panic; ask [`is_panic`](JoinError::is_panic) first, or use
    /// [`try_into_panic`](JoinError::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!(
                "`JoinError::into_panic` on an error that is no panic ({error}); check `is_panic` first"
            ),
        }
    }

    /// Returns the panic's payload, or the error itself if it is no panic.
    ///
    /// # Errors
    ///
    /// The unchanged error, when the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        let JoinErrorInner { kind, origin } = *self.0;
        match kind {
            JoinErrorKind::Panic(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            kind => Err(JoinError::new(kind, origin)),
        }
    }

    pub(crate) fn into_kind(self) -> JoinErrorKind {
        self.0.kind
    }
}

/// Returns the text of a panic, as the panic hook would print it.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "Box<dyn Any>"
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.0.origin;
        match &self.0.kind {
            JoinErrorKind::Cancelled(error) => write!(f, "{origin} was {error}"),
            JoinErrorKind::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                write!(f, "{origin} panicked: {}", panic_text(&**payload))
            }
            JoinErrorKind::ExecutorShutdown => {
                write!(f, "{origin} was not run: Executor shutdown has been called")
            }
            JoinErrorKind::NoThread(error) => {
                write!(
                    f,
                    "{origin} was not run: no thread could be started: {error}"
                )
            }
            JoinErrorKind::Context(error) => write!(f, "{origin} was not run: {error}"),
            JoinErrorKind::Failed => write!(f, "{origin} failed; its task group has the error"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.kind {
            JoinErrorKind::Cancelled(error) => Some(error),
            JoinErrorKind::NoThread(error) => Some(error),
            JoinErrorKind::Context(error) => Some(error),
            JoinErrorKind::Panic(_) | JoinErrorKind::ExecutorShutdown | JoinErrorKind::Failed => {
                None
            }
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
