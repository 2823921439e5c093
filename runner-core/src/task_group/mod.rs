//! `TaskGroup`: a body and its child tasks, none of which outlives the scope.
//!
//! The scope is a catch scope that its task waits in: it delivers a child's failure into its own body as `timeout` delivers
//! its expiry (`cancel/delivery.rs`), and takes requests from outside until the last child has ended. A child's failure is
//! noted by the child itself, while it runs; the scope does everything else when its task is polled.

mod error;
mod outcome;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture, pending, poll_fn};
use std::panic;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as Cx, Poll, Waker};
use std::thread;

use slab::Slab;

use self::error::BoxError;
pub use self::error::{TaskFailure, TaskGroupError};
pub use self::outcome::TaskOutcome;
use crate::cancel::catch_panic;
use crate::cancel::delivery::Delivery;
use crate::error::{CancelReason, CancelledError, JoinError};
use crate::event_loop::{EventLoop, TaskBuilder, running_loop};
use crate::exception::ExceptionContext;
use crate::task::cell::TaskCell;
use crate::task::inquiry::{WaitsOn, answer};
use crate::task::raw::with_current;
use crate::task::stand::Standing;
use crate::task::watch::Watch;
use crate::task::{Task, TaskRef, current_task, is_cancel_pending};

/// A group of child tasks that belong to one piece of code: the handle that its body gets from [`TaskGroup::scope`].
///
/// Clone it into a child to let the child start further ones.
#[derive(Clone)]
pub struct TaskGroup {
    state: Rc<State>,
}

struct State {
    event_loop: EventLoop,
    /// The children that are not known to have ended.
    children: RefCell<Slab<TaskRef>>,
    /// Which of them have.
    ended: Rc<Watch>,
    failures: RefCell<Vec<TaskFailure>>,
    phase: Cell<Phase>,
    /// Wakes the scope when the group begins to stop.
    waker: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// The children are cancelled, and the body is to be.
    Stopping,
    /// The scope is over.
    Finished,
}

impl TaskGroup {
    /// Runs `body`, which may start child tasks, and waits until all of them have ended.
    ///
    /// The first child that returns `Err` or panics, and an `Err` of the body, stop the group: every other child is cancelled, and so
    /// is the body, where it waits. Cleanup that they await is waited for. A child that was cancelled is no failure.
    ///
    /// # Errors
    ///
    /// [`TaskGroupError`] with every error of children and body, in the order in which they happened.
    ///
    /// # Panics
    ///
    /// Outside of a task. With the body's panic, once every child has ended; errors of children are then reported to
    /// the loop's exception handler.
    ///
    /// # Cancel safety
    ///
    /// A cancellation goes to the body, where its innermost catch scope receives it; if it comes out, or while the group
    /// waits for its children, the children are cancelled as well and waited for, and then it goes on. A further one is
    /// handed to the children again. If something failed meanwhile, the error is returned and the cancellation is
    /// delivered at the next await. If the scope is dropped without being cancelled, its children are dropped at once.
    ///
    /// # Differences from asyncio
    ///
    /// The group is a function around its body. A child's `Err` goes to the group only; whoever awaits the child gets a
    /// [`JoinError`] with [`is_failed`](JoinError::is_failed). Starting a child while the group stops is no error: the
    /// child ends cancelled before it begins. A request that the task swallowed earlier is never delivered again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::TaskGroup;
    /// use std::time::Duration;
    ///
    /// asyncio::run(async {
    ///     let sum = TaskGroup::scope(async |group| {
    ///         let one = group.spawn(async { 1 });
    ///         let two = group.spawn(async { 2 });
    ///         Ok::<_, asyncio::JoinError>(one.await? + two.await?)
    ///     });
    ///     assert_eq!(sum.await.unwrap(), 3);
    ///
    ///     let failed = TaskGroup::scope(async |group| {
    ///         group.spawn(async { Err::<(), _>("no such host") });
    ///         group.spawn(asyncio::sleep(Duration::MAX)); // cancelled when the other one fails
    ///     });
    ///     assert_eq!(failed.await.unwrap_err().failures().len(), 1);
    /// })
    /// .unwrap();
    /// ```
    pub async fn scope<B, O, Kind>(body: B) -> Result<O::Value, TaskGroupError>
    where
        B: AsyncFnOnce(&TaskGroup) -> O,
        O: TaskOutcome<Kind>,
    {
        let group = TaskGroup::enter();
        let children = Children { group: &group };
        let mut requests = Requests::new();
        let outcome = {
            let mut body = pin!(Some(catch_panic(body(&group))));
            poll_fn(|cx| group.poll_body(body.as_mut(), &mut requests, cx)).await
        };
        let value = group.settle(outcome);
        poll_fn(|cx| group.poll_empty(&mut requests, cx)).await;
        group.state.phase.set(Phase::Finished);
        drop(children);
        let taken = requests.taken.take();
        drop(requests);
        group.finish(value, taken).await
    }

    /// Starts a child task.
    ///
    /// While the group is stopping, and after its end, the child ends cancelled before it begins.
    ///
    /// # Examples
    ///
    /// See [`TaskGroup::scope`].
    #[doc(alias = "create_task")]
    #[track_caller]
    pub fn spawn<F, O, Kind>(&self, future: F) -> Task<O::Value>
    where
        F: IntoFuture<Output = O>,
        F::IntoFuture: 'static,
        O: TaskOutcome<Kind> + 'static,
        O::Value: 'static,
        Kind: 'static,
    {
        self.start(self.state.event_loop.task(), future.into_future())
    }

    /// Cancels the children and the body. If the body is interrupted and nothing fails, the scope's error
    /// [is empty](TaskGroupError::is_cancelled).
    ///
    /// # Differences from asyncio
    ///
    /// There, since 3.15, the block ends silently; here a value is missing if the body did not get to its end.
    pub fn cancel(&self) {
        self.stop();
    }

    #[track_caller]
    fn enter() -> TaskGroup {
        assert!(
            current_task().is_some(),
            "TaskGroup cannot determine the parent task: await `TaskGroup::scope` in a task"
        );
        let state = State {
            event_loop: running_loop(),
            children: RefCell::default(),
            ended: Watch::new(),
            failures: RefCell::default(),
            phase: Cell::new(Phase::Open),
            waker: Cell::new(None),
        };
        TaskGroup {
            state: Rc::new(state),
        }
    }

    #[track_caller]
    fn start<F, O, Kind>(&self, builder: TaskBuilder, future: F) -> Task<O::Value>
    where
        F: Future<Output = O> + 'static,
        O: TaskOutcome<Kind> + 'static,
        O::Value: 'static,
        Kind: 'static,
    {
        let task = builder.spawn(run_child(self.clone(), future));
        let phase = self.state.phase.get();
        if phase != Phase::Finished {
            self.forget_ended();
            let child = task.as_ref();
            let key = self.state.children.borrow_mut().insert(child.clone());
            self.state.ended.add(child, key);
        }
        if phase != Phase::Open {
            let message = "its task group is stopping or over";
            let child = task.as_ref();
            child.cancel_for(CancelReason::Parent, Some(message.into()));
        }
        task
    }

    /// Lets go of the children that have ended.
    fn forget_ended(&self) {
        while let Some(key) = self.state.ended.next() {
            self.state.children.borrow_mut().remove(key);
        }
    }

    fn is_stopping(&self) -> bool {
        self.state.phase.get() != Phase::Open
    }

    /// Cancels every child, once, and has the scope interrupt its body.
    fn stop(&self) {
        if self.is_stopping() {
            return;
        }
        self.state.phase.set(Phase::Stopping);
        self.cancel_children(None);
        if let Some(waker) = self.state.waker.take() {
            waker.wake();
        }
    }

    fn cancel_children(&self, request: Option<&CancelledError>) {
        for child in self.children() {
            if child.cell().has_failed() {
                continue;
            }
            let message = request.and_then(CancelledError::message).map(Into::into);
            child.cancel_for(CancelReason::Parent, message);
        }
    }

    /// In the order in which they were started, which the places in the slab do not keep.
    fn children(&self) -> Vec<TaskRef> {
        let children = self.state.children.borrow();
        let mut children: Vec<_> = children.iter().map(|(_, child)| child.clone()).collect();
        children.sort_unstable_by_key(TaskRef::id);
        children
    }

    fn note_failure(&self, failure: TaskFailure) {
        self.state.failures.borrow_mut().push(failure);
        self.stop();
    }

    /// Takes the body's outcome apart: its error stops the group, and so does its panic.
    fn settle<O: TaskOutcome<Kind>, Kind>(
        &self,
        outcome: Option<thread::Result<O>>,
    ) -> Value<O::Value> {
        match outcome {
            None => Value::None,
            Some(Err(payload)) => {
                self.stop();
                Value::Panic(payload)
            }
            Some(Ok(outcome)) => match outcome.into_result() {
                Ok(value) => Value::Some(value),
                Err(error) => {
                    self.note_failure(TaskFailure::of_body(error));
                    Value::None
                }
            },
        }
    }

    /// Runs the body to its end, or to where it is interrupted.
    fn poll_body<F: Future>(
        &self,
        mut body: Pin<&mut Option<F>>,
        requests: &mut Requests,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<F::Output>> {
        loop {
            if self.is_stopping() && requests.own.is_idle() && !is_cancel_pending() {
                requests.own.send(CancelReason::Parent);
            }
            let Some(running) = body.as_mut().as_pin_mut() else {
                panic!(
                    "`TaskGroup::scope` was polled after its body was interrupted (a bug of this crate)"
                );
            };
            if let Poll::Ready(outcome) = running.poll(cx) {
                requests.own.settle();
                return Poll::Ready(Some(outcome));
            }
            if requests.own.came_back(&requests.standing) {
                body.set(None);
                return Poll::Ready(None);
            }
            if let Some(request) = requests.take() {
                requests.own.settle();
                body.set(None);
                self.pass_on(request, requests);
                return Poll::Ready(None);
            }
            if is_cancel_pending() || !(self.is_stopping() && requests.own.is_idle()) {
                requests.standing.wait(cx);
                self.state.waker.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            // The body has stopped its own group.
        }
    }

    /// Waits until every child has ended.
    fn poll_empty(&self, requests: &mut Requests, cx: &mut Cx<'_>) -> Poll<()> {
        self.forget_ended();
        if self.state.children.borrow().is_empty() {
            return Poll::Ready(());
        }
        if is_cancel_pending() {
            self.answer();
        }
        if let Some(request) = requests.take() {
            self.pass_on(request, requests);
        }
        requests.standing.wait(cx);
        self.state.ended.wake_later(cx);
        Poll::Pending
    }

    /// Says which children are left, if somebody asks.
    fn answer(&self) {
        for child in self.children() {
            answer(|| WaitsOn::task_end(child.cell()));
        }
    }

    /// Hands a request from outside to the children: the first one only if they were not cancelled anyway.
    fn pass_on(&self, request: CancelledError, requests: &mut Requests) {
        if requests.taken.is_some() || !self.is_stopping() {
            self.state.phase.set(Phase::Stopping);
            self.cancel_children(Some(&request));
        }
        requests.taken = Some(request);
    }

    async fn finish<T>(
        &self,
        value: Value<T>,
        taken: Option<CancelledError>,
    ) -> Result<T, TaskGroupError> {
        let failures = self.state.failures.take();
        match value {
            Value::Panic(payload) => {
                self.report(failures);
                deliver_at_next_await(taken);
                panic::resume_unwind(payload)
            }
            _ if !failures.is_empty() => {
                deliver_at_next_await(taken);
                Err(TaskGroupError::new(failures))
            }
            value => match (taken, value) {
                (Some(request), _) => request.raise().await,
                (None, Value::Some(value)) => Ok(value),
                (None, _) => Err(TaskGroupError::new(failures)),
            },
        }
    }

    /// Failures that the panic of the body takes the place of.
    fn report(&self, failures: Vec<TaskFailure>) {
        for failure in failures {
            let context = ExceptionContext::new(
                "TaskGroup task exception was not propagated because the body panicked",
            );
            let exceptions = &self.state.event_loop.core().scheduler.exceptions;
            exceptions.report(context.with_error(failure));
        }
    }
}

/// What a body left.
enum Value<T> {
    Some(T),
    None,
    Panic(Box<dyn Any + Send>),
}

/// A scope's dealings with the requests of its task.
struct Requests {
    /// The one that the scope makes itself, to interrupt its body.
    own: Delivery,
    /// The last one from outside that came to the scope.
    taken: Option<CancelledError>,
    standing: Standing,
}

impl Requests {
    fn new() -> Requests {
        Requests {
            own: Delivery::default(),
            taken: None,
            standing: Standing::default(),
        }
    }

    fn take(&mut self) -> Option<CancelledError> {
        self.standing.take_cancel()
    }
}

/// The error goes first; the request that came with it is not lost.
fn deliver_at_next_await(request: Option<CancelledError>) {
    if let Some(request) = request {
        with_current(|current| current.map(|current| current.deliver_at_next_await(request)));
    }
}

/// What a child's task runs: a failure goes to the group, which is more than the task's handle could tell.
async fn run_child<F, O, Kind>(group: TaskGroup, future: F) -> O::Value
where
    F: Future<Output = O>,
    O: TaskOutcome<Kind>,
{
    let outcome = catch_panic(future).await;
    let failure = match outcome.map(O::into_result) {
        Ok(Ok(value)) => return value,
        Ok(Err(error)) => Failure::Error(error),
        Err(payload) => Failure::Panic(payload),
    };
    with_current(|current| {
        if let Some(current) = current {
            current.fail();
            group.note_failure(failure.of(current));
        }
    });
    pending().await
}

enum Failure {
    Error(BoxError),
    Panic(Box<dyn Any + Send>),
}

impl Failure {
    fn of(self, task: &TaskCell) -> TaskFailure {
        let error = match self {
            Failure::Error(error) => error,
            Failure::Panic(payload) => JoinError::panic(payload, task.origin()).into(),
        };
        TaskFailure::of_task(task.info(), error)
    }
}

/// Sees to it that no child outlives a scope that is dropped before its end.
struct Children<'a> {
    group: &'a TaskGroup,
}

impl Drop for Children<'_> {
    fn drop(&mut self) {
        let state = &self.group.state;
        if state.phase.replace(Phase::Finished) == Phase::Finished {
            return;
        }
        let scheduler = &state.event_loop.core().scheduler;
        for child in self.group.children() {
            scheduler.drop_task(&child);
        }
    }
}

impl TaskBuilder {
    /// Starts the task as a child of `group`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::run(asyncio::TaskGroup::scope(async |group| {
    ///     let child = asyncio::task().name("child").spawn_in(group, async { 7 });
    ///     assert_eq!(child.name(), "child");
    /// }))
    /// .unwrap()
    /// .unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_in<F, O, Kind>(self, group: &TaskGroup, future: F) -> Task<O::Value>
    where
        F: IntoFuture<Output = O>,
        F::IntoFuture: 'static,
        O: TaskOutcome<Kind> + 'static,
        O::Value: 'static,
        Kind: 'static,
    {
        group.start(self, future.into_future())
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state.phase.get() {
            Phase::Open => "entered",
            Phase::Stopping => "cancelling",
            Phase::Finished => "finished",
        };
        let tasks = self
            .children()
            .iter()
            .filter(|child| !child.is_finished())
            .count();
        let errors = self.state.failures.borrow().len();
        write!(f, "<TaskGroup tasks={tasks} errors={errors} {state}>")
    }
}
