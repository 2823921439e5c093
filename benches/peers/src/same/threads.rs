//! Workloads in which other threads take part, written once. Each contestant includes this file, and gives it its own
//! `in_task`, `spawn`, `join` and `blocking`.

use std::time::Instant;

use super::{blocking, in_task, join, spawn};
use crate::same_work::{Load, Ringer};
use crate::workloads::{Cost, Run, Workload};

pub(super) fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::ThreadWake => thread_wake,
        Workload::BusyWake => busy_wake,
        Workload::BlockingJob => blocking_job,
        Workload::BlockingBatch => blocking_batch,
        _ => return None,
    };
    Some(run)
}

fn thread_wake(rounds: usize) -> Cost {
    in_task(async move {
        let ringer = Ringer::start();
        let latency = ringer.latency(rounds).await;
        ringer.stop();
        Cost::Time(latency)
    })
}

/// One task keeps the loop from ever sleeping.
fn busy_wake(rounds: usize) -> Cost {
    in_task(async move {
        Load::begin();
        let busy = spawn(Load);
        let ringer = Ringer::start();
        let seen = ringer.latencies(rounds).await;
        let calls = ringer.stop();
        Load::lift();
        join(busy).await;
        Cost::EachInParts(calls, seen)
    })
}

fn blocking_job(rounds: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..rounds {
            assert_eq!(blocking(move || number).await, number);
        }
        Cost::since(started)
    })
}

fn blocking_batch(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let jobs: Vec<_> = (0..count).map(|number| blocking(move || number)).collect();
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await, number);
        }
        Cost::since(started)
    })
}
