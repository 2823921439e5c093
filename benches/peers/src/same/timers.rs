//! Workloads of time, written once. Each contestant includes this file, and gives it its own `in_task`, `spawn`, `join`,
//! `sleep` and `timeout`.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{in_task, join, sleep, spawn, timeout};
use crate::same_work::{FAR, Load, WakeSelf, random_lengths};
use crate::workloads::{Cost, Run, Workload};

pub(super) fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::TimeoutReady => |count| in_task(timeouts(count, 0)),
        Workload::TimeoutPending => |count| in_task(timeouts(count, 1)),
        Workload::TimeoutMany => timeout_many,
        Workload::TimeoutAmong => timeout_among,
        Workload::Sleeps => sleeps,
        Workload::SleepsLoaded => sleeps_loaded,
        _ => return None,
    };
    Some(run)
}

/// Each around a future that is so many times pending before it is ready.
async fn timeouts(count: usize, pending: usize) -> Cost {
    let started = Instant::now();
    for _ in 0..count {
        let outcome = timeout(FAR, WakeSelf(pending)).await;
        assert!(outcome.is_ok());
    }
    Cost::since(started)
}

fn timeout_many(count: usize) -> Cost {
    const TASKS: usize = 1000;
    in_task(async move {
        let started = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| spawn(timeouts(count / TASKS, 1)))
            .collect();
        for task in tasks {
            join(task).await;
        }
        Cost::since(started)
    })
}

/// The others are a million sleeps that one task has begun.
fn timeout_among(count: usize) -> Cost {
    const OTHERS: usize = 1_000_000;
    in_task(async move {
        let lengths = random_lengths(OTHERS, FAR);
        let mut others: Vec<_> = lengths
            .into_iter()
            .map(|length| Box::pin(sleep(FAR + length)))
            .collect();
        poll_fn(|cx| {
            for other in &mut others {
                assert!(Pin::new(other).poll(cx).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        let cost = timeouts(count, 1).await;
        drop(others);
        cost
    })
}

async fn lateness(length: Duration) -> Duration {
    let due = Instant::now() + length;
    sleep(length).await;
    // Some have a clock that is a little coarser than this one.
    due.elapsed()
}

fn sleeps(count: usize) -> Cost {
    /// In which all are begun.
    const SET_UP: Duration = Duration::from_millis(50);
    const SPAN: Duration = Duration::from_millis(100);
    in_task(async move {
        let begin = Instant::now() + SET_UP;
        let tasks: Vec<_> = random_lengths(count, SPAN)
            .into_iter()
            .map(|length| spawn(async move { lateness((begin + length) - Instant::now()).await }))
            .collect();
        let mut each = Vec::with_capacity(count);
        for task in tasks {
            each.push(join(task).await);
        }
        Cost::Each(each)
    })
}

fn sleeps_loaded(count: usize) -> Cost {
    const TASKS: usize = 10;
    const LENGTH: Duration = Duration::from_millis(1);
    in_task(async move {
        Load::begin();
        let load: Vec<_> = (0..Load::TASKS).map(|_| spawn(Load)).collect();
        let sleepers: Vec<_> = (0..TASKS)
            .map(|_| {
                spawn(async move {
                    let mut each = Vec::with_capacity(count / TASKS);
                    for _ in 0..count / TASKS {
                        each.push(lateness(LENGTH).await);
                    }
                    each
                })
            })
            .collect();
        let mut each = Vec::with_capacity(count);
        for sleeper in sleepers {
            each.extend(join(sleeper).await);
        }
        Load::lift();
        for task in load {
            join(task).await;
        }
        Cost::Each(each)
    })
}
