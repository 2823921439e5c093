//! No runtime: async-task and a queue. What a runtime on async-task can reach at best, without time, I/O or threads.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use async_task::{Runnable, Task};

use super::{Contestant, Hello, Kind};
use crate::same_work::{Waiting, WakeSelf};
use crate::workloads::{Cost, Run, Workload};

#[path = "../same/tasks.rs"]
mod tasks;

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "bare",
    about: "async-task and a `VecDeque`, nothing else: a limit, no runtime",
    crates: &["async-task"],
    feature: "bare",
    kind: Kind::Limit,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::None,
    run,
};

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::Cancel => cancel,
        Workload::CancelJoin => cancel_join,
        // That takes a runtime's way to yield.
        Workload::Yield => return None,
        _ => return tasks::run(workload),
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

async fn join<T>(task: Task<T>) -> T {
    task.await
}

fn detach(task: Task<usize>) {
    task.detach();
}

/// Lets the tasks run that are ready.
fn yield_now() -> WakeSelf {
    WakeSelf(1)
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
