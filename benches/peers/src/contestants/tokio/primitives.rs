//! `tokio::sync`.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

use super::{in_task, join, spawn};
use crate::same_work::WakeSelf;
use crate::workloads::{Cost, Run, Workload};

pub(super) fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Channel => channel,
        Workload::RequestResponse => request_response,
        Workload::Lock => lock,
        Workload::LockContended => lock_contended,
        Workload::Semaphore => semaphore,
        Workload::SemaphoreContended => semaphore_contended,
        _ => return None,
    };
    Some(run)
}

async fn join_all(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        join(task).await;
    }
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
        join_all(vec![spawn(ping), spawn(pong)]).await;
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
        join_all(vec![spawn(client), spawn(server)]).await;
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
            spawn(async move {
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
            spawn(async move {
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
