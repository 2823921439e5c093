//! The event loop, tasks, cancellation and runner behind the `asyncio` crate.
//!
//! Use the crate `asyncio`, which re-exports everything here and adds the attributes. The modules below stand in the order
//! of their levels: each imports only from those above it. `docs/architecture.md` has the picture.

#[cfg(feature = "console")]
mod console;
mod decimal;
mod error;
mod fork;
mod json;
mod large;
mod logging;
mod threads;

pub mod driver;
mod exception;
mod inbox;
mod pool;
mod timeline;
mod timers;

mod context;
mod handle;
mod signals;
mod watchdog;

mod task;

mod event_loop;

pub mod io;
#[cfg(unix)]
pub mod signal;
mod sleep;
pub mod sync;

mod cancel;

pub mod debug;
mod executor;
mod generator;
mod joining;
pub mod net;
#[cfg(unix)]
pub mod process;
mod task_group;

mod runner;

mod testing;

#[doc(hidden)]
pub mod private;

pub use cancel::{
    CatchCancelled, Timeout, WithTimeout, catch_cancelled, finally, timeout, timeout_at,
};
pub use context::{Context, ContextVar, Token, copy_context};
pub use error::{
    CancelReason, CancelledError, ContextError, JoinError, RescheduleError, RunError, TimeoutError,
};
pub use event_loop::{
    CancelHandle, ClosedError, Companion, EventLoop, EventLoopBuilder, LoopHandle, Metrics,
    RemoteTask, TaskBuilder, TimerHandle, all_tasks, event_loop, new_event_loop, running_loop,
    set_event_loop, spawn, task, try_event_loop, try_running_loop,
};
pub use exception::{ExceptionContext, TaskInfo};
pub use executor::{Job, to_thread, to_thread_with};
pub use generator::{AsyncGenerator, Yielder, generator};
pub use handle::Handle;
pub use joining::{
    AsCompleted, Gather, GatherSettled, IntoTask, ReturnWhen, Shield, Wait, as_completed, gather,
    shield, wait,
};
pub use pool::{
    ExecutorReport, RunningJob, StopToken, ThreadPoolExecutor, ThreadPoolExecutorBuilder,
};
pub use runner::{
    AbandonedChild, AbandonedCompanion, AbandonedJob, AbandonedWorker, DetachedPanic,
    IntoEventLoop, Runner, RunnerBuilder, RunnerState, ShutdownReport, Survivor, Worker,
    WorkerTask, at_exit, exit, run, spawn_on, worker, workers,
};
pub use sleep::{Sleep, YieldNow, sleep, sleep_until, yield_now};
pub use task::{Task, TaskRef, current_task};
pub use task_group::{TaskFailure, TaskGroup, TaskGroupError, TaskOutcome};
