//! glommio, which needs io_uring.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;
use glommio::{
    GlommioError, LocalExecutor, LocalExecutorBuilder, Placement, Task, spawn_local as spawn,
};

use super::{Contestant, Hello, Kind};
use crate::same_futures_io::{drain, echo, echo_once, pour};
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
    name: "glommio",
    about: "glommio over io_uring; `spawn_local` runs the task at once, as far as it gets",
    crates: &["glommio"],
    feature: "glommio",
    kind: Kind::Peer,
    slowness: |workload| match workload {
        // Each takes milliseconds.
        Workload::Cycle => 100,
        _ => 1,
    },
    prepare: || {},
    hello: Hello::Package {
        dependencies: &[("glommio", "[]")],
        main: "fn main() {\n    let executor = glommio::LocalExecutor::default();\n    \
               executor.run(async { println!(\"hello\") });\n}\n",
    },
    run,
};

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Cancel => cancel,
        Workload::CancelJoin => cancel_join,
        Workload::Cycle => cycle,
        Workload::RunAgain => run_again,
        // It counts a task's wakers in 16 bits.
        Workload::TimeoutAmong => return None,
        // A busy loop looks around only once in 100 ms, which would take minutes.
        Workload::BusyWake | Workload::SleepsLoaded | Workload::EchoLoaded => return None,
        _ => {
            return tasks::run(workload)
                .or_else(|| timers::run(workload))
                .or_else(|| threads::run(workload))
                .or_else(|| tcp::run(workload));
        }
    };
    Some(run)
}

fn runtime() -> LocalExecutor {
    LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .expect("no runtime")
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime().run(future)
}

fn in_task(future: impl Future<Output = Cost> + 'static) -> Cost {
    block_on(async { spawn(future).await })
}

async fn join<T>(task: Task<T>) -> T {
    task.await
}

fn detach(task: Task<usize>) {
    task.detach();
}

async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}

fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    glommio::executor().spawn_blocking(job)
}

async fn timeout<T>(
    length: Duration,
    future: impl Future<Output = T>,
) -> Result<T, GlommioError<()>> {
    glommio::timer::timeout(length, async { Ok(future.await) }).await
}

async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let stream = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(count: usize, make: fn() -> Waiting) -> Vec<Task<()>> {
    let tasks = (0..count).map(|_| spawn(make())).collect();
    while Waiting::count() < count {
        yield_now().await;
    }
    tasks
}

/// Dropping a task's handle cancels it.
fn cancel(count: usize) -> Cost {
    in_task(async move {
        let tasks = waiting_tasks(count, Waiting::new).await;
        let started = Instant::now();
        drop(tasks);
        while Waiting::count() > 0 {
            yield_now().await;
        }
        Cost::since(started)
    })
}

/// `cancel` begins when it is awaited, hence one after the other.
fn cancel_join(count: usize) -> Cost {
    in_task(async move {
        let tasks = waiting_tasks(count, Waiting::new).await;
        let started = Instant::now();
        for task in tasks {
            assert!(task.cancel().await.is_none());
        }
        Cost::since(started)
    })
}

fn cycle(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        block_on(async {});
    }
    Cost::since(started)
}

fn run_again(count: usize) -> Cost {
    let runtime = runtime();
    let started = Instant::now();
    for number in 0..count {
        assert_eq!(runtime.run(async move { number }), number);
    }
    Cost::since(started)
}
