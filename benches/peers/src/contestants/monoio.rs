//! monoio, over epoll and over io_uring: one file, two contestants.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use monoio::blocking::{BlockingTask, DefaultThreadPool, ThreadPool};
use monoio::buf::IoBuf;
use monoio::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::task::JoinHandle;
use monoio::time::{TimeDriver, sleep, timeout};
use monoio::{Driver, IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder, spawn};

use super::{Contestant, Hello, Kind};
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
    name: "monoio-epoll",
    about: "monoio's legacy driver, with timers and a pool of 4 threads",
    crates: &["monoio"],
    feature: "monoio",
    kind: Kind::Peer,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::Package {
        dependencies: &[("monoio", r#"["legacy", "sync"]"#)],
        main: "fn main() {\n    monoio::start::<monoio::LegacyDriver, _>(async { println!(\"hello\") });\n}\n",
    },
    run,
};

pub(super) const URING: Contestant = Contestant {
    name: "monoio-uring",
    about: "the same over io_uring",
    crates: &[],
    feature: "monoio",
    prepare: || USES_RING.store(true, Ordering::Relaxed),
    hello: Hello::Package {
        dependencies: &[("monoio", r#"["iouring", "sync"]"#)],
        main: "fn main() {\n    monoio::start::<monoio::IoUringDriver, _>(async { println!(\"hello\") });\n}\n",
    },
    ..EPOLL
};

static USES_RING: AtomicBool = AtomicBool::new(false);

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Cycle => cycle,
        Workload::RunAgain => run_again,
        // It has no yield of its own, ...
        Workload::Yield => return None,
        // ... and polls a task that wakes itself again before all others: with a load nothing else would run.
        Workload::SleepsLoaded | Workload::EchoLoaded | Workload::BusyWake => return None,
        _ => {
            return tasks::run(workload)
                .or_else(|| timers::run(workload))
                .or_else(|| threads::run(workload))
                .or_else(|| tcp::run(workload));
        }
    };
    Some(run)
}

/// Four threads, started for the first job: rows without jobs have no other threads.
#[derive(Default)]
struct Pool(OnceLock<DefaultThreadPool>);

impl ThreadPool for Pool {
    fn schedule_task(&self, task: BlockingTask) {
        let threads = self.0.get_or_init(|| DefaultThreadPool::new(4));
        threads.schedule_task(task);
    }
}

macro_rules! runtime {
    ($driver:ty) => {
        RuntimeBuilder::<$driver>::new()
            .attach_thread_pool(Box::new(Pool::default()))
            .enable_timer()
            .build()
            .expect("no runtime")
    };
}

fn block_on<F: Future>(future: F) -> F::Output {
    match USES_RING.load(Ordering::Relaxed) {
        true => runtime!(IoUringDriver).block_on(future),
        false => runtime!(LegacyDriver).block_on(future),
    }
}

fn in_task(future: impl Future<Output = Cost> + 'static) -> Cost {
    block_on(async { spawn(future).await })
}

async fn join<T>(task: JoinHandle<T>) -> T {
    task.await
}

fn detach(task: JoinHandle<usize>) {
    drop(task);
}

/// It has none. A task that is spawned now runs after those that are ready.
async fn yield_now() {
    spawn(async {}).await;
}

fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let job = monoio::spawn_blocking(job);
    async move { job.await.expect("the job failed") }
}

async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; SERVER_BUFFER];
    loop {
        let (length, read) = stream.read(buffer).await;
        let length = length?;
        if length == 0 {
            return Ok(());
        }
        let (written, slice) = stream.write_all(read.slice(..length)).await;
        written?;
        buffer = slice.into_inner();
    }
}

async fn echo_once(mut stream: TcpStream) -> io::Result<()> {
    let (length, message) = stream.read_exact(vec![0; MESSAGE_LENGTH]).await;
    length?;
    stream.write_all(message).await.0?;
    Ok(())
}

async fn drain(mut stream: TcpStream) -> io::Result<usize> {
    let mut buffer = vec![0; BULK_BUFFER];
    let mut total = 0;
    loop {
        let (length, read) = stream.read(buffer).await;
        match length? {
            0 => return Ok(total),
            length => total += length,
        }
        buffer = read;
    }
}

async fn pour(mut stream: TcpStream, bytes: usize) -> io::Result<()> {
    let mut chunk = vec![7; BULK_BUFFER];
    for _ in 0..bytes / BULK_BUFFER {
        let (written, rest) = stream.write_all(chunk).await;
        written?;
        chunk = rest;
    }
    stream.shutdown().await
}

fn cycle(count: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        block_on(async {});
    }
    Cost::since(started)
}

fn run_again(count: usize) -> Cost {
    match USES_RING.load(Ordering::Relaxed) {
        true => run_again_on(runtime!(IoUringDriver), count),
        false => run_again_on(runtime!(LegacyDriver), count),
    }
}

fn run_again_on<D: Driver>(mut runtime: Runtime<TimeDriver<D>>, count: usize) -> Cost {
    let started = Instant::now();
    for number in 0..count {
        assert_eq!(runtime.block_on(async move { number }), number);
    }
    Cost::since(started)
}
