//! Tasks: their identity, their ends, and what becomes of a panic.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio::{EventLoop, JoinError, Task};

use support::trace::{PanicOnDrop, Trace, Untouched, reports_of};

const SECOND: Duration = Duration::from_secs(1);

fn error_of<T>(outcome: Result<T, JoinError>) -> JoinError {
    outcome.map(|_value| ()).unwrap_err()
}

// ----- spawning and joining -----

/// semantics 7.4, 01: a task is awaited for its value.
#[asyncio::test]
async fn a_task_gives_its_value_to_whoever_awaits_it() {
    assert_eq!(asyncio::spawn(async { "value" }).await.unwrap(), "value");
}

/// A task begins in the next turn, not at once.
#[asyncio::test]
async fn a_task_does_not_begin_before_its_spawner_waits() {
    let trace = Trace::new();
    let task = asyncio::spawn({
        let notes = trace.clone();
        async move { notes.note("task") }
    });
    trace.note("spawner");
    task.await.unwrap();
    assert_eq!(trace.take(), ["spawner", "task"]);
}

/// semantics 5.2: tasks begin in the order of spawning.
#[asyncio::test]
async fn tasks_begin_in_the_order_of_spawning() {
    let trace = Trace::new();
    for number in 0..5 {
        let notes = trace.clone();
        drop(asyncio::spawn(
            async move { notes.note(number.to_string()) },
        ));
    }
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["0", "1", "2", "3", "4"]);
}

/// api 3: dropping a `Task` detaches it.
#[asyncio::test(virtual_time)]
async fn a_dropped_handle_lets_the_task_go_on() {
    let trace = Trace::new();
    let notes = trace.clone();
    drop(asyncio::spawn(async move {
        asyncio::sleep(SECOND).await;
        notes.note("done");
    }));
    asyncio::sleep(2 * SECOND).await;
    assert_eq!(trace.take(), ["done"]);
}

/// A task counts no reference for itself before it first waits; references to it count all the same.
#[asyncio::test]
async fn a_task_that_has_not_begun_can_be_held_and_asked_and_cancelled() {
    let trace = Trace::new();
    let spawn = || asyncio::spawn(Untouched::new(&trace)).task_ref();
    let (kept, cancelled, dropped) = (spawn(), spawn(), spawn());
    let again = kept.clone();
    drop((kept, dropped));
    assert!(cancelled.cancel());
    assert_eq!(asyncio::all_tasks().len(), 4);
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["polled", "dropped", "polled"]);
    assert!(cancelled.is_cancelled());
    assert!(!again.is_finished());
    assert_eq!(asyncio::all_tasks().len(), 3);
    again.cancel();
    asyncio::yield_now().await;
    assert!(again.is_cancelled());
    assert_eq!(trace.take(), ["polled", "dropped"]);
}

/// A task that ends in its first step was kept by nothing but its turn.
#[asyncio::test]
async fn a_reference_outlives_a_task_that_never_waits() {
    let task = asyncio::spawn(async { 7 });
    let early = task.task_ref();
    drop(task);
    let late = asyncio::spawn(async {});
    let task = asyncio::spawn(async { asyncio::current_task().unwrap() });
    let own = task.await.unwrap();
    assert!(early.is_finished() && own.is_finished());
    assert_eq!(late.task_ref().name(), late.name());
    late.await.unwrap();
    assert!(!early.cancel() && !own.cancel());
}

/// semantics 8.7, gh-155502: a task that nobody holds and that waits for what nobody else holds does not vanish.
#[test]
fn a_task_nobody_holds_lives_until_it_is_done() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let trace = Trace::new();
    drop(event_loop.spawn(Untouched::new(&trace)));
    event_loop
        .run_until_complete(asyncio::sleep(SECOND))
        .unwrap();
    assert_eq!(trace.take(), ["polled"]);
    assert_eq!(event_loop.all_tasks().len(), 1);
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["dropped"]);
}

/// test_create_task: anything that becomes a future.
#[asyncio::test]
async fn a_task_may_be_spawned_on_a_loop_that_does_not_run_yet() {
    let value = std::thread::spawn(|| {
        let event_loop = EventLoop::new().unwrap();
        let task = event_loop.spawn(ready(7));
        event_loop.run_until_complete(task).unwrap().unwrap()
    });
    assert_eq!(
        asyncio::to_thread(|| value.join().unwrap()).await.unwrap(),
        7
    );
}

/// T09: defined, and named.
#[asyncio::test]
async fn awaiting_a_task_again_after_its_output_panics() {
    let task = asyncio::spawn(async {
        let mut child = asyncio::spawn(ready(7));
        assert_eq!((&mut child).await.unwrap(), 7);
        child.await
    });
    let error = error_of(task.await);
    assert!(error.is_panic());
    assert!(
        error.to_string().contains("await a task only once"),
        "{error}"
    );
}

/// semantics 4.1; T08
#[asyncio::test]
async fn a_task_that_awaits_itself_panics_instead_of_hanging() {
    let place = Rc::new(RefCell::new(None::<Task<()>>));
    let itself = place.clone();
    let task = asyncio::task().name("ouroboros").spawn(async move {
        let task = itself.borrow_mut().take().unwrap();
        task.await.unwrap();
    });
    let reference = task.task_ref();
    *place.borrow_mut() = Some(task);
    let reports = reports_of(&asyncio::running_loop());
    asyncio::yield_now().await;
    assert!(reference.is_finished());
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert!(
        reports[0].contains("Task cannot await on itself: 'ouroboros'"),
        "{reports:?}"
    );
}

/// A handle that outlives its loop still knows how the task ended.
#[test]
fn a_task_can_be_asked_and_awaited_after_its_loop() {
    let event_loop = EventLoop::new().unwrap();
    let (done, left) = (
        event_loop.spawn(ready(7)),
        event_loop.spawn(pending::<()>()),
    );
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    event_loop.close().unwrap();
    assert!(done.is_finished() && !done.is_cancelled());
    assert!(left.is_finished() && left.is_cancelled());
    asyncio::run(async move {
        assert_eq!(done.await.unwrap(), 7);
        let error = error_of(left.await);
        assert_eq!(
            error.cancelled().unwrap().reason(),
            asyncio::CancelReason::Shutdown
        );
    })
    .unwrap();
}

/// promise 3, C03: when the handle says "finished", the future is gone.
#[asyncio::test]
async fn a_finished_tasks_future_is_dropped_already() {
    let trace = Trace::new();
    let dropped = trace.on_drop("future dropped");
    let mut polls = 0;
    let task = asyncio::spawn(poll_fn(move |_cx| {
        let _kept = &dropped;
        polls += 1;
        Poll::Ready(polls)
    }));
    while !task.is_finished() {
        assert!(trace.take().is_empty());
        asyncio::yield_now().await;
    }
    assert_eq!(trace.take(), ["future dropped"]);
    assert_eq!(task.await.unwrap(), 1);
}

// ----- 4.2 names and introspection -----

/// semantics 4.2: `Task-N`, counted over the whole process.
#[asyncio::test]
async fn a_task_is_called_by_its_number_unless_named() {
    let (one, two) = (asyncio::spawn(ready(())), asyncio::spawn(ready(())));
    assert_eq!(one.name(), format!("Task-{}", one.id()));
    assert!(two.id() > one.id());
    let named = asyncio::task()
        .name(String::from("server"))
        .spawn(ready(()));
    assert_eq!(named.name(), "server");
    named.set_name("client");
    assert_eq!(
        (named.name(), named.task_ref().name()),
        ("client".into(), "client".into())
    );
    for task in [one, two, named] {
        task.await.unwrap();
    }
}

/// issue 2: ids are unique in the process, also over threads.
#[asyncio::test]
async fn ids_are_unique_in_the_process() {
    let ids = || {
        asyncio::run(async {
            (0..50)
                .map(|_| asyncio::spawn(ready(())).id())
                .collect::<Vec<_>>()
        })
        .unwrap()
    };
    let threads = [std::thread::spawn(ids), std::thread::spawn(ids)];
    let mut all: Vec<u64> = Vec::new();
    for thread in threads {
        all.extend(asyncio::to_thread(|| thread.join().unwrap()).await.unwrap());
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
}

/// issue 2: `#[track_caller]` through every way to spawn.
#[asyncio::test]
async fn a_task_knows_the_line_that_spawned_it() {
    let event_loop = asyncio::running_loop();
    let tasks = [
        (asyncio::spawn(ready(())), line!()),
        (event_loop.spawn(ready(())), line!()),
        (event_loop.task().name("x").spawn(ready(())), line!()),
        (asyncio::task().spawn(ready(())), line!()),
    ];
    for (task, line) in tasks {
        let place = task.spawn_location();
        assert_eq!((place.file(), place.line()), (file!(), line));
        task.await.unwrap();
    }
}

/// semantics 4.2
#[asyncio::test]
async fn all_tasks_lists_what_is_not_done_oldest_first() {
    let main = asyncio::current_task().unwrap();
    let one = asyncio::spawn(pending::<()>());
    let two = asyncio::spawn(ready(()));
    let three = asyncio::spawn(pending::<()>());
    let ids = || {
        asyncio::all_tasks()
            .iter()
            .map(|task| task.id())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(), [main.id(), one.id(), two.id(), three.id()]);
    asyncio::yield_now().await;
    assert_eq!(ids(), [main.id(), one.id(), three.id()]);
    one.cancel();
    asyncio::yield_now().await;
    assert_eq!(ids(), [main.id(), three.id()]);
    two.await.unwrap();
}

/// semantics 4.2; test_current_task_with_interleaving_tasks
#[asyncio::test]
async fn the_current_task_is_the_one_that_runs() {
    let task = |name: &'static str| {
        asyncio::task().name(name).spawn(async move {
            for _ in 0..3 {
                assert_eq!(asyncio::current_task().unwrap().name(), name);
                asyncio::yield_now().await;
            }
        })
    };
    let (one, two) = (task("one"), task("two"));
    let in_callback = Rc::new(Cell::new(true));
    let seen = in_callback.clone();
    asyncio::running_loop().call_soon(move || seen.set(asyncio::current_task().is_some()));
    one.await.unwrap();
    two.await.unwrap();
    assert!(!in_callback.get());
}

/// semantics 4.2: outside of a loop there is none.
#[test]
fn there_is_no_current_task_outside_of_a_loop() {
    assert!(asyncio::current_task().is_none());
    asyncio::run(async { assert!(asyncio::current_task().is_some()) }).unwrap();
    assert!(asyncio::current_task().is_none());
}

/// semantics 4.2: the state in the representation.
#[asyncio::test]
async fn a_tasks_representation_names_its_state() {
    let state = |task: &Task<()>| {
        let text = format!("{task:?}");
        assert!(text.contains(" name='x' spawned at "), "{text}");
        assert!(text.contains(file!()), "{text}");
        text["<Task ".len()..].split(' ').next().unwrap().to_owned()
    };
    let named = || asyncio::task().name("x");
    let (done, cancelled) = (named().spawn(ready(())), named().spawn(pending()));
    assert_eq!(state(&cancelled), "pending");
    cancelled.cancel();
    assert_eq!(state(&cancelled), "cancelling");
    asyncio::yield_now().await;
    assert_eq!(
        (state(&done), state(&cancelled)),
        ("finished".into(), "cancelled".into())
    );
}

// ----- JoinError -----

/// Not known before the program runs, so that the payload is a `String`.
fn cheese() -> String {
    std::hint::black_box("cheese").into()
}

/// api 3: predicates, and the name and place in the text.
#[asyncio::test]
async fn a_join_error_says_what_happened_to_which_task() {
    let (builder, line) = (asyncio::task().name("baker"), line!() + 1);
    let task: Task<()> = builder.spawn(async { panic!("out of {}", cheese()) });
    let error = error_of(task.await);
    assert!(error.is_panic() && !error.is_cancelled() && error.cancelled().is_none());
    let text = error.to_string();
    let expected = format!("task 'baker' (spawned at {}:{line}:", file!());
    assert!(
        text.starts_with(&expected) && text.ends_with("panicked: out of cheese"),
        "{text}"
    );
    assert_eq!(error.spawn_location().line(), line);
    let payload = error.try_into_panic().unwrap();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "out of cheese");

    let task = asyncio::task().name("miller").spawn(pending::<()>());
    task.cancel_with("no wheat");
    let error = error_of(task.await);
    assert!(error.is_cancelled() && !error.is_panic() && !error.is_executor_shutdown());
    let text = error.to_string();
    assert!(text.starts_with("task 'miller' (spawned at "), "{text}");
    assert!(
        text.ends_with("was cancelled by the program: no wheat"),
        "{text}"
    );
    assert!(error.try_into_panic().unwrap_err().is_cancelled());
}

// ----- panics -----

/// P01
#[asyncio::test]
async fn a_panic_reaches_whoever_joins_and_no_sibling() {
    let reports = reports_of(&asyncio::running_loop());
    let sibling = asyncio::spawn(async {
        asyncio::yield_now().await;
        asyncio::yield_now().await;
        "untouched"
    });
    let failing: Task<()> = asyncio::spawn(async { panic!("now") });
    assert!(error_of(failing.await).is_panic());
    assert_eq!(sibling.await.unwrap(), "untouched");
    assert!(reports.take().is_empty()); // whoever joined has seen it
}

/// T14, F16
#[asyncio::test]
async fn a_panic_nobody_joins_is_reported_once_with_the_tasks_name() {
    let reports = reports_of(&asyncio::running_loop());
    let detached: Task<()> = asyncio::task()
        .name("lonely")
        .spawn(async { panic!("now") });
    drop(detached);
    let held: Task<()> = asyncio::task().name("held").spawn(async { panic!("then") });
    asyncio::yield_now().await;
    let lonely = "Task exception was never retrieved: now [lonely]";
    assert_eq!(reports.take(), [lonely]); // known the moment it ends
    drop(held); // now it is certain that nobody will ask
    assert_eq!(
        reports.take(),
        ["Task exception was never retrieved: then [held]"]
    );
}

/// P03, F1: at a cancellation, where `async-task` alone would abort the process.
#[asyncio::test]
async fn a_destructor_that_panics_at_cancel_is_contained_and_reported_once() {
    let reports = reports_of(&asyncio::running_loop());
    let task = asyncio::task().name("bad").spawn(async {
        let _bad = PanicOnDrop("in a destructor");
        pending::<()>().await;
    });
    asyncio::yield_now().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(
        reports[0].ends_with(": in a destructor [bad]"),
        "{reports:?}"
    );
}

/// P03: of a task that never began, and of one that ends by itself.
#[asyncio::test]
async fn a_destructor_that_panics_at_any_other_end_is_contained_too() {
    let reports = reports_of(&asyncio::running_loop());
    let bad = PanicOnDrop("of captures");
    let unstarted = asyncio::spawn(async move {
        let _bad = &bad;
    });
    unstarted.cancel();
    assert!(error_of(unstarted.await).is_cancelled());
    assert_eq!(reports.len(), 1);
    // A local's destructor at the end of the body is part of the body.
    let finished = asyncio::spawn(async { drop(PanicOnDrop("of a local")) });
    assert!(error_of(finished.await).is_panic());
    assert_eq!(reports.len(), 1);
}

/// P05: the value of a task whose handle is gone.
#[test]
fn a_value_nobody_receives_may_panic_when_it_is_dropped() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let reports = reports_of(&event_loop);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        event_loop.run_until_complete(async {
            drop(asyncio::spawn(async {
                PanicOnDrop("of a detached task's value")
            }));
            asyncio::yield_now().await;
            asyncio::yield_now().await;
            "alive"
        })
    }));
    assert_eq!(
        outcome.expect("the panic went through the loop").unwrap(),
        "alive"
    );
    assert_eq!(reports.len(), 1);
}

/// P05: a value replaced by a cancellation that came in the last step.
#[asyncio::test]
async fn a_value_replaced_by_a_cancellation_may_panic_when_it_is_dropped() {
    let reports = reports_of(&asyncio::running_loop());
    let task = asyncio::spawn(async {
        asyncio::current_task().unwrap().cancel();
        PanicOnDrop("of a lost value")
    });
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(reports.len(), 1);
}

/// P06
#[asyncio::test]
async fn a_payload_that_panics_when_it_is_dropped_is_contained() {
    let reports = reports_of(&asyncio::running_loop());
    let task: Task<()> =
        asyncio::spawn(async { std::panic::panic_any(PanicOnDrop("of a payload")) });
    drop(task);
    asyncio::yield_now().await;
    assert_eq!(reports.len(), 1);
    asyncio::yield_now().await;
}

/// R17, P05: the same for main's value, when the loop is stopped in the turn of its end.
#[test]
fn mains_future_may_panic_when_it_is_dropped() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let reports = reports_of(&event_loop);
    let outcome = event_loop.run_until_complete(async {
        let _bad = PanicOnDrop("of main");
        asyncio::running_loop().stop();
        pending::<()>().await;
    });
    assert!(matches!(outcome, Err(asyncio::RunError::Stopped)));
    assert_eq!(reports.len(), 1);
    assert_eq!(event_loop.run_until_complete(ready(1)).unwrap(), 1);
}

/// P12: a done callback that panics is reported like any callback, and the others are called.
#[asyncio::test]
async fn a_done_callback_that_panics_keeps_no_other_from_being_called() {
    let reports = reports_of(&asyncio::running_loop());
    let trace = Trace::new();
    let task = asyncio::spawn(ready(()));
    task.add_done_callback(|_task| panic!("in a done callback"));
    let notes = trace.clone();
    task.add_done_callback(move |_task| notes.note("the next"));
    asyncio::yield_now().await;
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["the next"]);
    assert_eq!(
        reports.take(),
        ["Exception in callback: in a done callback [-]"]
    );
}

// ----- done callbacks -----

/// test_futures.py: called also at a cancellation and a panic, with the task.
#[asyncio::test]
async fn done_callbacks_are_called_however_the_task_ends() {
    let trace = Trace::new();
    let _quiet = reports_of(&asyncio::running_loop());
    let (value, cancelled) = (asyncio::spawn(ready(())), asyncio::spawn(pending::<()>()));
    let panicked: Task<()> = asyncio::spawn(async { panic!("now") });
    for (name, task) in [
        ("value", &value),
        ("cancelled", &cancelled),
        ("panic", &panicked),
    ] {
        let notes = trace.clone();
        task.add_done_callback(move |task| {
            notes.note(format!(
                "{name}: {} {}",
                task.is_finished(),
                task.is_cancelled()
            ));
        });
    }
    cancelled.cancel();
    asyncio::yield_now().await;
    asyncio::yield_now().await;
    assert_eq!(
        trace.take(),
        [
            "value: true false",
            "cancelled: true true",
            "panic: true false"
        ]
    );
}

/// The joining code runs after the callbacks that were added before it waited.
#[asyncio::test]
async fn a_callback_added_by_a_callback_is_called_as_well() {
    let trace = Trace::new();
    let task = asyncio::spawn(ready(()));
    let notes = trace.clone();
    task.add_done_callback(move |task| {
        notes.note("first");
        let notes = notes.clone();
        task.add_done_callback(move |_task| notes.note("added by the first"));
    });
    for _ in 0..3 {
        asyncio::yield_now().await;
    }
    assert_eq!(trace.take(), ["first", "added by the first"]);
}

/// C10, sized for a quick test: thousands of pending tasks are dropped at close, each once.
#[test]
fn thousands_of_pending_tasks_are_dropped_at_close() {
    let event_loop = EventLoop::new().unwrap();
    let alive = Rc::new(());
    for _ in 0..10_000 {
        let guard = alive.clone();
        drop(event_loop.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
    }
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    assert_eq!(Rc::strong_count(&alive), 10_001);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&alive), 1);
}

/// semantics 4.1: "attached to a different loop". That one does not run, so it would be waited for in vain.
#[asyncio::test]
async fn a_task_that_awaits_one_of_another_loop_panics_instead_of_hanging() {
    let other = asyncio::EventLoop::new().unwrap();
    let task = other.spawn(std::future::pending::<()>());
    let error = asyncio::spawn(task).await.unwrap_err();
    let panic = error.to_string();
    assert!(panic.contains("attached to a different loop"), "{panic}");
    other.close().unwrap();
}
