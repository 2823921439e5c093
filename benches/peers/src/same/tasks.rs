//! Workloads of tasks alone, written once. Each contestant includes this file, and gives it its own `in_task`, `spawn`,
//! `join`, `detach` and `yield_now`.

use std::time::Instant;

use super::{detach, in_task, join, spawn, yield_now};
use crate::machine;
use crate::same_work::{SPAWNED_AT_ONCE, Waiting, WakeSelf, ping, pong};
use crate::workloads::{Cost, Run, Workload};

pub(super) fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::SpawnBatch => spawn_batch,
        Workload::SpawnDetached => spawn_detached,
        Workload::SpawnOne => spawn_one,
        Workload::Yield => yielding,
        Workload::WakeSelf => wake_self,
        Workload::PingPong => ping_pong,
        Workload::Memory => memory,
        _ => return None,
    };
    Some(run)
}

fn spawn_batch(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let tasks: Vec<_> = (0..count)
            .map(|number| spawn(async move { number }))
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(join(task).await, number);
        }
        Cost::since(started)
    })
}

fn spawn_detached(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..count {
            detach(spawn(async move { number }));
        }
        join(spawn(async {})).await;
        Cost::since(started)
    })
}

fn spawn_one(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..count {
            assert_eq!(join(spawn(async move { number })).await, number);
        }
        Cost::since(started)
    })
}

fn yielding(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let tasks = (0..1000).map(|_| {
            spawn(async move {
                for _ in 0..count / 1000 {
                    yield_now().await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            join(task).await;
        }
        Cost::since(started)
    })
}

fn wake_self(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        join(spawn(WakeSelf(count))).await;
        Cost::since(started)
    })
}

fn ping_pong(rounds: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let (first, second) = (spawn(ping(rounds)), spawn(pong(rounds)));
        join(first).await;
        join(second).await;
        Cost::since(started)
    })
}

fn memory(count: usize) -> Cost {
    in_task(async move {
        let mut tasks = Vec::with_capacity(count);
        tasks.resize_with(count, || None);
        let before = machine::resident_bytes();
        for (number, place) in tasks.iter_mut().enumerate() {
            *place = Some(spawn(Waiting::new()));
            while number % SPAWNED_AT_ONCE == 0 && Waiting::count() <= number {
                yield_now().await;
            }
        }
        while Waiting::count() < count {
            yield_now().await;
        }
        let after = machine::resident_bytes();
        drop(tasks);
        Cost::Bytes(after - before)
    })
}
