//! smol's parts on one thread: a `LocalExecutor`, run by `async_io::block_on`.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Instant;

use async_executor::{LocalExecutor, Task};
use async_io::{Async, Timer, block_on};
use async_lock::{Mutex, Semaphore};
use futures_channel::oneshot;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};

use super::{Contestant, Kind};
use crate::echo_client::{EchoClient, SERVER_BUFFER};
use crate::machine;
use crate::same_work::{FAR, Ringer, SPAWNED_AT_ONCE, Waiting, WakeSelf, ping, pong};
use crate::workloads::{Cost, Run, Workload};

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "smol",
    about: "a `LocalExecutor` of async-executor, run by `async_io::block_on`; its reactor is global and started before",
    crates: &[
        "async-channel",
        "async-executor",
        "async-io",
        "async-lock",
        "async-task",
        "blocking",
        "futures-channel",
        "polling",
    ],
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
        Workload::RunAgain => run_again,
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
        Workload::CycleSignals | Workload::RunAgainSignals | Workload::SpawnEager => return None,
    };
    Some(run)
}

/// An executor that tasks can hold on to. It is not freed: the process ends with the figure.
fn leaked() -> &'static LocalExecutor<'static> {
    Box::leak(Box::new(LocalExecutor::new()))
}

/// Runs the future in a task, because each wake-up of the root future looks at the reactor.
fn in_task<F: Future<Output = Cost> + 'static>(
    run: impl FnOnce(&'static LocalExecutor<'static>) -> F,
) -> Cost {
    let executor = leaked();
    block_on(executor.run(executor.spawn(run(executor))))
}

/// Makes tasks that wait, and lets each take its first step.
async fn waiting_tasks(
    executor: &LocalExecutor<'static>,
    count: usize,
    make: fn() -> Waiting,
) -> Vec<Task<()>> {
    let tasks = (0..count).map(|_| executor.spawn(make())).collect();
    while Waiting::count() < count {
        future::yield_now().await;
    }
    tasks
}

/// Dropping a task's handle cancels it. `try_tick` is the cheapest way to drive the executor until nothing is left to do.
fn cancel(count: usize) -> Cost {
    in_task(move |executor| async move {
        let tasks = waiting_tasks(executor, count, Waiting::new).await;
        let started = Instant::now();
        drop(tasks);
        while executor.try_tick() {}
        assert_eq!(Waiting::count(), 0);
        Cost::since(started)
    })
}

fn cancel_join(count: usize) -> Cost {
    in_task(move |executor| async move {
        let tasks = waiting_tasks(executor, count, Waiting::new).await;
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
    let tasks = block_on(executor.run(waiting_tasks(&executor, count, Waiting::with_waker)));
    let started = Instant::now();
    block_on(executor.run(async {
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
    let tasks = block_on(executor.run(waiting_tasks(&executor, count, Waiting::with_waker)));
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
        block_on(executor.run(async {}));
    }
    Cost::since(started)
}

fn run_again(count: usize) -> Cost {
    let executor = LocalExecutor::new();
    let started = Instant::now();
    for number in 0..count {
        let returned = block_on(executor.run(async move { number }));
        assert_eq!(returned, number);
    }
    Cost::since(started)
}

fn spawn_batch(count: usize) -> Cost {
    in_task(move |executor| async move {
        let started = Instant::now();
        let tasks: Vec<_> = (0..count)
            .map(|number| executor.spawn(async move { number }))
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await, number);
        }
        Cost::since(started)
    })
}

fn spawn_detached(count: usize) -> Cost {
    in_task(move |executor| async move {
        let started = Instant::now();
        for number in 0..count {
            executor.spawn(async move { number }).detach();
        }
        executor.spawn(async {}).await;
        Cost::since(started)
    })
}

fn spawn_one(count: usize) -> Cost {
    in_task(move |executor| async move {
        let started = Instant::now();
        for number in 0..count {
            let task = executor.spawn(async move { number });
            assert_eq!(task.await, number);
        }
        Cost::since(started)
    })
}

async fn join_all(tasks: Vec<Task<()>>) {
    for task in tasks {
        task.await;
    }
}

fn yield_now(count: usize) -> Cost {
    in_task(move |executor| async move {
        let started = Instant::now();
        let tasks = (0..1000).map(|_| {
            executor.spawn(async move {
                for _ in 0..count / 1000 {
                    future::yield_now().await;
                }
            })
        });
        join_all(tasks.collect()).await;
        Cost::since(started)
    })
}

fn wake_self(count: usize) -> Cost {
    in_task(move |executor| async move {
        let started = Instant::now();
        join_all(vec![executor.spawn(WakeSelf(count))]).await;
        Cost::since(started)
    })
}

fn ping_pong(rounds: usize) -> Cost {
    in_task(move |executor| async move {
        let started = Instant::now();
        join_all(vec![
            executor.spawn(ping(rounds)),
            executor.spawn(pong(rounds)),
        ])
        .await;
        Cost::since(started)
    })
}

fn channel(rounds: usize) -> Cost {
    in_task(move |executor| async move {
        let (there, requests) = async_channel::bounded(1);
        let (answers, back) = async_channel::bounded(1);
        let started = Instant::now();
        let ping = async move {
            for round in 0..rounds {
                there.send(round).await.expect("closed");
                assert_eq!(back.recv().await, Ok(round));
            }
        };
        let pong = async move {
            for _ in 0..rounds {
                let value = requests.recv().await.expect("closed");
                answers.send(value).await.expect("closed");
            }
        };
        join_all(vec![executor.spawn(ping), executor.spawn(pong)]).await;
        Cost::since(started)
    })
}

fn request_response(rounds: usize) -> Cost {
    in_task(move |executor| async move {
        let (requests, received) = async_channel::bounded::<(usize, oneshot::Sender<usize>)>(1);
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
        join_all(vec![executor.spawn(client), executor.spawn(server)]).await;
        Cost::since(started)
    })
}

fn lock(count: usize) -> Cost {
    in_task(move |_| async move {
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
    in_task(move |executor| async move {
        let lock = Rc::new(Mutex::new(0));
        let started = Instant::now();
        let tasks = (0..2).map(|_| {
            let lock = lock.clone();
            executor.spawn(async move {
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
    in_task(move |_| async move {
        let semaphore = Semaphore::new(2);
        let started = Instant::now();
        for _ in 0..count {
            drop(semaphore.acquire().await);
        }
        Cost::since(started)
    })
}

fn semaphore_contended(count: usize) -> Cost {
    in_task(move |executor| async move {
        let semaphore = Rc::new(Semaphore::new(2));
        let started = Instant::now();
        let tasks = (0..4).map(|_| {
            let semaphore = semaphore.clone();
            executor.spawn(async move {
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

/// The pieces have no `timeout` of their own; this is how it is written with them.
async fn with_timeout<T>(future: impl Future<Output = T>) -> Option<T> {
    let future = async { Some(future.await) };
    future
        .or(async {
            Timer::after(FAR).await;
            None
        })
        .await
}

fn timeout_ready(count: usize) -> Cost {
    in_task(move |_| async move {
        let started = Instant::now();
        for _ in 0..count {
            with_timeout(WakeSelf(0)).await.expect("it was ready");
        }
        Cost::since(started)
    })
}

fn timeout_pending(count: usize) -> Cost {
    in_task(move |_| async move {
        let started = Instant::now();
        for _ in 0..count {
            with_timeout(WakeSelf(1)).await.expect("it was soon ready");
        }
        Cost::since(started)
    })
}

fn thread_wake(rounds: usize) -> Cost {
    in_task(move |_| async move {
        let ringer = Ringer::start();
        let latency = ringer.latency(rounds).await;
        ringer.stop();
        Cost::Time(latency)
    })
}

fn blocking_job(rounds: usize) -> Cost {
    in_task(move |_| async move {
        let started = Instant::now();
        for number in 0..rounds {
            assert_eq!(blocking::unblock(move || number).await, number);
        }
        Cost::since(started)
    })
}

fn echo(connections: usize, requests: usize) -> Cost {
    let executor = leaked();
    let elapsed = block_on(executor.run(async move {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
        let client = EchoClient::start(listener.get_ref().local_addr()?, connections, requests);
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            tasks.push(executor.spawn(serve(stream)));
        }
        for task in tasks {
            task.await?;
        }
        io::Result::Ok(client.elapsed())
    }));
    Cost::Time(elapsed.expect("the server failed"))
}

async fn serve(mut stream: Async<TcpStream>) -> io::Result<()> {
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
    in_task(move |executor| async move {
        let mut tasks = Vec::with_capacity(count);
        tasks.resize_with(count, || None);
        let before = machine::resident_bytes();
        for (number, place) in tasks.iter_mut().enumerate() {
            *place = Some(executor.spawn(Waiting::new()));
            while number % SPAWNED_AT_ONCE == 0 && Waiting::count() <= number {
                future::yield_now().await;
            }
        }
        while Waiting::count() < count {
            future::yield_now().await;
        }
        let after = machine::resident_bytes();
        drop(tasks);
        Cost::Bytes(after - before)
    })
}
