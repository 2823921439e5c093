//! tokio's current_thread runtime, with I/O and timers enabled.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Contestant, Kind};
use crate::echo_client::{EchoClient, SERVER_BUFFER};
use crate::machine;
use crate::same_work::{FAR, Ringer, SPAWNED_AT_ONCE, Waiting, WakeSelf, ping, pong};
use crate::workloads::{Cost, Run, Workload};

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "tokio",
    about: "the current_thread runtime with I/O and timers enabled",
    crates: &["tokio"],
    kind: Kind::Peer,
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
        Workload::SpawnBatch => spawn_batch,
        Workload::SpawnDetached => spawn_detached,
        Workload::SpawnOne => spawn_one,
        Workload::Yield => yield_now,
        Workload::WakeSelf => wake_self,
        Workload::PingPong => ping_pong,
        Workload::Channel => channel,
        Workload::RequestResponse => request_response,
        Workload::Lock => lock,
        Workload::LockContended => lock_contended,
        Workload::Semaphore => semaphore,
        Workload::SemaphoreContended => semaphore_contended,
        Workload::TimeoutReady => timeout_ready,
        Workload::TimeoutPending => timeout_pending,
        Workload::ThreadWake => thread_wake,
        Workload::BlockingJob => blocking_job,
        Workload::EchoOne => |requests| echo(1, requests),
        Workload::EchoHundred => |requests| echo(100, requests),
        Workload::Memory => memory,
        Workload::SpawnEager => return None,
    };
    Some(run)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("no runtime")
}

/// Runs the future in a task, because the root future is woken in a slower way.
fn in_task(future: impl Future<Output = Cost> + Send + 'static) -> Cost {
    runtime().block_on(async { tokio::spawn(future).await.expect("the task failed") })
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

fn spawn_batch(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let tasks: Vec<_> = (0..count)
            .map(|number| tokio::spawn(async move { number }))
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.expect("a task failed"), number);
        }
        Cost::since(started)
    })
}

fn spawn_detached(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..count {
            drop(tokio::spawn(async move { number }));
        }
        tokio::spawn(async {}).await.expect("the last task failed");
        Cost::since(started)
    })
}

fn spawn_one(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..count {
            let task = tokio::spawn(async move { number });
            assert_eq!(task.await.expect("a task failed"), number);
        }
        Cost::since(started)
    })
}

async fn join_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("a task failed");
    }
}

fn yield_now(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let tasks = (0..1000).map(|_| {
            tokio::spawn(async move {
                for _ in 0..count / 1000 {
                    tokio::task::yield_now().await;
                }
            })
        });
        join_all(tasks.collect()).await;
        Cost::since(started)
    })
}

fn wake_self(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        join_all(vec![tokio::spawn(WakeSelf(count))]).await;
        Cost::since(started)
    })
}

fn ping_pong(rounds: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        join_all(vec![tokio::spawn(ping(rounds)), tokio::spawn(pong(rounds))]).await;
        Cost::since(started)
    })
}

fn channel(rounds: usize) -> Cost {
    in_task(async move {
        let (there, mut requests) = mpsc::channel(1);
        let (answers, mut back) = mpsc::channel(1);
        let started = Instant::now();
        let ping = async move {
            for round in 0..rounds {
                there.send(round).await.expect("closed");
                assert_eq!(back.recv().await, Some(round));
            }
        };
        let pong = async move {
            for _ in 0..rounds {
                let value = requests.recv().await.expect("closed");
                answers.send(value).await.expect("closed");
            }
        };
        join_all(vec![tokio::spawn(ping), tokio::spawn(pong)]).await;
        Cost::since(started)
    })
}

fn request_response(rounds: usize) -> Cost {
    in_task(async move {
        let (requests, mut received) = mpsc::channel::<(usize, oneshot::Sender<usize>)>(1);
        let started = Instant::now();
        let client = async move {
            for round in 0..rounds {
                let (sender, answer) = oneshot::channel();
                requests.send((round, sender)).await.expect("closed");
                assert_eq!(answer.await, Ok(round));
            }
        };
        let server = async move {
            for _ in 0..rounds {
                let (value, answer) = received.recv().await.expect("closed");
                answer.send(value).expect("dropped");
            }
        };
        join_all(vec![tokio::spawn(client), tokio::spawn(server)]).await;
        Cost::since(started)
    })
}

fn lock(count: usize) -> Cost {
    in_task(async move {
        let lock = Mutex::new(0);
        let started = Instant::now();
        for _ in 0..count {
            *lock.lock().await += 1;
        }
        assert_eq!(lock.into_inner(), count);
        Cost::since(started)
    })
}

fn lock_contended(count: usize) -> Cost {
    in_task(async move {
        let lock = Arc::new(Mutex::new(0));
        let started = Instant::now();
        let tasks = (0..2).map(|_| {
            let lock = lock.clone();
            tokio::spawn(async move {
                for _ in 0..count / 2 {
                    let mut value = lock.lock().await;
                    WakeSelf(1).await;
                    *value += 1;
                }
            })
        });
        join_all(tasks.collect()).await;
        Cost::since(started)
    })
}

fn semaphore(count: usize) -> Cost {
    in_task(async move {
        let semaphore = Semaphore::new(2);
        let started = Instant::now();
        for _ in 0..count {
            drop(semaphore.acquire().await);
        }
        Cost::since(started)
    })
}

fn semaphore_contended(count: usize) -> Cost {
    in_task(async move {
        let semaphore = Arc::new(Semaphore::new(2));
        let started = Instant::now();
        let tasks = (0..4).map(|_| {
            let semaphore = semaphore.clone();
            tokio::spawn(async move {
                for _ in 0..count / 4 {
                    let _permit = semaphore.acquire().await;
                    WakeSelf(1).await;
                }
            })
        });
        join_all(tasks.collect()).await;
        Cost::since(started)
    })
}

fn timeout_ready(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for _ in 0..count {
            tokio::time::timeout(FAR, WakeSelf(0))
                .await
                .expect("it was ready");
        }
        Cost::since(started)
    })
}

fn timeout_pending(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for _ in 0..count {
            tokio::time::timeout(FAR, WakeSelf(1))
                .await
                .expect("it was soon ready");
        }
        Cost::since(started)
    })
}

fn thread_wake(rounds: usize) -> Cost {
    in_task(async move {
        let ringer = Ringer::start();
        let latency = ringer.latency(rounds).await;
        ringer.stop();
        Cost::Time(latency)
    })
}

fn blocking_job(rounds: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..rounds {
            let answer = tokio::task::spawn_blocking(move || number).await;
            assert_eq!(answer.expect("the job failed"), number);
        }
        Cost::since(started)
    })
}

fn echo(connections: usize, requests: usize) -> Cost {
    let elapsed = runtime().block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = EchoClient::start(listener.local_addr()?, connections, requests);
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tasks.push(tokio::spawn(serve(stream)));
        }
        for task in tasks {
            task.await.expect("a connection's task failed")?;
        }
        io::Result::Ok(client.elapsed())
    });
    Cost::Time(elapsed.expect("the server failed"))
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; SERVER_BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

fn memory(count: usize) -> Cost {
    in_task(async move {
        let mut tasks = Vec::with_capacity(count);
        tasks.resize_with(count, || None);
        let before = machine::resident_bytes();
        for (number, place) in tasks.iter_mut().enumerate() {
            *place = Some(tokio::spawn(Waiting::new()));
            while number % SPAWNED_AT_ONCE == 0 && Waiting::count() <= number {
                tokio::task::yield_now().await;
            }
        }
        while Waiting::count() < count {
            tokio::task::yield_now().await;
        }
        let after = machine::resident_bytes();
        drop(tasks);
        Cost::Bytes(after - before)
    })
}
