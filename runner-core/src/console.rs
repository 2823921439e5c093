//! tokio-console's words: tasks, blocking jobs and timers as the spans and events of `tracing` that it looks for.
//!
//! Names, targets and fields are those that tokio uses and `console-subscriber` compares with; the rest is ours. No span has
//! a parent, as a span ends only after those inside of it. This file knows no loop: who looks on is told by `tracing`.

pub(crate) mod waker;

use std::any::Any;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};

use tracing::span::EnteredSpan;
use tracing::subscriber::NoSubscriber;
use tracing::{Level, Metadata, Span, trace, trace_span};
use tracing_core::callsite::{Callsite, register};
use tracing_core::metadata;
use tracing_core::metadata::Kind;
use tracing_core::subscriber::Interest;

/// A task, from its begin to its end.
pub(crate) struct TaskSpan {
    span: Span,
    /// A waker was told to wake it since its last step began: what is found in the queue is the same wake.
    is_wake_told: AtomicBool,
    /// It has begun before it was shown, and may wait with a waker that was not told of. One is told of for that, as a
    /// task that waits without any would be said to be lost; until its next step, in which it takes one that is known.
    has_unknown_waker: AtomicBool,
}

impl TaskSpan {
    pub(crate) fn new(
        id: u64,
        name: &str,
        spawned: &'static Location<'static>,
        has_begun: bool,
    ) -> TaskSpan {
        let span = TaskSpan {
            span: trace_span!(
                target: "tokio::task",
                parent: None,
                "runtime.spawn",
                kind = "task",
                task.name = name,
                task.id = id,
                loc.file = spawned.file(),
                loc.line = spawned.line(),
                loc.col = spawned.column(),
            ),
            is_wake_told: AtomicBool::new(false),
            has_unknown_waker: AtomicBool::new(has_begun),
        };
        if has_begun {
            span.waker_is_cloned();
        }
        span
    }

    /// The task was found in the queue. By reference: a wake by value would count as the end of a waker.
    pub(crate) fn is_found_woken(&self) {
        if !self.is_wake_told.swap(false, Ordering::Relaxed) {
            self.tell("waker.wake_by_ref");
        }
    }

    fn waker_is_cloned(&self) {
        self.tell("waker.clone");
    }

    fn waker_is_dropped(&self) {
        self.tell("waker.drop");
    }

    fn waker_wakes_by_ref(&self) {
        self.is_wake_told.store(true, Ordering::Relaxed);
        self.tell("waker.wake_by_ref");
    }

    /// And is gone with that.
    fn waker_wakes(&self) {
        self.is_wake_told.store(true, Ordering::Relaxed);
        self.tell("waker.wake");
    }

    fn tell(&self, operation: &str) {
        if let Some(id) = self.span.id() {
            trace!(target: "tokio::task::waker", op = operation, task.id = id.into_u64());
        }
    }

    /// The task runs until what is returned is dropped; [`leave`](TaskSpan::leave) is to be called then.
    pub(crate) fn enter(&self) -> EnteredSpan {
        self.is_wake_told.store(false, Ordering::Relaxed);
        self.span.clone().entered()
    }

    /// A step of the task is over.
    pub(crate) fn leave(&self) {
        if self.has_unknown_waker.swap(false, Ordering::Relaxed) {
            self.waker_is_dropped();
        }
    }
}

impl Drop for TaskSpan {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A blocking job, from its submission to its end; see `Observer::job_is_submitted`.
pub(crate) fn job(
    submitted: &'static Location<'static>,
) -> Box<dyn FnOnce() -> Box<dyn Any> + Send> {
    let span = trace_span!(
        target: "tokio::task::blocking",
        parent: None,
        "runtime.spawn",
        kind = "blocking",
        task.name = "job",
        loc.file = submitted.file(),
        loc.line = submitted.line(),
        loc.col = submitted.column(),
    );
    Box::new(move || Box::new(span.entered()))
}

/// A timer, from when it is set until it fires or is given up.
pub(crate) struct TimerSpan {
    resource: Span,
    /// The wait of a task for it; none for a callback.
    wait: Span,
}

impl TimerSpan {
    /// For a future that waits so long.
    pub(crate) fn wait(millis: u64) -> TimerSpan {
        let resource = trace_span!(
            target: "asyncio::time",
            parent: None,
            "runtime.resource",
            concrete_type = "Timer",
            kind = "timer",
        );
        let wait = resource.in_scope(|| {
            tell_duration(millis);
            trace_span!(target: "asyncio::time", "runtime.resource.async_op", source = "Timer::wait")
        });
        TimerSpan { resource, wait }
    }

    /// For a callback that was scheduled there.
    pub(crate) fn callback(millis: u64, scheduled: &'static Location<'static>) -> TimerSpan {
        let resource = trace_span!(
            target: "asyncio::time",
            parent: None,
            "runtime.resource",
            concrete_type = "TimerHandle",
            kind = "timer",
            loc.file = scheduled.file(),
            loc.line = scheduled.line(),
            loc.col = scheduled.column(),
        );
        resource.in_scope(|| tell_duration(millis));
        TimerSpan {
            resource,
            wait: Span::none(),
        }
    }

    /// The current task looks whether it has fired, and it has not.
    pub(crate) fn poll(&self) {
        if self.wait.is_disabled() {
            return;
        }
        let _resource = self.resource.enter();
        let _wait = self.wait.enter();
        trace!(target: "runtime::resource::poll_op", op_name = "poll_elapsed", is_ready = false);
    }
}

fn tell_duration(millis: u64) {
    trace!(
        target: "runtime::resource::state_update",
        duration = millis,
        duration.unit = "ms",
        duration.op = "override",
    );
}

/// Returns `true` if spans that are made on this thread reach somebody.
pub(crate) fn is_heard() -> bool {
    tracing::dispatcher::get_default(|listener| !listener.is::<NoSubscriber>())
}

// ----- who looks on -----

/// Somebody in this process wants the spans of tasks.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Called when that has changed, on the thread that has changed it and under a lock of `tracing`'s.
static ON_CHANGE: OnceLock<fn()> = OnceLock::new();

/// A place that makes no spans: `tracing` tells it, as it tells the places that do, when somebody comes who wants them.
struct Lookout;

static LOOKOUT: Lookout = Lookout;

static METADATA: Metadata<'static> = metadata! {
    name: "runtime.spawn",
    target: "tokio::task",
    level: Level::TRACE,
    fields: &[],
    callsite: &LOOKOUT,
    kind: Kind::SPAN,
};

impl Callsite for Lookout {
    fn set_interest(&self, interest: Interest) {
        let wanted = !interest.is_never();
        if WANTED.swap(wanted, Ordering::SeqCst) != wanted {
            if let Some(on_change) = ON_CHANGE.get() {
                on_change();
            }
        }
    }

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}

/// Has `on_change` called whenever [`is_wanted`] changes.
pub(crate) fn look_out(on_change: fn()) {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let _ = ON_CHANGE.set(on_change);
        register(&LOOKOUT);
    });
}

/// Returns `true` if somebody wants the spans of tasks.
pub(crate) fn is_wanted() -> bool {
    WANTED.load(Ordering::SeqCst)
}
