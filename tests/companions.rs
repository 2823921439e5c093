//! What runs beside a loop: found by its type, entered by each run, ended last of all that is awaited, and told of if it does not end.

mod support;

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use asyncio::{Companion, EventLoop, RunError, Runner, running_loop, sleep, yield_now};

use support::trace::{NoteOnDrop, Trace, alone, stderr_of};

/// Notes what is done with it.
struct Noting {
    trace: Trace,
    _dropped: NoteOnDrop,
}

impl Noting {
    fn new(trace: &Trace) -> Noting {
        Noting {
            trace: trace.clone(),
            _dropped: trace.on_drop("dropped"),
        }
    }
}

impl Companion for Noting {
    fn name(&self) -> &str {
        "noting"
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        self.trace.note("asked");
        let trace = self.trace.clone();
        Box::pin(async move {
            yield_now().await;
            trace.note("ended");
        })
    }

    fn enter(&self) -> Option<Box<dyn Any>> {
        self.trace.note("in");
        Some(Box::new(self.trace.on_drop("out")))
    }
}

/// Never ends.
struct Stubborn {
    leftovers: &'static str,
}

impl Companion for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(pending())
    }

    fn leftovers(&self) -> String {
        self.leftovers.to_owned()
    }
}

fn start(event_loop: &EventLoop, trace: &Trace) -> Rc<Noting> {
    let started = event_loop.companion_or_start(|| Ok(Noting::new(trace)));
    started.unwrap()
}

#[asyncio::test]
async fn a_companion_is_started_once_and_found_by_its_type() {
    let trace = Trace::new();
    let event_loop = running_loop();
    assert!(event_loop.companion::<Noting>().is_none());
    let first = start(&event_loop, &trace);
    let second = event_loop.companion_or_start::<Noting>(|| panic!("it is there"));
    assert!(Rc::ptr_eq(&first, &second.unwrap()));
    assert!(Rc::ptr_eq(&first, &event_loop.companion().unwrap()));
    assert!(event_loop.companion::<Stubborn>().is_none());
}

#[asyncio::test]
async fn one_that_cannot_be_started_is_tried_again() {
    let event_loop = running_loop();
    let failed = event_loop.companion_or_start::<Noting>(|| Err(io::ErrorKind::OutOfMemory.into()));
    let error = failed.map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    start(&event_loop, &Trace::new());
}

#[test]
fn it_is_ended_after_tasks_hooks_and_jobs_and_dropped_with_the_loop() {
    let trace = Trace::new();
    let runner = Runner::new();
    runner
        .run(async {
            start(&running_loop(), &trace);
            let (task, hook, job) = (trace.clone(), trace.clone(), trace.clone());
            asyncio::at_exit(async move { hook.note("hook") });
            drop(asyncio::spawn(async move {
                let _guard = task.on_drop("task");
                pending::<()>().await;
            }));
            let (begun, has_begun) = std::sync::mpsc::channel();
            drop(asyncio::spawn(asyncio::to_thread(move || {
                begun.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(50));
                job.note("job");
            })));
            yield_now().await;
            has_begun.recv().unwrap();
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    let mut seen = trace.take();
    seen.retain(|line| line != "in" && line != "out");
    let expected = ["task", "hook", "job", "asked", "ended", "dropped"];
    assert_eq!(seen, expected);
}

#[test]
fn each_run_and_the_close_enter_it_and_leave_it() {
    let trace = Trace::new();
    let event_loop = EventLoop::new().unwrap();
    let noted = trace.clone();
    start(&event_loop, &trace);
    event_loop
        .run_until_complete(async { noted.note("run") })
        .unwrap();
    assert_eq!(trace.take(), ["in", "run", "out"]);
    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["in", "out"]);
    let guard = trace.on_drop("task");
    let left = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    drop(event_loop.spawn(left));
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["in", "task", "dropped", "out"]);
    event_loop.close().unwrap();
    assert!(trace.take().is_empty());
}

#[test]
fn a_panic_of_main_leaves_it() {
    let trace = Trace::new();
    let runner = Runner::new();
    let run = || runner.run(async { panic!("on purpose") });
    start(&runner.event_loop().unwrap(), &trace);
    let payload = catch_unwind(AssertUnwindSafe(run)).map(drop).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "on purpose");
    assert_eq!(trace.take(), ["in", "out"]);
    assert!(runner.close().unwrap().is_clean());
}

#[test]
fn the_latest_is_ended_first() {
    struct Named(&'static str, Trace);
    struct Other(Named);
    impl Companion for Named {
        fn name(&self) -> &str {
            self.0
        }
        fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            self.1.note(self.0);
            Box::pin(async {})
        }
    }
    impl Companion for Other {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            self.0.end()
        }
    }
    let trace = Trace::new();
    let runner = Runner::new();
    let event_loop = runner.event_loop().unwrap();
    let first = || Ok(Named("first", trace.clone()));
    event_loop.companion_or_start(first).unwrap();
    let second = || Ok(Other(Named("second", trace.clone())));
    event_loop.companion_or_start(second).unwrap();
    runner.close().unwrap();
    assert_eq!(trace.take(), ["second", "first"]);
}

#[test]
fn one_that_does_not_end_in_time_is_reported_with_what_is_left_of_it() {
    let name = "one_that_does_not_end_in_time_is_reported_with_what_is_left_of_it";
    if let Some(output) = alone(name, &[]) {
        let said = stderr_of(&output);
        assert!(
            said.contains("Did not end in time: stubborn (a mule)\n"),
            "{said}"
        );
        return;
    }
    let runner = Runner::builder()
        .shutdown_timeout(Duration::from_millis(20))
        .build();
    let event_loop = runner.event_loop().unwrap();
    let start = || {
        Ok(Stubborn {
            leftovers: "a mule",
        })
    };
    event_loop.companion_or_start(start).unwrap();
    runner.run(sleep(Duration::ZERO)).unwrap();
    let report = runner.close().unwrap();
    assert!(!report.is_clean());
    let [abandoned] = report.abandoned_companions() else {
        panic!("{report:?}");
    };
    assert_eq!(
        (abandoned.name(), abandoned.leftovers()),
        ("stubborn", "a mule")
    );
    assert_eq!(abandoned.to_string(), "stubborn (a mule)");
}

#[test]
fn one_that_panics_when_it_is_asked_does_not_keep_the_loop_from_closing() {
    struct Broken;
    impl Companion for Broken {
        fn name(&self) -> &str {
            "broken"
        }
        fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            panic!("broken on purpose");
        }
    }
    let runner = Runner::new();
    let event_loop = runner.event_loop().unwrap();
    event_loop.companion_or_start(|| Ok(Broken)).unwrap();
    let report = runner.close().unwrap();
    assert_eq!(report.errors(), ["broken on purpose"]);
    assert!(event_loop.is_closed());
}

// ----- loop_setup -----

#[test]
fn a_loop_is_set_up_once_before_its_first_run() {
    let trace = Trace::new();
    let (first, second) = (trace.clone(), trace.clone());
    let runner = Runner::builder()
        .loop_setup(move |event_loop| {
            first.note(format!("first, running: {}", event_loop.is_running()));
            Ok(())
        })
        .loop_setup(move |_event_loop| {
            second.note("second");
            Ok(())
        })
        .build();
    assert!(trace.take().is_empty());
    runner.run(async { trace.note("run") }).unwrap();
    runner.run(async { trace.note("run") }).unwrap();
    runner.close().unwrap();
    let expected = ["first, running: false", "second", "run", "run"];
    assert_eq!(trace.take(), expected);
}

#[test]
fn a_loop_that_cannot_be_set_up_is_closed_and_the_next_use_tries_again() {
    let attempts = Rc::new(Cell::new(0));
    let failed: Rc<Cell<Option<EventLoop>>> = Rc::default();
    let (count, keep) = (attempts.clone(), failed.clone());
    let runner = Runner::builder()
        .loop_setup(move |event_loop| {
            count.set(count.get() + 1);
            if count.get() == 1 {
                keep.set(Some(event_loop.clone()));
                return Err(io::ErrorKind::Unsupported.into());
            }
            Ok(())
        })
        .build();
    let error = runner.run(async {}).unwrap_err();
    assert!(
        matches!(&error, RunError::EventLoop(error) if error.kind() == io::ErrorKind::Unsupported)
    );
    assert!(failed.take().unwrap().is_closed());
    runner.run(async {}).unwrap();
    assert_eq!(attempts.get(), 2);
}

/// Says when it ends.
struct Telling(mpsc::Sender<&'static str>);

impl Companion for Telling {
    fn name(&self) -> &str {
        "telling"
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let told = self.0.clone();
        Box::pin(async move {
            yield_now().await;
            told.send("ended").unwrap();
        })
    }
}

/// Each loop has its own, also where the first one has none.
#[test]
fn one_of_another_worker_is_ended_with_that() {
    let (told, heard) = mpsc::channel();
    let runner = Runner::builder().interrupt(false).workers(2).build();
    let started = runner.run(async {
        let start = move || async move {
            let started = running_loop().companion_or_start(|| Ok(Telling(told)));
            started.map(drop)
        };
        asyncio::spawn_on(asyncio::workers()[1], start).await
    });
    started.unwrap().unwrap().unwrap();
    assert!(heard.try_recv().is_err());
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["ended"]);
}
