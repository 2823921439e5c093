//! What both sides write down: the same events, compared one by one.

use std::fmt;

use asyncio::{CancelReason, RescheduleError};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The virtual time, in milliseconds.
    pub(crate) at: u64,
    /// The current task.
    pub(crate) task: Option<usize>,
    pub(crate) what: What,
    /// What `cancelling` gives to the code that looks; nobody looks in a destructor or a callback.
    pub(crate) cancelling: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A block begins.
    Enter(usize),
    /// A block's guard is dropped.
    Leave(usize),
    Log(usize),
    /// A `catch` whose body was not cancelled.
    NotCancelled,
    Caught(Request),
    InTime,
    TimedOut,
    /// What awaiting a task gave.
    Joined(usize, Outcome),
    /// What `reschedule` gave.
    Rescheduled(Result<(), RescheduleError>),
    /// The tasks that `wait` gave back as ended.
    Waited(Vec<usize>),
    /// What `as_completed` gave.
    Completed(usize, Outcome),
    /// What `gather` gave: everything, or the first failure.
    Gathered(Result<Vec<Outcome>, Outcome>),
    /// What a group gave.
    Grouped(Result<(), Vec<Failure>>),
    /// A failure that a group could not return went to the exception handler.
    GroupReported,
    /// A task's value was dropped.
    ValueDropped(usize),
    /// A task's done callback was called.
    Ended {
        task: usize,
        cancelled: bool,
    },
    /// `cancel` gave this, or there is no such task yet.
    Cancelled(usize, Option<bool>),
    /// `uncancel` gave this, or there is no such task yet.
    Uncancelled(usize, Option<u32>),
    /// A panic that nobody received went to the exception handler.
    Reported(usize),
    /// A task that never ended.
    Stuck(usize),
    /// Tasks were polled without end.
    Spinning,
}

/// How a task ended, as far as the one can see who awaits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Value,
    Failed,
    Panicked,
    Cancelled(Request),
    /// Its group has the error.
    Taken,
}

/// One error of a group: whose it is (none is the body), and whether it was a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) task: Option<usize>,
    pub(crate) panicked: bool,
}

/// Who asked, and the number that the text of the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) reason: CancelReason,
    pub(crate) number: Option<usize>,
}

impl Request {
    pub(crate) fn unnamed(reason: CancelReason) -> Request {
        Request {
            reason,
            number: None,
        }
    }

    /// The same request, handed on to another task.
    pub(crate) fn handed_on(self) -> Request {
        Request {
            reason: CancelReason::Parent,
            ..self
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms ", self.at)?;
        match self.task {
            Some(task) => write!(f, "t{task}: {}", self.what)?,
            None => write!(f, "-: {}", self.what)?,
        }
        match self.cancelling {
            None | Some(0) => Ok(()),
            Some(requests) => write!(f, " [{requests}]"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Enter(block) => write!(f, "enter b{block}"),
            What::Leave(block) => write!(f, "leave b{block}"),
            What::Log(number) => write!(f, "log {number}"),
            What::NotCancelled => write!(f, "not cancelled"),
            What::Caught(request) => write!(f, "caught {request}"),
            What::InTime => write!(f, "in time"),
            What::TimedOut => write!(f, "timed out"),
            What::Joined(task, outcome) => write!(f, "t{task} gave {outcome}"),
            What::Rescheduled(answer) => write!(f, "reschedule: {answer:?}"),
            What::Waited(ended) => write!(f, "waited for {ended:?}"),
            What::Completed(task, outcome) => write!(f, "t{task} is next with {outcome}"),
            What::Gathered(Ok(outcomes)) => write!(f, "gathered {}", listed(outcomes)),
            What::Gathered(Err(outcome)) => write!(f, "gathering stopped by {outcome}"),
            What::Grouped(Ok(())) => write!(f, "group is done"),
            What::Grouped(Err(failures)) => write!(f, "group failed: {}", listed(failures)),
            What::GroupReported => write!(f, "reported a failure of a group"),
            What::ValueDropped(task) => write!(f, "value of t{task} dropped"),
            What::Ended { task, cancelled } => {
                let how = if *cancelled { "cancelled" } else { "by itself" };
                write!(f, "t{task} ended {how}")
            }
            What::Cancelled(task, answer) => write!(f, "cancel t{task}: {answer:?}"),
            What::Uncancelled(task, answer) => write!(f, "uncancel t{task}: {answer:?}"),
            What::Reported(task) => write!(f, "reported the panic of t{task}"),
            What::Stuck(task) => write!(f, "t{task} never ended"),
            What::Spinning => write!(f, "the loop never came to rest"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Value => write!(f, "a value"),
            Outcome::Failed => write!(f, "an error"),
            Outcome::Panicked => write!(f, "a panic"),
            Outcome::Cancelled(request) => write!(f, "a cancellation, {request}"),
            Outcome::Taken => write!(f, "no error, its group has it"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.panicked { "panic" } else { "error" };
        match self.task {
            Some(task) => write!(f, "{what} of t{task}"),
            None => write!(f, "{what} of the body"),
        }
    }
}

fn listed(items: &[impl fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
    items.join("; ")
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{:?} r{number}", self.reason),
            None => write!(f, "{:?}", self.reason),
        }
    }
}

/// Both traces beside each other, with a mark at the first difference.
pub(crate) fn side_by_side(model: &[Event], real: &[Event]) -> String {
    use fmt::Write as _;
    let mut text = format!("  {:46} | {}\n", "the model says", "the crate does");
    let first = (0..).find(|&row| model.get(row) != real.get(row));
    for row in 0..model.len().max(real.len()) {
        let line = |trace: &[Event]| trace.get(row).map(Event::to_string).unwrap_or_default();
        let mark = if Some(row) == first { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {:46} | {}", line(model), line(real));
    }
    text
}
