//! This project: a `Runner`, and tasks that need not be `Send`.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::sync::{Future as Answer, Lock, Queue, Semaphore};
use asyncio::{Runner, Task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{Contestant, Kind};
use crate::echo_client::{EchoClient, SERVER_BUFFER};
use crate::machine;
use crate::same_work::{FAR, Ringer, SPAWNED_AT_ONCE, Waiting, WakeSelf, ping, pong};
use crate::workloads::{Cost, Run, Workload};

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "asyncio",
    about: "a `Runner` without the signal ladder, except in the rows that name it",
    crates: &[],
    kind: Kind::Ours,
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
        Workload::SpawnEager => spawn_eager,
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
    };
    Some(run)
}

fn quiet_runner() -> Runner {
    Runner::builder().interrupt(false).build()
}

/// Runs `future` on a runner of its own.
fn run_once<F: Future>(future: F) -> F::Output {
    let runner = quiet_runner();
    let output = runner.run(future).expect("the run failed");
    runner.close().expect("the close failed");
    output
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
    run_once(async {
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
    run_once(async {
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
        run_once(async {});
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

fn spawn_batch(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..count)
            .map(|number| asyncio::spawn(async move { number }))
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.expect("a task failed"), number);
        }
        Cost::since(started)
    })
}

fn spawn_detached(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        for number in 0..count {
            drop(asyncio::spawn(async move { number }));
        }
        asyncio::spawn(async {})
            .await
            .expect("the last task failed");
        Cost::since(started)
    })
}

fn spawn_one(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        for number in 0..count {
            let task = asyncio::spawn(async move { number });
            assert_eq!(task.await.expect("a task failed"), number);
        }
        Cost::since(started)
    })
}

fn spawn_eager(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        for number in 0..count {
            let task = asyncio::task()
                .eager_start(true)
                .spawn(async move { number });
            assert_eq!(task.await.expect("a task failed"), number);
        }
        Cost::since(started)
    })
}

async fn join_all(tasks: Vec<Task<()>>) {
    for task in tasks {
        task.await.expect("a task failed");
    }
}

fn yield_now(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        let tasks = (0..1000).map(|_| {
            asyncio::spawn(async move {
                for _ in 0..count / 1000 {
                    asyncio::yield_now().await;
                }
            })
        });
        join_all(tasks.collect()).await;
        Cost::since(started)
    })
}

fn wake_self(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        join_all(vec![asyncio::spawn(WakeSelf(count))]).await;
        Cost::since(started)
    })
}

fn ping_pong(rounds: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        join_all(vec![
            asyncio::spawn(ping(rounds)),
            asyncio::spawn(pong(rounds)),
        ])
        .await;
        Cost::since(started)
    })
}

fn channel(rounds: usize) -> Cost {
    run_once(async {
        let (there, back) = (Rc::new(Queue::bounded(1)), Rc::new(Queue::bounded(1)));
        let (requests, answers) = (there.clone(), back.clone());
        let started = Instant::now();
        let ping = async move {
            for round in 0..rounds {
                there.put(round).await.expect("shut down");
                assert_eq!(back.get().await, Ok(round));
            }
        };
        let pong = async move {
            for _ in 0..rounds {
                let value = requests.get().await.expect("shut down");
                answers.put(value).await.expect("shut down");
            }
        };
        join_all(vec![asyncio::spawn(ping), asyncio::spawn(pong)]).await;
        Cost::since(started)
    })
}

fn request_response(rounds: usize) -> Cost {
    run_once(async {
        let requests = Rc::new(Queue::<(usize, Answer<usize>)>::bounded(1));
        let received = requests.clone();
        let started = Instant::now();
        let client = async move {
            for round in 0..rounds {
                let answer = Answer::new();
                let request = (round, answer.clone());
                requests.put(request).await.expect("shut down");
                assert_eq!(answer.await, Ok(round));
            }
        };
        let server = async move {
            for _ in 0..rounds {
                let (value, answer) = received.get().await.expect("shut down");
                answer.set_result(value).expect("cancelled");
            }
        };
        join_all(vec![asyncio::spawn(client), asyncio::spawn(server)]).await;
        Cost::since(started)
    })
}

fn lock(count: usize) -> Cost {
    run_once(async move {
        let lock = Lock::new(0);
        let started = Instant::now();
        for _ in 0..count {
            *lock.lock().await += 1;
        }
        assert_eq!(lock.into_inner(), count);
        Cost::since(started)
    })
}

fn lock_contended(count: usize) -> Cost {
    run_once(async move {
        let lock = Rc::new(Lock::new(0));
        let started = Instant::now();
        let tasks = (0..2).map(|_| {
            let lock = lock.clone();
            asyncio::spawn(async move {
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
    run_once(async move {
        let semaphore = Semaphore::new(2);
        let started = Instant::now();
        for _ in 0..count {
            drop(semaphore.acquire().await);
        }
        Cost::since(started)
    })
}

fn semaphore_contended(count: usize) -> Cost {
    run_once(async move {
        let semaphore = Rc::new(Semaphore::new(2));
        let started = Instant::now();
        let tasks = (0..4).map(|_| {
            let semaphore = semaphore.clone();
            asyncio::spawn(async move {
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
    run_once(async {
        let started = Instant::now();
        for _ in 0..count {
            asyncio::timeout(FAR, WakeSelf(0))
                .await
                .expect("it was ready");
        }
        Cost::since(started)
    })
}

fn timeout_pending(count: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        for _ in 0..count {
            asyncio::timeout(FAR, WakeSelf(1))
                .await
                .expect("it was soon ready");
        }
        Cost::since(started)
    })
}

fn thread_wake(rounds: usize) -> Cost {
    let ringer = Ringer::start();
    let latency = run_once(ringer.latency(rounds));
    ringer.stop();
    Cost::Time(latency)
}

fn blocking_job(rounds: usize) -> Cost {
    run_once(async {
        let started = Instant::now();
        for number in 0..rounds {
            let answer = asyncio::to_thread(move || number).await;
            assert_eq!(answer.expect("the job failed"), number);
        }
        Cost::since(started)
    })
}

fn echo(connections: usize, requests: usize) -> Cost {
    let elapsed = run_once(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = EchoClient::start(listener.local_addr()?, connections, requests);
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tasks.push(asyncio::spawn(serve(stream)));
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
    run_once(async {
        let mut tasks = Vec::with_capacity(count);
        tasks.resize_with(count, || None);
        let before = machine::resident_bytes();
        for (number, place) in tasks.iter_mut().enumerate() {
            *place = Some(asyncio::spawn(Waiting::new()));
            while number % SPAWNED_AT_ONCE == 0 && Waiting::count() <= number {
                asyncio::yield_now().await;
            }
        }
        while Waiting::count() < count {
            asyncio::yield_now().await;
        }
        let after = machine::resident_bytes();
        drop(tasks);
        Cost::Bytes(after - before)
    })
}
