//! Random programs of scopes in nested sub-executors, some of them busy: no scope that waits is ever passed over.
//!
//! `tests/cancellation_model.rs` compares whole traces, and knows no sub-executor, because in which order one polls is its own
//! affair. This says what holds in any order. `ASYNCIO_MODEL_CASES` and `ASYNCIO_MODEL_SEED` are the same as there.

use std::cell::{Cell, OnceCell, RefCell};
use std::env;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio::{
    CancelReason, EventLoop, RunError, TaskGroup, TaskRef, Timeout, catch_cancelled, sleep,
};
use futures_util::future::{FutureExt, LocalBoxFuture, join};
use futures_util::stream::{FuturesUnordered, StreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// The cases of one run, unless `ASYNCIO_MODEL_CASES` says another number.
const CASES: u32 = 6_000;

/// In a debug build, proptest keeps what it generates on the stack, and needs more than a test's thread has.
const STACK: usize = 16 * 1024 * 1024;

/// Later than any program can last.
const HORIZON: Duration = Duration::from_secs(3600);

/// More than any program needs.
const MOST_POLLS: u32 = 300_000;

#[derive(Clone, Debug)]
enum Code {
    Sleep(u64),
    Yield,
    /// Waits for this time, and then wakes itself so often; it knows of no request.
    Busy(u64, u8),
    Sequence(Vec<Code>),
    /// `catch_cancelled(body)`; the cleanup takes so long, and may raise the request again.
    Scope {
        body: Box<Code>,
        cleanup: u64,
        raises: bool,
    },
    /// A timeout.
    Limit(u64, Box<Code>),
    Unordered(Vec<Code>),
    /// The same, polled once, and then moved into a scope, or into a timeout.
    Moved(Vec<Code>, Option<u64>),
    Both(Box<Code>, Box<Code>),
    /// A task that is awaited.
    Join(Box<Code>),
    /// The body of a group, and a child.
    Group(Box<Code>, Box<Code>),
    /// The body of a generator, which emits nothing.
    Generator(Box<Code>),
}

/// Some code that waits side by side, and in it the rest.
fn programs() -> impl Strategy<Value = Code> {
    vec(codes(), 2..6).prop_map(Code::Unordered)
}

fn codes() -> impl Strategy<Value = Code> {
    let simple = prop_oneof![
        8 => (1..12u64).prop_map(Code::Sleep),
        1 => Just(Code::Yield),
        6 => (0..4u64, 1..12u8).prop_map(|(from, times)| Code::Busy(from, times)),
    ];
    simple.prop_recursive(6, 48, 6, |code| {
        let boxed = || code.clone().prop_map(Box::new);
        prop_oneof![
            1 => vec(code.clone(), 0..3).prop_map(Code::Sequence),
            4 => (boxed(), 0..3u64, any::<bool>())
                .prop_map(|(body, cleanup, raises)| Code::Scope { body, cleanup, raises }),
            3 => (0..6u64, boxed()).prop_map(|(limit, body)| Code::Limit(limit, body)),
            3 => vec(code.clone(), 1..6).prop_map(Code::Unordered),
            3 => (vec(code.clone(), 1..6), proptest::option::of(0..6u64))
                .prop_map(|(codes, limit)| Code::Moved(codes, limit)),
            5 => (code.clone(), 0..4u64, 2..16u8)
                .prop_map(|(code, from, times)| behind_busy_ones(code, from, times)),
            1 => (boxed(), boxed()).prop_map(|(left, right)| Code::Both(left, right)),
            1 => boxed().prop_map(Code::Join),
            1 => (boxed(), boxed()).prop_map(|(body, child)| Code::Group(body, child)),
            1 => boxed().prop_map(Code::Generator),
        ]
    })
}

/// A sub-executor that yields again and again before it polls the last.
fn behind_busy_ones(code: Code, from: u64, times: u8) -> Code {
    let mut codes = vec![Code::Busy(from, times); 4];
    codes.push(code);
    Code::Unordered(codes)
}

/// What must not happen, and what must happen in some program.
#[derive(Default)]
struct World {
    faults: RefCell<Vec<String>>,
    tasks: RefCell<Vec<TaskRef>>,
    caught: Cell<u32>,
    expiries: Cell<u32>,
    polls: Cell<u32>,
}

impl World {
    fn fault(&self, text: impl Into<String>) {
        self.faults.borrow_mut().push(text.into());
    }
}

/// A scope that waits. Nobody may drop it: it has to receive the request.
struct Armed {
    world: Rc<World>,
    waits: bool,
}

impl Drop for Armed {
    fn drop(&mut self) {
        if self.waits {
            self.world.fault("a scope was passed over");
        }
    }
}

/// Where code runs: inside of these timeouts of its own task.
#[derive(Clone)]
struct Place {
    world: Rc<World>,
    limits: Vec<Rc<OnceCell<Timeout>>>,
}

impl Place {
    fn run<'a>(&'a self, code: &'a Code) -> LocalBoxFuture<'a, ()> {
        self.run_code(code).boxed_local()
    }

    async fn run_code(&self, code: &Code) {
        match code {
            Code::Sleep(duration) => sleep(Duration::from_millis(*duration)).await,
            Code::Yield => asyncio::yield_now().await,
            Code::Busy(from, times) => busy(*from, *times).await,
            Code::Sequence(codes) => {
                for code in codes {
                    self.run(code).await;
                }
            }
            Code::Scope {
                body,
                cleanup,
                raises,
            } => self.run_scope(self.run(body), *cleanup, *raises).await,
            Code::Limit(limit, body) => {
                let (inside, timeout) = self.inside_of_a_limit();
                run_limit(*limit, &timeout, inside.run(body)).await;
            }
            Code::Unordered(codes) => {
                let all: FuturesUnordered<_> = codes.iter().map(|code| self.run(code)).collect();
                all.collect::<Vec<()>>().await;
            }
            Code::Moved(codes, limit) => self.run_moved(codes, *limit).await,
            Code::Both(left, right) => drop(join(self.run(left), self.run(right)).await),
            Code::Join(child) => drop(self.spawn(child).await),
            Code::Group(body, child) => {
                let scope = TaskGroup::scope(async |group| {
                    let child = group.spawn(self.in_a_task(child));
                    self.world.tasks.borrow_mut().push(child.task_ref());
                    self.run(body).await;
                });
                drop(scope.await);
            }
            Code::Generator(body) => {
                let (place, body) = (self.clone(), body.clone());
                let mut values = asyncio::generator(async move |_: asyncio::Yielder<()>| {
                    place.run(&body).await;
                });
                values.next().await;
            }
        }
    }

    fn in_a_task(&self, code: &Code) -> impl Future<Output = ()> + use<> {
        let place = Place {
            world: self.world.clone(),
            limits: Vec::new(),
        };
        let code = code.clone();
        async move {
            let mut running = place.run(&code);
            poll_fn(|cx| {
                let polls = place.world.polls.get() + 1;
                place.world.polls.set(polls);
                if polls == MOST_POLLS {
                    asyncio::running_loop().stop();
                }
                running.as_mut().poll(cx)
            })
            .await;
        }
    }

    fn spawn(&self, code: &Code) -> asyncio::Task<()> {
        let task = asyncio::spawn(self.in_a_task(code));
        self.world.tasks.borrow_mut().push(task.task_ref());
        task
    }

    async fn run_scope(&self, body: impl Future<Output = ()>, cleanup: u64, raises: bool) {
        let world = &self.world;
        let mut armed = Armed {
            world: world.clone(),
            waits: true,
        };
        let caught = catch_cancelled(body).await;
        armed.waits = false;
        let Err(cancelled) = caught else { return };
        world.caught.set(world.caught.get() + 1);
        if cancelled.reason() == CancelReason::Deadline {
            world.expiries.set(world.expiries.get() + 1);
            let has_expired = |it: &Rc<OnceCell<Timeout>>| it.get().is_some_and(Timeout::expired);
            if !self.limits.iter().any(has_expired) {
                world.fault("a scope received the expiry of a timeout that is not around it");
            }
        }
        sleep(Duration::from_millis(cleanup)).await;
        if raises {
            cancelled.raise().await
        }
    }

    async fn run_moved(&self, codes: &[Code], limit: Option<u64>) {
        let (inside, timeout) = self.inside_of_a_limit();
        let all = codes.iter().map(|code| inside.run(code));
        let mut all: FuturesUnordered<_> = all.collect();
        poll_fn(|cx| {
            let _first = all.poll_next_unpin(cx);
            Poll::Ready(())
        })
        .await;
        let rest = all.collect::<Vec<()>>().map(drop);
        match limit {
            Some(limit) => run_limit(limit, &timeout, rest).await,
            None => self.run_scope(rest, 1, true).await,
        }
    }

    fn inside_of_a_limit(&self) -> (Place, Rc<OnceCell<Timeout>>) {
        let mut inside = self.clone();
        let timeout = Rc::<OnceCell<Timeout>>::default();
        inside.limits.push(timeout.clone());
        (inside, timeout)
    }
}

async fn run_limit(limit: u64, timeout: &OnceCell<Timeout>, body: impl Future<Output = ()>) {
    let body = async |its_own: &Timeout| {
        timeout.set(its_own.clone()).expect("it is run once");
        body.await;
    };
    let _outcome = Timeout::scope(Duration::from_millis(limit), body).await;
}

/// Somebody else's future.
async fn busy(from: u64, times: u8) {
    let begun = Rc::new(Cell::new(from == 0));
    let mut timer = None;
    let mut left = times;
    poll_fn(|cx| {
        if begun.get() {
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
        } else if timer.is_none() {
            let (begin, waker) = (begun.clone(), cx.waker().clone());
            let after = Duration::from_millis(from);
            timer = Some(asyncio::running_loop().call_later(after, move || {
                begin.set(true);
                waker.wake();
            }));
        }
        Poll::Pending
    })
    .await;
}

/// Cancels a task at this time, and so many turns later: time stands still while somebody is busy.
async fn cancel(task: TaskRef, at: u64, turns: u8) -> u32 {
    sleep(Duration::from_millis(at)).await;
    for _ in 0..turns {
        asyncio::yield_now().await;
    }
    u32::from(task.cancel())
}

/// Runs the program, and cancels it at these times.
fn run(code: &Code, cancels: &[(u64, u8)]) -> Rc<World> {
    let event_loop = EventLoop::builder().virtual_time().build();
    let event_loop = event_loop.expect("a new loop");
    let world = Rc::<World>::default();
    let place = Place {
        world: world.clone(),
        limits: Vec::new(),
    };
    let outcome = event_loop.run_until_complete(async {
        let task = place.spawn(code);
        let root = task.task_ref();
        drop(task);
        let cancels = cancels
            .iter()
            .map(|(at, turns)| cancel(root.clone(), *at, *turns));
        let accepted = asyncio::gather(cancels).await;
        let accepted: u32 = accepted.expect("nobody cancels them").iter().sum();
        sleep(HORIZON).await;
        if root.cancelling() != accepted {
            let counted = root.cancelling();
            world.fault(format!(
                "{accepted} requests were made, and {counted} are counted"
            ));
        }
        for task in world.tasks.borrow().iter().filter(|it| !it.is_finished()) {
            world.fault(format!("{task:?} never ended"));
        }
    });
    match outcome {
        Ok(()) => {}
        Err(RunError::Stopped) => world.fault("tasks were polled without end"),
        Err(error) => unreachable!("nobody cancels the main task, and no I/O fails: {error}"),
    }
    let faults = world.faults.borrow().clone();
    world.tasks.take();
    event_loop.close().expect("the loop is not running");
    world.faults.replace(faults);
    world
}

fn check() -> Result<(u32, u32), String> {
    let seed = match env::var("ASYNCIO_MODEL_SEED").as_deref() {
        Err(_) => 0,
        Ok("random") => RandomState::new().hash_one("a seed"),
        Ok(number) => number.parse().expect("a number, or `random`"),
    };
    let cases = env::var("ASYNCIO_MODEL_CASES").ok();
    let cases = cases.map_or(CASES, |it| it.parse().expect("a number of cases"));
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let (caught, expiries) = (Cell::new(0), Cell::new(0));
    TestRunner::new_with_rng(config, rng)
        .run(
            &(programs(), vec((0..6u64, 0..6u8), 1..4)),
            |(code, cancels)| {
                let world = run(&code, &cancels);
                caught.set(caught.get() + world.caught.get());
                expiries.set(expiries.get() + world.expiries.get());
                match world.faults.take().first() {
                    Some(fault) => Err(TestCaseError::fail(fault.clone())),
                    None => Ok(()),
                }
            },
        )
        .map(|()| (caught.get(), expiries.get()))
        .map_err(|error| format!("{error}\nwith ASYNCIO_MODEL_SEED={seed}"))
}

/// A request reaches the innermost scope, an expiry none outside of its timeout, and every task ends.
#[test]
fn no_scope_in_a_sub_executor_is_passed_over() {
    let checking = std::thread::Builder::new().stack_size(STACK).spawn(check);
    let outcome = checking.expect("starting a thread").join();
    let outcome = outcome.expect("the thread reports and does not panic");
    let (caught, expiries) = outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(caught > 2_000 && expiries > 50, "{caught}, {expiries}");
}
