//! `debug::call_graph`: who waits for whom. semantics 4.10, with an edge for every way of waiting.

use std::cell::Cell;
use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use asyncio::debug::{Activity, CallGraph, call_graph};
use asyncio::{ReturnWhen, Task, TaskGroup, TaskRef, as_completed, gather, shield, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Runs what is ready, and what that makes ready.
async fn settle() {
    for _ in 0..5 {
        asyncio::yield_now().await;
    }
}

fn named<F: Future + 'static>(name: &str, future: F) -> Task<F::Output> {
    asyncio::task().name(name).spawn(future)
}

fn name(graph: &CallGraph) -> &str {
    graph.task().info().name()
}

/// A task that waits for ever, and a reference to it.
fn worker() -> (Task<()>, TaskRef) {
    let worker = named("worker", pending::<()>());
    let reference = worker.task_ref();
    (worker, reference)
}

/// The names of all tasks that wait for this one, each after the one that it waits for.
fn awaited_by(task: &TaskRef) -> Vec<String> {
    fn collect(graph: &CallGraph, names: &mut Vec<String>) {
        for awaiting in graph.awaited_by() {
            names.push(name(awaiting).to_owned());
            collect(awaiting, names);
        }
    }
    let mut names = Vec::new();
    collect(&call_graph(task), &mut names);
    names
}

/// semantics 4.10: an edge when a task waits for another one; test_graph: task in task.
#[asyncio::test(leftovers = "cancel")]
async fn a_task_knows_the_whole_chain_of_those_that_wait_for_it() {
    let (worker, reference) = worker();
    let middle = named("middle", worker);
    drop(named("boss", middle));
    settle().await;
    assert_eq!(awaited_by(&reference), ["middle", "boss"]);
}

/// Up to the main task, asked from a task beside it.
#[asyncio::test(leftovers = "cancel")]
async fn the_chain_goes_up_to_the_main_task() {
    asyncio::current_task().unwrap().set_name("main");
    let (worker, reference) = worker();
    let asker = named("asker", async move {
        let chain = awaited_by(&reference);
        reference.cancel();
        chain
    });
    assert!(worker.await.unwrap_err().is_cancelled());
    assert_eq!(asker.await.unwrap(), ["main"]);
}

/// test_graph: gather.
#[asyncio::test(leftovers = "cancel")]
async fn whoever_gathers_is_found() {
    let (worker, reference) = worker();
    let other = named("other", pending::<()>());
    drop(named("gatherer", gather([worker, other])));
    settle().await;
    assert_eq!(awaited_by(&reference), ["gatherer"]);
}

/// test_graph: shield.
#[asyncio::test(leftovers = "cancel")]
async fn whoever_shields_is_found() {
    let (worker, reference) = worker();
    drop(named("shielder", shield(worker)));
    settle().await;
    assert_eq!(awaited_by(&reference), ["shielder"]);
}

/// test_graph: wait.
#[asyncio::test(leftovers = "cancel")]
async fn whoever_waits_for_several_is_found() {
    let (worker, reference) = worker();
    let done = named("done", async {});
    settle().await;
    let waiting = named(
        "waiting",
        asyncio::wait([worker, done], ReturnWhen::AllCompleted),
    );
    settle().await;
    assert_eq!(awaited_by(&reference), ["waiting"]);
    let graph = call_graph(waiting.task_ref());
    let Activity::Waiting(on) = graph.task().activity() else {
        panic!("{graph}");
    };
    let tasks: Vec<_> = on[0].tasks().iter().map(|task| task.name()).collect();
    assert_eq!(tasks, ["worker"], "what has ended is not waited for");
}

/// asyncio lacks this edge (gh-156523).
#[asyncio::test(leftovers = "cancel")]
async fn whoever_takes_results_as_they_come_is_found() {
    let (worker, reference) = worker();
    let mut results = as_completed([worker]);
    drop(named("taker", async move { drop(results.next().await) }));
    settle().await;
    assert_eq!(awaited_by(&reference), ["taker"]);
}

/// semantics 4.10: a group's parent waits for the children; test_graph: task group.
#[asyncio::test(leftovers = "cancel")]
async fn the_parent_of_a_group_is_found_when_it_waits_for_the_children() {
    let started = Rc::new(Cell::new(None));
    let place = started.clone();
    drop(named(
        "parent",
        TaskGroup::scope(async move |group| {
            let child = asyncio::task()
                .name("child")
                .spawn_in(group, pending::<()>());
            place.set(Some(child.task_ref()));
        }),
    ));
    settle().await;
    assert_eq!(awaited_by(&started.take().unwrap()), ["parent"]);
}

/// test_graph: timeout.
#[asyncio::test(virtual_time, leftovers = "cancel")]
async fn a_timeout_around_hides_nobody() {
    let (worker, reference) = worker();
    drop(named("bounded", timeout(SECOND, worker)));
    settle().await;
    assert_eq!(awaited_by(&reference), ["bounded"]);
}

/// test_graph: one that two others wait for.
#[asyncio::test(leftovers = "cancel")]
async fn all_that_wait_for_a_task_are_found() {
    let (worker, reference) = worker();
    let (one, two) = (reference.clone(), reference.clone());
    drop(named("one", asyncio::wait([one], ReturnWhen::AllCompleted)));
    drop(named("two", asyncio::wait([two], ReturnWhen::AllCompleted)));
    settle().await;
    assert_eq!(awaited_by(&reference), ["one", "two"]);
    drop(worker);
}

/// semantics 4.10: removed on wake-up.
#[asyncio::test(leftovers = "cancel")]
async fn whoever_does_not_wait_any_more_is_not_found() {
    let (worker, reference) = worker();
    let boss = named("boss", shield(worker));
    settle().await;
    assert_eq!(awaited_by(&reference), ["boss"]);
    boss.cancel();
    settle().await;
    assert!(awaited_by(&reference).is_empty());
}

#[asyncio::test]
async fn a_task_that_has_ended_can_be_asked_for() {
    let task = named("ended", async {});
    settle().await;
    let graph = call_graph(&task);
    assert!(matches!(graph.task().activity(), Activity::Finished));
    assert!(graph.awaited_by().is_empty());
    assert!(graph.to_string().contains("+ It is done"), "{graph}");
}

/// The one that asks is running, and waits for nothing.
#[asyncio::test]
async fn the_task_that_asks_is_running() {
    let graph = call_graph(asyncio::current_task().unwrap());
    assert!(matches!(graph.task().activity(), Activity::Running));
    assert!(graph.awaited_by().is_empty());
}

/// The shape is that of asyncio's `format_call_graph`.
#[asyncio::test(virtual_time, leftovers = "cancel")]
async fn a_graph_is_printed_with_those_that_wait_below_each_task() {
    let worker = named("worker", sleep(9 * SECOND));
    let reference = worker.task_ref();
    let middle = named("middle", worker);
    drop(named("boss", middle));
    settle().await;
    let text = call_graph(&reference).to_string();
    assert_eq!(
        without_lines(&text),
        "\
* Task 'worker' (HERE)
  + Waits for:
  |   sleep (9.0s left)
  + Awaited by:
    * Task 'middle' (HERE)
      + Waits for:
      |   task 'worker'
      + Awaited by:
        * Task 'boss' (HERE)
          + Waits for:
          |   task 'middle'
"
    );
}

/// The text without the lines of this file.
fn without_lines(text: &str) -> String {
    let line = |line: &str| match line.split_once(" (tests/call_graphs.rs:") {
        Some((task, _number)) => format!("{task} (HERE)\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// semantics 4.10: a circle is no endless one, and is said to be one.
#[test]
fn tasks_that_wait_for_each_other_are_a_circle() {
    let event_loop = asyncio::EventLoop::new().unwrap();
    let asking = async {
        let late = Rc::new(Cell::new(None::<Task<()>>));
        let place = late.clone();
        let first = named("first", async move {
            asyncio::yield_now().await;
            let second = place.take().expect("it was put there");
            let _never = second.await;
        });
        let reference = first.task_ref();
        late.set(Some(named("second", async move {
            let _never = first.await;
        })));
        settle().await;
        call_graph(&reference)
    };
    let graph = event_loop.run_until_complete(asking).unwrap();
    event_loop.close().unwrap();
    let again = &graph.awaited_by()[0].awaited_by()[0];
    assert_eq!(name(again), "first");
    assert!(again.is_circle() && !graph.is_circle());
    assert!(again.awaited_by().is_empty());
    assert!(graph.to_string().contains("(see above"), "{graph}");
}

/// semantics 4.10: outside of a loop it is an error.
#[test]
#[should_panic(expected = "no running event loop")]
fn a_graph_outside_of_a_loop_is_refused() {
    let task = asyncio::run(async { asyncio::current_task().unwrap() }).unwrap();
    call_graph(task);
}

#[asyncio::test]
#[should_panic(expected = "belongs to another loop")]
async fn a_task_of_another_loop_is_refused() {
    let other = asyncio::EventLoop::new().unwrap();
    let task = other.spawn(pending::<()>());
    call_graph(&task);
}
