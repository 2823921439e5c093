//! What is measured: the rows of the table, how many operations each does in one run, and in what unit it is printed.

use std::time::{Duration, Instant};

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Cancel,
    CancelJoin,
    Shutdown,
    ShutdownClose,
    Cycle,
    CycleSignals,
    RunAgain,
    RunAgainSignals,
    SpawnBatch,
    SpawnDetached,
    SpawnOne,
    SpawnEager,
    Yield,
    WakeSelf,
    PingPong,
    Channel,
    RequestResponse,
    Lock,
    LockContended,
    Semaphore,
    SemaphoreContended,
    TimeoutReady,
    TimeoutPending,
    ThreadWake,
    BlockingJob,
    EchoOne,
    EchoHundred,
    Memory,
}

impl Workload {
    /// Another thread takes part, so that it matters which processor runs what.
    pub(crate) fn has_other_threads(self) -> bool {
        use Workload::*;
        matches!(self, ThreadWake | BlockingJob | EchoOne | EchoHundred)
    }
}

/// How a row's cost per operation is printed.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Microseconds,
    /// Operations in a second: more is better.
    PerSecond,
    Bytes,
}

/// What the table needs to know about a workload.
pub(crate) struct Row {
    pub(crate) workload: Workload,
    pub(crate) name: &'static str,
    /// In one run.
    pub(crate) operations: usize,
    pub(crate) unit: Unit,
    /// What one operation is called in the table.
    pub(crate) operation: &'static str,
}

const fn row(
    workload: Workload,
    name: &'static str,
    operations: usize,
    unit: Unit,
    operation: &'static str,
) -> Row {
    Row {
        workload,
        name,
        operations,
        unit,
        operation,
    }
}

/// All rows, in the order in which they are printed.
pub(crate) const ROWS: &[Row] = {
    use Unit::*;
    use Workload::*;
    &[
        row(Cancel, "cancel", 10_000, Nanoseconds, "task"),
        row(CancelJoin, "cancel-join", 10_000, Nanoseconds, "task"),
        row(Shutdown, "shutdown", 100_000, Nanoseconds, "task"),
        row(ShutdownClose, "shutdown-drop", 100_000, Nanoseconds, "task"),
        row(Cycle, "cycle", 2_000, Nanoseconds, "runtime"),
        row(CycleSignals, "cycle-signals", 500, Nanoseconds, "runtime"),
        row(RunAgain, "run-again", 100_000, Nanoseconds, "run"),
        row(
            RunAgainSignals,
            "run-again-signals",
            20_000,
            Nanoseconds,
            "run",
        ),
        row(SpawnBatch, "spawn-batch", 100_000, Nanoseconds, "task"),
        row(
            SpawnDetached,
            "spawn-detached",
            100_000,
            Nanoseconds,
            "task",
        ),
        row(SpawnOne, "spawn-one", 100_000, Nanoseconds, "task"),
        row(SpawnEager, "spawn-eager", 100_000, Nanoseconds, "task"),
        row(Yield, "yield", 1_000_000, Nanoseconds, "poll"),
        row(WakeSelf, "wake-self", 1_000_000, Nanoseconds, "poll"),
        row(PingPong, "ping-pong", 300_000, Nanoseconds, "round"),
        row(Channel, "channel", 100_000, Nanoseconds, "round"),
        row(
            RequestResponse,
            "request-response",
            100_000,
            Nanoseconds,
            "request",
        ),
        row(Lock, "lock", 1_000_000, Nanoseconds, "acquisition"),
        row(
            LockContended,
            "lock-contended",
            100_000,
            Nanoseconds,
            "acquisition",
        ),
        row(
            Semaphore,
            "semaphore",
            1_000_000,
            Nanoseconds,
            "acquisition",
        ),
        row(
            SemaphoreContended,
            "semaphore-contended",
            100_000,
            Nanoseconds,
            "acquisition",
        ),
        row(
            TimeoutReady,
            "timeout-ready",
            300_000,
            Nanoseconds,
            "timeout",
        ),
        row(
            TimeoutPending,
            "timeout-pending",
            100_000,
            Nanoseconds,
            "timeout",
        ),
        row(ThreadWake, "thread-wake", 1_000, Microseconds, "wake-up"),
        row(
            BlockingJob,
            "blocking-job",
            5_000,
            Microseconds,
            "round trip",
        ),
        row(EchoOne, "echo-1", 5_000, PerSecond, "requests"),
        row(EchoHundred, "echo-100", 20_000, PerSecond, "requests"),
        row(Memory, "memory", 500_000, Bytes, "task"),
    ]
};

/// Finds the row with this name.
pub(crate) fn named(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// What the operations of one run cost together.
#[derive(Clone, Copy)]
pub(crate) enum Cost {
    Time(Duration),
    Bytes(u64),
}

impl Cost {
    /// The time from `started` until now.
    pub(crate) fn since(started: Instant) -> Cost {
        Cost::Time(started.elapsed())
    }

    /// Nanoseconds or bytes for each of `operations`.
    pub(crate) fn per_operation(self, operations: usize) -> f64 {
        let total = match self {
            Cost::Time(duration) => duration.as_nanos() as f64,
            Cost::Bytes(bytes) => bytes as f64,
        };
        total / operations as f64
    }
}

/// Does so many operations, and says what they cost. What has to be there before is made before the clock is read.
pub(crate) type Run = fn(usize) -> Cost;
