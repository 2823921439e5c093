//! Tasks: the handle that is awaited, references to tasks, and cancellation requests.
//!
//! A task belongs to its loop, not to its handle: dropping the handle detaches it. This folder knows a loop only as the
//! [`scheduler`] that a task is pushed to; time and I/O are unknown here.

pub(crate) mod cell;
pub(crate) mod inboxes;
pub(crate) mod inquiry;
pub(crate) mod main_task;
pub(crate) mod observed;
mod output;
mod parcel;
pub(crate) mod raise;
pub(crate) mod raw;
pub(crate) mod ready;
mod registry;
mod reports;
pub(crate) mod scheduler;
pub(crate) mod stand;
pub(crate) mod watch;

use std::cell::OnceCell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, Waker};

use self::cell::{TaskCell, TaskOptions};
use self::inquiry::{WaitsOn, answer, is_asking};
use self::output::received;
use self::raise::Raising;
pub(crate) use self::raw::spend_budget;
use self::raw::{Joinable, with_current};
use self::reports::is_result;
use self::scheduler::{Mail, Ready, Scheduler};
use self::stand::Standing;
use crate::error::{CancelReason, CancelledError, Hold, JoinError};
use crate::exception::TaskInfo;
use crate::handle::Handle;
use crate::inbox::Inbox;

/// A running task; awaiting it gives its output.
///
/// Dropping the handle detaches the task: it goes on, and if it panics the loop's exception handler is told.
///
/// # Panics
///
/// Awaiting panics in the task itself, in a task of another loop while this one is not done, and after the output was given.
///
/// # Cancel safety
///
/// A task that is cancelled while it awaits another one passes the request on, and waits for that one's own cleanup. If
/// the other one swallows the request and returns a value, the value is received; nothing is lost. If it ends cancelled, the
/// request goes on outwards; should other code of the awaiting task, in a `join!` or a sub-executor, take it and keep it, the
/// `await` gives the [`JoinError`].
///
/// # Differences from asyncio
///
/// `await` gives a `Result`, because there are no exceptions: a panic and a cancellation of the awaited task arrive as
/// [`JoinError`]. The loop keeps a task alive until it is done; a task nobody holds never vanishes.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// let seven = asyncio::run(async {
///     let task = asyncio::spawn(async { 3 + 4 });
///     task.await.unwrap()
/// });
/// assert_eq!(seven.unwrap(), 7);
/// ```
pub struct Task<T> {
    /// Taken out by the destructor.
    join: Option<Joinable<T>>,
    /// A handle is moved, and kept by the thousand: it is two words.
    rare: OnceCell<Box<Rare>>,
}

/// What few handles need.
#[derive(Default)]
struct Rare {
    /// The same task without its output's type, as soon as somebody asks for it: it costs a count.
    reference: OnceCell<TaskRef>,
    /// A request that was passed on, or a sub-executor around.
    passing: Passing,
}

/// How a request of the awaiting task goes through the awaited one.
#[derive(Default)]
struct Passing {
    /// The request was passed on, so that the awaited task's end by cancellation is that of the awaiting task as well.
    forwarded: Option<CancelledError>,
    /// The awaited task has ended by it: the request is raised in the awaiting task, and the error is what is returned
    /// should somebody await again after that was caught.
    raised: Option<(Raising, JoinError)>,
    standing: Standing,
}

// The output is not part of the handle, and `JoinError` is not `Unpin` only in order to be told apart (see `error.rs`).
impl<T> Unpin for Task<T> {}

/// A reference to a task that does not know its output: what [`current_task`] and [`all_tasks`](crate::all_tasks) give.
#[derive(Clone)]
pub struct TaskRef {
    /// The metadata inside of the task's allocation.
    cell: NonNull<TaskCell>,
    /// Keeps the allocation alive.
    _keep_alive: Waker,
}

/// Returns the task that is running on this thread, if any.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// assert!(asyncio::current_task().is_none());
/// asyncio::run(async {
///     asyncio::current_task().unwrap().set_name("main");
///     assert_eq!(asyncio::current_task().unwrap().name(), "main");
/// })
/// .unwrap();
/// ```
pub fn current_task() -> Option<TaskRef> {
    with_current(|current| current.map(TaskCell::to_ref))
}

/// More requests than anybody makes.
const ROUNDS: u32 = 1000;

/// Returns `true` if the current task has got so many requests that they must come from itself: tasks that wait for each other
/// in a circle hand a request round and round. asyncio runs into Python's recursion limit there. The request is then not
/// handed on but taken where it is, and that ends the circle.
pub(crate) fn is_handed_round() -> bool {
    with_current(|current| current.is_some_and(|current| current.cancelling() > ROUNDS))
}

/// Returns `true` if a request came out of what was polled, and goes on outwards.
pub(crate) fn is_request_passing() -> bool {
    is_cancel_pending() && !is_asking()
}

/// Returns `true` if somebody in the current task is still to be polled because of a request.
pub(crate) fn awaits_answer() -> bool {
    with_current(|current| current.is_some_and(TaskCell::awaits_answer))
}

/// Returns `true` if a cancellation waits to be delivered in the current task.
pub(crate) fn is_cancel_pending() -> bool {
    with_current(|current| current.is_some_and(TaskCell::is_cancel_pending))
}

/// The same for a leaf future, which then returns `Pending` without looking at its event, so that nothing is consumed that
/// the cancelled code would then lose. If the request goes to somebody beside it, the leaf is polled again: its event may
/// have woken it already, and would not do so twice. If the task is only being asked, it says what the event is.
#[inline]
pub(crate) fn must_look_away(cx: &mut Cx<'_>, what: impl FnOnce() -> WaitsOn) -> bool {
    with_current(|current| {
        let Some(task) = current.filter(|task| task.is_cancel_pending()) else {
            return false;
        };
        if !answer(what) {
            task.note_looking_away(cx.waker());
        }
        true
    })
}

/// The same for a leaf future that another thread wakes. Whoever asks a task wakes it first: a wake-up that comes before the
/// task is polled for that changes nothing any more. Where the event `has_come`, the task is polled once more.
#[inline]
pub(crate) fn must_look_away_from_thread(
    cx: &mut Cx<'_>,
    what: impl FnOnce() -> WaitsOn,
    has_come: impl FnOnce() -> bool,
) -> bool {
    let must = must_look_away(cx, what);
    if must && is_asking() && has_come() {
        cx.waker().wake_by_ref();
    }
    must
}

impl<T> Task<T> {
    pub(crate) fn spawn<F>(scheduler: &Rc<Scheduler>, options: TaskOptions, future: F) -> Task<T>
    where
        F: Future<Output = T> + 'static,
    {
        Task::from_joinable(raw::spawn(scheduler, options, future))
    }

    /// The same, with nothing special.
    #[inline]
    pub(crate) fn spawn_plain<F>(
        scheduler: &Rc<Scheduler>,
        location: &'static Location<'static>,
        future: F,
    ) -> Task<T>
    where
        F: Future<Output = T> + 'static,
    {
        Task::from_joinable(raw::spawn_plain(scheduler, location, future))
    }

    fn from_joinable(join: Joinable<T>) -> Task<T> {
        Task {
            join: Some(join),
            rare: OnceCell::new(),
        }
    }

    fn cell(&self) -> &TaskCell {
        match &self.join {
            Some(join) => join.metadata(),
            None => unreachable!("only the destructor takes the handle away"),
        }
    }

    /// Returns a reference that does not know the output, and can be cloned.
    pub fn task_ref(&self) -> TaskRef {
        self.cell().to_ref()
    }

    /// Waits for the output, and does not pass requests on.
    pub(crate) fn poll_output(&mut self, cx: &mut Cx<'_>) -> Poll<Result<T, JoinError>> {
        let join = match &mut self.join {
            Some(join) if !join.metadata().is_received() => join,
            _ => panic!("`Task` was polled after it had given its output; await a task only once"),
        };
        let Poll::Ready(output) = Pin::new(&mut *join).poll(cx) else {
            join.metadata().refuse_from_another_loop();
            return Poll::Pending;
        };
        self.cell().mark_received();
        Poll::Ready(received(output, self.cell()))
    }
}

/// The calls that a handle and a reference have in common, written once.
macro_rules! task_methods {
    (impl [$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> $type {
            /// Asks the task to stop; returns `false` if it is done already.
            ///
            /// The request is delivered at the task's next suspension point to the innermost
            /// [`catch_cancelled`](crate::catch_cancelled) around it; without one, the task's future is dropped. A task
            /// that has not started never does.
            ///
            /// # Differences from asyncio
            ///
            /// Code without a catch scope is unwound by dropping, where Python throws an exception into it.
            pub fn cancel(&self) -> bool {
                self.cell().cancel_for(CancelReason::User, None)
            }

            /// The same, with a text for the one who receives the cancellation. The last text wins.
            #[doc(alias = "msg")]
            pub fn cancel_with(&self, message: impl Into<String>) -> bool {
                self.cell().cancel_for(CancelReason::User, Some(message.into().into()))
            }

            /// Returns how many requests were made and not withdrawn.
            pub fn cancelling(&self) -> u32 {
                self.cell().cancelling()
            }

            /// Withdraws one request and returns how many are left. Withdrawing the last one also withdraws its
            /// delivery, if that is still to come.
            pub fn uncancel(&self) -> u32 {
                self.cell().uncancel()
            }

            /// Returns `true` if the task has returned, panicked or was cancelled.
            #[doc(alias = "done")]
            pub fn is_finished(&self) -> bool {
                self.cell().is_done()
            }

            /// Returns `true` if the task ended cancelled.
            #[doc(alias = "cancelled")]
            pub fn is_cancelled(&self) -> bool {
                self.cell().is_cancelled()
            }

            /// Returns the task's name: `Task-N` unless it was given one.
            #[doc(alias = "get_name")]
            pub fn name(&self) -> String {
                self.cell().name()
            }

            /// Gives the task a name, for reports.
            pub fn set_name(&self, name: impl Into<String>) {
                self.cell().set_name(name.into());
            }

            /// Returns the task's number, unique in the process. On one thread they are in the order of spawning; another
            /// thread's begin after a gap.
            pub fn id(&self) -> u64 {
                self.cell().id()
            }

            /// Returns the line of the program that spawned the task.
            pub fn spawn_location(&self) -> &'static Location<'static> {
                self.cell().location()
            }

            /// Has the loop call `callback` soon after the task is done; at once, if it is done already.
            ///
            /// Callbacks are called in the order in which they were added, each in the context of whoever added it.
            #[track_caller]
            pub fn add_done_callback(&self, callback: impl FnOnce(&TaskRef) + 'static) {
                self.cell().attach_done_callback(Box::new(callback), Location::caller());
            }
        }
    };
}

task_methods!(impl [T] Task<T>);
task_methods!(impl [] TaskRef);

/// What is common to tasks of any output.
impl<T> AsRef<TaskRef> for Task<T> {
    fn as_ref(&self) -> &TaskRef {
        let rare = self.rare.get_or_init(Box::default);
        rare.reference.get_or_init(|| self.task_ref())
    }
}

impl AsRef<TaskRef> for TaskRef {
    fn as_ref(&self) -> &TaskRef {
        self
    }
}

impl TaskRef {
    /// Requests a cancellation for `reason`, and wakes whoever can take it.
    pub(crate) fn cancel_for(&self, reason: CancelReason, message: Option<Arc<str>>) -> bool {
        self.cell().cancel_for(reason, message)
    }

    /// Ends the task at its next turn, whatever it does.
    pub(crate) fn kill(&self) {
        self.cell().kill();
        self.cell().wake();
    }

    pub(crate) fn info(&self) -> TaskInfo {
        self.cell().info()
    }

    pub(crate) fn inbox(&self) -> &'static Inbox<Mail> {
        self.cell().inbox.inbox()
    }
}

impl TaskCell {
    /// To be called before the current task waits for this one: a task of another loop does not run meanwhile.
    #[inline]
    #[track_caller]
    fn refuse_from_another_loop(&self) {
        let is_at_home = |task: &TaskCell| task.inbox == self.inbox;
        if !with_current(|current| current.is_none_or(is_at_home)) {
            self.panic_from_another_loop();
        }
    }

    #[cold]
    #[track_caller]
    fn panic_from_another_loop(&self) -> ! {
        panic!(
            "Task '{}' is attached to a different loop; await it in a task of that loop",
            self.name()
        );
    }

    /// Requests a cancellation for `reason`, and wakes whoever can take it.
    fn cancel_for(&self, reason: CancelReason, message: Option<Arc<str>>) -> bool {
        let accepted = self.request_cancel(reason, message);
        if accepted {
            self.wake_to_cancel();
        }
        accepted
    }

    fn attach_done_callback(
        &self,
        callback: Box<dyn FnOnce(&TaskRef)>,
        location: &'static Location<'static>,
    ) {
        let task = self.to_ref();
        let handle = Handle::new(Box::new(move || callback(&task)), location);
        let Some(handle) = self.add_done_callback(handle) else {
            return;
        };
        match Scheduler::current() {
            Some(scheduler) => scheduler.push(Ready::Callback(handle)),
            // The task is done and no loop runs here: there is nobody else to call it.
            None => {
                if let Some((callback, _context)) = handle.take() {
                    callback();
                }
            }
        }
    }

    /// Wakes the waiting scopes and the task itself, so that whoever is innermost is polled.
    pub(crate) fn wake_to_cancel(&self) {
        self.ask_stands();
        self.wake();
    }

    /// Makes the request of a scope inside of the task, for the code below it, and wakes whoever may take it.
    pub(crate) fn deliver_inside(&self, reason: CancelReason, origin: u64, scope: &Standing) {
        self.request_from_scope(reason, origin);
        self.ask_inside(scope);
    }

    /// Makes a request pending again that was taken and delivered to nobody.
    fn deliver_again(&self, mut request: CancelledError) {
        self.redeliver(&request);
        if let Some(hold) = request.take_hold() {
            self.hold_request(|with| Some(Hold::both(hold, with)));
        }
    }

    /// Makes a request pending again that was taken, beside an error that is returned now.
    pub(crate) fn deliver_at_next_await(&self, mut request: CancelledError) {
        self.redeliver_afterwards(&request);
        if let Some(hold) = request.take_hold() {
            self.hold_request(|with| Some(Hold::both(hold, with)));
        }
        self.wake_to_cancel();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let is_requested = this.look_at_awaiter();
        if let Some(Rare { passing, .. }) = this.rare.get_mut().map(|rare| &mut **rare) {
            if is_requested && passing.raised.is_some() {
                must_look_away(cx, || WaitsOn::task_end(this.cell()));
                return Poll::Pending;
            }
            if let Some((_, error)) = passing.raised.take() {
                return Poll::Ready(Err(error));
            }
        }
        if is_requested {
            if this.is_finished() || is_handed_round() {
                // The output stays where it is, for whoever awaits after the cancellation was delivered.
                must_look_away(cx, || WaitsOn::task_end(this.cell()));
                this.wait(cx);
                return Poll::Pending;
            }
            if answer(|| WaitsOn::task_end(this.cell())) {
                return Poll::Pending;
            }
            this.forward_cancel();
        }
        let Poll::Ready(output) = this.poll_output(cx) else {
            this.wait(cx);
            return Poll::Pending;
        };
        match this.rare.get_mut() {
            None => Poll::Ready(output),
            Some(rare) => rare.passing.end_with(output, cx),
        }
    }
}

impl<T> Task<T> {
    /// Returns `true` if a request is pending in the awaiting task, which must not be this one.
    #[track_caller]
    fn look_at_awaiter(&self) -> bool {
        let id = self.id();
        let (awaits_itself, is_requested) = with_current(|current| {
            current.map_or((false, false), |current| {
                (current.id() == id, current.is_cancel_pending())
            })
        });
        assert!(
            !awaits_itself,
            "Task cannot await on itself: '{}'; await it from another task",
            self.name()
        );
        is_requested
    }

    /// Passes a request that waits for the awaiting task on to this one, whose end is then awaited.
    #[cold]
    fn forward_cancel(&mut self) {
        if let Some(request) = with_current(|current| current.and_then(TaskCell::take_cancel)) {
            let message = request.message().map(Arc::from);
            self.cell().cancel_for(CancelReason::Parent, message);
            self.passing().forwarded = Some(request);
        }
    }

    /// Has a request of the awaiting task wake whoever is polled with `cx`.
    fn wait(&mut self, cx: &mut Cx<'_>) {
        if self.rare.get().is_some() || Standing::is_needed(cx) {
            self.passing().standing.wait(cx);
        }
    }

    fn passing(&mut self) -> &mut Passing {
        self.rare.get_or_init(Box::default);
        match self.rare.get_mut() {
            Some(rare) => &mut rare.passing,
            None => unreachable!("it was made a moment ago"),
        }
    }
}

impl Passing {
    fn end_with<T>(
        &mut self,
        output: Result<T, JoinError>,
        cx: &mut Cx<'_>,
    ) -> Poll<Result<T, JoinError>> {
        self.standing.leave();
        match (output, self.forwarded.take()) {
            (Err(error), Some(request)) if error.is_cancelled() => {
                let mut raising = Raising::new(request);
                raising.poll(cx);
                self.raised = Some((raising, error));
                Poll::Pending
            }
            (output, _) => Poll::Ready(output),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        // `async-task` would cancel.
        if let Some(join) = self.join.take() {
            if is_result::<T>() && !join.metadata().is_received() {
                join.metadata().leave_result();
            }
            join.detach();
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cell().to_ref().fmt(f)
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_finished(), self.is_cancelled(), self.cancelling()) {
            (true, true, _) => "cancelled",
            (true, false, _) => "finished",
            (false, _, 0) => "pending",
            (false, _, _) => "cancelling",
        };
        let location = self.spawn_location();
        write!(
            f,
            "<Task {state} name='{}' spawned at {}:{}>",
            self.name(),
            location.file(),
            location.line()
        )
    }
}
