//! The runner's life: lazy beginning, runs, orderly end. The rules are those of CPython's `asyncio.Runner`.

#![allow(
    clippy::async_yields_async,
    reason = "a run hands out the tasks that it leaves behind"
)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio::driver::{Driver, Events, Interest, Notify, Token, VirtualTime, Wait};
use asyncio::{CancelReason, Context, EventLoop, RunError, Runner, RunnerState, context_var};

use support::trace::{PanicOnDrop, Trace, Untouched, alone, reports_of, stderr_of};

const SECOND: Duration = Duration::from_secs(1);

fn virtual_runner() -> Runner {
    Runner::builder()
        .loop_factory(|| EventLoop::builder().virtual_time().build())
        .build()
}

fn text<T>(result: Result<T, RunError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

fn panic_text_of<T>(run: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).map(|_| ()).unwrap_err();
    payload.downcast_ref::<&str>().unwrap().to_string()
}

// ----- 1.1 run -----

/// semantics 1.1, 1.5; test_asyncio_run_return
#[test]
fn run_returns_what_main_returns() {
    assert_eq!(asyncio::run(async { "value" }).unwrap(), "value");
}

/// test_run_awaitable: what can be turned into a future can be run.
#[test]
fn anything_that_becomes_a_future_can_be_run() {
    struct Answer;
    impl IntoFuture for Answer {
        type Output = u32;
        type IntoFuture = std::future::Ready<u32>;
        fn into_future(self) -> Self::IntoFuture {
            std::future::ready(42)
        }
    }
    assert_eq!(asyncio::run(Answer).unwrap(), 42);
    assert_eq!(Runner::new().run(Answer).unwrap(), 42);
}

#[test]
fn the_future_may_borrow_from_the_caller() {
    let mut numbers = vec![1, 2];
    let sum = asyncio::run(async {
        numbers.push(3);
        numbers.iter().sum::<i32>()
    });
    assert_eq!(sum.unwrap(), 6);
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn the_output_may_borrow_from_the_caller() {
    let text = String::from("a b");
    let runner = Runner::new();
    let words: Vec<&str> = runner.run(async { text.split(' ').collect() }).unwrap();
    assert_eq!(words, ["a", "b"]);
}

#[test]
fn the_future_need_not_be_send() {
    let shared = Rc::new(Cell::new(1));
    let ours = shared.clone();
    asyncio::run(async move {
        asyncio::yield_now().await;
        ours.set(2);
    })
    .unwrap();
    assert_eq!(shared.get(), 2);
}

/// semantics 1.5, gh-112559; test_no_repr_is_call_on_the_task_result
#[test]
fn the_result_needs_no_debug() {
    struct Opaque(u32);
    assert_eq!(asyncio::run(async { Opaque(7) }).unwrap().0, 7);
}

/// semantics 1.10; test_asyncio_run_set_event_loop
#[test]
fn run_makes_its_loop_the_current_one_and_takes_that_back() {
    asyncio::run(async { assert_eq!(asyncio::event_loop(), asyncio::running_loop()) }).unwrap();
    assert!(asyncio::try_event_loop().is_none());
}

/// test_asyncio_run_cancels_hanging_tasks
#[test]
fn run_cancels_what_main_leaves_behind() {
    let left = asyncio::run(async { asyncio::spawn(pending::<()>()) }).unwrap();
    assert!(left.is_finished() && left.is_cancelled());
}

// ----- 1.2 states -----

/// semantics 1.2
#[test]
fn a_runner_goes_from_created_over_initialized_to_closed() {
    let runner = Runner::new();
    assert_eq!(runner.state(), RunnerState::Created);
    runner.run(async {}).unwrap();
    assert_eq!(runner.state(), RunnerState::Initialized);
    runner.close().unwrap();
    assert_eq!(runner.state(), RunnerState::Closed);
}

/// semantics 1.2
#[test]
fn asking_for_the_loop_initializes() {
    let runner = Runner::new();
    let event_loop = runner.event_loop().unwrap();
    assert_eq!(runner.state(), RunnerState::Initialized);
    assert_eq!(
        runner.run(async { asyncio::running_loop() }).unwrap(),
        event_loop
    );
    assert_eq!(runner.event_loop().unwrap(), event_loop);
}

/// semantics 1.2: close in CREATED is a no-op that leaves it CREATED.
#[test]
fn closing_an_unused_runner_leaves_it_usable() {
    let runner = Runner::new();
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(runner.state(), RunnerState::Created);
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}

/// semantics 1.2; test_double_close; R02
#[test]
fn closing_twice_is_harmless() {
    let runner = Runner::new();
    runner
        .run(async { drop(asyncio::spawn(pending::<()>())) })
        .unwrap();
    assert_eq!(runner.close().unwrap().cancelled().len(), 1);
    for _ in 0..2 {
        let report = runner.close().unwrap();
        assert!(report.is_clean() && report.cancelled().is_empty());
        assert_eq!(runner.state(), RunnerState::Closed);
    }
}

/// semantics 1.2; test_explicit_close
#[test]
fn a_closed_runner_gives_no_loop() {
    let runner = Runner::new();
    let event_loop = runner.event_loop().unwrap();
    runner.close().unwrap();
    assert!(event_loop.is_closed());
    assert_eq!(text(runner.event_loop()), "Runner is closed");
}

/// semantics 1.4; R01
#[test]
fn after_close_a_future_is_dropped_unpolled() {
    let runner = virtual_runner();
    runner.run(async {}).unwrap();
    runner.close().unwrap();
    let trace = Trace::new();
    assert_eq!(text(runner.run(Untouched::new(&trace))), "Runner is closed");
    assert_eq!(trace.take(), ["dropped"]);
    assert_eq!(
        text(runner.run_in(&Context::new(), Untouched::new(&trace))),
        "Runner is closed"
    );
    assert_eq!(trace.take(), ["dropped"]);
    assert_eq!(runner.state(), RunnerState::Closed);
}

/// semantics 1.2: nothing may stay behind of an initialisation that failed.
#[test]
fn a_failing_factory_leaves_the_runner_as_it_was_and_is_asked_again() {
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    let runner = Runner::builder()
        .loop_factory(move || {
            count.set(count.get() + 1);
            match count.get() {
                1 => Err(io::Error::other("no more descriptors")),
                _ => EventLoop::new(),
            }
        })
        .build();
    let trace = Trace::new();
    let error = runner.run(Untouched::new(&trace)).unwrap_err();
    assert_eq!(trace.take(), ["dropped"]);
    assert!(
        matches!(&error, RunError::EventLoop(cause) if cause.to_string() == "no more descriptors")
    );
    assert_eq!(runner.state(), RunnerState::Created);
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
    assert_eq!(calls.get(), 2);
}

/// R04
#[test]
fn a_panicking_factory_leaves_the_runner_usable() {
    let calls = Cell::new(0);
    let runner = Runner::builder()
        .loop_factory(move || {
            calls.set(calls.get() + 1);
            assert!(calls.get() > 1, "the first attempt");
            EventLoop::new()
        })
        .build();
    assert_eq!(panic_text_of(|| runner.run(async {})), "the first attempt");
    assert_eq!(runner.state(), RunnerState::Created);
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
    runner.close().unwrap();
}

// ----- 1.3 lazy initialisation -----

/// semantics 1.3, 1.10; test_asyncio_run_loop_factory, test_custom_factory
#[test]
fn the_factory_is_called_once_and_its_loop_is_the_running_one() {
    let made = Rc::new(RefCell::new(Vec::new()));
    let list = made.clone();
    let runner = Runner::builder()
        .loop_factory(move || {
            let event_loop = EventLoop::new()?;
            list.borrow_mut().push(event_loop.clone());
            io::Result::Ok(event_loop)
        })
        .build();
    assert!(made.borrow().is_empty());
    for _ in 0..2 {
        let running = runner.run(async { asyncio::running_loop() }).unwrap();
        assert_eq!(made.borrow()[..], [running]);
    }
    assert_eq!(made.borrow()[0], runner.event_loop().unwrap());
}

/// semantics 1.3, 1.10
#[test]
fn a_factorys_loop_is_not_made_the_current_one() {
    let runner = Runner::builder().loop_factory(EventLoop::new).build();
    runner.run(async {}).unwrap();
    assert!(asyncio::try_event_loop().is_none());
    // Nor is what the program chose taken away.
    let chosen = EventLoop::new().unwrap();
    asyncio::set_event_loop(chosen.clone());
    runner.close().unwrap();
    assert_eq!(asyncio::try_event_loop(), Some(chosen));
    asyncio::set_event_loop(None);
}

/// semantics 1.3, 1.7
#[test]
fn the_runners_own_loop_is_the_current_one_until_close() {
    let runner = Runner::new();
    assert!(asyncio::try_event_loop().is_none());
    let event_loop = runner.event_loop().unwrap();
    assert_eq!(asyncio::try_event_loop(), Some(event_loop));
    runner.close().unwrap();
    assert!(asyncio::try_event_loop().is_none());
}

/// semantics 1.3, gh-95736; test_set_event_loop_called_once
#[test]
fn the_current_loop_is_set_once_for_all_runs() {
    let runner = Runner::new();
    runner.run(async {}).unwrap();
    let other = EventLoop::new().unwrap();
    asyncio::set_event_loop(other.clone());
    runner.run(async {}).unwrap();
    assert_eq!(asyncio::try_event_loop(), Some(other));
    runner.close().unwrap();
    assert!(asyncio::try_event_loop().is_none());
}

/// semantics 1.3, 1.11; test_debug, test_non_debug
#[test]
fn an_explicit_debug_setting_beats_the_loops_own() {
    let debug = |explicit: Option<bool>, own: bool| {
        let builder =
            Runner::builder().loop_factory(move || EventLoop::builder().debug(own).build());
        let runner = match explicit {
            Some(debug) => builder.debug(debug).build(),
            None => builder.build(),
        };
        runner.event_loop().unwrap().debug()
    };
    assert!(debug(Some(true), false));
    assert!(!debug(Some(false), true));
    assert!(debug(None, true));
    assert!(!debug(None, false));
}

/// semantics 1.11; api: `0`, empty and `false` mean off. A process of its own per value, as the environment is everybody's.
#[test]
fn the_environment_switches_debug_mode_unless_the_program_says() {
    const TEST: &str = "the_environment_switches_debug_mode_unless_the_program_says";
    let expected = [
        ("", false),
        ("0", false),
        ("false", false),
        ("1", true),
        ("yes", true),
    ];
    for (value, on) in expected {
        let on = if on { "on" } else { "off" };
        let environment = [("ASYNCIO_DEBUG", value), ("EXPECTED", on)];
        let Some(output) = alone(TEST, &environment) else {
            let on = std::env::var("EXPECTED").unwrap() == "on";
            assert_eq!(Runner::new().event_loop().unwrap().debug(), on);
            let explicit = Runner::builder().debug(!on).build();
            assert_eq!(explicit.event_loop().unwrap().debug(), !on);
            return;
        };
        stderr_of(&output);
    }
}

context_var! {
    static COLOUR: &'static str = "none";
}

/// semantics 1.3: the snapshot is taken at the first use, and not at construction.
#[test]
fn the_context_is_copied_at_first_use() {
    let runner = Runner::new();
    COLOUR.set("before first use");
    assert_eq!(
        runner.run(async { COLOUR.get() }).unwrap(),
        Some("before first use")
    );
    COLOUR.set("after first use");
    assert_eq!(
        runner.run(async { COLOUR.get() }).unwrap(),
        Some("before first use")
    );
}

/// semantics 1.3
#[test]
fn asking_for_the_loop_already_copies_the_context() {
    let runner = Runner::new();
    COLOUR.set("red");
    runner.event_loop().unwrap();
    COLOUR.set("blue");
    assert_eq!(runner.run(async { COLOUR.get() }).unwrap(), Some("red"));
}

/// R12
#[test]
fn a_closed_loop_from_the_factory_is_refused() {
    let runner = Runner::builder()
        .loop_factory(|| {
            let event_loop = EventLoop::new()?;
            event_loop.close().unwrap();
            io::Result::Ok(event_loop)
        })
        .build();
    assert!(matches!(runner.run(async {}), Err(RunError::LoopClosed)));
    assert_eq!(runner.state(), RunnerState::Created);
}

/// R12. In a running loop the runner refuses before it asks the factory.
#[test]
fn a_running_loop_never_becomes_a_runners() {
    let error = asyncio::run(async {
        let running = asyncio::running_loop();
        let runner = Runner::builder()
            .loop_factory(move || running.clone())
            .build();
        let error = runner.event_loop().unwrap_err();
        assert_eq!(runner.state(), RunnerState::Created);
        error
    });
    assert!(matches!(error.unwrap(), RunError::Nested));
}

// ----- 1.4 run, 1.8 nesting -----

/// semantics 1.4, 1.8; test_recursive_run; R05
#[test]
fn a_runner_inside_a_running_loop_is_refused_before_anything_is_done() {
    const REFUSED: &str = "Runner.run() cannot be called from a running event loop";
    let trace = Trace::new();
    let outer = Runner::new();
    let value = outer.run(async {
        assert_eq!(text(outer.run(Untouched::new(&trace))), REFUSED);
        assert_eq!(trace.take(), ["dropped"]);
        let inner = Runner::new();
        assert_eq!(text(inner.run(Untouched::new(&trace))), REFUSED);
        assert_eq!(trace.take(), ["dropped"]);
        assert_eq!(inner.state(), RunnerState::Created);
        assert_eq!(text(asyncio::run(Untouched::new(&trace))), REFUSED);
        assert_eq!(trace.take(), ["dropped"]);
        asyncio::yield_now().await;
        "the outer run goes on"
    });
    assert_eq!(value.unwrap(), "the outer run goes on");
}

/// semantics 1.4: the check for a running loop comes first.
#[test]
fn nesting_is_reported_before_being_closed() {
    let closed = Runner::new();
    closed.run(async {}).unwrap();
    closed.close().unwrap();
    let error = asyncio::run(async { closed.run(async {}).unwrap_err() }).unwrap();
    assert!(matches!(error, RunError::Nested));
}

/// semantics 1.8: what Python accepts here it cannot close.
#[test]
fn a_runner_makes_no_loop_inside_a_running_one() {
    asyncio::run(async {
        let runner = Runner::new();
        assert!(matches!(runner.event_loop(), Err(RunError::Nested)));
        assert_eq!(runner.state(), RunnerState::Created);
    })
    .unwrap();
}

/// semantics 1.8: "running" is per thread.
#[test]
fn another_thread_may_run_a_loop_at_the_same_time() {
    let value = asyncio::run(async {
        asyncio::to_thread(|| asyncio::run(async { asyncio::to_thread(|| 7).await.unwrap() }))
            .await
            .unwrap()
    });
    assert_eq!(value.unwrap().unwrap(), 7);
}

/// semantics 1.4 step 4
#[test]
fn main_is_a_task_that_can_be_seen() {
    let line = line!() + 1;
    let (name, all, place) = asyncio::run(async {
        let main = asyncio::current_task().unwrap();
        let all = asyncio::all_tasks()
            .iter()
            .map(|task| task.id())
            .collect::<Vec<_>>();
        assert_eq!(all, [main.id()]);
        (main.name(), all, main.spawn_location())
    })
    .unwrap();
    assert_eq!(name, format!("Task-{}", all[0]));
    assert_eq!((place.file(), place.line()), (file!(), line));
}

// ----- 1.5 outcomes -----

/// semantics 1.5; test_asyncio_run_raises
#[test]
fn an_error_that_main_returns_is_a_value() {
    let output: Result<u32, &str> = asyncio::run(async { Err("wrong") }).unwrap();
    assert_eq!(output, Err("wrong"));
}

/// semantics 1.5
#[test]
fn a_main_that_is_cancelled_gives_the_cancellation_with_its_message() {
    let runner = virtual_runner();
    let output: Result<(), _> = runner.run(async {
        asyncio::current_task().unwrap().cancel_with("enough");
        pending().await
    });
    let Err(RunError::Cancelled(cancelled)) = output else {
        panic!("{output:?}");
    };
    assert_eq!(cancelled.message(), Some("enough"));
    assert_eq!(cancelled.reason(), CancelReason::User);
}

/// semantics 1.5
#[test]
fn a_main_that_swallows_its_cancellation_returns_its_value() {
    let value = virtual_runner().run(async {
        asyncio::current_task().unwrap().cancel();
        asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
        asyncio::sleep(SECOND).await;
        "went on"
    });
    assert_eq!(value.unwrap(), "went on");
}

/// semantics 1.5
#[test]
fn a_stopped_loop_leaves_main_without_a_result_and_dropped() {
    let runner = virtual_runner();
    let trace = Trace::new();
    let output = runner.run(async {
        let _dropped = trace.on_drop("main dropped");
        asyncio::running_loop().stop();
        pending::<()>().await;
    });
    assert_eq!(text(output), "Event loop stopped before Future completed.");
    assert_eq!(trace.take(), ["main dropped"]);
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}

/// semantics 1.5, 1.6; R07, P02
#[test]
fn a_panic_of_main_goes_on_in_the_caller_and_the_runner_stays_usable() {
    let runner = virtual_runner();
    let trace = Trace::new();
    let notes = trace.clone();
    let text = panic_text_of(|| {
        runner.run(async move {
            drop(asyncio::spawn(async move {
                asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
                asyncio::sleep(SECOND).await;
                notes.note("cleaned up");
            }));
            asyncio::yield_now().await;
            panic!("out of cheese");
        })
    });
    assert_eq!(text, "out of cheese");
    assert!(!runner.event_loop().unwrap().is_running());
    assert!(asyncio::try_running_loop().is_none());
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(trace.take(), ["cleaned up"]);
}

/// semantics 1.6: after a panic the payload is the one that main threw, of whatever type.
#[test]
fn a_panics_payload_reaches_the_caller_unchanged() {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);
    let run = || asyncio::run(async { std::panic::panic_any(Payload(7)) });
    let payload = catch_unwind(run).map(|_: Result<(), _>| ()).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&Payload(7)));
}

/// semantics 1.6: callbacks queued behind one that ends the run are run later, in the next run or in close.
#[test]
fn what_was_ready_when_main_panicked_is_run_later() {
    let runner = virtual_runner();
    let trace = Trace::new();
    let callback = trace.noter("callback");
    panic_text_of(|| {
        runner.run(async move {
            asyncio::running_loop().call_soon(callback);
            panic!("now");
        })
    });
    runner.run(asyncio::yield_now()).unwrap();
    assert_eq!(trace.take(), ["callback"]);
}

/// R16: what is left goes on in the next run.
#[test]
fn old_tasks_go_on_in_the_next_run() {
    let runner = virtual_runner();
    let trace = Trace::new();
    let notes = trace.clone();
    let task = runner
        .run(async move {
            let task = asyncio::spawn(async move {
                for step in 1..=3 {
                    notes.note(format!("step {step}"));
                    asyncio::yield_now().await;
                }
                "old"
            });
            asyncio::yield_now().await;
            task
        })
        .unwrap();
    let seen_by_the_first_run = trace.take();
    assert!(!seen_by_the_first_run.is_empty() && !task.is_finished());
    assert_eq!(runner.run(task).unwrap().unwrap(), "old");
    assert_eq!(seen_by_the_first_run.len() + trace.take().len(), 3);
}

/// R16: between the runs nothing moves.
#[test]
fn timers_that_expire_between_the_runs_fire_in_the_next() {
    let driver = VirtualTime::default();
    let clock = driver.handle();
    let event_loop = EventLoop::builder().driver(driver).build().unwrap();
    let runner = Runner::builder()
        .loop_factory(move || event_loop.clone())
        .build();
    let trace = Trace::new();
    let timer = trace.noter("timer");
    runner
        .run(async move { drop(asyncio::running_loop().call_later(SECOND, timer)) })
        .unwrap();
    clock.advance(2 * SECOND);
    assert!(trace.take().is_empty());
    runner.run(asyncio::sleep(SECOND)).unwrap();
    assert_eq!(trace.take(), ["timer"]);
}

// ----- 1.7 close -----

/// A driver that notes its end, and can be told to fail.
struct Noting {
    inner: VirtualTime,
    trace: Trace,
    broken: Rc<Cell<bool>>,
    /// Looks that may still be taken before the loop counts as spinning.
    looks_left: u32,
}

impl Noting {
    fn new(trace: &Trace) -> Noting {
        Noting {
            inner: VirtualTime::default(),
            trace: trace.clone(),
            broken: Rc::default(),
            looks_left: 10_000,
        }
    }
}

impl Driver for Noting {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        if wait.is_look() {
            self.looks_left -= 1;
            if self.looks_left == 0 {
                return Err(io::Error::other("the loop spins"));
            }
        }
        match self.broken.get() {
            true => Err(io::Error::other("the poller broke")),
            false => self.inner.wait(wait, events),
        }
    }

    fn register(
        &mut self,
        source: std::os::fd::BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.inner.register(source, token, interest)
    }

    fn modify(
        &mut self,
        source: std::os::fd::BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.inner.modify(source, token, interest)
    }

    fn deregister(&mut self, source: std::os::fd::BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.inner.deregister(source, token)
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.inner.notifier()
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.trace.note("loop closed");
    }
}

fn runner_with(driver: Noting) -> Runner {
    let event_loop = EventLoop::builder().driver(driver).build().unwrap();
    Runner::builder()
        .loop_factory(move || event_loop.clone())
        .build()
}

/// semantics 1.7, 3.1; D01
#[test]
fn close_cancels_tasks_then_ends_the_executor_then_closes_the_loop() {
    let trace = Trace::new();
    // The factory above keeps the loop alive: what is noted at its end is noted by `close`.
    let runner = runner_with(Noting::new(&trace));
    let notes = trace.clone();
    runner
        .run(async move {
            let in_thread = notes.clone();
            let (begun, begins) = std::sync::mpsc::channel();
            drop(asyncio::spawn(asyncio::to_thread_with(move |stop| {
                begun.send(()).unwrap();
                stop.wait();
                in_thread.note("executor told to stop");
            })));
            asyncio::yield_now().await;
            begins.recv().unwrap();
            drop(asyncio::spawn(async move {
                let cancelled = asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
                notes.note(format!("task {cancelled}"));
                let line = asyncio::to_thread(|| "cleanup may use threads")
                    .await
                    .unwrap();
                notes.note(line);
                for _turn in 0..10 {
                    asyncio::yield_now().await;
                }
                notes.note("cleanup took its time");
            }));
            asyncio::yield_now().await;
        })
        .unwrap();
    trace.note("run returned");
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(
        trace.take(),
        [
            "run returned",                   // what is left is not touched before close
            "task cancelled by the shutdown", // (1) every task, each with its reason
            "cleanup may use threads",        //     the executor is still open
            "cleanup took its time",          //     cleanup is awaited, however long it takes
            "executor told to stop",          // (3) the executor, after the last task
            "loop closed",                    // (4)
        ]
    );
    assert!(runner.event_loop().is_err());
}

/// semantics 3.1: one cancel each, children (spawned later) before parents.
#[test]
fn leftovers_are_cancelled_latest_first() {
    let trace = Trace::new();
    let runner = virtual_runner();
    let notes = trace.clone();
    runner
        .run(async move {
            for name in ["first", "second", "third"] {
                let dropped = notes.on_drop(name);
                drop(asyncio::task().name(name).spawn(async move {
                    let _dropped = dropped;
                    pending::<()>().await;
                }));
            }
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(trace.take(), ["third", "second", "first"]);
    let names: Vec<_> = report.cancelled().iter().map(|task| task.name()).collect();
    assert_eq!(names, ["third", "second", "first"]);
    assert!(
        report
            .cancelled()
            .iter()
            .all(|task| task.spawn_location().file() == file!())
    );
}

/// semantics 3.1, 1.7; test_asyncio_run_cancels_hanging_tasks
#[test]
fn the_cleanup_of_a_leftover_is_awaited() {
    let trace = Trace::new();
    let runner = virtual_runner();
    let notes = trace.clone();
    runner
        .run(async move {
            drop(asyncio::spawn(asyncio::finally(
                pending::<()>(),
                async move || {
                    for hour in 1..=3 {
                        asyncio::sleep(3600 * SECOND).await;
                        notes.note(format!("hour {hour}"));
                    }
                },
            )));
            asyncio::yield_now().await;
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(trace.take(), ["hour 1", "hour 2", "hour 3"]);
}

/// semantics 3.1: it is asked once, and then waited for, not asked again.
#[test]
fn a_leftover_that_swallows_the_cancellation_is_waited_for() {
    let runner = virtual_runner();
    let task = runner
        .run(async {
            let task = asyncio::spawn(async {
                asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
                asyncio::sleep(86_400 * SECOND).await;
                "a day later"
            });
            asyncio::yield_now().await;
            task
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(task.cancelling(), 1);
    assert_eq!(asyncio::run(task).unwrap().unwrap(), "a day later");
}

/// semantics 3.1: a leftover never polled never starts.
#[test]
fn a_leftover_that_never_started_never_does() {
    let trace = Trace::new();
    let runner = virtual_runner();
    let event_loop = runner.event_loop().unwrap();
    drop(event_loop.spawn(Untouched::new(&trace)));
    runner.close().unwrap();
    assert_eq!(trace.take(), ["dropped"]);
}

const SHUTDOWN: &str = "unhandled exception during asyncio.run() shutdown";

/// semantics 3.1; test_asyncio_run_reports_hanging_tasks_errors; D02
#[test]
fn a_leftover_that_fails_while_cancelled_is_reported_once() {
    let runner = virtual_runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let value = runner.run(async {
        let failing = asyncio::task().name("bad").spawn(async {
            asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
            asyncio::sleep(SECOND).await;
            panic!("in cleanup");
        });
        drop::<asyncio::Task<()>>(failing);
        asyncio::yield_now().await;
        "value"
    });
    assert_eq!(value.unwrap(), "value");
    assert!(reports.take().is_empty());
    let report = runner.close().unwrap();
    assert_eq!(reports.take(), [format!("{SHUTDOWN}: in cleanup [bad]")]);
    assert_eq!(report.errors().len(), 1);
    assert!(report.errors()[0].contains("in cleanup"));
    assert!(!report.is_clean());
}

/// semantics 3.1: afterwards, *for each* of the cancelled tasks; also if somebody still holds its handle.
#[test]
fn a_failing_leftover_is_reported_also_while_somebody_holds_its_handle() {
    let runner = virtual_runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let handle = runner
        .run(async {
            let failing = asyncio::task().name("held").spawn(async {
                asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
                panic!("in cleanup");
            });
            asyncio::yield_now().await;
            failing
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(reports.take(), [format!("{SHUTDOWN}: in cleanup [held]")]);
    assert_eq!(report.errors().len(), 1);
    drop::<asyncio::Task<()>>(handle);
    assert!(reports.take().is_empty());
}

/// semantics 3.1, 1.7: the other tasks get their cleanup whatever one of them does.
#[test]
fn a_failing_leftover_takes_nothing_from_the_others() {
    let runner = virtual_runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let trace = Trace::new();
    let notes = trace.clone();
    runner
        .run(async move {
            drop(asyncio::spawn(asyncio::finally(
                pending::<()>(),
                async move || {
                    asyncio::sleep(SECOND).await;
                    notes.note("cleaned up");
                },
            )));
            drop(asyncio::spawn(asyncio::finally(
                pending::<()>(),
                async || panic!("at once"),
            )));
            asyncio::yield_now().await;
        })
        .unwrap();
    assert_eq!(runner.close().unwrap().errors().len(), 1);
    assert_eq!(reports.len(), 1);
    assert_eq!(trace.take(), ["cleaned up"]);
}

/// api 4: every task is cancelled and awaited; in CPython these would be destroyed pending (semantics 3.1).
#[test]
fn tasks_spawned_while_others_are_cancelled_are_cancelled_too() {
    let runner = virtual_runner();
    let trace = Trace::new();
    let notes = trace.clone();
    runner
        .run(async move {
            drop(asyncio::task().name("parent").spawn(async move {
                asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
                drop(asyncio::task().name("child").spawn(asyncio::finally(
                    pending::<()>(),
                    async move || {
                        asyncio::sleep(SECOND).await;
                        notes.note("the child cleaned up");
                    },
                )));
                asyncio::sleep(SECOND).await;
            }));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    let names: Vec<_> = report.cancelled().iter().map(|task| task.name()).collect();
    assert_eq!(names, ["parent", "child"]);
    assert!(report.is_clean());
    // If the child had started by then, it was cancelled in the middle; otherwise it never did.
    assert!(trace.take().len() <= 1);
}

/// api 4: each task is cancelled once, and described once, also one that has no name.
#[test]
fn a_leftover_is_asked_once_however_many_are_spawned_meanwhile() {
    let runner = virtual_runner();
    let trace = Trace::new();
    let notes = trace.clone();
    runner
        .run(async move {
            drop(asyncio::task().name("parent").spawn(async move {
                asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
                for _ in 0..3 {
                    drop(asyncio::spawn(pending::<()>()));
                    asyncio::sleep(SECOND).await;
                }
                let requests = asyncio::current_task().unwrap().cancelling();
                notes.note(format!("asked {requests} times"));
            }));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(trace.take(), ["asked 1 times"]);
    let [parent, children @ ..] = report.cancelled() else {
        panic!("{report:?}")
    };
    assert_eq!((parent.name(), children.len()), ("parent", 3));
    assert!(children.is_sorted_by(|one, other| one.id() < other.id()));
    for child in children {
        assert_eq!(child.name(), format!("Task-{}", child.id()));
        assert!(format!("{child:?}").contains(child.name()));
    }
}

/// api 4: with a limit the culprits are named, and dropped.
#[test]
fn a_stubborn_leftover_is_dropped_at_the_deadline_and_named() {
    let runner = Runner::builder()
        .loop_factory(|| EventLoop::builder().virtual_time().build())
        .shutdown_timeout(Duration::from_millis(4_500))
        .build();
    let trace = Trace::new();
    let notes = trace.clone();
    let line = runner
        .run(async move {
            let guard = notes.on_drop("dropped");
            let line = line!() + 1;
            drop(asyncio::task().name("stubborn").spawn(async move {
                let _guard = guard;
                loop {
                    let _swallowed = asyncio::catch_cancelled(asyncio::sleep(SECOND)).await;
                    notes.note("goes on");
                }
            }));
            asyncio::yield_now().await;
            line
        })
        .unwrap();
    let event_loop = runner.event_loop().unwrap();
    let report = runner.close().unwrap();
    assert_eq!(
        trace.take(),
        [
            "goes on", "goes on", "goes on", "goes on", "goes on", "dropped"
        ]
    );
    assert!(event_loop.is_closed());
    assert!(!report.is_clean());
    let [survivor] = report.survivors() else {
        panic!("{report:?}")
    };
    assert_eq!(survivor.task().name(), "stubborn");
    assert_eq!(survivor.cancels_swallowed(), 1);
    let place = survivor.task().spawn_location();
    assert_eq!((place.file(), place.line()), (file!(), line));
    assert_eq!(report.cancelled()[0].id(), survivor.task().id());
}

/// semantics 1.7 [rust]: "running" is checked first.
#[test]
fn closing_from_inside_of_its_own_loop_fails_without_side_effects() {
    let runner = virtual_runner();
    let trace = Trace::new();
    runner
        .run(async {
            let bystander = asyncio::spawn(Untouched::new(&trace));
            asyncio::yield_now().await;
            assert!(matches!(runner.close(), Err(RunError::AlreadyRunning)));
            asyncio::sleep(SECOND).await;
            assert_eq!(asyncio::current_task().unwrap().cancelling(), 0);
            assert_eq!(bystander.cancelling(), 0);
            assert_eq!(trace.take(), ["polled"]);
            drop(bystander);
        })
        .unwrap();
    assert_eq!(runner.state(), RunnerState::Initialized);
    assert_eq!(runner.close().unwrap().cancelled().len(), 1);
    assert_eq!(runner.state(), RunnerState::Closed);
}

/// semantics 1.7 [rust]
#[test]
fn closing_from_inside_of_another_loop_fails_without_side_effects() {
    let runner = virtual_runner();
    runner
        .run(async { drop(asyncio::spawn(pending::<()>())) })
        .unwrap();
    asyncio::run(async { assert!(matches!(runner.close(), Err(RunError::Nested))) }).unwrap();
    assert_eq!(runner.state(), RunnerState::Initialized);
    assert_eq!(runner.run(async { asyncio::all_tasks().len() }).unwrap(), 2);
    assert_eq!(runner.close().unwrap().cancelled().len(), 1);
}

/// semantics 1.7: the last step is taken whatever went before. D05, D07
#[test]
fn a_loop_that_cannot_wait_any_more_still_closes_and_drops_everything() {
    let trace = Trace::new();
    let driver = Noting::new(&trace);
    let broken = driver.broken.clone();
    let runner = runner_with(driver);
    let notes = trace.clone();
    runner
        .run(async move {
            let guard = notes.on_drop("task dropped");
            drop(asyncio::spawn(async move {
                let _guard = guard;
                let _swallowed = asyncio::catch_cancelled(pending::<()>()).await;
                asyncio::sleep(SECOND).await;
            }));
            asyncio::yield_now().await;
        })
        .unwrap();
    broken.set(true);
    let error = runner.close().unwrap_err();
    assert!(
        matches!(&error, RunError::EventLoop(cause) if cause.to_string() == "the poller broke")
    );
    assert_eq!(trace.take(), ["task dropped", "loop closed"]);
    assert_eq!(runner.state(), RunnerState::Closed);
    assert!(runner.close().unwrap().is_clean());
}

/// F10: the first failure of the driver ends the run.
#[test]
fn a_loop_that_cannot_wait_ends_the_run_with_the_systems_error() {
    let trace = Trace::new();
    let driver = Noting::new(&trace);
    driver.broken.set(true);
    let runner = runner_with(driver);
    let error = runner.run(asyncio::sleep(SECOND)).unwrap_err();
    assert!(
        matches!(&error, RunError::EventLoop(cause) if cause.to_string() == "the poller broke")
    );
    assert!(!runner.event_loop().unwrap().is_running());
}

thread_local! {
    /// Breaks the poller of the loop that `breakable` made.
    static BROKEN: RefCell<Rc<Cell<bool>>> = RefCell::default();
}

fn breakable() -> io::Result<EventLoop> {
    let driver = Noting::new(&Trace::new());
    BROKEN.set(driver.broken.clone());
    EventLoop::builder().driver(driver).build()
}

#[asyncio::main(loop_factory = breakable)]
async fn returns_a_value_and_breaks_the_close() -> &'static str {
    drop(asyncio::spawn(async {
        let _swallowed = asyncio::catch_cancelled(pending::<()>()).await;
        asyncio::sleep(SECOND).await;
    }));
    asyncio::yield_now().await;
    BROKEN.with_borrow(|broken| broken.set(true));
    "value"
}

/// issue 2: `run` never loses main's result to a failure in close: both reach the caller.
#[test]
fn a_failing_close_takes_no_result_away() {
    const TEST: &str = "a_failing_close_takes_no_result_away";
    let Some(output) = alone(TEST, &[]) else {
        assert_eq!(returns_a_value_and_breaks_the_close(), "value");
        return;
    };
    let stderr = stderr_of(&output);
    assert!(stderr.contains("closing the runner failed"), "{stderr}");
    assert!(stderr.contains("the poller broke"), "{stderr}");
}

/// A program may close the loop under the runner's feet.
#[test]
fn a_runner_whose_loop_was_closed_by_hand_still_ends_closed() {
    let runner = Runner::new();
    runner.event_loop().unwrap().close().unwrap();
    assert!(matches!(runner.run(async {}), Err(RunError::LoopClosed)));
    let _outcome = runner.close();
    assert_eq!(runner.state(), RunnerState::Closed);
    assert!(asyncio::try_event_loop().is_none());
}

/// A task's `stop` is for runs, not for the shutdown, which waits for everybody; and must wait, not spin.
#[test]
fn a_leftover_that_stops_the_loop_does_not_disturb_the_close() {
    let trace = Trace::new();
    let runner = runner_with(Noting::new(&trace));
    let notes = trace.clone();
    runner
        .run(async move {
            drop(asyncio::spawn(async move {
                let _cancelled = asyncio::catch_cancelled(pending::<()>()).await;
                asyncio::running_loop().stop();
                asyncio::sleep(SECOND).await;
                notes.note("cleaned up");
            }));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close();
    assert!(report.is_ok(), "{report:?}");
    assert_eq!(trace.take(), ["cleaned up", "loop closed"]);
}

/// R08
#[test]
fn dropping_a_runner_closes_it_in_an_orderly_way() {
    let trace = Trace::new();
    let runner = virtual_runner();
    let notes = trace.clone();
    runner
        .run(async move {
            drop(asyncio::spawn(asyncio::finally(
                pending::<()>(),
                async move || {
                    asyncio::sleep(SECOND).await;
                    notes.note("cleaned up");
                },
            )));
            asyncio::yield_now().await;
        })
        .unwrap();
    let event_loop = runner.event_loop().unwrap();
    drop(runner);
    assert!(event_loop.is_closed());
    assert_eq!(trace.take(), ["cleaned up"]);
}

/// R08, D11: the outer panic wins.
#[test]
fn dropping_a_runner_while_unwinding_closes_it_too() {
    let trace = Trace::new();
    let notes = trace.clone();
    let text = panic_text_of(|| {
        let runner = virtual_runner();
        let _quiet = reports_of(&runner.event_loop().unwrap());
        runner
            .run(async move {
                drop(asyncio::spawn(asyncio::finally(
                    pending::<()>(),
                    async move || {
                        asyncio::sleep(SECOND).await;
                        notes.note("cleaned up");
                        // Caught and reported like any other: no second panic escapes.
                        panic!("in cleanup");
                    },
                )));
                asyncio::yield_now().await;
            })
            .unwrap();
        panic!("outside");
    });
    assert_eq!(text, "outside");
    assert_eq!(trace.take(), ["cleaned up"]);
    assert!(asyncio::try_running_loop().is_none());
}

/// Where the orderly phases are impossible, the loop is ended all the same.
#[test]
fn dropping_a_runner_inside_another_loop_still_ends_its_loop() {
    let trace = Trace::new();
    let runner = virtual_runner();
    runner
        .run(async {
            drop(asyncio::spawn(Untouched::new(&trace)));
            asyncio::yield_now().await;
        })
        .unwrap();
    let event_loop = runner.event_loop().unwrap();
    assert_eq!(trace.take(), ["polled"]);
    let main = asyncio::run(async move {
        drop(runner);
        asyncio::yield_now().await;
        asyncio::current_task().unwrap().is_finished()
    });
    assert!(!main.unwrap());
    assert!(event_loop.is_closed());
    assert_eq!(trace.take(), ["dropped"]);
}

/// api 4: jobs that outlive the executor's time are named, and the process does not wait for them. The clock is real, as
/// a virtual one does not pass while a job runs in a thread.
#[test]
fn a_job_that_outlives_the_limit_is_named_and_left_behind() {
    let runner = Runner::builder()
        .shutdown_timeout(Duration::from_millis(20))
        .build();
    let (release, stuck) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = std::sync::mpsc::channel();
    let line = runner
        .run(async move {
            let line = line!() + 1;
            asyncio::running_loop()
                .run_in_executor(move || {
                    begun.send(()).unwrap();
                    let _closed = stuck.recv();
                })
                .detach();
            line
        })
        .unwrap();
    begins.recv().unwrap();
    let report = runner.close().unwrap();
    let [job] = report.abandoned_jobs() else {
        panic!("{report:?}")
    };
    assert_eq!(job.location().file(), file!());
    assert!((line..=line + 1).contains(&job.location().line()));
    assert!(!report.is_clean());
    drop(release);
}

/// semantics 3.1: the report of a runner that had nothing to do is empty.
#[test]
fn a_clean_close_reports_nothing() {
    let runner = virtual_runner();
    runner.run(asyncio::sleep(SECOND)).unwrap();
    let report = runner.close().unwrap();
    assert!(report.is_clean());
    assert!(report.cancelled().is_empty());
    assert!(report.survivors().is_empty());
    assert!(report.errors().is_empty());
    assert!(report.abandoned_jobs().is_empty());
}

/// A destructor's panic during the shutdown is part of the report.
#[test]
fn a_destructor_that_panics_during_close_is_in_the_report() {
    let runner = virtual_runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    runner
        .run(async {
            drop(asyncio::task().name("bad").spawn(async {
                let _bad = PanicOnDrop("in a destructor");
                pending::<()>().await;
            }));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(report.errors().len(), 1);
    assert!(report.errors()[0].contains("in a destructor"), "{report:?}");
}

// ----- 1.9 context -----

/// semantics 1.9; test_run_keeps_context
#[test]
fn what_one_run_sets_the_next_one_sees_and_the_caller_never() {
    let runner = Runner::new();
    COLOUR.set("outside");
    runner.run(async { drop(COLOUR.set("inside")) }).unwrap();
    assert_eq!(COLOUR.get(), Some("outside"));
    assert_eq!(runner.run(async { COLOUR.get() }).unwrap(), Some("inside"));
    let again = runner.run(async { asyncio::spawn(async { COLOUR.get() }).await.unwrap() });
    assert_eq!(again.unwrap(), Some("inside"));
}

/// semantics 1.9: all runs of a runner are in one context, so a token of one is good in the next, and in no task.
#[test]
fn what_one_run_has_set_the_next_one_can_reset() {
    let runner = Runner::new();
    let token = runner.run(async { COLOUR.set("first") }).unwrap();
    let token = runner
        .run(async {
            asyncio::yield_now().await;
            let elsewhere = asyncio::spawn(async { COLOUR.try_reset(token) });
            elsewhere.await.unwrap().unwrap_err()
        })
        .unwrap();
    let after = runner.run(async {
        COLOUR.reset(token);
        COLOUR.get()
    });
    assert_eq!(after.unwrap(), Some("none"));
}

/// semantics 1.9: however a run ends, its context is the next one's.
#[test]
fn what_a_run_has_set_survives_its_panic_its_stop_and_its_cancellation() {
    let runner = Runner::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        runner.run(async {
            drop(COLOUR.set("panicked"));
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(
        runner.run(async { COLOUR.get() }).unwrap(),
        Some("panicked")
    );
    let stopped = runner.run(async {
        drop(COLOUR.set("stopped"));
        asyncio::running_loop().stop();
        pending::<()>().await;
    });
    assert!(matches!(stopped, Err(RunError::Stopped)));
    assert_eq!(runner.run(async { COLOUR.get() }).unwrap(), Some("stopped"));
    let cancelled = runner.run(async {
        drop(COLOUR.set("cancelled"));
        asyncio::current_task().unwrap().cancel();
        asyncio::yield_now().await;
    });
    assert!(matches!(cancelled, Err(RunError::Cancelled(_))));
    assert_eq!(
        runner.run(async { COLOUR.get() }).unwrap(),
        Some("cancelled")
    );
}

/// semantics 1.9
#[test]
fn a_given_context_keeps_the_changes_and_the_runners_own_is_untouched() {
    let runner = Runner::new();
    let context = Context::new();
    runner
        .run_in(&context, async { drop(COLOUR.set("given")) })
        .unwrap();
    assert_eq!(COLOUR.get_in(&context), Some("given"));
    assert_eq!(runner.run(async { COLOUR.get() }).unwrap(), Some("none"));
    let again = runner.run_in(&context, async { COLOUR.get() });
    assert_eq!(again.unwrap(), Some("given"));
}

/// semantics 1.9: sub-tasks copy, main runs in the context itself.
#[test]
fn a_subtask_changes_its_own_copy_only() {
    let runner = Runner::new();
    let seen = runner.run(async {
        COLOUR.set("main");
        let seen = asyncio::spawn(async {
            let seen = COLOUR.get();
            COLOUR.set("task");
            seen
        });
        (seen.await.unwrap(), COLOUR.get())
    });
    assert_eq!(seen.unwrap(), (Some("main"), Some("main")));
}

/// semantics 1.9 [rust]: where Python's run hangs for ever.
#[test]
fn a_context_that_is_entered_already_is_an_error_before_anything_starts() {
    let runner = Runner::new();
    let context = Context::new();
    let trace = Trace::new();
    let error = context
        .run(|| runner.run_in(&context, Untouched::new(&trace)))
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, RunError::Context(_)));
    assert_eq!(trace.take(), ["dropped"]);
    assert!(error.to_string().contains("already entered"));
    // Nothing stays entered, and the runner stays usable.
    assert_eq!(runner.run_in(&context, async { 1 }).unwrap(), 1);
}

/// semantics 1.9
#[test]
fn a_panic_of_main_leaves_the_context_usable() {
    let runner = Runner::new();
    panic_text_of(|| {
        runner.run(async {
            COLOUR.set("before the panic");
            panic!("now");
        })
    });
    assert_eq!(COLOUR.get(), Some("none"));
    assert_eq!(
        runner.run(async { COLOUR.get() }).unwrap(),
        Some("before the panic")
    );
}

/// issue 2: the context is released with the loop.
#[test]
fn close_releases_the_context() {
    context_var! {
        static HELD: Arc<()>;
    }
    let value = Arc::new(());
    let runner = Runner::new();
    let ours = value.clone();
    runner.run(async move { drop(HELD.set(ours)) }).unwrap();
    assert_eq!(Arc::strong_count(&value), 2);
    runner.close().unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}

// ----- several runners, and nothing left behind -----

/// R13
#[test]
fn runners_on_many_threads_are_independent() {
    let threads: Vec<_> = (0..16)
        .map(|number| {
            std::thread::spawn(move || {
                let runner = virtual_runner();
                runner.run(asyncio::sleep(SECOND)).unwrap();
                let value = runner.run(async move { asyncio::spawn(async move { number }).await });
                value.unwrap().unwrap()
            })
        })
        .collect();
    let sum: i32 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!(sum, (0..16).sum());
}

/// Two runners that take turns in one thread.
#[test]
fn two_runners_in_one_thread_take_turns() {
    let (one, two) = (virtual_runner(), virtual_runner());
    assert_ne!(one.event_loop().unwrap(), two.event_loop().unwrap());
    for _ in 0..3 {
        assert_eq!(one.run(async { 1 }).unwrap(), 1);
        assert_eq!(two.run(async { 2 }).unwrap(), 2);
    }
    one.close().unwrap();
    assert_eq!(two.run(async { 2 }).unwrap(), 2);
}

/// Promise 11: what a thousand lives open, they close. In a process of its own, whose descriptors and threads are counted;
/// each life does real I/O and uses a thread, which is what makes this one slow.
#[test]
#[cfg(target_os = "linux")]
fn a_thousand_lives_leave_no_descriptor_and_no_thread_behind() {
    const TEST: &str = "a_thousand_lives_leave_no_descriptor_and_no_thread_behind";
    let Some(output) = alone(TEST, &[]) else {
        let count = |what: &str| {
            std::fs::read_dir(format!("/proc/self/{what}"))
                .unwrap()
                .count()
        };
        let life = || {
            let executor = asyncio::ThreadPoolExecutor::builder()
                .max_workers(1)
                .keep_alive(Duration::ZERO)
                .build();
            let runner = Runner::builder()
                .loop_factory(move || EventLoop::builder().executor(executor.clone()).build())
                .build();
            runner
                .run(async {
                    drop(asyncio::spawn(pending::<()>()));
                    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                    let ours = asyncio::io::Async::new(ours).unwrap();
                    let job = asyncio::to_thread(move || drop(theirs));
                    let (end, job) = (ours.readable(), job);
                    end_after(job, end).await;
                })
                .unwrap();
            assert!(runner.close().unwrap().is_clean());
        };
        // A worker without work ends by itself, a moment after its pool, and what it held goes with it.
        let threads = count("task");
        let settled = || {
            let patience = Instant::now() + 10 * SECOND;
            while count("task") > threads && Instant::now() < patience {
                std::thread::yield_now();
            }
            (count("task"), count("fd"))
        };
        life();
        let (_, descriptors) = settled();
        for _ in 0..1_000 {
            life();
        }
        assert_eq!(settled(), (threads, descriptors));
        return;
    };
    stderr_of(&output);
}

async fn end_after<J, E>(job: J, end: E)
where
    J: Future<Output = Result<(), asyncio::JoinError>>,
    E: Future<Output = io::Result<()>>,
{
    job.await.unwrap();
    end.await.unwrap();
}

/// faults T13: a future of a megabyte is boxed before it is handed on; unboxed, an unoptimised build copied it more
/// than twenty times on its way, and main functions overflowed the stack.
#[test]
fn a_large_main_future_and_a_large_task_fit_an_ordinary_stack() {
    const MEGABYTE: usize = 1 << 20;
    let eight_megabytes = std::thread::Builder::new().stack_size(8 * MEGABYTE);
    let large = || async {
        let bytes = [1_u8; MEGABYTE];
        asyncio::yield_now().await;
        bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>()
    };
    let run = move || {
        asyncio::run(large()).unwrap()
            + asyncio::run(async move { asyncio::spawn(large()).await.unwrap() }).unwrap()
    };
    assert_eq!(
        eight_megabytes.spawn(run).unwrap().join().unwrap(),
        2 * MEGABYTE
    );
}
