//! Eager tasks: `task().eager_start(true)` runs the first step inside of `spawn`, and all else is as for any task.

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use asyncio::{
    EventLoop, Task, TaskGroup, all_tasks, catch_cancelled, context_var, current_task,
    new_event_loop, running_loop, sleep, yield_now,
};
use support::trace::{Trace, reports_of};

const SECOND: Duration = Duration::from_secs(1);

fn eagerly<F: Future + 'static>(future: F) -> Task<F::Output> {
    asyncio::task().eager_start(true).spawn(future)
}

fn current_name() -> String {
    current_task().unwrap().name()
}

// ----- the first step -----

/// semantics 4.9: done on return, and nothing was scheduled.
#[asyncio::test]
async fn a_task_that_ends_in_its_first_step_is_done_when_spawn_returns() {
    let task = eagerly(async { 7 });
    assert!(task.is_finished());
    assert_eq!(task.await.unwrap(), 7);
}

/// It never waits in the ready queue, and neither does whoever awaits it: what is ready has not run meanwhile.
#[asyncio::test]
async fn awaiting_a_task_that_ended_in_its_first_step_does_not_suspend() {
    let trace = Trace::new();
    running_loop().call_soon(trace.noter("a callback that was ready"));
    eagerly(async {}).await.unwrap();
    trace.note("awaited");
    yield_now().await;
    assert_eq!(trace.take(), ["awaited", "a callback that was ready"]);
}

#[asyncio::test(virtual_time)]
async fn a_task_that_waits_goes_on_like_any_other() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = eagerly(async move {
        notes.note("first step");
        sleep(SECOND).await;
        notes.note("after the sleep");
        7
    });
    trace.note("spawned");
    assert!(!task.is_finished());
    assert_eq!(task.await.unwrap(), 7);
    assert_eq!(trace.take(), ["first step", "spawned", "after the sleep"]);
}

/// Waking itself in its first step, it goes to the queue's end.
#[asyncio::test]
async fn a_task_that_yields_in_its_first_step_waits_behind_what_is_ready() {
    let trace = Trace::new();
    running_loop().call_soon(trace.noter("ready before"));
    let notes = trace.clone();
    let task = eagerly(async move {
        yield_now().await;
        notes.note("second step");
    });
    running_loop().call_soon(trace.noter("ready afterwards"));
    task.await.unwrap();
    assert_eq!(
        trace.take(),
        ["ready before", "second step", "ready afterwards"]
    );
}

/// semantics 4.9: the current task is swapped, and identical before and after.
#[asyncio::test]
async fn the_first_step_has_its_task_as_the_current_one() {
    current_task().unwrap().set_name("spawner");
    let seen = Rc::<RefCell<String>>::default();
    let (ends, waits) = (seen.clone(), seen.clone());
    let builder = asyncio::task().name("ends").eager_start(true);
    drop(builder.spawn(async move { ends.replace(current_name()) }));
    assert_eq!(seen.take(), "ends");
    assert_eq!(current_name(), "spawner");
    let builder = asyncio::task().name("waits").eager_start(true);
    drop(builder.spawn(async move {
        waits.replace(current_name());
        yield_now().await;
    }));
    assert_eq!(seen.take(), "waits");
    assert_eq!(current_name(), "spawner");
}

#[asyncio::test]
async fn the_spawner_is_the_current_task_again_after_a_panic_in_the_first_step() {
    current_task().unwrap().set_name("spawner");
    let task = eagerly(async { panic!("in the first step") });
    assert_eq!(current_name(), "spawner");
    let error = task.await.unwrap_err();
    assert_eq!(
        error.into_panic().downcast_ref(),
        Some(&"in the first step")
    );
}

#[asyncio::test]
async fn a_panic_in_the_first_step_that_nobody_sees_is_reported() {
    let reports = reports_of(&running_loop());
    let builder = asyncio::task().name("eager").eager_start(true);
    drop(builder.spawn(async { panic!("unseen") }));
    let [report] = &reports.take()[..] else {
        panic!("one report is expected")
    };
    assert!(report.ends_with("unseen [eager]"), "{report}");
}

/// semantics 4.9: in `all_tasks` during the step; gone after it if it completed.
#[asyncio::test]
async fn a_task_is_among_all_tasks_during_its_first_step() {
    let count = all_tasks().len();
    let task = eagerly(async { all_tasks().len() });
    assert_eq!(all_tasks().len(), count);
    assert_eq!(task.await.unwrap(), count + 1);
}

#[asyncio::test]
async fn eager_tasks_nest() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::task()
        .name("a")
        .eager_start(true)
        .spawn(async move {
            notes.note(format!("{} begins", current_name()));
            let inner = notes.clone();
            let b = asyncio::task()
                .name("b")
                .eager_start(true)
                .spawn(async move {
                    inner.note(format!("{} begins", current_name()));
                    yield_now().await;
                    inner.note(format!("{} ends", current_name()));
                });
            notes.note(format!("{} goes on", current_name()));
            b.await.unwrap();
            notes.note(format!("{} ends", current_name()));
        });
    trace.note("spawned");
    task.await.unwrap();
    let steps = [
        "a begins",
        "b begins",
        "a goes on",
        "spawned",
        "b ends",
        "a ends",
    ];
    assert_eq!(trace.take(), steps);
}

#[asyncio::test]
async fn a_done_callback_on_a_task_that_ended_in_its_first_step_is_called_soon() {
    let trace = Trace::new();
    let task = eagerly(async {});
    let notes = trace.clone();
    task.add_done_callback(move |task| notes.note(format!("done: {}", task.is_finished())));
    trace.note("added");
    yield_now().await;
    assert_eq!(trace.take(), ["added", "done: true"]);
}

#[asyncio::test]
async fn switched_off_again_a_task_begins_in_the_next_turn() {
    let task = asyncio::task()
        .eager_start(true)
        .eager_start(false)
        .spawn(async {});
    assert!(!task.is_finished());
    task.await.unwrap();
}

// ----- contexts -----

context_var! {
    static COLOUR: &'static str = "grey";
}

#[asyncio::test]
async fn the_first_step_runs_in_a_copy_of_the_spawners_context() {
    COLOUR.set("red");
    let task = eagerly(async {
        let inherited = COLOUR.get();
        COLOUR.set("blue");
        yield_now().await;
        (inherited, COLOUR.get())
    });
    assert_eq!(COLOUR.get(), Some("red"));
    assert_eq!(task.await.unwrap(), (Some("red"), Some("blue")));
}

#[asyncio::test]
async fn the_first_step_runs_in_the_context_that_it_was_given() {
    let context = asyncio::copy_context();
    let builder = asyncio::task().context(context.clone()).eager_start(true);
    builder.spawn(async { COLOUR.set("green") }).await.unwrap();
    assert_eq!(COLOUR.get(), Some("grey"));
    assert_eq!(context.run(|| COLOUR.get()).unwrap(), Some("green"));
}

/// As in asyncio, where it is entered at once: a context is entered only once at a time.
#[asyncio::test]
async fn a_context_that_is_entered_already_refuses_an_eager_task() {
    let context = asyncio::copy_context();
    let given = context.clone();
    let task = context.run(|| {
        asyncio::task()
            .context(given)
            .eager_start(true)
            .spawn(async {})
    });
    let error = task.unwrap().await.unwrap_err();
    assert!(error.to_string().contains("context"), "{error}");
}

// ----- cancellation -----

#[asyncio::test]
async fn cancelling_a_task_that_ended_in_its_first_step_is_refused() {
    let task = eagerly(async { 1 });
    assert!(!task.cancel());
    assert_eq!(task.await.unwrap(), 1);
}

#[asyncio::test]
async fn a_task_that_waits_is_cancelled_with_the_message() {
    let task = eagerly(catch_cancelled(pending::<()>()));
    assert!(task.cancel_with("enough"));
    assert_eq!(task.await.unwrap().unwrap_err().message(), Some("enough"));
}

#[asyncio::test]
async fn a_task_that_cancels_itself_in_its_first_step_ends_cancelled() {
    let task = eagerly(async {
        current_task().unwrap().cancel_with("myself");
        pending::<()>().await;
    });
    let error = task.await.unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some("myself"));
}

#[asyncio::test]
async fn a_task_that_cancels_itself_in_its_first_step_may_catch_that() {
    let task = eagerly(async {
        current_task().unwrap().cancel();
        let caught = catch_cancelled(pending::<()>()).await.is_err();
        yield_now().await;
        caught
    });
    assert!(task.await.unwrap());
}

/// As for any task: a request made during the last step ends it cancelled.
#[asyncio::test]
async fn a_task_that_cancels_itself_and_returns_in_its_first_step_ends_cancelled() {
    let task = eagerly(async {
        current_task().unwrap().cancel();
        7
    });
    assert!(task.is_cancelled());
    assert!(task.await.unwrap_err().is_cancelled());
}

#[asyncio::test]
async fn a_request_made_in_the_first_step_reaches_the_spawner_at_its_next_await() {
    let spawner = current_task().unwrap();
    let caught = catch_cancelled(async move {
        eagerly(async move { spawner.cancel() }).await.unwrap();
        yield_now().await;
    });
    assert!(caught.await.is_err());
}

/// A request that waits for the spawner is not the eager task's.
#[asyncio::test]
async fn a_pending_request_of_the_spawner_does_not_touch_the_first_step() {
    let caught = catch_cancelled(async {
        current_task().unwrap().cancel();
        let task = eagerly(async {
            yield_now().await;
            7
        });
        assert!(!task.is_finished());
        (task,)
    });
    // Nothing was awaited: the request is still to come.
    let (task,) = caught.await.unwrap();
    assert!(catch_cancelled(yield_now()).await.is_err());
    assert_eq!(task.await.unwrap(), 7);
}

// ----- loops -----

/// semantics 4.9: only if the loop is running.
#[test]
fn a_task_of_a_loop_that_does_not_run_yet_begins_in_its_first_turn() -> io::Result<()> {
    let event_loop = new_event_loop()?;
    let task = event_loop.task().eager_start(true).spawn(async { 7 });
    assert!(!task.is_finished());
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap(), 7);
    event_loop.close().unwrap();
    Ok(())
}

/// Starts an eager task on the loop it knows when it is dropped.
struct SpawnOnDrop {
    event_loop: EventLoop,
    trace: Trace,
}

impl Drop for SpawnOnDrop {
    fn drop(&mut self) {
        let notes = self.trace.clone();
        let builder = self.event_loop.task().eager_start(true);
        drop(builder.spawn(async move { notes.note("begins") }));
        self.trace.note("spawned");
    }
}

/// A destructor that the other loop runs while it closes is no place for a step of this one.
#[asyncio::test]
async fn a_task_spawned_while_another_loop_closes_begins_in_the_next_turn() -> io::Result<()> {
    let trace = Trace::new();
    let guard = SpawnOnDrop {
        event_loop: running_loop(),
        trace: trace.clone(),
    };
    let other = new_event_loop()?;
    drop(other.spawn(async move {
        let _guard = guard;
        pending::<()>().await
    }));
    other.close().unwrap();
    assert_eq!(trace.take(), ["spawned"]);
    yield_now().await;
    assert_eq!(trace.take(), ["begins"]);
    Ok(())
}

#[test]
fn a_task_spawned_while_its_own_loop_closes_never_begins() -> io::Result<()> {
    let trace = Trace::new();
    let event_loop = new_event_loop()?;
    let guard = SpawnOnDrop {
        event_loop: event_loop.clone(),
        trace: trace.clone(),
    };
    drop(event_loop.spawn(async move {
        let _guard = guard;
        pending::<()>().await
    }));
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["spawned"]);
    Ok(())
}

// ----- groups -----

#[asyncio::test]
async fn a_group_takes_children_that_end_in_their_first_step() {
    let value = TaskGroup::scope(async |group| {
        let child = asyncio::task()
            .eager_start(true)
            .spawn_in(group, async { 7 });
        assert!(child.is_finished());
        child.await.unwrap()
    });
    assert_eq!(value.await.unwrap(), 7);
}

#[asyncio::test]
async fn a_group_waits_for_an_eager_child() {
    let done = Rc::new(Cell::new(false));
    let seen = done.clone();
    TaskGroup::scope(async move |group| {
        asyncio::task()
            .eager_start(true)
            .spawn_in(group, async move {
                yield_now().await;
                done.set(true);
            });
    })
    .await
    .unwrap();
    assert!(seen.get());
}

#[asyncio::test]
async fn a_child_that_fails_in_its_first_step_stops_its_group() {
    let error = TaskGroup::scope(async |group| {
        let fails = async { Err::<(), _>("in the first step") };
        asyncio::task().eager_start(true).spawn_in(group, fails);
        pending::<()>().await;
    })
    .await
    .unwrap_err();
    let [failure] = error.failures() else {
        panic!("one failure is expected: {error}")
    };
    assert_eq!(failure.error().to_string(), "in the first step");
}

/// gh-128550: a child that is started while the group stops is cancelled, although it has begun.
#[asyncio::test]
async fn an_eager_child_of_a_stopping_group_is_cancelled() {
    let trace = Trace::new();
    let notes = trace.clone();
    let error = TaskGroup::scope(async move |group| {
        let fails = async { Err::<(), _>("first") };
        asyncio::task().eager_start(true).spawn_in(group, fails);
        asyncio::task()
            .eager_start(true)
            .spawn_in(group, async move {
                notes.note("begins");
                assert!(catch_cancelled(pending::<()>()).await.is_err());
                notes.note("cancelled");
            });
    })
    .await
    .unwrap_err();
    assert_eq!(error.failures().len(), 1);
    assert_eq!(trace.take(), ["begins", "cancelled"]);
}
