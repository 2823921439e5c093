//! What a task leaves its handle: a value, or why there is none; and what becomes of either if nobody asks for it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use super::cell::TaskCell;
use super::raw::local_scheduler;
use super::scheduler::Scheduler;
use crate::context::{Identity, Snapshot};
use crate::error::{ContextError, JoinError, JoinErrorKind};
use crate::exception::{ExceptionContext, ExceptionSink, TaskInfo, drop_quietly};

/// A task's value while it waits to be received.
///
/// `async-task` drops a value that nobody will receive, and aborts the process if that panics: here the panic ends.
pub(super) struct Kept<T>(Option<T>);

impl<T> Kept<T> {
    pub(super) fn new(value: T) -> Kept<T> {
        Kept(Some(value))
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
                report_lost_value(payload);
            }
        }
    }
}

#[cold]
fn report_lost_value(payload: Box<dyn Any + Send>) {
    let exceptions = Scheduler::current()
        .map(|scheduler| scheduler.exceptions.clone())
        .unwrap_or_default();
    let context = ExceptionContext::new(
        "a destructor panicked while a task's value was dropped that nobody received",
    );
    exceptions.report(context.with_panic(payload));
}

/// Hands a task's output to the one who joins it.
pub(super) fn received<T>(
    output: Result<Kept<T>, Failure>,
    cell: &TaskCell,
) -> Result<T, JoinError> {
    match output {
        Ok(mut kept) => match kept.0.take() {
            Some(value) => Ok(value),
            None => unreachable!("a value is taken only here, by value"),
        },
        Err(failure) => Err(failure.into_join_error(cell)),
    }
}

/// Why a task has no value. Turned into a [`JoinError`] when somebody asks, and reported when nobody does.
pub(crate) enum Failure {
    Cancelled,
    Context(ContextError),
    Panic(UnseenPanic),
    /// Its error is with its owner.
    Taken,
}

/// A panic's payload that reports itself if it is dropped before anybody took it.
pub(crate) struct UnseenPanic(Option<Box<Unseen>>);

struct Unseen {
    payload: Box<dyn Any + Send>,
    /// The shutdown has reported it already.
    is_reported: bool,
    task: TaskInfo,
    /// The task's context, in which the handler is called.
    context: Snapshot,
    exceptions: Rc<ExceptionSink>,
}

impl Failure {
    #[cold]
    pub(super) fn panic(payload: Box<dyn Any + Send>, cell: &TaskCell) -> Failure {
        let exceptions = local_scheduler(cell, |scheduler| scheduler.exceptions.clone());
        let is_reported = exceptions.report_shutdown_panic(&*payload, || cell.info());
        Failure::Panic(UnseenPanic(Some(Box::new(Unseen {
            payload,
            is_reported,
            task: cell.info(),
            context: Snapshot::current(),
            exceptions,
        }))))
    }

    /// Hands the failure to the one who joins the task.
    #[cold]
    fn into_join_error(self, cell: &TaskCell) -> JoinError {
        match self {
            Failure::Cancelled => JoinError::new(
                JoinErrorKind::Cancelled(cell.cancelled_error()),
                cell.origin(),
            ),
            Failure::Context(error) => JoinError::new(JoinErrorKind::Context(error), cell.origin()),
            Failure::Taken => JoinError::new(JoinErrorKind::Failed, cell.origin()),
            Failure::Panic(mut unseen) => match unseen.0.take() {
                Some(unseen) => JoinError::panic(unseen.payload, cell.origin()),
                None => unreachable!("a payload is taken only here, by value"),
            },
        }
    }
}

impl Drop for UnseenPanic {
    fn drop(&mut self) {
        if let Some(unseen) = self.0.take() {
            let context = Cell::new(unseen.context);
            let _entered = Snapshot::enter(&context, Identity::task(unseen.task.id()));
            if unseen.is_reported {
                drop_quietly(unseen.payload);
            } else {
                unseen
                    .exceptions
                    .report_unseen_panic(unseen.payload, unseen.task);
            }
        }
    }
}
