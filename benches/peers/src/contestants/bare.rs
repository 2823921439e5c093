//! No runtime: async-task and a queue. What a runtime on async-task can reach at best, without time, I/O or threads.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use async_task::{Runnable, Task};

use super::{Contestant, Kind};
use crate::machine;
use crate::same_work::{SPAWNED_AT_ONCE, Waiting, WakeSelf, ping, pong};
use crate::workloads::{Cost, Run, Workload};

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "bare",
    about: "async-task and a `VecDeque`, nothing else: a limit, no runtime",
    crates: &["async-task"],
    kind: Kind::Limit,
    run,
};

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Cancel => cancel,
        Workload::CancelJoin => cancel_join,
        Workload::SpawnBatch => spawn_batch,
        Workload::SpawnDetached => spawn_detached,
        Workload::SpawnOne => spawn_one,
        Workload::WakeSelf => wake_self,
        Workload::PingPong => ping_pong,
        Workload::Memory => memory,
        _ => return None,
    };
    Some(run)
}

thread_local! {
    static QUEUE: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
}

fn push(runnable: Runnable) {
    QUEUE.with_borrow_mut(|queue| queue.push_back(runnable));
}

fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let (runnable, task) = async_task::spawn(future, push);
    push(runnable);
    task
}

/// Runs until nothing is ready.
fn drive() {
    while let Some(runnable) = QUEUE.with_borrow_mut(VecDeque::pop_front) {
        runnable.run();
    }
}

/// Runs the future in a task, and everything that it makes ready.
fn in_task(future: impl Future<Output = Cost> + Send + 'static) -> Cost {
    let task = pin!(spawn(future));
    drive();
    match task.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(cost) => cost,
        Poll::Pending => panic!("the task waits for something that never comes"),
    }
}

/// Makes tasks that wait, and lets each take its first step.
fn waiting_tasks(count: usize) -> Vec<Task<()>> {
    let tasks = (0..count).map(|_| spawn(Waiting::new())).collect();
    drive();
    tasks
}

fn cancel(count: usize) -> Cost {
    let tasks = waiting_tasks(count);
    let started = Instant::now();
    drop(tasks);
    drive();
    let cost = Cost::since(started);
    assert_eq!(Waiting::count(), 0);
    cost
}

fn cancel_join(count: usize) -> Cost {
    let tasks = waiting_tasks(count);
    in_task(async move {
        let started = Instant::now();
        let ends: Vec<_> = tasks.into_iter().map(Task::cancel).collect();
        for end in ends {
            assert!(end.await.is_none());
        }
        Cost::since(started)
    })
}

fn spawn_batch(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let tasks: Vec<_> = (0..count)
            .map(|number| spawn(async move { number }))
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await, number);
        }
        Cost::since(started)
    })
}

fn spawn_detached(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..count {
            spawn(async move { number }).detach();
        }
        spawn(async {}).await;
        Cost::since(started)
    })
}

fn spawn_one(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        for number in 0..count {
            assert_eq!(spawn(async move { number }).await, number);
        }
        Cost::since(started)
    })
}

fn wake_self(count: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        spawn(WakeSelf(count)).await;
        Cost::since(started)
    })
}

fn ping_pong(rounds: usize) -> Cost {
    in_task(async move {
        let started = Instant::now();
        let (first, second) = (spawn(ping(rounds)), spawn(pong(rounds)));
        first.await;
        second.await;
        Cost::since(started)
    })
}

fn memory(count: usize) -> Cost {
    let mut tasks = Vec::with_capacity(count);
    tasks.resize_with(count, || None);
    let before = machine::resident_bytes();
    for (number, place) in tasks.iter_mut().enumerate() {
        *place = Some(spawn(Waiting::new()));
        if number % SPAWNED_AT_ONCE == 0 {
            drive();
        }
    }
    drive();
    let after = machine::resident_bytes();
    assert_eq!(Waiting::count(), count);
    drop(tasks);
    Cost::Bytes(after - before)
}
