//! Runs a program on this crate, on virtual time.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use asyncio::{
    CancelledError, EventLoop, JoinError, ReturnWhen, RunError, Task, TaskGroup, TaskGroupError,
    TaskRef, Timeout, as_completed, catch_cancelled, finally, gather, shield, timeout, wait,
};
use futures_util::future::join;

use super::program::{Act, Block, Child, HandleEnd, Op, OutsideEvent, Owner, Program, Then, Whom};
use super::trace::{Event, Failure, Outcome, Request, What};

/// Later than any program can last.
const HORIZON: Duration = Duration::from_secs(3600);

/// More than any program needs. A task that is polled more often is woken by itself, and virtual time stands still.
const MOST_POLLS: u32 = 10_000;

/// Runs the program to its end and returns what happened.
pub(crate) fn run(program: &Program) -> Vec<Event> {
    let event_loop = EventLoop::builder()
        .virtual_time()
        .build()
        .expect("a new loop");
    let world = Rc::new(World {
        start: event_loop.time(),
        event_loop: event_loop.clone(),
        events: RefCell::default(),
        tasks: RefCell::new(vec![None; program.tasks]),
        raised: foreign_cancellation(),
        polls: Cell::new(0),
        silent: Cell::new(false),
    });
    world.report_panics();
    match event_loop.run_until_complete(drive(world.clone(), program)) {
        Ok(()) => {}
        Err(RunError::Stopped) => world.note(What::Spinning),
        Err(error) => unreachable!("nobody cancels the main task, and no I/O fails: {error}"),
    }
    // What is stuck is dropped when the loop is closed, and that is no part of the trace.
    world.silent.set(true);
    world.tasks.take();
    event_loop.close().expect("the loop is not running");
    world.events.take()
}

/// The main task: sets everything in motion, and waits until all is over.
async fn drive(world: Rc<World>, program: &Program) {
    for event in program.events.iter().filter(|event| event.at > 0) {
        let (world, event) = (world.clone(), event.clone());
        let after = Duration::from_millis(event.at);
        asyncio::running_loop().call_later(after, move || world.happen(&event));
    }
    let outside = Place {
        world: world.clone(),
        group: None,
        timeout: None,
    };
    drop(outside.spawn(&program.root));
    for event in program.events.iter().filter(|event| event.at == 0) {
        world.happen(event);
    }
    asyncio::sleep(HORIZON).await;
    for number in 0..program.tasks {
        if world.task(number).is_some_and(|task| !task.is_finished()) {
            world.note(What::Stuck(number));
        }
    }
}

/// A cancellation to be raised by whoever wants to.
fn foreign_cancellation() -> CancelledError {
    static FOREIGN: OnceLock<CancelledError> = OnceLock::new();
    let foreign = FOREIGN.get_or_init(|| {
        let event_loop = EventLoop::new().expect("a new loop");
        let cancelled = event_loop.run_until_complete(async {
            let task = asyncio::spawn(pending::<()>());
            task.cancel();
            let error = task.await.expect_err("it is pending for ever");
            error.cancelled().expect("it was cancelled").clone()
        });
        event_loop.close().expect("the loop is not running");
        cancelled.expect("nobody cancels the main task")
    });
    foreign.clone()
}

/// What all tasks of one run share.
struct World {
    event_loop: EventLoop,
    start: Instant,
    events: RefCell<Vec<Event>>,
    /// By their numbers in the program; none before they are spawned.
    tasks: RefCell<Vec<Option<TaskRef>>>,
    /// For [`Op::Raise`].
    raised: CancelledError,
    /// How often tasks were polled.
    polls: Cell<u32>,
    /// The run is over.
    silent: Cell<bool>,
}

/// A block's future.
type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failed>> + 'a>>;

/// An early return; in a group, a failure.
#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("on purpose")
    }
}

impl Error for Failed {}

/// What a handle gives: with the error for whoever awaits it, or with the error for its group only.
trait Output: 'static {
    fn outcome(&self) -> Outcome;
}

impl Output for Result<Value, Failed> {
    fn outcome(&self) -> Outcome {
        match self {
            Ok(_value) => Outcome::Value,
            Err(Failed) => Outcome::Failed,
        }
    }
}

impl Output for Value {
    fn outcome(&self) -> Outcome {
        Outcome::Value
    }
}

fn outcome_of<T: Output>(output: &Result<T, JoinError>) -> Outcome {
    match output {
        Ok(output) => output.outcome(),
        Err(error) => outcome_of_error(error),
    }
}

fn outcome_of_error(error: &JoinError) -> Outcome {
    match error.cancelled() {
        Some(cancelled) => Outcome::Cancelled(request_of(cancelled)),
        None if error.is_failed() => Outcome::Taken,
        None => Outcome::Panicked,
    }
}

impl World {
    fn count_poll(&self) {
        self.polls.set(self.polls.get() + 1);
        if self.polls.get() == MOST_POLLS {
            self.event_loop.stop();
        }
    }

    /// Notes what happened without asking anybody's count.
    fn note(&self, what: What) {
        self.write(what, None);
    }

    /// Notes what running code has seen, and its count.
    fn look(&self, what: What) {
        let task = self.current().and_then(|number| self.task(number));
        let requests = task.map(|task| task.cancelling());
        self.write(what, requests);
    }

    fn write(&self, what: What, cancelling: Option<u32>) {
        if self.silent.get() {
            return;
        }
        let elapsed = self.event_loop.time() - self.start;
        self.events.borrow_mut().push(Event {
            at: u64::try_from(elapsed.as_millis()).expect("a short time"),
            task: self.current(),
            what,
            cancelling,
        });
    }

    /// The number of the current task; the main task, which is no part of the program, has none.
    fn current(&self) -> Option<usize> {
        self.number_of(asyncio::current_task()?.id())
    }

    fn number_of(&self, id: u64) -> Option<usize> {
        let tasks = self.tasks.borrow();
        tasks
            .iter()
            .position(|task| task.as_ref().is_some_and(|task| task.id() == id))
    }

    fn task(&self, number: usize) -> Option<TaskRef> {
        self.tasks.borrow()[number].clone()
    }

    fn report_panics(self: &Rc<Self>) {
        let world = Rc::downgrade(self);
        self.event_loop
            .set_exception_handler(move |_event_loop, context| {
                let world = world.upgrade().expect("the loop is closed before");
                world.note(match context.task() {
                    Some(task) => What::Reported(world.number_of(task.id()).expect("a task")),
                    None => What::GroupReported,
                });
            });
    }

    /// Has the task noted, and its end.
    fn know(self: &Rc<Self>, number: usize, task: &TaskRef) {
        self.tasks.borrow_mut()[number] = Some(task.clone());
        let world = self.clone();
        task.add_done_callback(move |task| {
            world.note(What::Ended {
                task: number,
                cancelled: task.is_cancelled(),
            });
        });
    }

    fn happen(&self, event: &OutsideEvent) {
        self.ask(event.act, event.task, event.request);
    }

    fn ask(&self, act: Act, number: usize, request: usize) {
        let task = self.task(number);
        match act {
            Act::Cancel => {
                let answer = task.map(|task| task.cancel_with(format!("r{request}")));
                self.look(What::Cancelled(number, answer));
            }
            Act::Uncancel => {
                let answer = task.map(|task| task.uncancel());
                self.look(What::Uncancelled(number, answer));
            }
        }
    }

    /// Notes what awaiting a task gave, and drops it.
    fn joined<T: Output>(&self, number: usize, output: Result<T, JoinError>) {
        self.look(What::Joined(number, outcome_of(&output)));
    }

    fn failures(&self, error: &TaskGroupError) -> Vec<Failure> {
        let failures = error.failures().iter();
        failures
            .map(|failure| Failure {
                task: failure.task().and_then(|task| self.number_of(task.id())),
                panicked: failure.is_panic(),
            })
            .collect()
    }
}

fn request_of(cancelled: &CancelledError) -> Request {
    let number = |text: &str| text.strip_prefix('r')?.parse().ok();
    Request {
        reason: cancelled.reason(),
        number: cancelled.message().and_then(number),
    }
}

/// A task's output.
struct Value {
    world: Rc<World>,
    task: usize,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.world.note(What::ValueDropped(self.task));
    }
}

/// Notes the beginning and the end of a block.
struct Guard<'a> {
    world: &'a World,
    block: usize,
}

impl<'a> Guard<'a> {
    fn enter(world: &'a World, block: usize) -> Guard<'a> {
        world.look(What::Enter(block));
        Guard { world, block }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.world.note(What::Leave(self.block));
    }
}

async fn run_task(place: Place, child: Child) -> Result<Value, Failed> {
    let mut body = place.run_block(&child.body);
    poll_fn(|cx| {
        place.world.count_poll();
        body.as_mut().poll(cx)
    })
    .await?;
    Ok(Value {
        world: place.world.clone(),
        task: child.task,
    })
}

/// Where code runs: in this world, and inside of this group and this timeout.
#[derive(Clone)]
struct Place {
    world: Rc<World>,
    group: Option<TaskGroup>,
    timeout: Option<Timeout>,
}

impl Place {
    fn spawn(&self, child: &Child) -> Task<Result<Value, Failed>> {
        let task = asyncio::spawn(run_task(self.clone(), child.clone()));
        self.world.know(child.task, task.as_ref());
        task
    }

    fn spawn_in(&self, group: &TaskGroup, child: &Child) -> Task<Value> {
        let task = group.spawn(run_task(self.clone(), child.clone()));
        self.world.know(child.task, task.as_ref());
        task
    }

    fn run_block<'a>(&'a self, block: &'a Block) -> Running<'a> {
        Box::pin(async move {
            let _guard = Guard::enter(&self.world, block.number);
            for op in &block.ops {
                self.run_op(op).await?;
            }
            Ok(())
        })
    }

    async fn run_op(&self, op: &Op) -> Result<(), Failed> {
        let world = &self.world;
        match op {
            Op::Log(number) => world.look(What::Log(*number)),
            Op::Sleep(duration) => asyncio::sleep(Duration::from_millis(*duration)).await,
            Op::Yield => asyncio::yield_now().await,
            Op::Catch {
                body,
                handler,
                then,
            } => return self.run_catch(body, handler, *then).await,
            Op::Finally { body, cleanup } => {
                let cleanup = async || drop(self.run_block(cleanup).await);
                return finally(self.run_block(body), cleanup).await;
            }
            Op::Timeout { limit, body } => return self.run_timeout(*limit, body).await,
            Op::Moving { limit, body } => return self.run_moving(*limit, body).await,
            Op::Reschedule(after) => {
                if let Some(timeout) = &self.timeout {
                    let answer = timeout.reschedule(self.in_a_while(*after));
                    world.look(What::Rescheduled(answer));
                }
            }
            Op::Wait {
                children,
                until,
                limit,
            } => self.run_wait(children, *until, *limit).await,
            Op::AsCompleted(children) => self.run_as_completed(children).await,
            Op::Spawn {
                owner,
                child,
                meanwhile,
                end,
            } => {
                return match (owner, &self.group) {
                    (Owner::Group, Some(group)) => {
                        let task = self.spawn_in(group, child);
                        self.keep(child.task, task, meanwhile, *end).await
                    }
                    _ => {
                        let task = self.spawn(child);
                        self.keep(child.task, task, meanwhile, *end).await
                    }
                };
            }
            Op::Both { left, right } => {
                let (left, right) = join(self.run_block(left), self.run_block(right)).await;
                return left.and(right);
            }
            Op::Gather { children, settled } => self.run_gather(children, *settled).await,
            Op::Group { body } => self.run_group(body).await,
            Op::StopGroup => self.group.iter().for_each(TaskGroup::cancel),
            Op::Ask { act, whom, request } => {
                let task = match whom {
                    Whom::Itself => world.current().expect("every task has a number"),
                    Whom::Task(task) => *task,
                };
                world.ask(*act, task, *request);
            }
            Op::Raise => world.raised.clone().raise().await,
            Op::Fail => return Err(Failed),
            // Past the panic hook, which would print.
            Op::Panic => panic::resume_unwind(Box::new("on purpose")),
        }
        Ok(())
    }

    async fn run_catch(&self, body: &Block, handler: &Block, then: Then) -> Result<(), Failed> {
        match catch_cancelled(self.run_block(body)).await {
            Ok(outcome) => {
                self.world.look(What::NotCancelled);
                outcome
            }
            Err(cancelled) => {
                self.world.look(What::Caught(request_of(&cancelled)));
                self.run_block(handler).await?;
                match then {
                    Then::Swallow => Ok(()),
                    Then::Raise => cancelled.raise().await,
                }
            }
        }
    }

    async fn run_timeout(&self, limit: u64, body: &Block) -> Result<(), Failed> {
        let limit = Duration::from_millis(limit);
        match timeout(limit, self.run_block(body)).await {
            Ok(outcome) => {
                self.world.look(What::InTime);
                outcome
            }
            Err(_expired) => {
                self.world.look(What::TimedOut);
                Ok(())
            }
        }
    }

    fn in_a_while(&self, after: Option<u64>) -> Option<Instant> {
        let now = self.world.event_loop.time();
        after.map(|after| now + Duration::from_millis(after))
    }

    async fn run_moving(&self, limit: Option<u64>, body: &Block) -> Result<(), Failed> {
        let body = async |timeout: &Timeout| {
            let inside = Place {
                timeout: Some(timeout.clone()),
                ..self.clone()
            };
            inside.run_block(body).await
        };
        match Timeout::scope_at(self.in_a_while(limit), body).await {
            Ok(outcome) => {
                self.world.look(What::InTime);
                outcome
            }
            Err(_expired) => {
                self.world.look(What::TimedOut);
                Ok(())
            }
        }
    }

    async fn run_wait(&self, children: &[Child], until: ReturnWhen, limit: Option<u64>) {
        let tasks: Vec<_> = children.iter().map(|child| self.spawn(child)).collect();
        let mut waiting = wait(&tasks, until);
        if let Some(limit) = limit {
            waiting = waiting.timeout(Duration::from_millis(limit));
        }
        let (ended, _) = waiting.await;
        let numbers = ended
            .iter()
            .filter_map(|task| self.world.number_of(task.id()));
        self.world.look(What::Waited(numbers.collect()));
    }

    async fn run_as_completed(&self, children: &[Child]) {
        let tasks: Vec<_> = children.iter().map(|child| self.spawn(child)).collect();
        let mut results = as_completed(tasks);
        while let Some((index, result)) = results.next_with_index().await {
            let what = What::Completed(children[index].task, outcome_of(&result));
            self.world.look(what);
        }
    }

    async fn keep<T: Output>(
        &self,
        number: usize,
        mut task: Task<T>,
        meanwhile: &Block,
        end: HandleEnd,
    ) -> Result<(), Failed> {
        let world = &self.world;
        self.run_block(meanwhile).await?;
        match end {
            HandleEnd::Join => world.joined(number, task.await),
            HandleEnd::Insist => match catch_cancelled(&mut task).await {
                Ok(output) => world.joined(number, output),
                Err(cancelled) => {
                    world.look(What::Caught(request_of(&cancelled)));
                    world.joined(number, task.await);
                }
            },
            HandleEnd::Shield => world.joined(number, shield(task).await),
            HandleEnd::Detach => drop(task),
        }
        Ok(())
    }

    async fn run_gather(&self, children: &[Child], settled: bool) {
        let tasks: Vec<_> = children.iter().map(|child| self.spawn(child)).collect();
        if settled {
            let outputs = gather(tasks).return_exceptions().await;
            let outcomes = outputs.iter().map(outcome_of).collect();
            self.world.look(What::Gathered(Ok(outcomes)));
        } else {
            let outputs = gather(tasks).await;
            let outcomes = match &outputs {
                Ok(outputs) => Ok(outputs.iter().map(Output::outcome).collect()),
                Err(error) => Err(outcome_of_error(error)),
            };
            self.world.look(What::Gathered(outcomes));
        }
    }

    async fn run_group(&self, body: &Block) {
        let body = async |group: &TaskGroup| {
            let inside = Place {
                group: Some(group.clone()),
                ..self.clone()
            };
            inside.run_block(body).await
        };
        let outcome = TaskGroup::scope(body).await;
        let outcome = outcome.map_err(|error| self.world.failures(&error));
        self.world.look(What::Grouped(outcome));
    }
}
