//! Random programs of tasks that take permits and are cancelled: no permit is lost, none is made, nobody overtakes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use asyncio::sync::{Event, Semaphore};
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
    /// A task comes that takes a permit, and keeps it until it is told to go.
    Acquire,
    /// One of the tasks is told to give its permit back, or not to keep it once it has one.
    Release(prop::sample::Index),
    /// One of the tasks is cancelled, wherever it waits.
    Cancel(prop::sample::Index),
    /// A permit is taken and given back without waiting.
    TryAcquire,
    /// All that is ready runs once.
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Acquire),
        4 => any::<prop::sample::Index>().prop_map(Step::Release),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => Just(Step::TryAcquire),
        3 => Just(Step::Turn),
    ];
    prop::collection::vec(step, 1..60)
}

struct Holder {
    task: Task<()>,
    may_go: Rc<Event>,
}

struct Program {
    semaphore: Rc<Semaphore>,
    /// The numbers of the tasks that got a permit, in order.
    served: Rc<RefCell<Vec<usize>>>,
    /// How many have one now.
    holding: Rc<Cell<usize>>,
    holders: Vec<Holder>,
}

/// Counts a permit that is held.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(holding: &Rc<Cell<usize>>) -> Counted {
        holding.set(holding.get() + 1);
        Counted(holding.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Program {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Acquire => self.start(),
            Step::Release(index) if !self.holders.is_empty() => {
                index.get(&self.holders).may_go.set();
            }
            Step::Cancel(index) if !self.holders.is_empty() => {
                index.get(&self.holders).task.cancel();
            }
            Step::Release(_) | Step::Cancel(_) => {}
            Step::TryAcquire => drop(self.semaphore.try_acquire()),
            Step::Turn => yield_now().await,
        }
    }

    fn start(&mut self) {
        let (semaphore, served) = (self.semaphore.clone(), self.served.clone());
        let (holding, number) = (self.holding.clone(), self.holders.len());
        let may_go = Rc::new(Event::new());
        let told = may_go.clone();
        let task = spawn(async move {
            let _permit = semaphore.acquire().await;
            let _counted = Counted::new(&holding);
            served.borrow_mut().push(number);
            told.wait().await;
        });
        self.holders.push(Holder { task, may_go });
    }

    async fn check(self, permits: usize) -> Result<(), TestCaseError> {
        settle().await;
        let free = self.semaphore.available();
        prop_assert_eq!(
            free + self.holding.get(),
            permits,
            "a permit was lost or made"
        );
        let waiting = self
            .holders
            .iter()
            .filter(|holder| !holder.task.is_finished());
        let is_anybody_waiting = waiting.count() > self.holding.get();
        prop_assert!(
            free == 0 || !is_anybody_waiting,
            "somebody waited for nothing"
        );
        self.holders.iter().for_each(|holder| holder.may_go.set());
        for holder in self.holders {
            drop(holder.task.await);
        }
        prop_assert_eq!(self.semaphore.available(), permits);
        let served = self.served.take();
        prop_assert!(served.is_sorted(), "a task overtook: {:?}", served);
        Ok(())
    }
}

#[test]
fn no_permit_is_lost_and_nobody_overtakes() {
    check_all((1_usize..4, steps()), |(permits, steps)| {
        let event_loop = new_event_loop().unwrap();
        let outcome = event_loop.run_until_complete(async move {
            let mut program = Program {
                semaphore: Rc::new(Semaphore::bounded(permits)),
                served: Rc::default(),
                holding: Rc::default(),
                holders: Vec::new(),
            };
            for step in steps {
                program.step(step).await;
                prop_assert!(program.holding.get() <= permits);
            }
            program.check(permits).await
        });
        event_loop.close().unwrap();
        outcome.unwrap()
    });
}
