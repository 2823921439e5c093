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
    TimeoutMany,
    TimeoutAmong,
    Sleeps,
    SleepsLoaded,
    ThreadWake,
    BusyWake,
    BlockingJob,
    BlockingBatch,
    EchoOne,
    EchoHundred,
    EchoThousand,
    EchoPipelined,
    EchoLoaded,
    Accept,
    BulkIn,
    BulkOut,
    Memory,
}

impl Workload {
    /// Two threads talk to each other in turns, so that both have to be on one processor.
    pub(crate) fn wants_one_processor(self) -> bool {
        use Workload::*;
        matches!(
            self,
            ThreadWake
                | BlockingJob
                | BlockingBatch
                | EchoOne
                | EchoHundred
                | EchoThousand
                | EchoPipelined
                | Accept
                | BulkIn
                | BulkOut
        )
    }

    /// Runs once in a process, without a run to warm up: it is long, or what is measured is what was not there before.
    pub(crate) fn runs_once(self) -> bool {
        use Workload::*;
        matches!(
            self,
            TimeoutAmong
                | Sleeps
                | SleepsLoaded
                | EchoThousand
                | EchoLoaded
                | BulkIn
                | BulkOut
                | Memory
        )
    }
}

/// How a cost is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Microseconds,
    /// Operations in a second: more is better.
    PerSecond,
    Bytes,
    Kibibytes,
    Milliseconds,
    Seconds,
    Count,
}

/// A line of the table. Most rows have one, those that state a distribution have several.
pub(crate) struct Figure {
    pub(crate) unit: Unit,
    /// What it is in terms of the unit, as "per task" or "late (p99)".
    pub(crate) what: &'static str,
}

pub(crate) const fn figure(unit: Unit, what: &'static str) -> Figure {
    Figure { unit, what }
}

/// What the table needs to know about a workload.
pub(crate) struct Row {
    pub(crate) workload: Workload,
    pub(crate) name: &'static str,
    /// In one run.
    pub(crate) operations: usize,
    pub(crate) figures: &'static [Figure],
}

const fn row(
    workload: Workload,
    name: &'static str,
    operations: usize,
    figures: &'static [Figure],
) -> Row {
    Row {
        workload,
        name,
        operations,
        figures,
    }
}

const PER_TASK: &[Figure] = &[figure(Unit::Nanoseconds, "per task")];
const PER_RUN: &[Figure] = &[figure(Unit::Nanoseconds, "per run")];
const PER_RUNTIME: &[Figure] = &[figure(Unit::Nanoseconds, "per runtime")];
const PER_POLL: &[Figure] = &[figure(Unit::Nanoseconds, "per poll")];
const PER_ROUND: &[Figure] = &[figure(Unit::Nanoseconds, "per round")];
const PER_ACQUISITION: &[Figure] = &[figure(Unit::Nanoseconds, "per acquisition")];
const PER_TIMEOUT: &[Figure] = &[figure(Unit::Nanoseconds, "per timeout")];
const PER_JOB: &[Figure] = &[figure(Unit::Microseconds, "per job")];
const REQUESTS: &[Figure] = &[figure(Unit::PerSecond, "requests")];
const MEBIBYTES: &[Figure] = &[figure(Unit::PerSecond, "MiB")];
const LATE: &[Figure] = &[
    figure(Unit::Microseconds, "late (p50)"),
    figure(Unit::Microseconds, "late (p99)"),
];
const LATENCY: &[Figure] = &[
    figure(Unit::Microseconds, "per answer (p50)"),
    figure(Unit::Microseconds, "per answer (p99)"),
];
const CALL_AND_SEEN: &[Figure] = &[
    figure(Unit::Nanoseconds, "per call (p50)"),
    figure(Unit::Nanoseconds, "until seen (p50)"),
];

/// All rows, in the order in which they are printed.
pub(crate) const ROWS: &[Row] = {
    use Workload::*;
    &[
        row(Cancel, "cancel", 10_000, PER_TASK),
        row(CancelJoin, "cancel-join", 10_000, PER_TASK),
        row(Shutdown, "shutdown", 100_000, PER_TASK),
        row(ShutdownClose, "shutdown-drop", 100_000, PER_TASK),
        row(Cycle, "cycle", 2_000, PER_RUNTIME),
        row(CycleSignals, "cycle-signals", 500, PER_RUNTIME),
        row(RunAgain, "run-again", 100_000, PER_RUN),
        row(RunAgainSignals, "run-again-signals", 20_000, PER_RUN),
        row(SpawnBatch, "spawn-batch", 100_000, PER_TASK),
        row(SpawnDetached, "spawn-detached", 100_000, PER_TASK),
        row(SpawnOne, "spawn-one", 100_000, PER_TASK),
        row(SpawnEager, "spawn-eager", 100_000, PER_TASK),
        row(Yield, "yield", 1_000_000, PER_POLL),
        row(WakeSelf, "wake-self", 1_000_000, PER_POLL),
        row(PingPong, "ping-pong", 300_000, PER_ROUND),
        row(Channel, "channel", 100_000, PER_ROUND),
        row(RequestResponse, "request-response", 100_000, PER_ROUND),
        row(Lock, "lock", 1_000_000, PER_ACQUISITION),
        row(LockContended, "lock-contended", 100_000, PER_ACQUISITION),
        row(Semaphore, "semaphore", 1_000_000, PER_ACQUISITION),
        row(
            SemaphoreContended,
            "semaphore-contended",
            100_000,
            PER_ACQUISITION,
        ),
        row(TimeoutReady, "timeout-ready", 300_000, PER_TIMEOUT),
        row(TimeoutPending, "timeout-pending", 100_000, PER_TIMEOUT),
        row(TimeoutMany, "timeout-many", 100_000, PER_TIMEOUT),
        row(TimeoutAmong, "timeout-among", 100_000, PER_TIMEOUT),
        row(Sleeps, "sleeps", 10_000, LATE),
        row(SleepsLoaded, "sleeps-loaded", 1_000, LATE),
        row(
            ThreadWake,
            "thread-wake",
            1_000,
            &[figure(Unit::Microseconds, "per wake-up")],
        ),
        row(BusyWake, "busy-wake", 1_000, CALL_AND_SEEN),
        row(BlockingJob, "blocking-job", 5_000, PER_JOB),
        row(BlockingBatch, "blocking-batch", 10_000, PER_JOB),
        row(EchoOne, "echo-1", 5_000, REQUESTS),
        row(EchoHundred, "echo-100", 20_000, REQUESTS),
        row(EchoThousand, "echo-1000", 20_000, REQUESTS),
        row(EchoPipelined, "echo-pipelined", 160_000, REQUESTS),
        row(EchoLoaded, "echo-loaded", 2_000, LATENCY),
        row(
            Accept,
            "accept",
            1_000,
            &[figure(Unit::Microseconds, "per connection")],
        ),
        row(BulkIn, "bulk-in", 256, MEBIBYTES),
        row(BulkOut, "bulk-out", 256, MEBIBYTES),
        row(
            Memory,
            "memory",
            500_000,
            &[figure(Unit::Bytes, "per task")],
        ),
    ]
};

/// Finds the row with this name.
pub(crate) fn named(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// What one run cost.
#[derive(Clone)]
pub(crate) enum Cost {
    /// All operations together.
    Time(Duration),
    /// All operations together.
    Bytes(u64),
    /// How long each single one took, or how late it was.
    Each(Vec<Duration>),
    /// Of each, how long the first part and how long all of it took.
    EachInParts(Vec<Duration>, Vec<Duration>),
}

impl Cost {
    /// The time from `started` until now.
    pub(crate) fn since(started: Instant) -> Cost {
        Cost::Time(started.elapsed())
    }

    /// The row's figures, in nanoseconds or bytes.
    pub(crate) fn figures(self, operations: usize) -> Vec<f64> {
        match self {
            Cost::Time(duration) => vec![duration.as_nanos() as f64 / operations as f64],
            Cost::Bytes(bytes) => vec![bytes as f64 / operations as f64],
            Cost::Each(mut each) => vec![quantile(&mut each, 50), quantile(&mut each, 99)],
            Cost::EachInParts(mut first, mut all) => {
                vec![quantile(&mut first, 50), quantile(&mut all, 50)]
            }
        }
    }
}

/// So many percent took at most this many nanoseconds.
fn quantile(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort();
    durations[(durations.len() - 1) * percent / 100].as_nanos() as f64
}

/// Does so many operations, and says what they cost. What has to be there before is made before the clock is read.
pub(crate) type Run = fn(usize) -> Cost;
