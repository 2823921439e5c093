//! This project: a `Runner`, and tasks that need not be `Send`.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{Runner, Task, sleep, spawn, timeout, yield_now};

use super::{Contestant, Hello, Kind};
use crate::same_futures_io::{drain, echo, echo_once, pour};
use crate::same_work::Waiting;
use crate::workloads::{Cost, Run, Workload};

mod primitives;
#[path = "../same/tasks.rs"]
mod tasks;
#[path = "../same/tcp.rs"]
mod tcp;
#[path = "../same/threads.rs"]
mod threads;
#[path = "../same/timers.rs"]
mod timers;

/// Whether runners handle Ctrl-C, where the workload does not say.
static HANDLES_SIGNALS: AtomicBool = AtomicBool::new(false);

/// The same in a program as users have it.
pub(super) const IN_MAIN: Contestant = Contestant {
    name: "asyncio-main",
    about: "the same with Ctrl-C handled in every row, as by `#[asyncio::main]`: there is a thread that hears of it",
    prepare: || HANDLES_SIGNALS.store(true, Ordering::Relaxed),
    hello: Hello::None,
    ..CONTESTANT
};

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "asyncio",
    about: "a `Runner` without the signal ladder, except in the rows that name it",
    crates: &[],
    feature: "asyncio",
    kind: Kind::Ours,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::Package {
        dependencies: &[("asyncio", "")],
        main: "#[asyncio::main]\nasync fn main() {\n    println!(\"hello\");\n}\n",
    },
    run,
};

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Cancel => cancel,
        Workload::CancelJoin => cancel_join,
        Workload::Shutdown => shutdown,
        Workload::ShutdownClose => shutdown_drop,
        Workload::Cycle => cycle,
        Workload::CycleSignals => cycle_signals,
        Workload::RunAgain => run_again,
        Workload::RunAgainSignals => run_again_signals,
        _ => {
            return tasks::run(workload)
                .or_else(|| timers::run(workload))
                .or_else(|| threads::run(workload))
                .or_else(|| tcp::run(workload))
                .or_else(|| primitives::run(workload));
        }
    };
    Some(run)
}

fn quiet_runner() -> Runner {
    let interrupt = HANDLES_SIGNALS.load(Ordering::Relaxed);
    Runner::builder().interrupt(interrupt).build()
}

/// The main future is a task.
use block_on as in_task;

/// Runs `future` on a runner of its own.
fn block_on<F: Future>(future: F) -> F::Output {
    let runner = quiet_runner();
    let output = runner.run(future).expect("the run failed");
    runner.close().expect("the close failed");
    output
}

async fn join<T>(task: Task<T>) -> T {
    task.await.expect("a task failed")
}

fn detach(task: Task<usize>) {
    drop(task);
}

/// `to_thread` begins when it is awaited, this at once, as the others do.
fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let job = asyncio::running_loop().run_in_executor(job);
    async move { job.await.expect("the job failed") }
}

async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(count: usize, make: fn() -> Waiting) -> Vec<Task<()>> {
    let tasks = (0..count).map(|_| asyncio::spawn(make())).collect();
    while Waiting::count() < count {
        asyncio::yield_now().await;
    }
    tasks
}

fn cancel(count: usize) -> Cost {
    block_on(async {
        let tasks = waiting_tasks(count, Waiting::new).await;
        let started = Instant::now();
        for task in &tasks {
            task.cancel();
        }
        drop(tasks);
        while Waiting::count() > 0 {
            asyncio::spawn(async {})
                .await
                .expect("the last task failed");
        }
        Cost::since(started)
    })
}

fn cancel_join(count: usize) -> Cost {
    block_on(async {
        let tasks = waiting_tasks(count, Waiting::new).await;
        let started = Instant::now();
        for task in &tasks {
            task.cancel();
        }
        for task in tasks {
            assert!(task.await.is_err());
        }
        Cost::since(started)
    })
}

fn shutdown(count: usize) -> Cost {
    let runner = quiet_runner();
    let tasks = runner.run(waiting_tasks(count, Waiting::with_waker));
    drop(tasks.expect("the run failed"));
    let started = Instant::now();
    runner.close().expect("the close failed");
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    Waiting::forget_wakers();
    cost
}

fn shutdown_drop(count: usize) -> Cost {
    let event_loop = asyncio::new_event_loop().expect("no loop");
    let tasks = event_loop.run_until_complete(waiting_tasks(count, Waiting::with_waker));
    drop(tasks.expect("the run failed"));
    let started = Instant::now();
    event_loop.close().expect("the close failed");
    drop(event_loop);
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    Waiting::forget_wakers();
    cost
}

fn cycle(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        block_on(async {});
    }
    Cost::since(started)
}

fn cycle_signals(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        asyncio::run(async {}).expect("the run failed");
    }
    Cost::since(started)
}

fn run_again(count: usize) -> Cost {
    run_again_on(&quiet_runner(), count)
}

fn run_again_signals(count: usize) -> Cost {
    run_again_on(&Runner::new(), count)
}

fn run_again_on(runner: &Runner, count: usize) -> Cost {
    let run = |number: usize| runner.run(async move { number }).expect("the run failed");
    run(0);
    let started = Instant::now();
    for number in 0..count {
        assert_eq!(run(number), number);
    }
    Cost::since(started)
}
