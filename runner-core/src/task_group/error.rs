//! What a task group fails with: every error of its children and of its body, none lost.

use std::error::Error;
use std::fmt;

use crate::error::JoinError;
use crate::exception::TaskInfo;

/// The boxed form in which a group keeps the errors of its children, which may be of many types.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// One error of a task group, and whose it is.
#[derive(Debug)]
pub struct TaskFailure {
    /// `None` is the body of the group.
    task: Option<TaskInfo>,
    error: BoxError,
}

impl TaskFailure {
    pub(super) fn of_body(error: BoxError) -> TaskFailure {
        TaskFailure { task: None, error }
    }

    pub(super) fn of_task(task: TaskInfo, error: BoxError) -> TaskFailure {
        let task = Some(task);
        TaskFailure { task, error }
    }

    /// Returns the child that failed; `None` if it was the group's body.
    pub fn task(&self) -> Option<&TaskInfo> {
        self.task.as_ref()
    }

    /// Returns the error; a panic is a [`JoinError`].
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }

    /// Returns the error, which can be downcast to its type.
    pub fn into_error(self) -> BoxError {
        self.error
    }

    /// Returns `true` if it was a panic.
    pub fn is_panic(&self) -> bool {
        let error = self.error.downcast_ref::<JoinError>();
        error.is_some_and(JoinError::is_panic)
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            // A panic says itself which task it was.
            Some(_) if self.error.is::<JoinError>() => write!(f, "{}", self.error),
            Some(task) => write!(f, "{task}: {}", self.error),
            None => write!(f, "body: {}", self.error),
        }
    }
}

impl Error for TaskFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

/// What went wrong in a task group: all errors, in the order in which they happened.
///
/// # Differences from asyncio
///
/// `ExceptionGroup` there. The errors know their tasks.
#[derive(Debug)]
pub struct TaskGroupError {
    /// Empty if the group was cancelled by itself before its body was done.
    failures: Vec<TaskFailure>,
}

impl TaskGroupError {
    pub(super) fn new(failures: Vec<TaskFailure>) -> TaskGroupError {
        TaskGroupError { failures }
    }

    /// Returns the errors, in the order in which they happened.
    pub fn failures(&self) -> &[TaskFailure] {
        &self.failures
    }

    /// Returns the errors, in the order in which they happened.
    pub fn into_failures(self) -> Vec<TaskFailure> {
        self.failures
    }

    /// Returns `true` if nothing failed, and [`TaskGroup::cancel`](super::TaskGroup::cancel) ended the group before its
    /// body had a value.
    pub fn is_cancelled(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for TaskGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.failures {
            [] => f.write_str("the task group was cancelled"),
            [only] => write!(f, "unhandled error in a task group: {only}"),
            [first, others @ ..] => {
                let count = others.len() + 1;
                write!(f, "{count} unhandled errors in a task group: {first}")?;
                others.iter().try_for_each(|other| write!(f, "; {other}"))
            }
        }
    }
}

impl Error for TaskGroupError {
    /// The first error.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let first = self.failures.first()?;
        Some(first)
    }
}
