//! tokio's current_thread runtime, with I/O and timers enabled.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::spawn;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::{Contestant, Hello, Kind};
use crate::same_work::Waiting;
use crate::tcp_clients::{BULK_BUFFER, MESSAGE_LENGTH, SERVER_BUFFER};
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
    name: "tokio",
    about: "the current_thread runtime with I/O and timers enabled",
    crates: &["tokio"],
    feature: "tokio",
    kind: Kind::Peer,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::Package {
        dependencies: &[(
            "tokio",
            r#"["rt", "macros", "time", "net", "io-util", "signal"]"#,
        )],
        main: "#[tokio::main(flavor = \"current_thread\")]\nasync fn main() {\n    println!(\"hello\");\n}\n",
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

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("no runtime")
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Runs the future in a task, because the root future is woken in a slower way.
fn in_task(future: impl Future<Output = Cost> + Send + 'static) -> Cost {
    block_on(async { tokio::spawn(future).await.expect("the task failed") })
}

pub(super) async fn join<T>(task: JoinHandle<T>) -> T {
    task.await.expect("a task failed")
}

pub(super) fn detach(task: JoinHandle<usize>) {
    drop(task);
}

pub(super) fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    join(tokio::task::spawn_blocking(job))
}

pub(super) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

pub(super) async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; SERVER_BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

pub(super) async fn echo_once(mut stream: TcpStream) -> io::Result<()> {
    let mut message = [0; MESSAGE_LENGTH];
    stream.read_exact(&mut message).await?;
    stream.write_all(&message).await
}

pub(super) async fn drain(mut stream: TcpStream) -> io::Result<usize> {
    let mut buffer = vec![0; BULK_BUFFER];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(total),
            length => total += length,
        }
    }
}

pub(super) async fn pour(mut stream: TcpStream, bytes: usize) -> io::Result<()> {
    let chunk = vec![7; BULK_BUFFER];
    for _ in 0..bytes / BULK_BUFFER {
        stream.write_all(&chunk).await?;
    }
    Ok(())
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(count: usize, make: fn() -> Waiting) -> Vec<JoinHandle<()>> {
    let tasks = (0..count).map(|_| tokio::spawn(make())).collect();
    while Waiting::count() < count {
        tokio::task::yield_now().await;
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
            tokio::spawn(async {}).await.expect("the last task failed");
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
