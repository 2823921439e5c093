//! `shield`, `gather`, `wait` and `as_completed`: semantics 4.3, 4.6 and 4.7.

mod support;

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use asyncio::{
    CancelReason, JoinError, ReturnWhen, Task, TaskRef, as_completed, catch_cancelled, finally,
    gather, shield, sleep, wait,
};
use futures_util::future::{Either, FutureExt, join};
use futures_util::stream::{FuturesUnordered, StreamExt};
use support::trace::{Trace, reports_of};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn current() -> TaskRef {
    asyncio::current_task().unwrap()
}

async fn after<T>(duration: Duration, value: T) -> T {
    sleep(duration).await;
    value
}

/// Runs what is ready, and what that makes ready.
async fn settle() {
    for _ in 0..5 {
        asyncio::yield_now().await;
    }
}

// ----- what may be given -----

/// Each form of input, and that the type of what comes out is the same: the value, or a `JoinError`.
#[asyncio::test]
async fn tasks_jobs_futures_and_boxed_futures_are_all_accepted() {
    let one: Result<u32, JoinError> = shield(asyncio::spawn(async { 1 })).await;
    let two: Result<u32, JoinError> = shield(asyncio::to_thread(|| 2)).await;
    let three: Result<u32, JoinError> = shield(async { 3 }).await;
    let boxed: Pin<Box<dyn Future<Output = u32>>> = Box::pin(async { 4 });
    let four: Result<u32, JoinError> = shield(boxed).await;
    let five: Result<u32, JoinError> = shield(async { asyncio::spawn(async { 5 }).await }).await;
    assert_eq!(
        [one, two, three, four, five].map(Result::unwrap),
        [1, 2, 3, 4, 5]
    );
    let fallible: Result<u32, String> = shield(async { Err(String::from("six")) }).await.unwrap();
    assert_eq!(fallible.unwrap_err(), "six");
}

/// A task that is given is not wrapped into another one.
#[asyncio::test]
async fn a_task_stays_what_it_is() {
    let task = asyncio::spawn(pending::<()>());
    let (id, before) = (task.id(), asyncio::all_tasks().len());
    let shielded = shield(task);
    assert_eq!(asyncio::all_tasks().len(), before);
    drop(shielded);
    let left: Vec<_> = asyncio::all_tasks()
        .into_iter()
        .filter(|task| task.id() == id)
        .collect();
    assert_eq!(left.len(), 1, "dropping the shield detaches the task");
    left[0].cancel();
}

/// The place that is reported is the caller's.
#[asyncio::test]
async fn a_task_that_is_made_names_the_line_of_the_call() {
    let line = line!() + 1;
    let error = shield(async { panic!("boom") }).await.unwrap_err();
    assert_eq!(error.spawn_location().line(), line);
}

// ----- 4.3 shield -----

/// test_shield_result, test_shield_exception
#[asyncio::test(virtual_time)]
async fn a_shield_gives_what_the_task_gives() {
    assert_eq!(shield(after(MS, 7)).await.unwrap(), 7);
    let done = asyncio::spawn(async { 8 });
    settle().await;
    assert_eq!(shield(done).await.unwrap(), 8);
    assert!(
        shield(async { panic!("boom") })
            .await
            .unwrap_err()
            .is_panic()
    );
}

/// test_shield_cancel_outer
#[asyncio::test(virtual_time)]
async fn a_request_interrupts_the_awaiting_code_and_not_the_task() {
    let trace = Trace::new();
    let (inner, outer) = (trace.clone(), trace.clone());
    let task = asyncio::spawn(async move {
        let shielded = shield(async move {
            sleep(2 * MS).await;
            inner.note("inner done");
        });
        let cancelled = catch_cancelled(shielded).await.unwrap_err();
        outer.note("outer interrupted");
        cancelled.raise().await
    });
    sleep(MS).await;
    task.cancel();
    let outcome: Result<(), _> = task.await;
    assert!(outcome.unwrap_err().is_cancelled());
    sleep(2 * MS).await;
    assert_eq!(trace.take(), ["outer interrupted", "inner done"]);
}

/// test_shield_cancel_inner
#[asyncio::test(virtual_time)]
async fn a_task_that_others_cancel_ends_its_shield_with_an_error() {
    let inner = asyncio::spawn(sleep(HOUR));
    let canceller = inner.cancel_handle();
    asyncio::running_loop().call_later(MS, move || {
        canceller.cancel();
    });
    assert!(shield(inner).await.unwrap_err().is_cancelled());
    assert_eq!(current().cancelling(), 0);
}

/// test_shield_shortcut: the shield need not be polled for the task to begin.
#[asyncio::test]
async fn the_shielded_future_begins_at_once() {
    let trace = Trace::new();
    let notes = trace.clone();
    drop(shield(async move { notes.note("ran") }));
    settle().await;
    assert_eq!(trace.take(), ["ran"]);
}

/// semantics 4.3: an exception after the outer one was cancelled.
#[asyncio::test]
async fn a_panic_behind_an_abandoned_shield_is_reported() {
    let reports = reports_of(&asyncio::running_loop());
    drop(shield(async { panic!("boom") }));
    settle().await;
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("boom"), "{reports:?}");
}

/// issue 3: the crate's leaf futures lose nothing.
#[asyncio::test]
async fn a_request_loses_no_shielded_result() {
    let task = asyncio::spawn(async {
        let mut shielded = shield(async { 7 });
        settle().await;
        current().cancel();
        assert!(catch_cancelled(&mut shielded).await.is_err());
        shielded.await.unwrap()
    });
    assert_eq!(task.await.unwrap(), 7);
}

/// semantics 4.3: "cancel-all at shutdown does reach inner directly".
#[test]
fn the_shutdown_reaches_behind_a_shield() {
    let trace = Trace::new();
    let notes = trace.clone();
    asyncio::run(async move {
        drop(shield(async move {
            let cancelled = catch_cancelled(pending::<()>()).await.unwrap_err();
            notes.note(format!("{:?}", cancelled.reason()));
        }));
        settle().await;
    })
    .unwrap();
    assert_eq!(trace.take(), ["Shutdown"]);
}

// ----- 4.6 gather -----

/// GatherTests.test_success, and in the order of the arguments
#[asyncio::test(virtual_time)]
async fn gather_gives_the_values_in_the_order_of_the_tasks() {
    let values = gather([3, 1, 2].map(|n| after(n * MS, n))).await.unwrap();
    assert_eq!(values, [3, 1, 2]);
    let tasks: Vec<Task<u32>> = (0..3).map(|n| asyncio::spawn(async move { n })).collect();
    assert_eq!(gather(tasks).await.unwrap(), [0, 1, 2]);
}

/// test_constructor_empty_sequence
#[asyncio::test]
async fn gather_of_nothing_is_empty() {
    assert_eq!(gather(Vec::<Task<u32>>::new()).await.unwrap(), []);
    assert!(
        gather(Vec::<Task<u32>>::new())
            .return_exceptions()
            .await
            .is_empty()
    );
}

/// test_one_exception, test_one_cancellation
#[asyncio::test(virtual_time)]
async fn the_first_failure_ends_a_gather_and_the_others_go_on() {
    let trace = Trace::new();
    let notes = trace.clone();
    let slow = asyncio::spawn(async move {
        sleep(5 * MS).await;
        notes.note("slow one ended");
    });
    let failing = asyncio::spawn(async {
        sleep(MS).await;
        panic!("boom")
    });
    let started = asyncio::running_loop().time();
    assert!(gather([slow, failing]).await.unwrap_err().is_panic());
    assert_eq!(asyncio::running_loop().time() - started, MS);
    sleep(5 * MS).await;
    assert_eq!(trace.take(), ["slow one ended"]);
    let cancelled = asyncio::spawn(sleep(HOUR));
    cancelled.cancel();
    let error = gather([cancelled, asyncio::spawn(sleep(MS))])
        .await
        .unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(current().cancelling(), 0);
}

/// test_return_exceptions
#[asyncio::test(virtual_time)]
async fn return_exceptions_keeps_every_outcome() {
    let panicking = asyncio::spawn(async { panic!("boom") });
    let cancelled = asyncio::spawn(after(HOUR, 2));
    cancelled.cancel();
    let outcomes = gather([panicking, cancelled, asyncio::spawn(after(MS, 3))])
        .return_exceptions()
        .await;
    assert!(outcomes[0].as_ref().unwrap_err().is_panic());
    assert!(outcomes[1].as_ref().unwrap_err().is_cancelled());
    assert_eq!(*outcomes[2].as_ref().unwrap(), 3);
}

/// test_cancellation_broadcast; test_cancel_gather_2: whatever the children make of it.
#[asyncio::test(virtual_time)]
async fn a_request_is_passed_on_to_all_and_goes_on_when_all_have_ended() {
    for settled in [false, true] {
        let trace = Trace::new();
        let notes = trace.clone();
        let task = asyncio::spawn(async move {
            let children = [1, 2].map(|n| {
                let notes = notes.clone();
                async move {
                    let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
                    assert_eq!(cancelled.reason(), CancelReason::Parent);
                    sleep(n * MS).await;
                    notes.note(format!("child {n} swallowed it"));
                }
            });
            let gathered = gather(children);
            if settled {
                drop(gathered.return_exceptions().await);
            } else {
                drop(gathered.await);
            }
            unreachable!("the request goes on");
        });
        sleep(MS).await;
        task.cancel();
        let outcome: Result<(), _> = task.await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(
            trace.take(),
            ["child 1 swallowed it", "child 2 swallowed it"]
        );
    }
}

/// semantics 4.6: all children are done already: the gather is, too, without a turn of the loop.
#[asyncio::test]
async fn a_gather_of_tasks_that_are_done_is_ready_at_once() {
    let tasks = [1, 2].map(|n| asyncio::spawn(std::future::ready(n)));
    settle().await;
    let gathered = gather(tasks).now_or_never().expect("all of them are done");
    assert_eq!(gathered.unwrap(), [1, 2]);
}

/// test_cancel_gather_1: a gather that is done refuses; its values are not lost.
#[asyncio::test]
async fn a_request_loses_nothing_of_a_gather_that_is_done() {
    let task = asyncio::spawn(async {
        let mut gathered = gather([1, 2].map(std::future::ready));
        settle().await;
        current().cancel();
        assert!(catch_cancelled(&mut gathered).await.is_err());
        gathered.await.unwrap()
    });
    assert_eq!(task.await.unwrap(), [1, 2]);
}

/// The same for one that has failed.
#[asyncio::test]
async fn a_request_loses_no_failure_of_a_gather() {
    let task = asyncio::spawn(async {
        let cancelled = asyncio::spawn(pending::<()>());
        cancelled.cancel();
        let other = asyncio::spawn(pending::<()>());
        let still_going = other.task_ref();
        let mut gathered = gather([cancelled, other]);
        settle().await;
        current().cancel();
        assert!(catch_cancelled(&mut gathered).await.is_err());
        assert!(gathered.await.unwrap_err().is_cancelled());
        assert_eq!(still_going.cancelling(), 0);
        still_going.cancel();
    });
    task.await.unwrap();
}

#[asyncio::test(virtual_time)]
async fn a_second_request_is_passed_on_by_gather_too() {
    let rounds = Rc::new(Cell::new(0));
    let count = rounds.clone();
    let task = asyncio::spawn(gather([async move {
        for _ in 0..2 {
            let _ = catch_cancelled(sleep(HOUR)).await;
            count.set(count.get() + 1);
        }
    }]));
    sleep(MS).await;
    task.cancel();
    sleep(MS).await;
    assert_eq!((rounds.get(), task.is_finished()), (1, false));
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(rounds.get(), 2);
}

#[asyncio::test]
async fn a_dropped_gather_leaves_its_tasks_going_on() {
    let trace = Trace::new();
    let notes = trace.clone();
    drop(gather([async move { notes.note("went on") }]));
    settle().await;
    assert_eq!(trace.take(), ["went on"]);
}

/// test_shield_gather, test_gather_shield
#[asyncio::test(virtual_time)]
async fn a_shield_around_a_gather_protects_its_tasks() {
    let task =
        asyncio::spawn(async { shield(async { gather([after(2 * MS, 1)]).await.unwrap() }).await });
    sleep(MS).await;
    let before = asyncio::all_tasks().len();
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(asyncio::all_tasks().len(), before - 1);
    sleep(2 * MS).await;
}

// ----- 4.7 wait -----

/// test_wait, test_wait_first_completed
#[asyncio::test(virtual_time)]
async fn wait_gives_the_tasks_back_in_their_order() {
    let tasks: Vec<_> = [3, 1, 2].map(|n| asyncio::spawn(after(n * MS, n))).into();
    let (done, pending) = wait(tasks, ReturnWhen::FirstCompleted).await;
    assert_eq!((done.len(), pending.len()), (1, 2));
    let (done, rest) = wait(pending, ReturnWhen::AllCompleted).await;
    assert!(rest.is_empty());
    let mut values = Vec::new();
    for task in done {
        values.push(task.await.unwrap());
    }
    assert_eq!(values, [3, 2]);
}

/// test_wait_first_exception, test_wait_first_exception_in_wait
#[asyncio::test(virtual_time)]
async fn wait_for_the_first_exception_is_ended_by_a_panic_only() {
    let cancelled = asyncio::spawn(sleep(HOUR));
    cancelled.cancel();
    let tasks = [
        cancelled,
        asyncio::spawn(sleep(MS)),
        asyncio::spawn(async {
            sleep(2 * MS).await;
            panic!("boom")
        }),
        asyncio::spawn(sleep(3 * MS)),
    ];
    let (done, pending) = wait(&tasks, ReturnWhen::FirstException).await;
    assert_eq!((done.len(), pending.len()), (3, 1));
    let [_, _, panicked, last] = tasks;
    assert!(panicked.await.unwrap_err().is_panic());
    let (done, _) = wait([last], ReturnWhen::FirstException).await;
    assert_eq!(done.len(), 1, "without one it waits for all");
}

/// test_wait_with_timeout, test_wait_concurrent_complete
#[asyncio::test(virtual_time)]
async fn a_timeout_of_wait_cancels_nothing() {
    let tasks = [1, 5].map(|n| asyncio::spawn(sleep(n * MS)));
    let (done, pending) = wait(&tasks, ReturnWhen::AllCompleted).timeout(2 * MS).await;
    assert_eq!((done.len(), pending.len()), (1, 1));
    assert_eq!(pending[0].cancelling(), 0);
    let (done, _) = wait(&tasks, ReturnWhen::AllCompleted).timeout(HOUR).await;
    assert_eq!(done.len(), 2);
}

/// "Set of Tasks/Futures is empty." is an error there.
#[asyncio::test]
async fn wait_for_nothing_is_over_at_once() {
    let (done, pending) = wait(Vec::<TaskRef>::new(), ReturnWhen::FirstCompleted).await;
    assert!(done.is_empty() && pending.is_empty());
}

/// Tasks of different outputs, by reference; test_wait_duplicate_coroutines
#[asyncio::test(virtual_time)]
async fn wait_takes_references_to_tasks_of_any_output() {
    let (number, text) = (
        asyncio::spawn(after(MS, 1)),
        asyncio::spawn(after(2 * MS, "two")),
    );
    let refs = [number.task_ref(), text.task_ref(), number.task_ref()];
    let (done, pending) = wait(&refs, ReturnWhen::FirstCompleted).await;
    assert_eq!((done.len(), pending.len()), (2, 1));
    assert_eq!((number.await.unwrap(), text.await.unwrap()), (1, "two"));
}

/// test_yield_wait_does_not_shield_cancel: but wait does: it never cancels.
#[asyncio::test(virtual_time)]
async fn a_cancelled_wait_leaves_the_tasks_alone() {
    let inner = asyncio::spawn(sleep(2 * MS));
    let watched = inner.task_ref();
    let outer =
        asyncio::spawn(async move { wait([inner], ReturnWhen::AllCompleted).await.0.len() });
    sleep(MS).await;
    outer.cancel();
    assert!(outer.await.unwrap_err().is_cancelled());
    assert_eq!((watched.is_finished(), watched.cancelling()), (false, 0));
    sleep(2 * MS).await;
    assert!(watched.is_finished() && !watched.is_cancelled());
}

// ----- 4.7 as_completed -----

/// test_as_completed
#[asyncio::test(virtual_time)]
async fn results_come_in_the_order_of_their_ends() {
    let mut results = as_completed([3, 1, 2].map(|n| after(n * MS, n)));
    let mut seen = Vec::new();
    while let Some((index, result)) = results.next_with_index().await {
        seen.push((index, result.unwrap()));
    }
    assert_eq!(seen, [(1, 1), (2, 2), (0, 3)]);
    assert!(results.next().await.is_none());
}

/// test_as_completed_with_timeout: the remaining ones are not lost.
#[asyncio::test(virtual_time)]
async fn a_timeout_while_waiting_for_a_result_loses_none() {
    let mut results = as_completed([1, 5].map(|n| after(n * MS, n)));
    assert_eq!(results.next().await.unwrap().unwrap(), 1);
    assert!(asyncio::timeout(MS, results.next()).await.is_err());
    assert_eq!(results.next().await.unwrap().unwrap(), 5);
}

/// A failure is a result like the others.
#[asyncio::test(virtual_time)]
async fn failures_come_in_their_turn() {
    let panicking = asyncio::spawn(async {
        sleep(2 * MS).await;
        panic!("boom")
    });
    let mut results = as_completed([
        panicking,
        asyncio::spawn(after(MS, 1)),
        asyncio::spawn(after(3 * MS, 3)),
    ]);
    assert_eq!(results.next().await.unwrap().unwrap(), 1);
    assert!(results.next().await.unwrap().unwrap_err().is_panic());
    assert_eq!(results.next().await.unwrap().unwrap(), 3);
}

/// issue 3: a request between the end of a task and the look at it.
#[asyncio::test]
async fn a_request_loses_no_completed_result() {
    let task = asyncio::spawn(async {
        let mut results = as_completed([async { 7 }]);
        settle().await;
        current().cancel();
        assert!(catch_cancelled(results.next()).await.is_err());
        results.next().await.unwrap().unwrap()
    });
    assert_eq!(task.await.unwrap(), 7);
}

/// A request goes to the awaiting code only.
#[asyncio::test(virtual_time)]
async fn as_completed_cancels_nothing() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let mut results = as_completed([async move {
            finally(sleep(2 * MS), async || notes.note("went on")).await;
        }]);
        results.next().await
    });
    sleep(MS).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(trace.take().is_empty());
    sleep(2 * MS).await;
    assert_eq!(trace.take(), ["went on"]);
}

// ----- a request that was raised, and that a sibling keeps -----

/// Waits for a request and keeps it, so that its siblings in the same task go on.
async fn keep_the_request() {
    catch_cancelled(pending::<()>()).await.unwrap_err();
}

/// Cancels the task once it waits.
async fn cancelled_when_waiting<T>(task: asyncio::Task<T>) -> Result<T, JoinError> {
    settle().await;
    assert!(task.cancel());
    task.await
}

/// The request was delivered to the sibling, once. The join has something to give: how its task ended.
#[asyncio::test(virtual_time)]
async fn a_join_whose_request_a_sibling_keeps_gives_how_its_task_ended() {
    for in_sub_executor in [false, true] {
        let task = asyncio::spawn(async move {
            let join_it = async {
                let joined = asyncio::spawn(pending::<()>()).await;
                assert!(joined.unwrap_err().is_cancelled());
                sleep(MS).await; // nobody is disturbed any more
            };
            if in_sub_executor {
                let both: FuturesUnordered<Either<_, _>> =
                    [Either::Left(join_it), Either::Right(keep_the_request())]
                        .into_iter()
                        .collect();
                both.collect::<Vec<()>>().await;
            } else {
                join(join_it, keep_the_request()).await;
            }
            current().cancelling()
        });
        let outcome = cancelled_when_waiting(task).await;
        assert_eq!(outcome.unwrap(), 1, "counted once, and kept");
    }
}

/// A gather gives what its tasks gave: all values if all of them have swallowed the request.
#[asyncio::test(virtual_time)]
async fn a_gather_whose_request_a_sibling_keeps_gives_its_outcomes() {
    async fn swallow(value: u32) -> u32 {
        let _swallowed = catch_cancelled(pending::<()>()).await;
        value
    }
    let task = asyncio::spawn(async {
        let gathered = asyncio::gather([swallow(1), swallow(2)]);
        join(gathered, keep_the_request()).await.0
    });
    let outcome = cancelled_when_waiting(task).await.unwrap();
    assert_eq!(outcome.unwrap(), [1, 2]);

    let mixed = || [swallow(1).boxed_local(), pending::<u32>().boxed_local()];
    let task =
        asyncio::spawn(async move { join(asyncio::gather(mixed()), keep_the_request()).await.0 });
    let outcome = cancelled_when_waiting(task).await.unwrap();
    assert!(outcome.unwrap_err().is_cancelled());

    let task = asyncio::spawn(async move {
        let all = asyncio::gather(mixed()).return_exceptions();
        join(all, keep_the_request()).await.0
    });
    let outcomes = cancelled_when_waiting(task).await.unwrap();
    assert_eq!(*outcomes[0].as_ref().unwrap(), 1);
    assert!(outcomes[1].as_ref().unwrap_err().is_cancelled());
}

/// The sibling keeps it for a while, and raises it then: it goes on outwards, through everybody.
#[asyncio::test(virtual_time)]
async fn a_request_that_the_sibling_raises_later_ends_them_all() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let join_it = async {
            let _joined = asyncio::spawn(pending::<()>()).await;
            let _dropped = notes.on_drop("the join's branch is dropped");
            sleep(HOUR).await;
        };
        let sibling = async {
            let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
            sleep(MS).await;
            notes.note("the sibling raises");
            cancelled.raise().await
        };
        join(join_it, sibling).await;
    });
    let outcome: Result<(), _> = cancelled_when_waiting(task).await;
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(
        trace.take(),
        ["the sibling raises", "the join's branch is dropped"]
    );
}

/// A group whose body was interrupted has nothing to give: as with `raise`, the request still has to get out.
#[asyncio::test(virtual_time)]
async fn a_group_whose_request_a_sibling_keeps_raises_it_again() {
    let task = asyncio::spawn(async {
        let scope = asyncio::TaskGroup::scope(async |group| {
            group.spawn(pending::<()>());
        });
        let caught = catch_cancelled(join(scope, keep_the_request())).await;
        caught.is_err()
    });
    assert!(cancelled_when_waiting(task).await.unwrap());
}

/// semantics 4.7: the timeout is an error of the remaining ones only, and cancels nothing; those that came before are given.
#[asyncio::test(virtual_time)]
async fn a_timeout_around_all_results_leaves_the_remaining_tasks_alone() {
    let tasks = [1, 9].map(|n| asyncio::spawn(after(n * MS, n)));
    let references = [tasks[0].task_ref(), tasks[1].task_ref()];
    let mut results = as_completed(tasks);
    let mut seen = Vec::new();
    let all = async {
        while let Some(result) = results.next().await {
            seen.push(result.unwrap());
        }
    };
    assert!(asyncio::timeout(5 * MS, all).await.is_err());
    assert_eq!(seen, [1]);
    assert!(!references[1].is_finished() && references[1].cancelling() == 0);
    assert_eq!(results.next().await.unwrap().unwrap(), 9);
}

/// semantics 4.1: "attached to a different loop", however it is waited for.
#[test]
fn a_task_of_another_loop_is_refused_instead_of_being_waited_for_in_vain() {
    type Way = fn(Task<()>) -> Task<()>;
    let ways: [(&str, Way); 4] = [
        ("gather", |task| {
            asyncio::spawn(async { drop(gather([task]).await) })
        }),
        ("wait", |task| {
            asyncio::spawn(async { drop(wait([task], ReturnWhen::AllCompleted).await) })
        }),
        ("as_completed", |task| {
            asyncio::spawn(async { drop(as_completed([task]).next().await) })
        }),
        ("shield", |task| {
            asyncio::spawn(async { drop(shield(task).await) })
        }),
    ];
    let other = asyncio::EventLoop::builder()
        .virtual_time()
        .build()
        .unwrap();
    for (way, spawn) in ways {
        let task = other.spawn(pending::<()>());
        let error = asyncio::run(async { spawn(task).await.unwrap_err() }).unwrap();
        let panic = error.try_into_panic().unwrap();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(
            text.contains("attached to a different loop"),
            "{way}: {text}"
        );
    }
    other.close().unwrap();
}
