//! tokio's LocalRuntime: the same scheduler, for tasks that need not be `Send`.

use std::time::Instant;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_local as spawn, yield_now};
use tokio::time::{sleep, timeout};

use super::tokio::{accept, blocking, detach, drain, echo, echo_once, join, listen, pour};
use super::{Contestant, Hello, Kind};
use crate::same_work::Waiting;
use crate::workloads::{Cost, Run, Workload};

#[path = "../same/tasks.rs"]
mod tasks;
#[path = "../same/tcp.rs"]
mod tcp;
#[path = "../same/threads.rs"]
mod threads;
#[path = "../same/timers.rs"]
mod timers;

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "tokio-local",
    about: "the same tokio's `LocalRuntime`, with `spawn_local`",
    crates: &[],
    feature: "tokio",
    kind: Kind::Peer,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::None,
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
                .or_else(|| tcp::run(workload));
        }
    };
    Some(run)
}

fn runtime() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("no runtime")
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Runs the future in a task, because the root future is woken in a slower way.
fn in_task(future: impl Future<Output = Cost> + 'static) -> Cost {
    block_on(async { spawn(future).await.expect("the task failed") })
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(count: usize, make: fn() -> Waiting) -> Vec<JoinHandle<()>> {
    let tasks = (0..count).map(|_| spawn(make())).collect();
    while Waiting::count() < count {
        yield_now().await;
    }
    tasks
}

fn cancel(count: usize) -> Cost {
    in_task(async move {
        let tasks = waiting_tasks(count, Waiting::new).await;
        let started = Instant::now();
        for task in &tasks {
            task.abort();
        }
        drop(tasks);
        while Waiting::count() > 0 {
            spawn(async {}).await.expect("the last task failed");
        }
        Cost::since(started)
    })
}

fn cancel_join(count: usize) -> Cost {
    in_task(async move {
        let tasks = waiting_tasks(count, Waiting::new).await;
        let started = Instant::now();
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            assert!(task.await.is_err());
        }
        Cost::since(started)
    })
}

fn shutdown(count: usize) -> Cost {
    let runtime = runtime();
    let tasks = runtime.block_on(waiting_tasks(count, Waiting::with_waker));
    let started = Instant::now();
    runtime.block_on(async {
        for task in tasks.iter().rev() {
            task.abort();
        }
        for task in tasks {
            assert!(task.await.is_err());
        }
    });
    drop(runtime);
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    Waiting::forget_wakers();
    cost
}

fn shutdown_drop(count: usize) -> Cost {
    let runtime = runtime();
    drop(runtime.block_on(waiting_tasks(count, Waiting::with_waker)));
    let started = Instant::now();
    drop(runtime);
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    Waiting::forget_wakers();
    cost
}

fn cycle(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        runtime().block_on(async {});
    }
    Cost::since(started)
}

/// A program that listens for Ctrl-C.
fn cycle_signals(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        runtime().block_on(async {
            drop(signal(SignalKind::interrupt()).expect("no signal"));
        });
    }
    Cost::since(started)
}

fn run_again(count: usize) -> Cost {
    let runtime = runtime();
    let started = Instant::now();
    for number in 0..count {
        assert_eq!(runtime.block_on(async move { number }), number);
    }
    Cost::since(started)
}

fn run_again_signals(count: usize) -> Cost {
    let runtime = runtime();
    let started = Instant::now();
    for number in 0..count {
        let returned = runtime.block_on(async move {
            drop(signal(SignalKind::interrupt()).expect("no signal"));
            number
        });
        assert_eq!(returned, number);
    }
    Cost::since(started)
}
