//! smol's parts on one thread: a `LocalExecutor`, run by `async_io::block_on`.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use async_executor::{LocalExecutor, Task};
use async_io::{Async, Timer};
use blocking::unblock as blocking;
use futures_lite::FutureExt;
use futures_lite::future::yield_now;

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

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "smol",
    about: "a `LocalExecutor` of async-executor, run by `async_io::block_on`; its reactor is global and started before",
    crates: &[
        "async-channel",
        "async-lock",
        "futures-channel",
        "async-executor",
        "async-io",
        "async-task",
        "blocking",
        "polling",
    ],
    feature: "smol",
    kind: Kind::Peer,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::Package {
        dependencies: &[
            ("async-executor", "[]"),
            ("async-io", "[]"),
            ("blocking", "[]"),
            ("futures-lite", r#"["std"]"#),
        ],
        main: "fn main() {\n    let executor = async_executor::LocalExecutor::new();\n    \
               async_io::block_on(executor.run(async { println!(\"hello\") }));\n}\n",
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
        Workload::RunAgain => run_again,
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

thread_local! {
    /// Where `spawn` spawns. It is not freed: the process ends with the figure.
    static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
}

fn executor() -> &'static LocalExecutor<'static> {
    EXECUTOR.with(|executor| *executor)
}

fn block_on<F: Future>(future: F) -> F::Output {
    async_io::block_on(executor().run(future))
}

/// Runs the future in a task, because each wake-up of the root future looks at the reactor.
fn in_task<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    block_on(spawn(future))
}

fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    executor().spawn(future)
}

async fn join<T>(task: Task<T>) -> T {
    task.await
}

fn detach(task: Task<usize>) {
    task.detach();
}

fn sleep(length: Duration) -> Timer {
    Timer::after(length)
}

/// The pieces have no `timeout` of their own; this is how it is written with them.
async fn timeout<T>(length: Duration, future: impl Future<Output = T>) -> Result<T, ()> {
    let future = async { Ok(future.await) };
    let expiry = async {
        Timer::after(length).await;
        Err(())
    };
    future.or(expiry).await
}

async fn listen() -> io::Result<(Async<TcpListener>, SocketAddr)> {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
    let address = listener.get_ref().local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: &Async<TcpListener>) -> io::Result<Async<TcpStream>> {
    let (stream, _) = listener.accept().await?;
    stream.get_ref().set_nodelay(true)?;
    Ok(stream)
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(
    executor: &LocalExecutor<'static>,
    count: usize,
    make: fn() -> Waiting,
) -> Vec<Task<()>> {
    let tasks = (0..count).map(|_| executor.spawn(make())).collect();
    while Waiting::count() < count {
        yield_now().await;
    }
    tasks
}

/// Dropping a task's handle cancels it. `try_tick` is the cheapest way to drive the executor until nothing is left to do.
fn cancel(count: usize) -> Cost {
    in_task(async move {
        let tasks = waiting_tasks(executor(), count, Waiting::new).await;
        let started = Instant::now();
        drop(tasks);
        while executor().try_tick() {}
        assert_eq!(Waiting::count(), 0);
        Cost::since(started)
    })
}

fn cancel_join(count: usize) -> Cost {
    in_task(async move {
        let tasks = waiting_tasks(executor(), count, Waiting::new).await;
        let started = Instant::now();
        let ends: Vec<_> = tasks.into_iter().map(Task::cancel).collect();
        for end in ends {
            assert!(end.await.is_none());
        }
        Cost::since(started)
    })
}

fn shutdown(count: usize) -> Cost {
    let executor = LocalExecutor::new();
    let tasks =
        async_io::block_on(executor.run(waiting_tasks(&executor, count, Waiting::with_waker)));
    let started = Instant::now();
    async_io::block_on(executor.run(async {
        let ends: Vec<_> = tasks.into_iter().rev().map(Task::cancel).collect();
        for end in ends {
            assert!(end.await.is_none());
        }
    }));
    drop(executor);
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    Waiting::forget_wakers();
    cost
}

fn shutdown_drop(count: usize) -> Cost {
    let executor = LocalExecutor::new();
    let tasks =
        async_io::block_on(executor.run(waiting_tasks(&executor, count, Waiting::with_waker)));
    tasks.into_iter().for_each(Task::detach);
    let started = Instant::now();
    drop(executor);
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    Waiting::forget_wakers();
    cost
}

fn cycle(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        let executor = LocalExecutor::new();
        async_io::block_on(executor.run(async {}));
    }
    Cost::since(started)
}

fn run_again(count: usize) -> Cost {
    let executor = LocalExecutor::new();
    let started = Instant::now();
    for number in 0..count {
        let returned = async_io::block_on(executor.run(async move { number }));
        assert_eq!(returned, number);
    }
    Cost::since(started)
}
