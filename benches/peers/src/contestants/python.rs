//! CPython's asyncio and uvloop: `python.py`, in a process that is started for each run. The TCP clients are this program's.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Contestant, Hello, Kind};
use crate::tcp_clients::Client;
use crate::workloads::{self, Cost, ROWS, Run, Workload};

pub(super) const ASYNCIO: Contestant = Contestant {
    name: "python",
    about: "CPython's asyncio, with streams; it does fewer operations",
    crates: &[],
    feature: "python",
    kind: Kind::Peer,
    slowness,
    prepare: || {},
    hello: Hello::Python(
        "import asyncio\nasync def main():\n    print('hello')\nasyncio.run(main())\n",
    ),
    run,
};

pub(super) const UVLOOP: Contestant = Contestant {
    name: "uvloop",
    about: "the same program on uvloop",
    prepare: || USES_UVLOOP.store(true, Ordering::Relaxed),
    hello: Hello::Python(
        "import uvloop\nasync def main():\n    print('hello')\nuvloop.run(main())\n",
    ),
    ..ASYNCIO
};

static USES_UVLOOP: AtomicBool = AtomicBool::new(false);

const PROGRAM: &str = include_str!("python.py");

fn run(workload: Workload) -> Option<Run> {
    use Workload::*;
    let run: Run = match workload {
        Cancel => |count| timed(Cancel, count),
        CancelJoin => |count| timed(CancelJoin, count),
        Shutdown => |count| timed(Shutdown, count),
        Cycle => |count| timed(Cycle, count),
        CycleSignals => |count| timed(CycleSignals, count),
        RunAgain => |count| timed(RunAgain, count),
        RunAgainSignals => |count| timed(RunAgainSignals, count),
        SpawnBatch => |count| timed(SpawnBatch, count),
        SpawnDetached => |count| timed(SpawnDetached, count),
        SpawnOne => |count| timed(SpawnOne, count),
        Yield => |count| timed(Yield, count),
        PingPong => |rounds| timed(PingPong, rounds),
        TimeoutReady => |count| timed(TimeoutReady, count),
        TimeoutPending => |count| timed(TimeoutPending, count),
        TimeoutMany => |count| timed(TimeoutMany, count),
        Sleeps => |count| Cost::Each(numbers(Sleeps, count).map(Duration::from_nanos).collect()),
        SleepsLoaded => |count| {
            Cost::Each(
                numbers(SleepsLoaded, count)
                    .map(Duration::from_nanos)
                    .collect(),
            )
        },
        BlockingJob => |rounds| timed(BlockingJob, rounds),
        BlockingBatch => |count| timed(BlockingBatch, count),
        EchoOne => |requests| {
            served(EchoOne, requests, |server| {
                Client::echo(server, 1, 1, requests)
            })
        },
        EchoHundred => |requests| {
            served(EchoHundred, requests, |server| {
                Client::echo(server, 100, 1, requests)
            })
        },
        EchoThousand => |requests| {
            served(EchoThousand, requests, |server| {
                Client::echo(server, 1000, 1, requests)
            })
        },
        EchoPipelined => |requests| {
            served(EchoPipelined, requests, |server| {
                Client::echo(server, 100, 16, requests)
            })
        },
        EchoLoaded => |requests| {
            served(EchoLoaded, requests, |server| {
                Client::timed_echo(server, requests)
            })
        },
        Accept => |times| served(Accept, times, |server| Client::connecting(server, times)),
        BulkIn => |mebibytes| {
            served(BulkIn, mebibytes, |server| {
                Client::sending(server, mebibytes)
            })
        },
        BulkOut => |mebibytes| {
            served(BulkOut, mebibytes, |server| {
                Client::receiving(server, mebibytes)
            })
        },
        Memory => |count| Cost::Bytes(numbers(Memory, count).sum()),
        // Its wakers are not Rust's, and it has nothing that drops tasks unasked.
        WakeSelf | ThreadWake | BusyWake | TimeoutAmong | ShutdownClose => return None,
        // Its queues and locks are those that ours are ports of; nobody chooses it for their speed.
        SpawnEager | Channel | RequestResponse | Lock | LockContended | Semaphore
        | SemaphoreContended => return None,
    };
    Some(run)
}

fn slowness(workload: Workload) -> usize {
    match workload {
        Workload::SleepsLoaded => 2,
        workload if is_served(workload) => 4,
        _ => 10,
    }
}

fn is_served(workload: Workload) -> bool {
    use Workload::*;
    let echo = [
        EchoOne,
        EchoHundred,
        EchoThousand,
        EchoPipelined,
        EchoLoaded,
    ];
    echo.contains(&workload) || [Accept, BulkIn, BulkOut].contains(&workload)
}

/// What the operations cost together.
fn timed(workload: Workload, operations: usize) -> Cost {
    Cost::Time(
        numbers(workload, operations)
            .map(Duration::from_nanos)
            .sum(),
    )
}

/// Starts the program; its standard error is ours.
fn start(workload: Workload, operations: usize) -> Child {
    let name = |row: &&workloads::Row| row.workload == workload;
    let row = ROWS.iter().find(name).expect("each workload has a row");
    let loops = match USES_UVLOOP.load(Ordering::Relaxed) {
        true => "uvloop",
        false => "asyncio",
    };
    let mut command = Command::new("python3");
    command.args(["-c", PROGRAM, row.name, &operations.to_string(), loops]);
    let process = command.stdout(Stdio::piped()).spawn();
    process.expect("cannot start python3")
}

/// Runs the program to its end, and returns what it prints.
fn numbers(workload: Workload, operations: usize) -> impl Iterator<Item = u64> {
    let process = start(workload, operations);
    let output = process.wait_with_output().expect("python3 is lost");
    end_as(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("python3 prints no text");
    let words: Vec<u64> = printed
        .split_whitespace()
        .map(|word| word.parse().expect("python3 prints no number"))
        .collect();
    words.into_iter()
}

/// Its own last words say why it failed.
fn end_as(is_success: bool) {
    if !is_success {
        std::process::exit(1);
    }
}

/// Lets a client talk to the program.
fn served(
    workload: Workload,
    operations: usize,
    start_client: impl FnOnce(SocketAddr) -> Client,
) -> Cost {
    let mut process = start(workload, operations);
    let pipe = process.stdout.take().expect("its output is a pipe");
    let mut pipe = BufReader::new(pipe);
    let mut port = String::new();
    pipe.read_line(&mut port).expect("python3 is lost");
    let Ok(port) = port.trim().parse() else {
        process.wait().expect("python3 is lost");
        std::process::exit(1);
    };
    let cost = start_client((Ipv4Addr::LOCALHOST, port).into()).cost();
    let status = process.wait().expect("python3 is lost");
    end_as(status.success());
    cost
}
