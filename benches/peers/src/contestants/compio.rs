//! compio, over epoll and over io_uring: one file, two contestants.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{JoinHandle, Runtime, RuntimeBuilder, spawn};
use compio::time::{sleep, timeout};

use super::{Contestant, Hello, Kind};
use crate::same_work::{Waiting, WakeSelf};
use crate::tcp_clients::{BULK_BUFFER, MESSAGE_LENGTH, SERVER_BUFFER};
use crate::workloads::{Cost, Run, Workload};

#[path = "../same/tasks.rs"]
mod tasks;
#[path = "../same/tcp.rs"]
mod tcp;
#[path = "../same/threads.rs"]
mod threads;
#[path = "../same/timers.rs"]
mod timers;

pub(super) const EPOLL: Contestant = Contestant {
    name: "compio-epoll",
    about: "compio's polling driver",
    crates: &["compio"],
    feature: "compio",
    kind: Kind::Peer,
    slowness: |workload| match workload {
        // Here a wake-up also rouses the driver, with a system call or more.
        Workload::SpawnOne | Workload::WakeSelf | Workload::PingPong => 10,
        _ => 1,
    },
    prepare: || {},
    hello: Hello::Package {
        dependencies: &[("compio", r#"["runtime", "polling", "net", "time"]"#)],
        main: "fn main() {\n    let runtime = compio::runtime::Runtime::new().unwrap();\n    \
               runtime.block_on(async { println!(\"hello\") });\n}\n",
    },
    run,
};

pub(super) const URING: Contestant = Contestant {
    name: "compio-uring",
    about: "the same over io_uring",
    crates: &[],
    feature: "compio",
    prepare: || USES_RING.store(true, Ordering::Relaxed),
    hello: Hello::Package {
        dependencies: &[("compio", r#"["runtime", "io-uring", "net", "time"]"#)],
        main: "fn main() {\n    let runtime = compio::runtime::Runtime::new().unwrap();\n    \
               runtime.block_on(async { println!(\"hello\") });\n}\n",
    },
    ..EPOLL
};

static USES_RING: AtomicBool = AtomicBool::new(false);

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Cancel => cancel,
        Workload::CancelJoin => cancel_join,
        Workload::Shutdown => shutdown,
        Workload::ShutdownClose => shutdown_drop,
        Workload::Cycle => cycle,
        Workload::RunAgain => run_again,
        // It has no yield of its own.
        Workload::Yield => return None,
        _ => {
            return tasks::run(workload)
                .or_else(|| timers::run(workload))
                .or_else(|| threads::run(workload))
                .or_else(|| tcp::run(workload));
        }
    };
    Some(run)
}

fn runtime() -> Runtime {
    let mut driver = ProactorBuilder::new();
    driver.driver_type(match USES_RING.load(Ordering::Relaxed) {
        true => DriverType::IoUring,
        false => DriverType::Poll,
    });
    RuntimeBuilder::new()
        .with_proactor(driver)
        .build()
        .expect("no runtime")
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

fn in_task(future: impl Future<Output = Cost> + 'static) -> Cost {
    block_on(async { join(spawn(future)).await })
}

async fn join<T>(task: JoinHandle<T>) -> T {
    task.await.expect("a task failed")
}

fn detach(task: JoinHandle<usize>) {
    task.detach();
}

/// It has none; this is the shortest.
fn yield_now() -> WakeSelf {
    WakeSelf(1)
}

fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    join(compio::runtime::spawn_blocking(job))
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

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(SERVER_BUFFER);
    loop {
        let BufResult(length, read) = stream.read(buffer).await;
        let length = length?;
        if length == 0 {
            return Ok(());
        }
        let BufResult(written, slice) = stream.write_all(read.slice(..length)).await;
        written?;
        buffer = slice.into_inner();
        buffer.clear();
    }
}

async fn echo_once(mut stream: TcpStream) -> io::Result<()> {
    let message = Vec::with_capacity(MESSAGE_LENGTH);
    let BufResult(length, message) = stream.read_exact(message).await;
    length?;
    stream.write_all(message).await.0
}

async fn drain(mut stream: TcpStream) -> io::Result<usize> {
    let mut buffer = Vec::with_capacity(BULK_BUFFER);
    let mut total = 0;
    loop {
        let BufResult(length, read) = stream.read(buffer).await;
        match length? {
            0 => return Ok(total),
            length => total += length,
        }
        buffer = read;
        buffer.clear();
    }
}

async fn pour(mut stream: TcpStream, bytes: usize) -> io::Result<()> {
    let mut chunk = vec![7; BULK_BUFFER];
    for _ in 0..bytes / BULK_BUFFER {
        let BufResult(written, rest) = stream.write_all(chunk).await;
        written?;
        chunk = rest;
    }
    Ok(())
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(count: usize, make: fn() -> Waiting) -> Vec<JoinHandle<()>> {
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
            join(spawn(async {})).await;
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

/// One after the other, as above.
fn shutdown(count: usize) -> Cost {
    let runtime = runtime();
    let tasks = runtime.block_on(waiting_tasks(count, Waiting::with_waker));
    let started = Instant::now();
    runtime.block_on(async {
        for task in tasks.into_iter().rev() {
            assert!(task.cancel().await.is_none());
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
    let tasks = runtime.block_on(waiting_tasks(count, Waiting::with_waker));
    tasks.into_iter().for_each(JoinHandle::detach);
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
        block_on(async {});
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
