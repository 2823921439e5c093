//! Cancellation through futures that poll only what was woken: `FuturesUnordered`, `join_all`, `select!`, `buffered`.
//!
//! The rule (issue 3): the innermost scope is reached whatever lies between it and the task. Several that wait side by
//! side receive a request one after another, if each raises it again; the first that swallows it keeps it.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio::{CancelReason, JoinError, Task, TaskGroup, catch_cancelled, finally, sleep, timeout};
use futures_util::future::{Either, FutureExt, LocalBoxFuture, join, join_all, select};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use support::trace::Trace;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn error_of<T>(outcome: Result<T, JoinError>) -> JoinError {
    outcome.map(|_value| ()).unwrap_err()
}

/// Somebody else's future, which knows of no request and wakes itself again and again.
async fn busy() {
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

/// `future` behind so many others that a sub-executor yields several times before it polls it.
async fn behind_busy_ones(count: usize, future: impl Future<Output = ()>) {
    let many = FuturesUnordered::new();
    for _ in 0..count {
        many.push(Either::Left(busy()));
    }
    many.push(Either::Right(future));
    many.collect::<Vec<()>>().await;
}

/// `body` in a scope that notes a request, and raises it again.
async fn scope(trace: Trace, name: &'static str, body: impl Future<Output = ()>) {
    if let Err(cancelled) = catch_cancelled(body).await {
        trace.note(name);
        cancelled.raise().await
    }
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

/// Nested ones too: the scope between them waits for the one inside of it.
#[asyncio::test]
async fn the_innermost_scope_in_nested_busy_sub_executors_is_the_first() {
    for count in [5, 60] {
        let trace = Trace::new();
        let notes = trace.clone();
        let task = asyncio::spawn(async move {
            let waits = async {
                notes.note("waits");
                pending::<()>().await;
            };
            let inner = behind_busy_ones(count, scope(notes.clone(), "inner", waits));
            let middle = behind_busy_ones(count, scope(notes.clone(), "middle", inner));
            scope(notes.clone(), "outer", middle).await;
        });
        while trace.take().is_empty() {
            asyncio::yield_now().await;
        }
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        assert_eq!(trace.take(), ["inner", "middle", "outer"], "with {count}");
    }
}

/// The same if the request comes before the scopes have waited more than once.
#[asyncio::test]
async fn the_innermost_scope_is_the_first_from_its_first_poll_on() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let both = FuturesUnordered::new();
        let inner = FuturesUnordered::new();
        inner.push(Either::Left(scope(notes.clone(), "inner", pending())));
        for _ in 0..5 {
            inner.push(Either::Right(busy()));
        }
        let middle = scope(
            notes.clone(),
            "middle",
            inner.collect::<Vec<()>>().map(drop),
        );
        both.push(Either::Left(middle));
        both.push(Either::Right(async {
            asyncio::current_task().unwrap().cancel();
        }));
        both.collect::<Vec<()>>().await;
    });
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["inner", "middle"]);
}

/// Every scope inside of a scope cleans up before that one does, whatever lies between.
#[asyncio::test]
async fn all_inner_scopes_clean_up_before_the_one_around_them_in_a_sub_executor() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let inner: FuturesUnordered<_> = (0..3)
            .map(|_| well_behaved(notes.clone(), "inner"))
            .collect();
        let middle = scope(
            notes.clone(),
            "middle",
            inner.collect::<Vec<()>>().map(drop),
        );
        behind_busy_ones(5, middle).await;
    });
    sleep(MS).await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["inner", "inner", "inner", "middle"]);
}

/// The body of a group and that of a generator are scopes as well: they do not give up what was not reached yet.
#[asyncio::test]
async fn bodies_of_groups_and_generators_wait_for_busy_sub_executors() {
    let trace = Trace::new();
    let notes = trace.clone();
    let grouped = async move {
        let inner = behind_busy_ones(5, scope(notes, "in a group", pending()));
        behind_busy_ones(5, async {
            drop(TaskGroup::scope(async |_| inner.await).await);
        })
        .await;
    };
    let notes = trace.clone();
    let generated = async move {
        let mut values = asyncio::generator(async move |y| {
            behind_busy_ones(5, scope(notes, "in a generator", pending())).await;
            y.emit(()).await;
        });
        behind_busy_ones(5, async {
            values.next().await;
        })
        .await;
    };
    for task in [asyncio::spawn(grouped), asyncio::spawn(generated)] {
        sleep(MS).await;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
    }
    assert_eq!(trace.take(), ["in a group", "in a generator"]);
}

/// An expiry is for the code inside of the timeout: while that is not reached, nobody beside it takes it.
#[asyncio::test]
async fn an_expiry_that_has_not_arrived_yet_goes_to_no_sibling() {
    for in_sub_executor in [false, true] {
        let trace = Trace::new();
        let slow = async {
            let inner = async {
                let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
                assert_eq!(expiry.reason(), CancelReason::Deadline);
                trace.note("inside");
                expiry.raise().await
            };
            let outcome = timeout(MS, behind_busy_ones(5, inner)).await;
            assert!(outcome.is_err());
            trace.note("timed out");
        };
        let sibling = FuturesUnordered::new();
        sibling.push(scope(trace.clone(), "sibling", sleep(20 * MS)));
        let sibling = sibling.collect::<Vec<()>>().map(drop);
        if in_sub_executor {
            let both: FuturesUnordered<Either<_, _>> = [Either::Left(slow), Either::Right(sibling)]
                .into_iter()
                .collect();
            both.collect::<Vec<()>>().await;
        } else {
            join(slow, sibling).await;
        }
        assert_eq!(trace.take(), ["inside", "timed out"]);
        assert_eq!(asyncio::current_task().unwrap().cancelling(), 0);
    }
}

/// The same for the closing of a generator, which has to get to the end of its body's cleanup.
#[asyncio::test]
async fn closing_a_generator_reaches_through_a_busy_sub_executor() {
    let trace = Trace::new();
    let notes = trace.clone();
    let mut values = asyncio::generator(async move |y| {
        let emitting = async {
            y.emit(()).await;
        };
        behind_busy_ones(5, finally(emitting, async || notes.note("cleaned up"))).await;
    });
    assert_eq!(values.next().await, Some(()));
    values.aclose().await;
    assert_eq!(trace.take(), ["cleaned up"]);
}

/// One that is polled no more never answers, and one that is busy for ever is no reason to wait for it for ever.
#[asyncio::test]
async fn a_sub_executor_that_is_not_polled_holds_nobody_up_beside_a_busy_one() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let mut dormant = Box::pin(well_behaved(notes.clone(), "dormant"));
        let asleep = FuturesUnordered::new();
        asleep.push(poll_fn(|cx| dormant.as_mut().poll(cx)).boxed_local());
        let asleep = Rc::new(RefCell::new(asleep));
        let begin = asleep.clone();
        let middle = async move {
            // Polled once, and never again.
            poll_fn(|cx| {
                assert!(begin.borrow_mut().poll_next_unpin(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            busy().await;
        };
        behind_busy_ones(5, scope(notes.clone(), "middle", middle)).await;
        drop(asleep);
    });
    sleep(MS).await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["middle"]);
}

/// A scope that has let another one go first is asked again when that is dropped by somebody else.
#[asyncio::test(virtual_time)]
async fn a_scope_goes_on_when_the_one_it_waits_for_is_dropped() {
    let trace = Trace::new();
    let notes = trace.clone();
    let inner = Rc::new(RefCell::new(FuturesUnordered::new()));
    let dropper = Rc::new(Cell::new(false));
    let task = asyncio::spawn({
        let (inner, dropper) = (inner.clone(), dropper.clone());
        async move {
            inner
                .borrow_mut()
                .push(well_behaved(notes.clone(), "dropped").boxed_local());
            let polled = Cell::new(0);
            let middle = poll_fn(|cx| {
                polled.set(polled.get() + 1);
                if polled.get() == 1 {
                    assert!(inner.borrow_mut().poll_next_unpin(cx).is_pending());
                }
                Poll::<()>::Pending
            });
            let drops = poll_fn(|cx| {
                if dropper.get() {
                    inner.borrow_mut().clear();
                }
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            });
            let both: FuturesUnordered<Either<_, _>> = [
                Either::Left(scope(notes.clone(), "middle", middle)),
                Either::Right(drops),
            ]
            .into_iter()
            .collect();
            both.collect::<Vec<()>>().await;
        }
    });
    asyncio::yield_now().await;
    asyncio::yield_now().await;
    task.cancel();
    dropper.set(true);
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["middle"]);
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

/// A sub-executor whose future waits already, and is not woken by its new place.
async fn polled_once(
    future: impl Future<Output = ()> + 'static,
) -> FuturesUnordered<LocalBoxFuture<'static, ()>> {
    let mut inner: FuturesUnordered<_> = [future.boxed_local()].into_iter().collect();
    assert!(inner.next().now_or_never().is_none());
    inner
}

async fn all<const N: usize>(futures: [LocalBoxFuture<'_, ()>; N]) {
    let all: FuturesUnordered<_> = futures.into_iter().collect();
    all.collect::<Vec<()>>().await;
}

/// A scope that waits in a sub-executor is still the first when that is moved into another scope, and not polled there.
#[asyncio::test]
async fn a_scope_that_was_moved_into_another_one_is_reached_before_that() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let moved = async {
            let inner = polled_once(scope(notes.clone(), "inner", pending())).await;
            // It has much to do before it polls the first one.
            let busy_ones = (0..5).map(|_| busy().boxed_local());
            busy_ones.for_each(|it| inner.push(it));
            scope(
                notes.clone(),
                "around",
                inner.collect::<Vec<()>>().map(drop),
            )
            .await;
        };
        all([moved.boxed_local()]).await;
    });
    asyncio::yield_now().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["inner", "around"]);
}

/// Also one that has lived in another scope, which lives on.
#[asyncio::test]
async fn a_scope_that_was_handed_over_between_two_is_reached_before_its_new_one() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let handed_over = RefCell::new(None);
        let is_there = asyncio::sync::Event::new();
        let giver = async {
            let inner = polled_once(scope(notes.clone(), "inner", pending())).await;
            let busy_ones = (0..5).map(|_| busy().boxed_local());
            busy_ones.for_each(|it| inner.push(it));
            *handed_over.borrow_mut() = Some(inner);
            is_there.set();
            pending::<()>().await;
        };
        let taker = async {
            is_there.wait().await;
            let inner = handed_over.borrow_mut().take().unwrap();
            inner.collect::<Vec<()>>().await;
        };
        let taker = scope(notes.clone(), "taker", taker);
        let giver = scope(notes.clone(), "giver", giver);
        all([taker.boxed_local(), giver.boxed_local()]).await;
    });
    for _ in 0..3 {
        asyncio::yield_now().await;
    }
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    let notes = trace.take();
    let place = |name| notes.iter().position(|it| *it == name);
    assert!(
        place("inner").is_some() && place("inner") < place("taker"),
        "{notes:?}"
    );
}

/// An expiry finds it as well.
#[asyncio::test(virtual_time)]
async fn an_expiry_reaches_a_scope_that_was_moved_into_its_timeout() {
    let trace = Trace::new();
    let notes = trace.clone();
    let moved = async move {
        let inner = polled_once(well_behaved(notes.clone(), "inner")).await;
        let outcome = timeout(MS, inner.collect::<Vec<()>>()).await;
        assert!(outcome.is_err());
        notes.note("timed out");
    };
    all([moved.boxed_local()]).await;
    assert_eq!(trace.take(), ["inner", "timed out"]);
}
