//! Random programs of getters, putters and cancellations on one queue: nothing is lost, nothing comes twice, who waits is
//! served in order.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use asyncio::sync::Queue;
use asyncio::{Task, new_event_loop, spawn, yield_now};
use proptest::prelude::*;

use crate::check_all;

/// More turns than a program of 60 steps can need.
async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A task comes that gets one item.
    Get,
    /// A task comes that puts one item.
    Put,
    GetNowait,
    PutNowait,
    /// One of the tasks is cancelled, and perhaps done already.
    Cancel(prop::sample::Index),
    /// All that is ready runs once.
    Turn,
}

/// What happened, in order.
#[derive(Default)]
struct Log {
    /// Numbers of items.
    put: Vec<u32>,
    got: Vec<u32>,
    /// Numbers of tasks that had to wait.
    getters: Vec<usize>,
    putters: Vec<usize>,
    /// How many tasks got or put their item.
    served: usize,
}

/// Awaits `future`. Says whether it had to wait.
async fn waited<F: Future>(future: F) -> (F::Output, bool) {
    let mut future = pin!(future);
    let mut polls = 0;
    let output = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    (output, polls > 1)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Get),
        4 => Just(Step::Put),
        1 => Just(Step::GetNowait),
        1 => Just(Step::PutNowait),
        3 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        3 => Just(Step::Turn),
    ];
    prop::collection::vec(step, 1..60)
}

struct Program {
    queue: Rc<Queue<u32>>,
    log: Rc<RefCell<Log>>,
    tasks: Vec<Task<()>>,
    next_item: u32,
}

impl Program {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Get => self.start_getter(),
            Step::Put => self.start_putter(),
            Step::GetNowait => {
                let item = self.queue.get_nowait().ok();
                self.log.borrow_mut().got.extend(item);
            }
            Step::PutNowait => {
                let item = self.new_item();
                if self.queue.put_nowait(item).is_ok() {
                    self.log.borrow_mut().put.push(item);
                }
            }
            Step::Cancel(index) if !self.tasks.is_empty() => {
                index.get(&self.tasks).cancel();
            }
            Step::Cancel(_) => {}
            Step::Turn => yield_now().await,
        }
    }

    fn new_item(&mut self) -> u32 {
        self.next_item += 1;
        self.next_item
    }

    fn start_getter(&mut self) {
        let (queue, log) = (self.queue.clone(), self.log.clone());
        let number = self.tasks.len();
        self.tasks.push(spawn(async move {
            let (outcome, has_waited) = waited(queue.get()).await;
            if let Ok(item) = outcome {
                let mut log = log.borrow_mut();
                log.got.push(item);
                log.served += 1;
                log.getters.extend(has_waited.then_some(number));
            }
        }));
    }

    fn start_putter(&mut self) {
        let (queue, log, item) = (self.queue.clone(), self.log.clone(), self.new_item());
        let number = self.tasks.len();
        self.tasks.push(spawn(async move {
            let (outcome, has_waited) = waited(queue.put(item)).await;
            if outcome.is_ok() {
                let mut log = log.borrow_mut();
                log.put.push(item);
                log.served += 1;
                log.putters.extend(has_waited.then_some(number));
            }
        }));
    }

    /// Nobody waits for what is there, and nothing was lost or doubled.
    async fn check(mut self) -> Result<(), TestCaseError> {
        settle().await;
        let (len, is_full) = (self.queue.len(), self.queue.is_full());
        self.queue.shutdown(false);
        settle().await;
        let log = self.log.take();
        let served = log.served;
        let rest: Vec<_> = std::iter::from_fn(|| self.queue.get_nowait().ok()).collect();
        prop_assert_eq!(
            rest.len(),
            len,
            "a getter waited although there was an item"
        );
        let ended = self.tasks.iter().filter(|task| task.is_finished()).count();
        prop_assert_eq!(ended, self.tasks.len());
        let cancelled = self.tasks.iter().filter(|task| task.is_cancelled()).count();
        if len > 0 && !is_full {
            prop_assert_eq!(
                served + cancelled,
                self.tasks.len(),
                "somebody waited for nothing"
            );
        }
        let out: Vec<_> = log.got.into_iter().chain(rest).collect();
        prop_assert_eq!(out, log.put, "items came out otherwise than they went in");
        prop_assert!(
            log.getters.is_sorted(),
            "a getter overtook: {:?}",
            log.getters
        );
        prop_assert!(
            log.putters.is_sorted(),
            "a putter overtook: {:?}",
            log.putters
        );
        self.tasks.clear();
        Ok(())
    }
}

#[test]
fn nothing_is_lost_in_a_queue_and_nobody_overtakes() {
    check_all((1_usize..4, steps()), |(maxsize, steps)| {
        let event_loop = new_event_loop().unwrap();
        let outcome = event_loop.run_until_complete(async move {
            let mut program = Program {
                queue: Rc::new(Queue::bounded(maxsize)),
                log: Rc::default(),
                tasks: Vec::new(),
                next_item: 0,
            };
            for step in steps {
                program.step(step).await;
                prop_assert!(program.queue.len() <= maxsize);
            }
            program.check().await
        });
        event_loop.close().unwrap();
        outcome.unwrap()
    });
}
