//! Cancellation through futures that poll only what was woken: `FuturesUnordered`, `join_all`, `select!`, `buffered`.
//!
//! The rule (issue 3): the innermost scope is reached whatever lies between it and the task. Several that wait side by
//! side receive a request one after another, if each raises it again; the first that swallows it keeps it.

mod support;

use std::cell::RefCell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use asyncio::{JoinError, Task, catch_cancelled, finally, sleep, timeout};
use futures_util::future::{Either, FutureExt, LocalBoxFuture, join, join_all, select};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use support::trace::Trace;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn error_of<T>(outcome: Result<T, JoinError>) -> JoinError {
    outcome.map(|_value| ()).unwrap_err()
}

/// Waits, cleans up with an await when it is cancelled, and raises again.
async fn well_behaved(trace: Trace, name: &'static str) {
    let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
    sleep(MS).await;
    trace.note(name);
    cancelled.raise().await
}

/// Cancels the task once it waits, and gives its outcome.
async fn cancel_when_waiting<T>(task: Task<T>) -> Result<T, JoinError> {
    sleep(MS).await;
    assert!(task.cancel());
    task.await
}

/// A leaf future that has been woken by its event leaves that alone while a request is pending. If a sibling swallows the
/// request, it must be polled again, because nothing would wake it another time.
#[asyncio::test(virtual_time)]
async fn a_sibling_that_swallows_a_request_leaves_nobody_behind() {
    async fn swallow() {
        let _swallowed = catch_cancelled(pending::<()>()).await;
    }
    let polled_all = asyncio::spawn(async {
        join(sleep(MS), swallow()).await;
    });
    let polled_woken = asyncio::spawn(async {
        let slow = timeout(MS, pending::<()>()).map(drop);
        let all: FuturesUnordered<LocalBoxFuture<'_, ()>> = FuturesUnordered::new();
        all.push(swallow().boxed_local());
        all.push(sleep(MS).boxed_local());
        all.push(slow.boxed_local());
        all.collect::<Vec<_>>().await;
    });
    for task in [polled_all.task_ref(), polled_woken.task_ref()] {
        // In the turn in which the sleep is over, and before it: this timer is set first.
        asyncio::running_loop().call_later(MS, move || {
            task.cancel();
        });
    }
    sleep(2 * MS).await;
    assert!(polled_all.is_finished() && polled_woken.is_finished());
}

#[asyncio::test(virtual_time)]
async fn every_scope_in_futures_unordered_cleans_up() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let around = notes.clone();
        let all = async {
            let many: FuturesUnordered<_> = ["a", "b", "c"]
                .into_iter()
                .map(|name| well_behaved(notes.clone(), name))
                .collect();
            many.collect::<Vec<_>>().await
        };
        let cancelled = catch_cancelled(all).await.unwrap_err();
        around.note("around");
        cancelled.raise().await
    });
    let outcome: Result<(), _> = cancel_when_waiting(task).await;
    assert!(error_of(outcome).is_cancelled());
    let mut seen = trace.take();
    assert_eq!(
        seen.pop().as_deref(),
        Some("around"),
        "inner scopes come first"
    );
    seen.sort();
    assert_eq!(seen, ["a", "b", "c"]);
}

/// `join_all` polls all of few futures each time, and uses `FuturesUnordered` for many.
#[asyncio::test(virtual_time)]
async fn every_scope_in_join_all_cleans_up() {
    for count in [2, 40] {
        let trace = Trace::new();
        let notes = trace.clone();
        let task = asyncio::spawn(async move {
            join_all((0..count).map(|_| well_behaved(notes.clone(), "cleaned up"))).await;
        });
        assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
        assert_eq!(trace.take().len(), count);
    }
}

#[asyncio::test(virtual_time)]
async fn a_scope_in_buffered_cleans_up() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let names = stream::iter(["a", "b", "not begun"]);
        let buffered = names
            .map(|name| well_behaved(notes.clone(), name))
            .buffered(2);
        buffered.collect::<Vec<()>>().await.len()
    });
    assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
    let mut seen = trace.take();
    seen.sort();
    assert_eq!(seen, ["a", "b"]);
}

#[asyncio::test(virtual_time)]
async fn a_scope_in_a_branch_of_select_cleans_up() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let mut branch = Box::pin(futures_util::FutureExt::fuse(well_behaved(notes, "branch")));
        let mut never = futures_util::FutureExt::fuse(pending::<()>());
        futures_util::select! {
            () = branch => {}
            () = never => {}
        }
    });
    assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
    assert_eq!(trace.take(), ["branch"]);
}

#[asyncio::test(virtual_time)]
async fn finally_in_a_sub_executor_runs_its_cleanup() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let mut many: FuturesUnordered<_> = (0..2)
            .map(|_| {
                let notes = notes.clone();
                finally(sleep(HOUR), async move || {
                    sleep(MS).await;
                    notes.note("cleaned up");
                })
            })
            .collect();
        many.next().await
    });
    assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
    assert_eq!(trace.take(), ["cleaned up", "cleaned up"]);
}

/// Awaiting a child passes the request on to it, also there.
#[asyncio::test(virtual_time)]
async fn a_join_in_a_sub_executor_passes_the_request_on() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let children: FuturesUnordered<_> = ["a", "b"]
            .into_iter()
            .map(|name| asyncio::spawn(well_behaved(notes.clone(), name)))
            .collect();
        children.collect::<Vec<_>>().await.len()
    });
    assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
    let mut seen = trace.take();
    seen.sort();
    assert_eq!(seen, ["a", "b"]);
}

/// A gather and a group inside of one as well.
#[asyncio::test(virtual_time)]
async fn gathers_and_groups_in_a_sub_executor_are_reached() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let (one, two) = (notes.clone(), notes.clone());
        let gathered = async { drop(asyncio::gather([well_behaved(one, "gathered")]).await) };
        let grouped = async {
            let scope = asyncio::TaskGroup::scope(async |group| {
                group.spawn(well_behaved(two, "grouped"));
            });
            drop(scope.await);
        };
        let both: FuturesUnordered<Either<_, _>> = [Either::Left(gathered), Either::Right(grouped)]
            .into_iter()
            .collect();
        both.collect::<Vec<()>>().await.len()
    });
    assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
    let mut seen = trace.take();
    seen.sort();
    assert_eq!(seen, ["gathered", "grouped"]);
}

/// What one raises and its sibling swallows still has to get out; it hung once, polled by nobody.
#[asyncio::test(virtual_time)]
async fn a_raise_whose_request_a_sibling_swallows_is_raised_again() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let swallower = {
            let (notes, order) = (notes.clone(), order.clone());
            async move {
                order.borrow_mut().push("swallower");
                let _ = catch_cancelled(sleep(HOUR)).await;
                notes.note("swallowed");
                sleep(HOUR).await;
            }
        };
        let raiser = {
            let notes = notes.clone();
            async move {
                order.borrow_mut().push("raiser");
                let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
                notes.note("raises");
                cancelled.raise().await
            }
        };
        let both: FuturesUnordered<Either<_, _>> = [Either::Left(raiser), Either::Right(swallower)]
            .into_iter()
            .collect();
        both.collect::<Vec<()>>().await.len()
    });
    let outcome = timeout(HOUR / 2, cancel_when_waiting(task))
        .await
        .expect("it hangs");
    assert!(error_of(outcome).is_cancelled());
    let mut seen = trace.take();
    seen.sort();
    assert!(seen.starts_with(&["raises".into()]), "{seen:?}");
}

/// `FuturesUnordered` yields after two futures that woke themselves, with the others unpolled: they are asked nevertheless.
/// (In real time: virtual time stands still while somebody is busy.)
#[asyncio::test]
async fn a_busy_sub_executor_gets_the_time_to_ask_everybody() {
    /// Somebody else's future, which knows of no request.
    async fn busy() {
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        })
        .await;
    }
    for around in [false, true] {
        let trace = Trace::new();
        let notes = trace.clone();
        let task = asyncio::spawn(async move {
            let many = FuturesUnordered::new();
            for _ in 0..5 {
                many.push(Either::Left(busy()));
            }
            many.push(Either::Right(well_behaved(notes.clone(), "cleaned up")));
            let all = many.collect::<Vec<()>>();
            if around {
                let cancelled = catch_cancelled(all).await.unwrap_err();
                notes.note("around");
                cancelled.raise().await
            }
            all.await.len()
        });
        sleep(MS).await;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        let expected: &[&str] = if around {
            &["cleaned up", "around"]
        } else {
            &["cleaned up"]
        };
        assert_eq!(trace.take(), expected);
    }
}

/// A sub-executor that is not polled never answers: nobody waits for it for long.
#[asyncio::test(virtual_time)]
async fn a_sub_executor_that_is_not_polled_holds_nothing_up() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let names = stream::iter(["ready", "waiting"]);
        let mut buffered = Box::pin(
            names
                .map(|name| {
                    let notes = notes.clone();
                    async move {
                        if name == "waiting" {
                            well_behaved(notes, name).await;
                        }
                    }
                })
                .buffered(2),
        );
        buffered.next().await;
        sleep(HOUR).await; // the stream has a scope that waits, and is not polled now
    });
    assert!(error_of(cancel_when_waiting(task).await).is_cancelled());
    assert!(trace.take().is_empty());
}

/// The first that swallows a request keeps it; the siblings are not disturbed.
#[asyncio::test(virtual_time)]
async fn a_request_that_one_of_several_swallows_disturbs_no_other() {
    let task = asyncio::spawn(async {
        let swallows = async { catch_cancelled(sleep(HOUR)).await.is_err() };
        let undisturbed = async {
            sleep(2 * MS).await;
            false
        };
        let both: FuturesUnordered<Either<_, _>> =
            [Either::Left(swallows), Either::Right(undisturbed)]
                .into_iter()
                .collect();
        let mut seen = both.collect::<Vec<bool>>().await;
        seen.sort_unstable();
        seen
    });
    assert_eq!(cancel_when_waiting(task).await.unwrap(), [false, true]);
}

/// Dropping the loser of a `select` is a plain drop: it is no cancellation, and leaves no trace of its scope.
#[asyncio::test(virtual_time)]
async fn the_loser_of_a_select_is_dropped_and_forgotten() {
    let trace = Trace::new();
    let task = asyncio::spawn({
        let notes = trace.clone();
        async move {
            let loser = Box::pin(well_behaved(notes.clone(), "loser"));
            match select(loser, Box::pin(sleep(MS))).await {
                Either::Left(_) => unreachable!(),
                Either::Right(((), loser)) => drop(loser),
            }
            assert!(catch_cancelled(sleep(HOUR)).await.is_err());
        }
    });
    sleep(MS).await;
    cancel_when_waiting(task).await.unwrap();
    assert!(trace.take().is_empty());
}

/// A timeout behind a sub-executor expires in its own time, and delivers inside.
#[asyncio::test(virtual_time)]
async fn timeouts_in_a_sub_executor_expire_one_by_one() {
    let trace = Trace::new();
    let many: FuturesUnordered<_> = [3, 1, 2]
        .into_iter()
        .map(|n| {
            let notes = trace.clone();
            async move {
                let body = finally(sleep(HOUR), async || {
                    sleep(MS).await;
                    notes.note(format!("{n}"));
                });
                timeout(n * MS, body).await.unwrap_err();
            }
        })
        .collect();
    assert_eq!(many.collect::<Vec<_>>().await.len(), 3);
    assert_eq!(trace.take(), ["1", "2", "3"]);
    ready(()).await;
}
