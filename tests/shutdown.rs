//! The orderly end in detail, on a clock that jumps: the order of cancellation, exit hooks, `exit`, panics that stop the
//! program, and what the report says. Signals and exit statuses are in `closing.rs`.

#[path = "support/mod.rs"]
mod support;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use asyncio::{CancelReason, DetachedPanic, EventLoop, RunError, Runner, RunnerBuilder, sleep};

use support::trace::{PanicOnDrop, Trace, reports_of};

const SECOND: Duration = Duration::from_secs(1);
const FOREVER: Duration = Duration::from_secs(86_400);
const SHUTDOWN: &str = "unhandled exception during asyncio.run() shutdown";

fn builder() -> RunnerBuilder {
    Runner::builder().loop_factory(|| EventLoop::builder().virtual_time().build())
}

fn runner() -> Runner {
    builder().build()
}

/// What a panic of `run` said.
fn panic_of<T>(run: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else {
        panic!("it did not panic");
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

fn names(report: &asyncio::ShutdownReport) -> Vec<&str> {
    report.cancelled().iter().map(|task| task.name()).collect()
}

// ----- the order of cancellation

/// A family of tasks: children are spawned by their parents, some of them late.
async fn family(trace: Trace) {
    let grandparent = asyncio::task().name("grandparent").spawn({
        let trace = trace.clone();
        async move {
            let _dropped = trace.on_drop("grandparent");
            sleep(SECOND).await;
            // Younger than the uncle, and still before him only because it is younger.
            drop(asyncio::task().name("parent").spawn({
                let trace = trace.clone();
                async move {
                    let _dropped = trace.on_drop("parent");
                    sleep(SECOND).await;
                    let dropped = trace.on_drop("child");
                    drop(asyncio::task().name("child").spawn(async move {
                        let _dropped = dropped;
                        pending::<()>().await;
                    }));
                    pending::<()>().await;
                }
            }));
            pending::<()>().await;
        }
    });
    drop::<asyncio::Task<()>>(grandparent);
    let dropped = trace.on_drop("uncle");
    drop(asyncio::task().name("uncle").spawn(async move {
        let _dropped = dropped;
        pending::<()>().await;
    }));
    sleep(3 * SECOND).await;
}

#[test]
fn children_are_cancelled_before_their_parents_and_later_tasks_before_earlier_ones() {
    let trace = Trace::new();
    let runner = runner();
    runner.run(family(trace.clone())).unwrap();
    let report = runner.close().unwrap();
    let order = ["child", "parent", "uncle", "grandparent"];
    assert_eq!(names(&report), order);
    assert_eq!(trace.take(), order);
}

#[test]
fn tasks_spawned_while_generators_are_closed_are_cancelled_and_awaited_too() {
    let trace = Trace::new();
    let runner = runner();
    let notes = trace.clone();
    let generator = runner
        .run(async move {
            let mut generator = asyncio::generator(async move |y| {
                let cleanup = async || {
                    let dropped = notes.on_drop("late task ended");
                    drop(asyncio::task().name("late").spawn(async move {
                        let _dropped = dropped;
                        pending::<()>().await;
                    }));
                };
                asyncio::finally(y.emit(1), cleanup).await;
            });
            generator.next().await;
            generator
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(names(&report), ["late"]);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(trace.take(), ["late task ended"]);
    drop(generator);
}

#[test]
fn with_no_time_at_all_a_task_is_still_asked_once() {
    let runner = builder().shutdown_timeout(Duration::ZERO).build();
    runner
        .run(async {
            drop(asyncio::task().name("polite").spawn(pending::<()>()));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(names(&report), ["polite"]);
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn the_report_says_since_when_a_survivor_was_cancelled() {
    let runner = builder().shutdown_timeout(5 * SECOND).build();
    runner
        .run(async {
            let stubborn = async {
                let _ = asyncio::catch_cancelled(pending::<()>()).await;
                // From its cleanup on: asked three seconds later than this one.
                sleep(3 * SECOND).await;
                drop(asyncio::task().name("second").spawn(swallow_for_ever()));
                asyncio::yield_now().await;
                swallow_for_ever().await;
            };
            drop(asyncio::task().name("first").spawn(stubborn));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    let survivors: Vec<_> = report
        .survivors()
        .iter()
        .map(|survivor| (survivor.task().name(), survivor.cancelled_for()))
        .collect();
    // A task that is cancelled before its first step never starts, so the second one is no survivor.
    assert_eq!(survivors, [("first", 5 * SECOND)]);
    assert_eq!(names(&report), ["first", "second"]);
}

async fn swallow_for_ever() {
    loop {
        let _ = asyncio::catch_cancelled(sleep(SECOND)).await;
    }
}

// ----- exit hooks

#[test]
fn exit_hooks_run_latest_first_after_the_tasks_and_before_generators_and_executor() {
    let trace = Trace::new();
    let runner = runner();
    let notes = trace.clone();
    let generator = runner
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
            for name in ["first", "second"] {
                let notes = notes.clone();
                asyncio::at_exit(async move {
                    notes.note(format!("{name} begins"));
                    let line = asyncio::to_thread(|| "a hook may use threads").await;
                    notes.note(line.unwrap());
                    asyncio::yield_now().await;
                    notes.note(format!("{name} ends"));
                });
            }
            let cleanup = notes.clone();
            drop(asyncio::spawn(asyncio::finally(
                pending::<()>(),
                async move || {
                    asyncio::yield_now().await;
                    cleanup.note("task ended");
                },
            )));
            let mut generator = asyncio::generator(async move |y| {
                asyncio::finally(y.emit(1), async || notes.note("generator closed")).await;
            });
            generator.next().await;
            generator
        })
        .unwrap();
    assert!(trace.take().is_empty());
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(
        trace.take(),
        [
            "task ended",
            "second begins",
            "a hook may use threads",
            "second ends",
            "first begins",
            "a hook may use threads",
            "first ends",
            "generator closed",
            "executor told to stop",
        ]
    );
    drop(generator);
}

#[test]
fn hooks_of_several_runs_run_once_when_the_runner_closes() {
    let trace = Trace::new();
    let runner = runner();
    for name in ["first run", "second run"] {
        let note = trace.noter(name);
        runner
            .run(async { asyncio::at_exit(async { note() }) })
            .unwrap();
    }
    assert!(trace.take().is_empty());
    runner.close().unwrap();
    runner.close().unwrap();
    drop(runner);
    assert_eq!(trace.take(), ["second run", "first run"]);
}

#[test]
fn a_hook_runs_also_if_main_fails_or_the_runner_is_only_dropped() {
    let trace = Trace::new();
    let note = trace.noter("after an error");
    let failed: Result<(), &str> = asyncio::run(async {
        asyncio::at_exit(async { note() });
        Err("out of cheese")
    })
    .unwrap();
    failed.unwrap_err();
    let note = trace.noter("after a panic");
    panic_of(|| {
        asyncio::run(async {
            asyncio::at_exit(async { note() });
            panic!("out of cheese");
        })
    });
    let note = trace.noter("after a drop");
    let runner = runner();
    runner
        .run(async { asyncio::at_exit(async { note() }) })
        .unwrap();
    drop(runner);
    assert_eq!(
        trace.take(),
        ["after an error", "after a panic", "after a drop"]
    );
}

#[test]
fn a_hook_may_be_registered_during_the_shutdown() {
    let trace = Trace::new();
    let runner = runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let notes = trace.clone();
    let generator = runner
        .run(async move {
            let (task, hook, generator) = (notes.clone(), notes.clone(), notes.clone());
            asyncio::at_exit(async move {
                hook.note("early");
                asyncio::at_exit(async move { hook.note("by a hook") });
            });
            drop(asyncio::spawn(asyncio::finally(
                pending::<()>(),
                async move || asyncio::at_exit(async move { task.note("by a cancelled task") }),
            )));
            let mut generator = asyncio::generator(async move |y| {
                let cleanup = async move || {
                    generator.note("generators are closed");
                    asyncio::at_exit(async move { generator.note("by a generator") });
                };
                asyncio::finally(y.emit(1), cleanup).await;
            });
            generator.next().await;
            generator
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    assert!(reports.take().is_empty());
    assert_eq!(
        trace.take(),
        [
            "by a cancelled task",
            "early",
            "by a hook",
            "generators are closed",
            "by a generator",
        ]
    );
    drop(generator);
}

/// Registers an exit hook when it is dropped.
struct HookOnDrop(Trace);

impl Drop for HookOnDrop {
    fn drop(&mut self) {
        let note = self.0.noter("run");
        asyncio::at_exit(async { note() });
    }
}

#[test]
fn a_hook_that_comes_while_the_loop_itself_is_closed_is_reported_and_not_run() {
    let trace = Trace::new();
    let runner = runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let late = HookOnDrop(trace.clone());
    runner
        .run(async {
            asyncio::running_loop().call_later(FOREVER, move || drop(late));
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert!(trace.take().is_empty());
    let [reported] = &reports.take()[..] else {
        panic!("{report:?}")
    };
    assert!(
        reported.contains("was not run: it came after the last of them had run"),
        "{reported}"
    );
    assert_eq!(report.errors().len(), 1);
}

#[test]
fn what_a_hook_spawns_is_cancelled_and_awaited() {
    let trace = Trace::new();
    let runner = runner();
    let notes = trace.clone();
    runner
        .run(async move {
            let first = notes.clone();
            asyncio::at_exit(async move { first.note("first hook") });
            asyncio::at_exit(async move {
                let task = asyncio::finally(pending::<()>(), async move || {
                    sleep(SECOND).await;
                    notes.note("spawned task ended");
                });
                drop(asyncio::task().name("spawned").spawn(task));
                asyncio::yield_now().await;
            });
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(names(&report), ["spawned"]);
    // Once the last hook is through: hooks may rely on each other's tasks.
    assert_eq!(trace.take(), ["first hook", "spawned task ended"]);
}

#[test]
fn a_hook_that_panics_is_reported_and_the_others_run() {
    let trace = Trace::new();
    let runner = runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let note = trace.noter("the other hook");
    let value = runner.run(async {
        asyncio::at_exit(async { note() });
        asyncio::at_exit(async { panic!("in a hook") });
        asyncio::at_exit(async {
            asyncio::yield_now().await;
            std::panic::panic_any(PanicOnDrop("in a payload's destructor"));
        });
        "value"
    });
    assert_eq!(value.unwrap(), "value");
    let report = runner.close().unwrap();
    assert_eq!(trace.take(), ["the other hook"]);
    assert_eq!(
        reports.take()[1..],
        [format!("{SHUTDOWN}: in a hook [at_exit]")]
    );
    let errors = report.errors();
    assert!(errors.iter().any(|error| error.contains("in a hook")));
    assert!(errors.iter().any(|error| error.contains("Box<dyn Any>")));
}

#[test]
fn hooks_share_the_budget_and_each_is_begun_when_it_is_used_up() {
    let trace = Trace::new();
    let runner = builder().shutdown_timeout(5 * SECOND).build();
    let reports = reports_of(&runner.event_loop().unwrap());
    let notes = trace.clone();
    runner
        .run(async move {
            let third = notes.clone();
            asyncio::at_exit(async move { third.note("need not wait") });
            let second = notes.on_drop("dropped");
            asyncio::at_exit(async move {
                sleep(FOREVER).await;
                drop(second);
            });
            asyncio::at_exit(async move {
                sleep(3 * SECOND).await;
                notes.note("in time");
                sleep(3 * SECOND).await;
                notes.note("too late");
            });
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(trace.take(), ["in time", "dropped", "need not wait"]);
    assert_eq!(reports.take().len(), 2);
    assert_eq!(report.errors().len(), 2);
    assert!(
        report.errors()[0].contains("did not end in time"),
        "{report:?}"
    );
}

#[test]
fn a_hook_runs_in_a_copy_of_the_context_of_its_registration() {
    asyncio::context_var! {
        static WHO: &'static str = "nobody";
    }
    let trace = Trace::new();
    let runner = runner();
    let notes = trace.clone();
    runner
        .run(async move {
            WHO.set("the registering task");
            asyncio::at_exit(async move { notes.note(WHO.get().unwrap()) });
            WHO.set("later");
        })
        .unwrap();
    runner.close().unwrap();
    assert_eq!(trace.take(), ["the registering task"]);
}

#[test]
fn a_hook_needs_a_runner() {
    let event_loop = EventLoop::new().unwrap();
    let text = panic_of(|| event_loop.run_until_complete(async { asyncio::at_exit(async {}) }));
    assert!(text.contains("driven by hand"), "{text}");
    let text = panic_of(|| asyncio::at_exit(async {}));
    assert!(text.contains("no running event loop"), "{text}");
    event_loop.close().unwrap();
}

#[test]
fn a_hook_of_a_runner_that_is_dropped_inside_of_a_loop_is_reported() {
    let trace = Trace::new();
    let runner = runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let note = trace.noter("run");
    runner
        .run(async { asyncio::at_exit(async { note() }) })
        .unwrap();
    asyncio::run(async { drop(runner) }).unwrap();
    assert!(trace.take().is_empty());
    let reports = reports.take();
    assert!(reports[0].contains("dropped inside of another running loop"));
}

#[test]
fn a_hook_of_a_loop_that_was_closed_by_hand_is_reported() {
    let trace = Trace::new();
    let runner = runner();
    let note = trace.noter("run");
    runner
        .run(async { asyncio::at_exit(async { note() }) })
        .unwrap();
    runner.event_loop().unwrap().close().unwrap();
    let report = runner.close().unwrap();
    assert!(trace.take().is_empty());
    let [error] = report.errors() else {
        panic!("{report:?}")
    };
    assert!(
        error.contains("was not run: the loop cannot run any more"),
        "{error}"
    );
}

// ----- exit, on the loop's own thread

#[test]
fn exit_cancels_main_which_may_clean_up() {
    let trace = Trace::new();
    let notes = trace.clone();
    let outcome = runner().run(async move {
        drop(asyncio::spawn(async { asyncio::exit(3) }));
        let cancelled = asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
        assert_eq!(cancelled.reason(), CancelReason::Shutdown);
        sleep(SECOND).await;
        notes.note("cleaned up");
        cancelled.raise().await
    });
    let outcome: Result<(), RunError> = outcome;
    assert!(matches!(outcome, Err(RunError::Exit(3))));
    assert_eq!(trace.take(), ["cleaned up"]);
}

#[test]
fn exit_asks_main_only_once() {
    let outcome = runner().run(async {
        for code in [0, 4, 5] {
            drop(asyncio::spawn(async move { asyncio::exit(code) }));
        }
        let _ = asyncio::catch_cancelled(pending::<()>()).await;
        sleep(SECOND).await;
        assert_eq!(asyncio::current_task().unwrap().cancelling(), 1);
    });
    assert!(matches!(outcome, Err(RunError::Exit(4))));
}

#[test]
fn an_exit_is_of_one_run_and_not_of_the_next() {
    let runner = runner();
    assert!(matches!(
        runner.run(async { asyncio::exit(3) }),
        Err(RunError::Exit(3))
    ));
    assert_eq!(runner.run(async { 7 }).unwrap(), 7);
    // One that a panic hid is not kept for the next run either.
    panic_of(|| {
        runner.run(async {
            asyncio::exit(3);
            panic!("out of cheese");
        })
    });
    assert_eq!(runner.run(async { 8 }).unwrap(), 8);
    assert!(runner.close().unwrap().is_clean());
}

#[test]
fn an_exit_during_the_close_is_what_close_returns() {
    let runner = runner();
    let value = runner.run(async {
        asyncio::at_exit(async { asyncio::exit(9) });
        7
    });
    assert_eq!(value.unwrap(), 7);
    assert!(matches!(runner.close(), Err(RunError::Exit(9))));
}

#[test]
fn of_the_codes_of_run_and_close_a_failure_stays() {
    for (in_run, in_close, code) in [(0, 8, 8), (3, 0, 3), (3, 8, 3)] {
        let outcome = asyncio::run(async move {
            asyncio::at_exit(async move { asyncio::exit(in_close) });
            asyncio::exit(in_run);
        });
        assert!(matches!(outcome, Err(RunError::Exit(given)) if given == code));
    }
}

#[test]
fn an_exit_is_for_the_loop_that_runs_on_the_thread() {
    let (first, second) = (runner(), runner());
    let outcome = first.run(async { asyncio::exit(3) });
    assert_eq!(second.run(async { 7 }).unwrap(), 7);
    assert!(matches!(outcome, Err(RunError::Exit(3))));
    assert!(first.close().is_ok() && second.close().is_ok());
}

#[asyncio::test(virtual_time)]
#[should_panic(expected = "the program asked to exit with status 3")]
async fn an_exit_fails_a_test() {
    asyncio::exit(3);
    sleep(FOREVER).await;
}

// ----- panics of detached tasks

#[test]
fn a_detached_panic_only_reports_by_default() {
    let runner = runner();
    let reports = reports_of(&runner.event_loop().unwrap());
    let value = runner.run(async {
        drop(
            asyncio::task()
                .name("bad")
                .spawn(async { panic!("out of cheese") }),
        );
        sleep(SECOND).await;
        7
    });
    assert_eq!(value.unwrap(), 7);
    assert_eq!(
        reports.take(),
        ["Task exception was never retrieved: out of cheese [bad]"]
    );
}

#[test]
fn a_detached_panic_that_stops_the_program_lets_main_clean_up_and_goes_on_in_the_caller() {
    let trace = Trace::new();
    let runner = builder().detached_panic(DetachedPanic::Stop).build();
    let reports = reports_of(&runner.event_loop().unwrap());
    let notes = trace.clone();
    let text = panic_of(|| {
        runner.run(async {
            drop(
                asyncio::task()
                    .name("bad")
                    .spawn(async { panic!("out of cheese") }),
            );
            let cancelled = asyncio::catch_cancelled(pending::<()>()).await.unwrap_err();
            assert_eq!(cancelled.reason(), CancelReason::Shutdown);
            // Reported only: the first one is what the program ends with.
            drop(asyncio::spawn(async { panic!("another one") }));
            sleep(SECOND).await;
            notes.note("cleaned up");
            "swallowed"
        })
    });
    assert_eq!(text, "out of cheese");
    assert_eq!(trace.take(), ["cleaned up"]);
    assert_eq!(reports.len(), 2);
    // The runner is as good as before.
    assert_eq!(runner.run(async { 7 }).unwrap(), 7);
    assert!(runner.close().unwrap().is_clean());
}

#[test]
fn a_panic_that_somebody_awaits_stops_nothing() {
    let runner = builder().detached_panic(DetachedPanic::Stop).build();
    let value = runner.run(async {
        let error = asyncio::spawn(async { panic!("seen") }).await.unwrap_err();
        assert!(error.is_panic());
        sleep(SECOND).await;
        7
    });
    assert_eq!(value.unwrap(), 7);
}

#[test]
fn a_panic_during_the_close_is_reported_also_where_panics_stop_the_program() {
    let runner = builder().detached_panic(DetachedPanic::Stop).build();
    let reports = reports_of(&runner.event_loop().unwrap());
    runner
        .run(async {
            let failing = asyncio::finally(pending::<()>(), async || panic!("in cleanup"));
            drop(asyncio::task().name("bad").spawn(failing));
            asyncio::yield_now().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(report.errors().len(), 1);
    assert_eq!(reports.take(), [format!("{SHUTDOWN}: in cleanup [bad]")]);
}

#[test]
fn a_payload_keeps_its_type_on_the_way_to_the_caller() {
    let runner = builder().detached_panic(DetachedPanic::Stop).build();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        runner.run(async {
            drop(asyncio::spawn(async { std::panic::panic_any(42_u64) }));
            pending::<()>().await;
        })
    }));
    let Err(payload) = caught else {
        panic!("it did not panic");
    };
    assert_eq!(*payload.downcast::<u64>().unwrap(), 42);
}
