//! `asyncio::sync`, and eager tasks.

use std::rc::Rc;
use std::time::Instant;

use asyncio::sync::{Future as Answer, Lock, Queue, Semaphore};

use super::{in_task, join, spawn};
use crate::same_work::WakeSelf;
use crate::workloads::{Cost, Run, Workload};

pub(super) fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::SpawnEager => spawn_eager,
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

async fn join_all(tasks: Vec<asyncio::Task<()>>) {
    for task in tasks {
        join(task).await;
    }
}

fn spawn_eager(count: usize) -> Cost {
    in_task(async move {
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

fn channel(rounds: usize) -> Cost {
    in_task(async move {
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
        join_all(vec![spawn(ping), spawn(pong)]).await;
        Cost::since(started)
    })
}

fn request_response(rounds: usize) -> Cost {
    in_task(async move {
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
        join_all(vec![spawn(client), spawn(server)]).await;
        Cost::since(started)
    })
}

fn lock(count: usize) -> Cost {
    in_task(async move {
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
    in_task(async move {
        let lock = Rc::new(Lock::new(0));
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
        let semaphore = Rc::new(Semaphore::new(2));
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
