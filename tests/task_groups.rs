//! `TaskGroup`: semantics 4.8, with the names of CPython's own cases (semantics 7.4) where a test is one of them.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio::{
    CancelReason, JoinError, TaskGroup, TaskGroupError, catch_cancelled, finally, sleep,
};
use support::trace::{Trace, reports_of};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn current() -> asyncio::TaskRef {
    asyncio::current_task().unwrap()
}

/// The errors' own texts, in their order.
fn texts(error: &TaskGroupError) -> Vec<String> {
    error
        .failures()
        .iter()
        .map(|failure| failure.error().to_string())
        .collect()
}

async fn fail_after(duration: Duration, text: &'static str) -> Result<(), &'static str> {
    sleep(duration).await;
    Err(text)
}

/// Runs what is ready, and what that makes ready.
async fn settle() {
    for _ in 0..5 {
        asyncio::yield_now().await;
    }
}

// ----- values -----

/// test_taskgroup_01
#[asyncio::test(virtual_time)]
async fn a_scope_gives_its_bodys_value_when_all_children_have_ended() {
    let trace = Trace::new();
    let notes = trace.clone();
    let value = TaskGroup::scope(async |group| {
        let late = notes.clone();
        group.spawn(async move {
            sleep(10 * MS).await;
            late.note("child");
        });
        notes.note("body");
        7
    })
    .await;
    trace.note("scope");
    assert_eq!(value.unwrap(), 7);
    assert_eq!(trace.take(), ["body", "child", "scope"]);
}

/// test_taskgroup_02: the handles give the children's values.
#[asyncio::test]
async fn children_can_be_awaited_in_the_body() {
    let sum = TaskGroup::scope(async |group| {
        let one = group.spawn(async { 1 });
        let two = group.spawn(async { Ok::<_, std::fmt::Error>(2) });
        Ok::<u32, JoinError>(one.await? + two.await?)
    });
    assert_eq!(sum.await.unwrap(), 3);
}

#[asyncio::test]
async fn an_empty_group_is_over_with_its_body() {
    assert_eq!(
        TaskGroup::scope(async |_group| "done").await.unwrap(),
        "done"
    );
}

/// test_taskgroup_24: a child may start others, through a clone of the group.
#[asyncio::test(virtual_time)]
async fn children_may_start_children_while_the_scope_waits() {
    fn grow(group: TaskGroup, trace: Trace, depth: u32) {
        let handle = group.clone();
        group.spawn(async move {
            sleep(MS).await;
            trace.note(format!("depth {depth}"));
            if depth < 3 {
                grow(handle, trace, depth + 1);
            }
        });
    }
    let trace = Trace::new();
    let notes = trace.clone();
    TaskGroup::scope(async |group| grow(group.clone(), notes, 1))
        .await
        .unwrap();
    assert_eq!(trace.take(), ["depth 1", "depth 2", "depth 3"]);
}

/// test_taskgroup_23: or a server that starts a child for each connection would never stop growing.
#[asyncio::test]
async fn ended_children_are_let_go_of_while_the_body_runs() {
    TaskGroup::scope(async |group| {
        for _ in 0..100 {
            group.spawn(async {});
            settle().await;
        }
        assert_eq!(format!("{group:?}"), "<TaskGroup tasks=0 errors=0 entered>");
    })
    .await
    .unwrap();
}

#[asyncio::test]
async fn children_have_names_and_contexts() {
    asyncio::context_var!(static WHO: &'static str);
    TaskGroup::scope(async |group| {
        let context = asyncio::copy_context();
        let named = asyncio::task().name("worker").context(context.clone());
        let child = named.spawn_in(group, async {
            WHO.set("child");
            current().name()
        });
        assert_eq!(child.await.unwrap(), "worker");
        assert_eq!(context.run(|| WHO.get()), Ok(Some("child")));
    })
    .await
    .unwrap();
}

// ----- failures -----

/// test_taskgroup_04, test_cancel_children_on_child_error
#[asyncio::test(virtual_time)]
async fn the_first_failure_cancels_siblings_and_body() {
    let trace = Trace::new();
    let notes = trace.clone();
    let error = TaskGroup::scope(async |group| {
        let (sibling, body) = (notes.clone(), notes.clone());
        group.spawn(fail_after(MS, "boom"));
        group.spawn(async move {
            let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
            assert_eq!(cancelled.reason(), CancelReason::Parent);
            sleep(MS).await;
            sibling.note("sibling cleaned up");
            cancelled.raise().await
        });
        finally(sleep(HOUR), async || {
            sleep(10 * MS).await;
            body.note("body cleaned up");
        })
        .await;
        unreachable!("the body was interrupted");
    })
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["boom"]);
    assert_eq!(trace.take(), ["sibling cleaned up", "body cleaned up"]);
    assert_eq!(current().cancelling(), 0);
    sleep(MS).await; // nothing is left to be delivered
}

/// test_taskgroup_08, 11: nothing is lost, and the order is that of the events.
#[asyncio::test(virtual_time)]
async fn every_error_is_kept_in_the_order_in_which_it_happened() {
    let error = TaskGroup::scope(async |group| {
        group.spawn(async {
            let _ = catch_cancelled(sleep(HOUR)).await;
            fail_after(2 * MS, "second child").await
        });
        group.spawn(fail_after(MS, "first"));
        group.spawn(async {
            finally(sleep(HOUR), async || panic!("third child")).await;
        });
        let _ = catch_cancelled(sleep(HOUR)).await;
        sleep(MS).await;
        Err::<(), _>("body")
    })
    .await
    .unwrap_err();
    let texts = texts(&error);
    assert_eq!(texts[0], "first");
    assert!(texts[1].ends_with("panicked: third child"), "{texts:?}");
    assert_eq!(texts[2..], ["body", "second child"]);
    let whose: Vec<_> = error
        .failures()
        .iter()
        .map(|failure| failure.task().is_some())
        .collect();
    assert_eq!(whose, [true, true, false, true]);
    assert!(error.failures()[1].is_panic());
}

#[asyncio::test]
async fn an_error_says_whose_it_is() {
    let error = TaskGroup::scope(async |group| {
        asyncio::task()
            .name("fetch")
            .spawn_in(group, fail_after(Duration::ZERO, "no such host"));
    })
    .await
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("unhandled error in a task group: <Task name='fetch' spawned at "),
        "{text}"
    );
    assert!(text.ends_with(": no such host"), "{text}");
    let failure = error.into_failures().pop().unwrap();
    assert_eq!(failure.task().unwrap().name(), "fetch");
    assert!(failure.into_error().downcast::<std::io::Error>().is_err());
}

/// An error of the program's own type comes out as that type.
#[asyncio::test]
async fn errors_can_be_downcast() {
    let error = TaskGroup::scope(async |group| {
        group.spawn(async { Err::<(), _>(std::io::Error::other("disk full")) });
    })
    .await
    .unwrap_err();
    let failure = error.into_failures().pop().unwrap().into_error();
    assert_eq!(
        failure.downcast::<std::io::Error>().unwrap().kind(),
        std::io::ErrorKind::Other
    );
}

#[asyncio::test]
async fn whoever_awaits_a_failed_child_learns_where_its_error_is() {
    let seen = Rc::new(RefCell::new(None));
    let slot = seen.clone();
    let error = TaskGroup::scope(async |group| {
        let child = group.spawn(fail_after(Duration::ZERO, "boom"));
        // Not interrupted by the failure, as it is no longer in the body.
        drop(asyncio::spawn(async move {
            *slot.borrow_mut() = Some(child.await.unwrap_err())
        }));
    });
    assert_eq!(texts(&error.await.unwrap_err()), ["boom"]);
    settle().await;
    let seen = seen.borrow_mut().take().unwrap();
    assert!(seen.is_failed() && !seen.is_cancelled() && !seen.is_panic());
    assert!(
        seen.to_string()
            .ends_with("failed; its task group has the error"),
        "{seen}"
    );
}

/// test_taskgroup_03
#[asyncio::test]
async fn a_cancelled_child_is_no_error() {
    let value = TaskGroup::scope(async |group| {
        let child = group.spawn(sleep(HOUR));
        settle().await;
        child.cancel();
        assert!(child.await.unwrap_err().is_cancelled());
        7
    });
    assert_eq!(value.await.unwrap(), 7);
}

/// test_taskgroup_09, 10
#[asyncio::test(virtual_time)]
async fn an_error_of_the_body_cancels_the_children() {
    let trace = Trace::new();
    let notes = trace.clone();
    let error = TaskGroup::scope(async |group| {
        group.spawn(finally(sleep(HOUR), async move || {
            sleep(MS).await;
            notes.note("child cleaned up");
        }));
        sleep(MS).await;
        Err::<(), _>("body")
    })
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["body"]);
    assert_eq!(trace.take(), ["child cleaned up"]);
}

/// test_taskgroup_17, 18: the body may turn its interruption into another error.
#[asyncio::test(virtual_time)]
async fn a_body_may_answer_its_interruption_with_an_error() {
    let error = TaskGroup::scope(async |group| {
        group.spawn(fail_after(MS, "child"));
        match catch_cancelled(sleep(HOUR)).await {
            Ok(()) => Ok(()),
            Err(_cancelled) => Err("body"),
        }
    })
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["child", "body"]);
    assert_eq!(current().cancelling(), 0);
}

/// A body that swallows its interruption still has failed children.
#[asyncio::test(virtual_time)]
async fn a_body_that_swallows_its_interruption_loses_its_value_to_the_error() {
    let error = TaskGroup::scope(async |group| {
        group.spawn(fail_after(MS, "child"));
        let _ = catch_cancelled(sleep(HOUR)).await;
        assert_eq!(current().cancelling(), 1);
        sleep(MS).await; // asked once, not again
        7
    })
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["child"]);
    assert_eq!(current().cancelling(), 0);
}

/// test_taskgroup_13, 14
#[asyncio::test(virtual_time)]
async fn a_failure_of_the_outer_group_reaches_through_the_inner_one() {
    let trace = Trace::new();
    let notes = trace.clone();
    let error = TaskGroup::scope(async |outer| {
        outer.spawn(fail_after(MS, "outer"));
        TaskGroup::scope(async |inner| {
            inner.spawn(finally(sleep(HOUR), async move || {
                sleep(MS).await;
                notes.note("inner child cleaned up");
            }));
        })
        .await
    })
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["outer"]);
    assert_eq!(trace.take(), ["inner child cleaned up"]);
}

/// test_taskgroup_12: groups nest, and so do their errors.
#[asyncio::test(virtual_time)]
async fn the_error_of_an_inner_group_is_an_error_of_the_outer_ones_body() {
    let error = TaskGroup::scope(async |_outer| {
        TaskGroup::scope(async |inner| {
            inner.spawn(fail_after(MS, "one"));
            inner.spawn(async {
                let _ = catch_cancelled(sleep(HOUR)).await;
                Err::<(), _>("two")
            });
        })
        .await
    })
    .await
    .unwrap_err();
    let inner = error
        .into_failures()
        .pop()
        .unwrap()
        .into_error()
        .downcast::<TaskGroupError>()
        .unwrap();
    assert_eq!(texts(&inner), ["one", "two"]);
    assert!(
        inner
            .to_string()
            .starts_with("2 unhandled errors in a task group: "),
        "{inner}"
    );
}

/// issue 3; a main that panics has its panic, and the others are told.
#[asyncio::test(virtual_time)]
async fn a_panic_of_the_body_goes_on_when_the_children_have_ended() {
    let trace = Trace::new();
    let reports = reports_of(&asyncio::running_loop());
    let notes = trace.clone();
    let panicked = asyncio::spawn(async move {
        TaskGroup::scope(async |group| {
            group.spawn(async move {
                let _ = catch_cancelled(sleep(HOUR)).await;
                notes.note("child cleaned up");
                Err::<(), _>("child")
            });
            sleep(MS).await;
            panic!("body");
        })
        .await
    });
    let payload = panicked.await.unwrap_err().into_panic();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"body"));
    assert_eq!(trace.take(), ["child cleaned up"]);
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert!(
        reports[0]
            .starts_with("TaskGroup task exception was not propagated because the body panicked: "),
        "{reports:?}"
    );
}

// ----- requests from outside -----

/// test_taskgroup_07: the children end before the task does.
#[asyncio::test(virtual_time)]
async fn a_request_reaches_body_and_children_before_it_goes_on() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let scope = TaskGroup::scope(async |group| {
            let child = notes.clone();
            group.spawn(finally(sleep(HOUR), async move || {
                sleep(2 * MS).await;
                child.note("child");
            }));
            finally(sleep(HOUR), async || {
                sleep(MS).await;
                notes.note("body");
            })
            .await;
        });
        let cancelled = catch_cancelled(scope).await.unwrap_err();
        assert_eq!(cancelled.message(), Some("enough"));
        assert_eq!(cancelled.reason(), CancelReason::User);
        notes.note("scope");
        assert_eq!(current().cancelling(), 1);
        cancelled.raise().await
    });
    sleep(MS).await;
    task.cancel_with("enough");
    let outcome: Result<(), _> = task.await;
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(trace.take(), ["body", "child", "scope"]);
}

/// test_taskgroup_22
#[asyncio::test(virtual_time)]
async fn a_request_during_the_last_wait_cancels_the_children() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(TaskGroup::scope(async move |group| {
        group.spawn(finally(sleep(HOUR), async move || {
            sleep(MS).await;
            notes.note("child");
        }));
    }));
    sleep(MS).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(trace.take(), ["child"]);
}

/// semantics 4.8: re-waiting; a second request interrupts the children's cleanup, as it does for an awaited task.
#[asyncio::test(virtual_time)]
async fn a_further_request_is_handed_to_the_children_again() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(TaskGroup::scope(async move |group| {
        group.spawn(async move {
            for round in 1..=2 {
                let _ = catch_cancelled(sleep(HOUR)).await;
                notes.note(format!("request {round}"));
            }
        });
    }));
    sleep(MS).await;
    task.cancel();
    sleep(MS).await;
    assert_eq!(trace.take(), ["request 1"]);
    assert!(!task.is_finished());
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(trace.take(), ["request 2"]);
}

/// test_taskgroup_15, 16; gh-155433, gh-116720: the error comes out, and the request with it, at the next await.
#[asyncio::test(virtual_time)]
async fn a_request_that_comes_with_an_error_is_delivered_at_the_next_await() {
    let task = asyncio::spawn(async {
        let error = TaskGroup::scope(async |group| {
            group.spawn(async {
                let _ = catch_cancelled(sleep(HOUR)).await;
                Err::<(), _>("child")
            });
            sleep(HOUR).await;
        })
        .await
        .unwrap_err();
        assert_eq!(texts(&error), ["child"]);
        assert_eq!(current().cancelling(), 1);
        let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
        assert_eq!(cancelled.message(), Some("both"));
        sleep(MS).await; // and once only
        "lived"
    });
    sleep(MS).await;
    task.cancel_with("both");
    assert_eq!(task.await.unwrap(), "lived");
}

/// The same without a next await: the error is not lost to the request. semantics 2.6, "ExceptionGroup out of main".
#[asyncio::test(virtual_time)]
async fn an_error_that_comes_with_a_request_is_the_tasks_value() {
    let task = asyncio::spawn(async {
        TaskGroup::scope(async |group| {
            group.spawn(async {
                let _ = catch_cancelled(sleep(HOUR)).await;
                Err::<(), _>("child")
            });
            sleep(HOUR).await;
        })
        .await
    });
    sleep(MS).await;
    task.cancel();
    assert_eq!(texts(&task.await.unwrap().unwrap_err()), ["child"]);
}

/// test_taskgroup_error_and_cancel, nested_groups_both_cancelled: at the same moment, in the same turn.
#[asyncio::test(virtual_time)]
async fn a_request_in_the_turn_of_a_failure_is_neither_lost_nor_made_up() {
    let task = asyncio::spawn(async {
        let error = TaskGroup::scope(async |group| {
            group.spawn(fail_after(MS, "child"));
            sleep(HOUR).await;
        })
        .await
        .unwrap_err();
        assert_eq!(texts(&error), ["child"]);
        assert_eq!(current().cancelling(), 1);
        assert!(catch_cancelled(sleep(HOUR)).await.is_err());
        current().uncancel()
    });
    let canceller = task.task_ref();
    asyncio::running_loop().call_later(MS, move || {
        canceller.cancel();
    });
    assert_eq!(task.await.unwrap(), 0);
}

/// test_taskgroup_cancelling_level_preserved; and a request that was swallowed long ago is not brought up again.
#[asyncio::test(virtual_time)]
async fn an_earlier_request_is_neither_claimed_nor_delivered_again() {
    let task = asyncio::spawn(async {
        let _ = catch_cancelled(sleep(HOUR)).await;
        assert_eq!(current().cancelling(), 1);
        let error = TaskGroup::scope(async |group| {
            group.spawn(fail_after(MS, "child"));
            sleep(HOUR).await;
        })
        .await
        .unwrap_err();
        assert_eq!(texts(&error), ["child"]);
        assert_eq!(current().cancelling(), 1);
        sleep(MS).await;
        "undisturbed"
    });
    sleep(MS).await;
    task.cancel();
    assert_eq!(task.await.unwrap(), "undisturbed");
}

/// gh-155433: a swallowed request inside of the body leaves the group working.
#[asyncio::test(virtual_time)]
async fn a_body_may_swallow_a_request_from_outside() {
    let task = asyncio::spawn(TaskGroup::scope(async |group| {
        let child = group.spawn(async {
            sleep(5 * MS).await;
            "undisturbed"
        });
        let _ = catch_cancelled(sleep(HOUR)).await;
        child.await.unwrap()
    }));
    sleep(MS).await;
    task.cancel();
    assert_eq!(task.await.unwrap().unwrap(), "undisturbed");
}

#[asyncio::test(virtual_time)]
async fn a_timeout_around_a_scope_ends_it_in_order() {
    let trace = Trace::new();
    let notes = trace.clone();
    let scope = TaskGroup::scope(async move |group| {
        group.spawn(finally(sleep(HOUR), async move || {
            sleep(MS).await;
            notes.note("child");
        }));
    });
    assert!(asyncio::timeout(MS, scope).await.is_err());
    assert_eq!(trace.take(), ["child"]);
    assert_eq!(current().cancelling(), 0);
}

// ----- stopping -----

/// test_taskgroup_no_create_task_after_failure, 25 ("hydra"); gh-128550
#[asyncio::test(virtual_time)]
async fn a_child_of_a_stopping_group_never_starts() {
    let trace = Trace::new();
    let notes = trace.clone();
    let error = TaskGroup::scope(async |group| {
        let handle = group.clone();
        group.spawn(async move {
            let _ = catch_cancelled(sleep(HOUR)).await;
            let late = handle.spawn(async move { notes.note("started") });
            assert!(late.await.unwrap_err().is_cancelled());
        });
        group.spawn(fail_after(MS, "boom"));
    })
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["boom"]);
    assert!(trace.take().is_empty());
}

/// test_taskgroup_finished
#[asyncio::test]
async fn a_child_of_a_finished_group_never_starts() {
    let group = TaskGroup::scope(async |group| Ok::<_, JoinError>(group.clone()))
        .await
        .unwrap();
    let started = Rc::new(Cell::new(false));
    let flag = started.clone();
    let error = group
        .spawn(async move { flag.set(true) })
        .await
        .unwrap_err();
    assert!(!started.get());
    assert_eq!(
        error.cancelled().unwrap().message(),
        Some("its task group is stopping or over")
    );
    assert_eq!(
        format!("{group:?}"),
        "<TaskGroup tasks=0 errors=0 finished>"
    );
}

/// gh-128588, test_taskgroup_cancel_*: from the body, from a child, twice.
#[asyncio::test(virtual_time)]
async fn a_group_may_be_cancelled_by_itself() {
    let from_body = TaskGroup::scope(async |group| {
        group.spawn(sleep(HOUR));
        group.cancel();
        group.cancel();
        sleep(HOUR).await;
    });
    let error = from_body.await.unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.to_string(), "the task group was cancelled");
    let from_child = TaskGroup::scope(async |group| {
        let handle = group.clone();
        group.spawn(async move { handle.cancel() });
        sleep(HOUR).await;
    });
    assert!(from_child.await.unwrap_err().is_cancelled());
    let after_the_body = TaskGroup::scope(async |group| {
        let handle = group.clone();
        group.spawn(async move {
            sleep(MS).await;
            handle.cancel();
        });
        7
    });
    assert_eq!(after_the_body.await.unwrap(), 7);
    assert_eq!(current().cancelling(), 0);
}

/// gh-108951: a request from outside is kept when the group is cancelled at the same time.
#[asyncio::test(virtual_time)]
async fn cancelling_a_group_swallows_no_foreign_request() {
    let handle = Rc::new(RefCell::new(None));
    let slot = handle.clone();
    let task = asyncio::spawn(TaskGroup::scope(async move |group| {
        *slot.borrow_mut() = Some(group.clone());
        sleep(HOUR).await;
    }));
    sleep(MS).await;
    handle.borrow().as_ref().unwrap().cancel();
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
}

/// Nothing outlives the scope, not even the future of a child that never starts.
#[asyncio::test]
async fn a_child_started_in_a_stopping_group_has_ended_when_the_scope_has() {
    let trace = Trace::new();
    let guard = trace.on_drop("future dropped");
    let error = TaskGroup::scope(async |group| {
        group.cancel();
        group.spawn(async move { drop(guard) });
        asyncio::yield_now().await;
    })
    .await
    .unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(trace.take(), ["future dropped"]);
}

/// Also where a child that has ended has left its place to a later one.
#[asyncio::test]
async fn children_are_cancelled_in_the_order_in_which_they_were_started() {
    let trace = Trace::new();
    let waits = |name: &'static str| {
        let notes = trace.clone();
        async move {
            let _dropped = notes.on_drop(name);
            pending::<()>().await;
        }
    };
    TaskGroup::scope(async |group| {
        group.spawn(async {});
        group.spawn(async {});
        settle().await;
        for name in ["first", "second", "third"] {
            group.spawn(waits(name));
        }
        settle().await;
        group.cancel();
    })
    .await
    .unwrap();
    assert_eq!(trace.take(), ["first", "second", "third"]);
}

// ----- dropping -----

/// issue 3: nothing outlives the scope, also when the scope itself is dropped.
#[asyncio::test]
async fn a_dropped_scope_takes_its_children_along() {
    let trace = Trace::new();
    let notes = trace.clone();
    {
        let mut scope = pin!(TaskGroup::scope(async |group| {
            let (one, two) = (notes.on_drop("one"), notes.on_drop("two"));
            group.spawn(async move {
                let _one = one;
                pending::<()>().await;
            });
            // Has not begun when the scope is dropped.
            asyncio::yield_now().await;
            group.spawn(async move {
                let _two = two;
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(scope.as_mut().poll(&mut cx).is_pending());
        settle().await;
        assert!(scope.as_mut().poll(&mut cx).is_pending());
        assert!(trace.take().is_empty());
    }
    assert_eq!(trace.take(), ["one", "two"]);
    assert_eq!(asyncio::all_tasks().len(), 1);
}

/// The child that drops its own scope is further up on the stack: it ends when it next waits.
#[asyncio::test]
async fn a_child_that_drops_its_own_scope_ends_where_it_next_waits() {
    type Parent = std::pin::Pin<Box<dyn Future<Output = Result<(), TaskGroupError>>>>;
    let trace = Trace::new();
    let parent: Rc<RefCell<Option<Parent>>> = Rc::default();
    let (notes, slot) = (trace.clone(), parent.clone());
    *parent.borrow_mut() = Some(Box::pin(TaskGroup::scope(async move |group| {
        group.spawn(async move {
            let _guard = notes.on_drop("child dropped");
            let scope = slot.borrow_mut().take();
            drop(scope);
            notes.note("scope dropped");
            asyncio::yield_now().await;
            notes.note("unreachable");
        });
        pending::<()>().await;
    })));
    let mut cx = Context::from_waker(Waker::noop());
    let polled = parent.borrow_mut().as_mut().unwrap().as_mut().poll(&mut cx);
    assert!(polled.is_pending());
    settle().await;
    assert_eq!(trace.take(), ["scope dropped", "child dropped"]);
}

#[asyncio::test(leftovers = "cancel")]
async fn a_panic_beside_a_scope_takes_its_children_along() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let mut scope = pin!(TaskGroup::scope(async |group| {
            let guard = notes.on_drop("child");
            group.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        std::future::poll_fn(|cx| {
            assert!(scope.as_mut().poll(cx).is_pending());
            if notes.len() == 0 {
                notes.note("once");
                cx.waker().wake_by_ref();
                return Poll::<()>::Pending;
            }
            panic!("beside")
        })
        .await;
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(trace.take(), ["once", "child"]);
}

// ----- misuse -----

/// test_taskgroup_without_parent_task
#[test]
fn a_scope_outside_of_a_task_panics_with_the_remedy() {
    let mut scope = pin!(TaskGroup::scope(async |_group| ()));
    let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _ = scope.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    let text = *polled.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(
        text,
        "TaskGroup cannot determine the parent task: await `TaskGroup::scope` in a task"
    );
}

/// Many children, one wake-up: the scope is not polled for each.
#[asyncio::test]
async fn a_thousand_children_end_with_few_polls_of_the_body() {
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    TaskGroup::scope(async move |group| {
        let children: Vec<_> = (0..1000).map(|n| group.spawn(async move { n })).collect();
        let mut last = pin!(children.into_iter().last().unwrap());
        std::future::poll_fn(|cx| {
            count.set(count.get() + 1);
            last.as_mut().poll(cx)
        })
        .await
        .unwrap();
    })
    .await
    .unwrap();
    assert!(polls.get() <= 3, "{}", polls.get());
}

/// semantics 4.8: `cancel()` after the exit does nothing.
#[asyncio::test]
async fn cancelling_a_group_after_its_end_does_nothing() {
    let kept = Rc::new(RefCell::new(None));
    let scope = TaskGroup::scope(async |group| {
        *kept.borrow_mut() = Some(group.clone());
        7
    });
    assert_eq!(scope.await.unwrap(), 7);
    kept.borrow().as_ref().unwrap().cancel();
    asyncio::yield_now().await;
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.8: the parent is cancelled once, however many children fail.
#[asyncio::test(virtual_time)]
async fn several_failures_interrupt_the_body_once() {
    let interruptions = Cell::new(0);
    let scope = TaskGroup::scope(async |group| {
        for n in 1..=3 {
            group.spawn(async move {
                let _cancelled = catch_cancelled(sleep(n * MS)).await;
                Err::<(), _>("failed")
            });
        }
        let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
        interruptions.set(interruptions.get() + 1);
        assert_eq!(current().cancelling(), 1);
        sleep(MS).await; // nothing interrupts this
        cancelled.raise().await
    });
    let Err(error) = scope.await;
    assert_eq!(error.failures().len(), 3);
    assert_eq!((interruptions.get(), current().cancelling()), (1, 0));
}

/// semantics 4.8: the representation of a group that stops.
#[asyncio::test(virtual_time)]
async fn a_groups_representation_names_its_state() {
    let scope = TaskGroup::scope(async |group| {
        group.spawn(finally(sleep(HOUR), async || sleep(MS).await));
        group.spawn(fail_after(MS, "failed"));
        assert_eq!(format!("{group:?}"), "<TaskGroup tasks=2 errors=0 entered>");
        let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
        assert_eq!(
            format!("{group:?}"),
            "<TaskGroup tasks=1 errors=1 cancelling>"
        );
        cancelled.raise().await
    });
    assert!(scope.await.is_err());
}
