//! `gather`: the results of several tasks together.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};

use super::into_task::{IntoTask, Joined};
use crate::error::{CancelReason, CancelledError, JoinError};
use crate::task::cell::TaskCell;
use crate::task::inquiry::{WaitsOn, answer};
use crate::task::raise::Raising;
use crate::task::raw::with_current;
use crate::task::stand::Standing;
use crate::task::watch::Watch;
use crate::task::{is_cancel_pending, must_look_away};

/// Awaits several tasks, or futures as tasks of their own, and gives all values in the order of the tasks.
///
/// The tasks begin at once. The first one that panics or is cancelled ends the wait, and the others go on in the background;
/// [`return_exceptions`](Gather::return_exceptions) waits for all and keeps every outcome. Where a failure is to stop the
/// others, use a [`TaskGroup`](crate::TaskGroup).
///
/// # Errors
///
/// The [`JoinError`] of the first task that gave no value. An `Err` that a task returns is a value like any other.
///
/// # Panics
///
/// When no loop runs on this thread and a future has to be made a task.
///
/// # Cancel safety
///
/// A cancellation is passed on to every task that is not done. When all of them have ended it goes on, even if all of them
/// have swallowed it. Dropped without being cancelled, it leaves the tasks going on in the background.
///
/// # Differences from asyncio
///
/// A panic in one of the tasks that go on after the first failure is reported; asyncio swallows it.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let squares = asyncio::gather((1..=3).map(|n| async move { n * n })).await.unwrap();
///     assert_eq!(squares, [1, 4, 9]);
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn gather<I, Kind>(tasks: I) -> Gather<<I::Item as IntoTask<Kind>>::Output>
where
    I: IntoIterator,
    I::Item: IntoTask<Kind>,
{
    let mut gathering = Gathering {
        members: Vec::new(),
        watch: Watch::new(),
        left: 0,
        enough: None,
        passed_on: None,
        raising: None,
        standing: Standing::default(),
    };
    for task in tasks {
        gathering.add(task.into_task());
    }
    Gather { gathering }
}

/// The future of [`gather`].
#[must_use = "the tasks go on without it; await it"]
pub struct Gather<T> {
    gathering: Gathering<T>,
}

/// The future of [`Gather::return_exceptions`].
#[must_use = "the tasks go on without it; await it"]
pub struct GatherSettled<T> {
    gathering: Gathering<T>,
}

impl<T> Gather<T> {
    /// Waits for all tasks, whatever becomes of them, and gives the outcome of each.
    pub fn return_exceptions(self) -> GatherSettled<T> {
        GatherSettled {
            gathering: self.gathering,
        }
    }
}

/// Tasks, and the outcomes of those that have ended.
struct Gathering<T> {
    members: Vec<Member<T>>,
    watch: Rc<Watch>,
    /// Tasks whose outcome is missing.
    left: usize,
    /// The task whose outcome ends the wait for the others.
    enough: Option<usize>,
    /// A request that the tasks were given, until they have ended.
    passed_on: Option<CancelledError>,
    /// The same request on its way out. Whoever polls again after it was taken gets the outcomes.
    raising: Option<Raising>,
    standing: Standing,
}

enum Member<T> {
    Waiting(Joined<T>),
    Ended(Result<T, JoinError>),
}

impl<T> Gathering<T> {
    fn add(&mut self, task: Joined<T>) {
        self.watch.add(task.task_ref(), self.members.len());
        self.members.push(Member::Waiting(task));
        self.left += 1;
    }

    /// Waits until all have ended, or one that `is_enough`. Gives its index, and `None` for all.
    fn poll_ended(
        &mut self,
        cx: &mut Cx<'_>,
        is_enough: impl Fn(&Result<T, JoinError>) -> bool,
    ) -> Poll<Option<usize>> {
        let mut is_over = self.poll_outcomes(cx, &is_enough);
        if is_cancel_pending() {
            if is_over {
                must_look_away(cx, || WaitsOn::new("nothing (gather)"));
                // The outcomes stay here, for whoever polls after the request was delivered.
                return Poll::Pending;
            }
            self.answer();
            self.pass_request_on();
            // It may have ended tasks already: those that had not begun.
            is_over = self.poll_outcomes(cx, &is_enough);
        }
        if !is_over {
            self.standing.wait(cx);
            return Poll::Pending;
        }
        // Before the request is raised, which wakes everybody who stands.
        self.standing.leave();
        if let Some(request) = self.passed_on.take() {
            self.raising.insert(Raising::new(request)).poll(cx);
            return Poll::Pending;
        }
        Poll::Ready(self.enough)
    }

    /// Keeps the outcomes that are there; `true` if there is nothing more to wait for.
    fn poll_outcomes(
        &mut self,
        cx: &mut Cx<'_>,
        is_enough: &impl Fn(&Result<T, JoinError>) -> bool,
    ) -> bool {
        while self.left > 0 && self.enough.is_none() {
            let Poll::Ready(index) = self.watch.poll_next(cx) else {
                return false;
            };
            self.left -= 1;
            let Member::Waiting(task) = &mut self.members[index] else {
                unreachable!("a task ends once");
            };
            let Poll::Ready(outcome) = task.poll_output(cx) else {
                unreachable!("the task has ended");
            };
            if self.passed_on.is_none() && is_enough(&outcome) {
                self.enough = Some(index);
            }
            self.members[index] = Member::Ended(outcome);
        }
        true
    }

    /// Says which tasks are left, if somebody asks.
    fn answer(&self) {
        for member in &self.members {
            if let Member::Waiting(task) = member {
                answer(|| WaitsOn::task_end(task.task_ref().cell()));
            }
        }
    }

    /// Hands a pending request on to the tasks that are left.
    fn pass_request_on(&mut self) {
        let Some(request) = with_current(|current| current.and_then(TaskCell::take_cancel)) else {
            return;
        };
        for member in &self.members {
            if let Member::Waiting(task) = member {
                let message = request.message().map(Into::into);
                task.task_ref().cancel_for(CancelReason::Parent, message);
            }
        }
        self.passed_on = Some(request);
    }

    fn take_outcomes(&mut self) -> impl Iterator<Item = Result<T, JoinError>> + use<T> {
        let members = std::mem::take(&mut self.members).into_iter();
        members.map(|member| match member {
            Member::Ended(outcome) => outcome,
            Member::Waiting(_) => unreachable!("all have ended"),
        })
    }

    fn take_failure(&mut self, index: usize) -> JoinError {
        match self.members.swap_remove(index) {
            Member::Ended(Err(error)) => error,
            _ => unreachable!("it has failed"),
        }
    }
}

impl<T> Unpin for Gather<T> {}
impl<T> Unpin for GatherSettled<T> {}

impl<T> Future for Gather<T> {
    type Output = Result<Vec<T>, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.gathering;
        let failed = std::task::ready!(gathering.poll_ended(cx, Result::is_err));
        Poll::Ready(match failed {
            Some(index) => Err(gathering.take_failure(index)),
            None => gathering.take_outcomes().collect(),
        })
    }
}

impl<T> Future for GatherSettled<T> {
    type Output = Vec<Result<T, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.gathering;
        std::task::ready!(gathering.poll_ended(cx, |_| false));
        Poll::Ready(gathering.take_outcomes().collect())
    }
}

impl<T> fmt::Debug for Gathering<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tasks={} left={}", self.members.len(), self.left)
    }
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Gather {:?}>", self.gathering)
    }
}

impl<T> fmt::Debug for GatherSettled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<GatherSettled {:?}>", self.gathering)
    }
}
