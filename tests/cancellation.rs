//! Cancellation: requested, delivered once, lived through. The rules of semantics 4 that have a form in Rust.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio::{CancelReason, JoinError, Task, catch_cancelled, finally, timeout, timeout_at};

use support::trace::{PanicOnDrop, Trace, Untouched, reports_of};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn error_of<T>(outcome: Result<T, JoinError>) -> JoinError {
    outcome.map(|_value| ()).unwrap_err()
}

fn current() -> asyncio::TaskRef {
    asyncio::current_task().unwrap()
}

/// Runs what is ready, and what that makes ready.
async fn settle() {
    for _ in 0..5 {
        asyncio::yield_now().await;
    }
}

// ----- 4.1 cancel -----

/// semantics 4.1; test_cancel
#[asyncio::test]
async fn a_task_without_a_scope_is_dropped_where_it_waits() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let _outer = notes.on_drop("outer dropped");
        let _inner = notes.on_drop("inner dropped");
        asyncio::sleep(HOUR).await;
        notes.note("unreachable");
    });
    settle().await;
    assert!(task.cancel());
    assert!(!task.is_finished()); // a request, not a deed
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["inner dropped", "outer dropped"]);
}

/// semantics 4.1; C01; test_cancel_before_starting
#[asyncio::test]
async fn a_task_cancelled_before_its_first_step_never_starts() {
    let trace = Trace::new();
    let task = asyncio::spawn(Untouched::new(&trace));
    assert!(task.cancel());
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["dropped"]);
}

/// semantics 4.1 step 2; C02
#[asyncio::test]
async fn a_finished_task_refuses_and_counts_nothing() {
    let task = asyncio::spawn(ready(7));
    settle().await;
    assert!(!task.cancel());
    assert_eq!(task.cancelling(), 0);
    assert!(!task.is_cancelled());
    assert_eq!(task.await.unwrap(), 7);
}

/// semantics 4.1 step 3; test_cancelling; C04
#[asyncio::test]
async fn every_request_is_accepted_and_counted_and_one_is_delivered() {
    let task = asyncio::spawn(async {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        settle().await;
        current().cancelling()
    });
    settle().await;
    assert!(task.cancel() && task.cancel() && task.cancel());
    assert_eq!(task.cancelling(), 3);
    assert_eq!(task.await.unwrap(), 3);
}

/// semantics 4.1: the count is not reset when the task ends.
#[asyncio::test]
async fn the_count_outlives_the_task() {
    let mut task = asyncio::spawn(async {
        for _ in 0..2 {
            catch_cancelled(pending::<()>()).await.unwrap_err();
        }
    });
    for _ in 0..2 {
        settle().await;
        task.cancel();
    }
    (&mut task).await.unwrap();
    assert_eq!((task.cancelling(), task.is_cancelled()), (2, false));
}

/// semantics 4.1: edge-triggered; awaiting during cleanup just works.
#[asyncio::test(virtual_time)]
async fn a_request_is_delivered_once_and_cleanup_may_await() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let cancelled = catch_cancelled(asyncio::sleep(HOUR)).await.unwrap_err();
        asyncio::sleep(SECOND).await;
        notes.note("slept");
        assert_eq!(asyncio::to_thread(|| 7).await.unwrap(), 7);
        notes.note("used a thread");
        asyncio::spawn(asyncio::sleep(SECOND)).await.unwrap();
        notes.note("awaited a task");
        cancelled.raise().await
    });
    settle().await;
    task.cancel();
    let outcome: Result<(), _> = task.await;
    assert!(error_of(outcome).is_cancelled());
    assert_eq!(trace.take(), ["slept", "used a thread", "awaited a task"]);
}

/// semantics 4.1; test_cancel_task_ignoring
#[asyncio::test(virtual_time)]
async fn a_task_that_swallows_the_request_goes_on() {
    let task = asyncio::spawn(async {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        asyncio::sleep(HOUR).await;
        "went on"
    });
    settle().await;
    task.cancel();
    assert_eq!(task.await.unwrap(), "went on");
}

/// semantics 4.1; test_cancel_current_task
#[asyncio::test]
async fn a_task_that_cancels_itself_ends_at_its_next_await() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        assert!(current().cancel());
        notes.note("still running");
        asyncio::yield_now().await;
        notes.note("unreachable");
    });
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["still running"]);
}

/// semantics 4.1: returns while a request is pending → cancelled, the value is dropped. test_cancel_at_end
#[asyncio::test]
async fn a_task_that_cancels_itself_and_returns_ends_cancelled() {
    let trace = Trace::new();
    let value = trace.on_drop("value dropped");
    let task = asyncio::spawn(async move {
        current().cancel();
        value
    });
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["value dropped"]);
}

/// semantics 4.1; test_cancel_awaited_task (bpo-34872)
#[asyncio::test]
async fn a_task_that_cancels_itself_and_awaits_a_child_cancels_the_child() {
    let child = Rc::new(Cell::new(None));
    let place = child.clone();
    let task = asyncio::spawn(async move {
        let child = asyncio::spawn(pending::<()>());
        place.set(Some(child.task_ref()));
        settle().await;
        current().cancel();
        child.await.unwrap();
    });
    assert!(error_of(task.await).is_cancelled());
    assert!(child.take().unwrap().is_cancelled());
}

/// semantics 4.1: a panic wins over a pending request.
#[asyncio::test]
async fn a_task_that_panics_with_a_request_pending_has_panicked() {
    let task: Task<()> = asyncio::spawn(async {
        current().cancel();
        panic!("now");
    });
    assert!(error_of(task.await).is_panic());
}

/// semantics 4.1: messages, the last one wins; test_cancel_with_message_*
#[asyncio::test]
async fn the_last_message_wins() {
    let task = asyncio::spawn(async {
        let cancelled = catch_cancelled(pending::<()>()).await.unwrap_err();
        (cancelled.message().map(String::from), cancelled.reason())
    });
    settle().await;
    task.cancel_with("first");
    task.cancel_with("second");
    assert_eq!(
        task.await.unwrap(),
        (Some("second".into()), CancelReason::User)
    );
    let task = asyncio::spawn(pending::<()>());
    task.cancel_with("a text");
    task.cancel();
    assert_eq!(error_of(task.await).cancelled().unwrap().message(), None);
}

/// Tasks that wait for each other never end by themselves. A request is handed round and round, but not for ever.
#[asyncio::test(virtual_time)]
async fn tasks_that_wait_for_each_other_can_be_cancelled() {
    for gathers in [false, true] {
        let late = Rc::new(Cell::new(None::<Task<()>>));
        let place = late.clone();
        let first = asyncio::spawn(async move {
            settle().await;
            let second = place.take().unwrap();
            if gathers {
                let _never = asyncio::gather([second]).await;
            } else {
                let _never = second.await;
            }
        });
        let reference = first.task_ref();
        let second = asyncio::spawn(async move {
            let _never = first.await;
        });
        let other = second.task_ref();
        late.set(Some(second));
        asyncio::sleep(SECOND).await;
        reference.cancel();
        asyncio::sleep(SECOND).await;
        assert!(reference.is_finished() && other.is_finished());
        assert!(reference.is_cancelled() || other.is_cancelled());
    }
}

/// semantics 4.1, the awaiting side: whoever joins sees the message of the request.
#[asyncio::test]
async fn a_join_error_carries_the_message_and_the_reason() {
    let task = asyncio::spawn(pending::<()>());
    settle().await;
    task.cancel_with("no longer needed");
    let error = error_of(task.await);
    let cancelled = error.cancelled().unwrap();
    assert_eq!(cancelled.message(), Some("no longer needed"));
    assert_eq!(
        cancelled.to_string(),
        "cancelled by the program: no longer needed"
    );
}

/// A cancelled task that is dropped may itself cancel others.
#[asyncio::test]
async fn a_destructor_may_cancel_other_tasks() {
    struct Cancels(asyncio::TaskRef);
    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let other = asyncio::spawn(pending::<()>());
    let guard = Cancels(other.task_ref());
    let task = asyncio::spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    settle().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert!(error_of(other.await).is_cancelled());
}

// ----- 4.1 uncancel -----

/// semantics 4.1; test_uncancel_basic
#[asyncio::test]
async fn uncancel_counts_down_and_never_below_zero() {
    let task = asyncio::spawn(async {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        let task = current();
        let counts = [
            task.cancelling(),
            task.uncancel(),
            task.uncancel(),
            task.uncancel(),
        ];
        catch_cancelled(pending::<()>()).await.unwrap_err();
        (counts, task.cancelling())
    });
    settle().await;
    task.cancel();
    task.cancel();
    settle().await;
    task.cancel();
    assert_eq!(task.await.unwrap(), ([2, 1, 0, 0], 1));
}

/// semantics 4.1, 3.13; test_uncancel_resets_must_cancel
#[asyncio::test]
async fn withdrawing_the_last_request_withdraws_its_delivery() {
    let task = asyncio::spawn(async {
        let task = current();
        task.cancel();
        assert_eq!(task.uncancel(), 0);
        asyncio::yield_now().await;
        "undisturbed"
    });
    assert_eq!(task.await.unwrap(), "undisturbed");
}

/// semantics 4.1: as long as one is left, the delivery is still to come.
#[asyncio::test]
async fn withdrawing_one_of_two_requests_withdraws_no_delivery() {
    let task = asyncio::spawn(async {
        let task = current();
        task.cancel();
        task.cancel();
        assert_eq!(task.uncancel(), 1);
        asyncio::yield_now().await;
        "undisturbed"
    });
    assert!(error_of(task.await).is_cancelled());
}

/// semantics 4.1: withdrawn from outside, before the task had its turn.
#[asyncio::test]
async fn a_request_withdrawn_before_the_first_step_lets_the_task_start() {
    let task = asyncio::spawn(ready("started"));
    task.cancel();
    task.uncancel();
    assert_eq!(task.await.unwrap(), "started");
}

/// semantics 4.1: no effect on a finished task's state.
#[asyncio::test]
async fn uncancel_changes_nothing_about_how_a_task_ended() {
    let task = asyncio::spawn(pending::<()>());
    settle().await;
    task.cancel();
    settle().await;
    assert_eq!(task.uncancel(), 0);
    assert!(task.is_cancelled());
    assert!(error_of(task.await).is_cancelled());
}

/// test_uncancel_structured_blocks: a hand-written timeout that claims its own request and no other.
#[asyncio::test(virtual_time)]
async fn a_structured_block_claims_its_own_request_only() {
    /// `true` if its own time was over.
    async fn limited(duration: Duration, body: impl Future<Output = ()>) -> bool {
        let task = current();
        let before = task.cancelling();
        let (fired, fire) = (Rc::new(Cell::new(false)), task.clone());
        let seen = fired.clone();
        let timer = asyncio::running_loop().call_later(duration, move || {
            seen.set(true);
            fire.cancel();
        });
        let caught = catch_cancelled(body).await;
        timer.cancel();
        match caught {
            Err(_own) if fired.get() && task.uncancel() <= before => true,
            Err(foreign) => foreign.raise().await,
            Ok(()) => false,
        }
    }
    let task = asyncio::spawn(async {
        let quick = limited(SECOND, async {}).await;
        let slow = limited(SECOND, pending()).await;
        assert_eq!(current().cancelling(), 0);
        (quick, slow)
    });
    assert_eq!(task.await.unwrap(), (false, true));
    let task = asyncio::spawn(limited(HOUR, pending()));
    asyncio::sleep(SECOND).await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
}

// ----- catch_cancelled and raise -----

/// api 3: the innermost scope receives it; what is inside is dropped first, innermost first.
#[asyncio::test]
async fn the_innermost_scope_receives_the_request() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let outer = catch_cancelled(async {
            let inner = catch_cancelled(async {
                let _guard = notes.on_drop("inside dropped");
                pending::<()>().await;
            });
            inner.await.unwrap_err();
            notes.note("inner scope");
        });
        outer.await.unwrap();
        notes.note("outer scope saw nothing");
    });
    settle().await;
    task.cancel();
    task.await.unwrap();
    assert_eq!(
        trace.take(),
        ["inside dropped", "inner scope", "outer scope saw nothing"]
    );
}

/// api 3: raised again it goes to the next scope, with reason and message.
#[asyncio::test]
async fn a_raised_cancellation_goes_to_the_next_scope() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let outer = catch_cancelled(async {
            let cancelled = catch_cancelled(pending::<()>()).await.unwrap_err();
            notes.note("inner");
            asyncio::yield_now().await;
            cancelled.raise().await
        });
        let outer: Result<(), _> = outer.await;
        notes.note(format!("outer: {}", outer.unwrap_err()));
    });
    settle().await;
    task.cancel_with("a text");
    task.await.unwrap();
    assert_eq!(
        trace.take(),
        ["inner", "outer: cancelled by the program: a text"]
    );
}

/// api 3: without another scope it ends the task; raising does not count as a request.
#[asyncio::test]
async fn a_raised_cancellation_without_a_scope_ends_the_task() {
    let task = asyncio::spawn(async {
        let cancelled = catch_cancelled(pending::<()>()).await.unwrap_err();
        cancelled.raise().await
    });
    settle().await;
    task.cancel();
    let mut task: Task<()> = task;
    assert!(error_of((&mut task).await).is_cancelled());
    assert_eq!((task.cancelling(), task.is_cancelled()), (1, true));
}

/// semantics 4.1: a task is cancelled by raising it, even if nobody called cancel.
#[asyncio::test]
async fn a_foreign_cancellation_may_be_raised() {
    let other = asyncio::spawn(pending::<()>());
    other.cancel_with("of another task");
    let error = error_of(other.await);
    let cancelled = error.cancelled().unwrap().clone();
    let task: Task<()> = asyncio::spawn(async move { cancelled.raise().await });
    let error = error_of(task.await);
    assert_eq!(
        error.cancelled().unwrap().message(),
        Some("of another task")
    );
}

/// A scope that is done, or was never polled, catches nothing any more.
#[asyncio::test]
async fn a_scope_catches_only_while_it_is_awaited() {
    let task = asyncio::spawn(async {
        let _never_polled = catch_cancelled(pending::<()>());
        assert_eq!(catch_cancelled(async { 7 }).await, Ok(7));
        pending::<()>().await;
    });
    settle().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
}

/// A value that is ready at once is given even with a request pending, which is then delivered at the next await.
#[asyncio::test]
async fn code_that_does_not_wait_is_not_interrupted() {
    let task = asyncio::spawn(async {
        current().cancel();
        let value = catch_cancelled(async { 7 }).await;
        let next = catch_cancelled(asyncio::yield_now()).await;
        (value.is_ok(), next.is_err())
    });
    assert_eq!(task.await.unwrap(), (true, true));
}

/// A second request during cleanup is delivered into the cleanup.
#[asyncio::test]
async fn a_second_request_interrupts_the_cleanup() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        notes.note("first");
        catch_cancelled(pending::<()>()).await.unwrap_err();
        notes.note("second");
        pending::<()>().await;
    });
    for _ in 0..3 {
        settle().await;
        task.cancel();
    }
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["first", "second"]);
}

/// P03: what is dropped at delivery may panic; the panic goes through the scope, as an exception in `finally` would.
#[asyncio::test]
async fn a_destructor_that_panics_at_delivery_takes_no_loop_down() {
    let reports = reports_of(&asyncio::running_loop());
    let task = asyncio::spawn(async {
        let caught = catch_cancelled(async {
            let _bad = PanicOnDrop("inside of the scope");
            pending::<()>().await;
        });
        caught.await.unwrap_err();
    });
    settle().await;
    task.cancel();
    let seen = match task.await {
        Ok(()) => reports.len(),
        Err(error) => usize::from(error.is_panic()),
    };
    assert_eq!(seen, 1, "the panic was lost");
}

// ----- finally -----

/// issue 3: after value, cancellation and panic alike, and what comes out is what came in.
#[asyncio::test(virtual_time)]
async fn finally_cleans_up_after_value_cancellation_and_panic() {
    let trace = Trace::new();
    let cleanup = |what: &'static str| {
        let notes = trace.clone();
        async move || {
            asyncio::sleep(SECOND).await;
            notes.note(what);
        }
    };
    assert_eq!(finally(ready(7), cleanup("value")).await, 7);
    let cancelled = asyncio::spawn(finally(pending::<()>(), cleanup("cancellation")));
    settle().await;
    cancelled.cancel_with("a text");
    let error = error_of(cancelled.await);
    assert_eq!(error.cancelled().unwrap().message(), Some("a text"));
    let panicked = asyncio::spawn(finally(async { panic!("now") }, cleanup("panic")));
    let panicked: Task<()> = panicked;
    let payload = error_of(panicked.await).into_panic();
    assert_eq!(payload.downcast_ref(), Some(&"now"));
    assert_eq!(trace.take(), ["value", "cancellation", "panic"]);
}

/// issue 3: nested blocks clean up from the inside out.
#[asyncio::test(virtual_time)]
async fn nested_finally_blocks_clean_up_inside_out() {
    let trace = Trace::new();
    let (inner, outer) = (trace.clone(), trace.clone());
    let task = asyncio::spawn(finally(
        finally(pending::<()>(), async move || {
            asyncio::sleep(SECOND).await;
            inner.note("inner");
        }),
        async move || {
            asyncio::sleep(SECOND).await;
            outer.note("outer");
        },
    ));
    settle().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["inner", "outer"]);
}

/// As in Python, a second request ends the cleanup where it waits.
#[asyncio::test]
async fn a_second_request_ends_a_finally_where_it_waits() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(finally(pending::<()>(), async move || {
        notes.note("begun");
        pending::<()>().await;
        notes.note("unreachable");
    }));
    for _ in 0..2 {
        settle().await;
        task.cancel();
    }
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["begun"]);
}

/// 7.3 test_baseexception_during_cancel: a panic of the cleanup replaces the cancellation.
#[asyncio::test]
async fn a_panic_of_the_cleanup_replaces_the_cancellation() {
    let task = asyncio::spawn(finally(pending::<()>(), async || panic!("in cleanup")));
    settle().await;
    task.cancel();
    assert!(error_of(task.await).is_panic());
}

// ----- joining: the request is passed on -----

/// issue 3; test_yield_future_passes_cancel: waits for the child's own cleanup, and so unwinds inside out.
#[asyncio::test(virtual_time)]
async fn awaiting_a_child_passes_the_request_on_and_waits_for_its_cleanup() {
    let trace = Trace::new();
    let (inner, outer) = (trace.clone(), trace.clone());
    let task = asyncio::spawn(async move {
        let child = asyncio::spawn(async move {
            let cancelled = catch_cancelled(pending::<()>()).await.unwrap_err();
            asyncio::sleep(HOUR).await;
            inner.note(format!("child {cancelled}"));
            cancelled.raise().await
        });
        let caught = catch_cancelled(child).await;
        outer.note(format!(
            "parent {}",
            caught.map(|_: Result<(), _>| ()).unwrap_err()
        ));
    });
    settle().await;
    task.cancel_with("stop");
    task.await.unwrap();
    assert_eq!(
        trace.take(),
        [
            "child cancelled by its parent: stop", // first, with its awaits
            "parent cancelled by the program: stop", // then the one who was asked
        ]
    );
}

/// semantics 2.6 by hand: a chain of three unwinds from the innermost.
#[asyncio::test(virtual_time)]
async fn a_chain_of_tasks_unwinds_inside_out() {
    let trace = Trace::new();
    let level = |name: &'static str| {
        let notes = trace.clone();
        async move || {
            asyncio::sleep(SECOND).await;
            notes.note(name);
        }
    };
    let (a, b, c) = (level("a"), level("b"), level("c"));
    let task = asyncio::spawn(finally(
        async move {
            let middle = asyncio::spawn(finally(
                async move {
                    let inner = asyncio::spawn(finally(pending::<()>(), c));
                    inner.await.unwrap();
                },
                b,
            ));
            middle.await.unwrap();
        },
        a,
    ));
    settle().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["c", "b", "a"]);
}

/// semantics 4.1: the waiter swallows the request and returns: its value is received, nothing is lost.
#[asyncio::test]
async fn a_child_that_swallows_the_request_gives_its_value_to_the_parent() {
    let task = asyncio::spawn(async {
        let child = asyncio::spawn(async {
            catch_cancelled(pending::<()>()).await.unwrap_err();
            "swallowed"
        });
        (child.await.unwrap(), current().cancelling())
    });
    settle().await;
    task.cancel();
    assert_eq!(task.await.unwrap(), ("swallowed", 1));
}

/// A child that fails during its cleanup tells its parent so.
#[asyncio::test]
async fn a_child_that_panics_during_cleanup_gives_its_panic_to_the_parent() {
    let task = asyncio::spawn(async {
        let child = asyncio::spawn(finally(pending::<()>(), async || panic!("in cleanup")));
        error_of(child.await).is_panic()
    });
    settle().await;
    task.cancel();
    assert!(task.await.unwrap());
}

/// semantics 4.1: a second request goes to the child's cleanup as well.
#[asyncio::test]
async fn a_second_request_is_passed_on_too() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let child = asyncio::spawn(async move {
            catch_cancelled(pending::<()>()).await.unwrap_err();
            notes.note("first");
            catch_cancelled(pending::<()>()).await.unwrap_err();
            notes.note("second");
        });
        child.await.unwrap();
    });
    for _ in 0..2 {
        settle().await;
        task.cancel();
    }
    task.await.unwrap();
    assert_eq!(trace.take(), ["first", "second"]);
}

/// A child cancelled by somebody else is an error for its parent, which is not cancelled by that.
#[asyncio::test]
async fn a_child_cancelled_by_others_does_not_cancel_its_parent() {
    let task = asyncio::spawn(async {
        let child = asyncio::spawn(pending::<()>());
        settle().await;
        child.cancel();
        let cancelled = error_of(child.await).is_cancelled();
        asyncio::yield_now().await;
        (cancelled, current().cancelling())
    });
    assert_eq!(task.await.unwrap(), (true, 0));
}

/// api 3: a join, too, never completes in favour of a pending request; the child's result is there afterwards.
#[asyncio::test]
async fn a_cancellation_loses_no_finished_childs_result() {
    let task = asyncio::spawn(async {
        let mut child = asyncio::spawn(ready(7));
        settle().await;
        assert!(child.is_finished());
        current().cancel();
        let caught = catch_cancelled(&mut child).await;
        assert!(
            caught.is_err(),
            "the cancellation was not delivered at the await"
        );
        child.await.unwrap()
    });
    assert_eq!(task.await.unwrap(), 7);
}

// ----- leaf futures lose nothing -----

/// api 3; semantics 7.2 test_prompt_cancellation: a connection that came in the turn of the request is still there.
#[asyncio::test]
#[cfg(unix)]
async fn a_cancelled_accept_loses_no_connection() {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Rc::new(asyncio::io::Async::new(listener).unwrap());
    let theirs = listener.clone();
    let accepting = asyncio::spawn(async move {
        theirs
            .read_with(|listener| listener.accept())
            .await
            .map(|(_stream, peer)| peer)
    });
    settle().await;
    let stream = TcpStream::connect(address).unwrap();
    accepting.cancel(); // in the same turn: the loop finds both
    assert!(error_of(accepting.await).is_cancelled());
    let (_accepted, peer) = listener
        .read_with(|listener| listener.accept())
        .await
        .unwrap();
    assert_eq!(peer, stream.local_addr().unwrap());
    let empty = listener.get_ref().accept().unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::WouldBlock);
}

/// api 3: the same for bytes, and the interest is gone (C08).
#[asyncio::test]
#[cfg(unix)]
async fn a_cancelled_read_loses_no_byte() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let ours = Rc::new(asyncio::io::Async::new(ours).unwrap());
    let read = |stream: Rc<asyncio::io::Async<UnixStream>>| async move {
        let mut buffer = [0; 16];
        let length = stream
            .read_with(|mut stream| stream.read(&mut buffer))
            .await
            .unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let reading = asyncio::spawn(read(ours.clone()));
    settle().await;
    theirs.write_all(b"hello").unwrap();
    reading.cancel();
    assert!(error_of(reading.await).is_cancelled());
    assert_eq!(Rc::strong_count(&ours), 1);
    assert_eq!(read(ours).await, "hello");
}

/// api 3: a sleep that is over does not go before the request either. Both are due in one turn, the request first.
#[asyncio::test(virtual_time)]
async fn a_request_goes_before_a_sleep_that_is_over() {
    let sleeper = Rc::new(Cell::new(None::<asyncio::TaskRef>));
    let place = sleeper.clone();
    asyncio::running_loop().call_later(SECOND, move || {
        place.take().unwrap().cancel();
    });
    let task = asyncio::spawn(async {
        let caught = catch_cancelled(asyncio::sleep(SECOND)).await;
        caught.is_err()
    });
    sleeper.set(Some(task.task_ref()));
    assert!(task.await.unwrap());
}

// ----- 4.4 timeout -----

/// semantics 4.4; test_timeout_basic, test_timeout_not_called
#[asyncio::test(virtual_time)]
async fn a_timeout_that_does_not_run_out_gives_the_value() {
    let begin = asyncio::running_loop().time();
    let value = timeout(HOUR, async {
        asyncio::sleep(SECOND).await;
        7
    });
    assert_eq!(value.await, Ok(7));
    assert_eq!(asyncio::running_loop().time(), begin + SECOND);
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4; test_timeout_basic
#[asyncio::test(virtual_time)]
async fn a_timeout_that_runs_out_drops_the_body_and_is_an_error() {
    let trace = Trace::new();
    let begin = asyncio::running_loop().time();
    let body = async {
        let _dropped = trace.on_drop("body dropped");
        pending::<()>().await;
    };
    let error = timeout(SECOND, body).await.unwrap_err();
    assert_eq!(trace.take(), ["body dropped"]);
    assert_eq!(error.to_string(), "the operation did not finish in time");
    assert_eq!(asyncio::running_loop().time(), begin + SECOND);
    assert_eq!(current().cancelling(), 0);
    asyncio::yield_now().await; // nothing is left to be delivered
}

/// semantics 4.4: `timeout_at`, also for a time that is over. test_timeout_at
#[asyncio::test(virtual_time)]
async fn a_timeout_may_name_the_moment() {
    let now = asyncio::running_loop().time();
    assert!(timeout_at(now + SECOND, pending::<()>()).await.is_err());
    assert_eq!(asyncio::running_loop().time(), now + SECOND);
    assert!(timeout_at(now, pending::<()>()).await.is_err());
    assert_eq!(timeout_at(now, ready(7)).await, Ok(7));
}

/// semantics 4.4; test_timeout_zero, test_timeout_zero_sleep_zero, test_timeout_in_the_past: one await to notice.
#[asyncio::test(virtual_time)]
async fn a_timeout_of_zero_runs_out_at_the_first_await() {
    assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
    assert!(timeout(Duration::ZERO, asyncio::yield_now()).await.is_err());
    assert!(timeout(Duration::ZERO, asyncio::sleep(HOUR)).await.is_err());
    assert_eq!(current().cancelling(), 0);
}

/// W02; test_timeout_disabled: `Duration::MAX` is never.
#[asyncio::test(virtual_time)]
async fn a_timeout_of_for_ever_never_runs_out() {
    assert_eq!(
        timeout(Duration::MAX, asyncio::sleep(1_000 * HOUR)).await,
        Ok(())
    );
}

/// semantics 4.4; 4.5: the body swallowed the expiry: its value, and the count is restored.
#[asyncio::test(virtual_time)]
async fn a_body_that_swallows_the_expiry_gives_its_value() {
    let value = timeout(SECOND, async {
        let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
        assert_eq!(expiry.reason(), CancelReason::Deadline);
        asyncio::sleep(HOUR).await; // cleanup takes its time
        "swallowed"
    });
    assert_eq!(value.await, Ok("swallowed"));
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4: a body that saw the cancel and raises it again. test_timeout_... body saw the cancel
#[asyncio::test(virtual_time)]
async fn a_body_that_raises_the_expiry_again_has_timed_out() {
    let begin = asyncio::running_loop().time();
    let body = async {
        let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
        asyncio::sleep(SECOND).await;
        expiry.raise().await
    };
    let outcome: Result<(), _> = timeout(SECOND, body).await;
    assert!(outcome.is_err());
    assert_eq!(asyncio::running_loop().time(), begin + 2 * SECOND);
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4: foreign exceptions pass, also during the expiry.
#[asyncio::test(virtual_time)]
async fn a_panic_of_the_body_passes_through() {
    let task = asyncio::spawn(timeout(SECOND, async { panic!("of the body") }));
    let task: Task<Result<(), _>> = task;
    assert!(error_of(task.await).is_panic());
    let body = finally(pending::<()>(), async || panic!("during the expiry"));
    assert!(error_of(asyncio::spawn(timeout(SECOND, body)).await).is_panic());
}

/// semantics 4.4, "Exit while expiring": the expiry is withdrawn, however the body is left.
#[asyncio::test(virtual_time)]
async fn a_body_that_panics_during_the_expiry_leaves_no_request_behind() {
    let counted = Rc::new(Cell::new(None));
    let place = counted.clone();
    let body = finally(pending::<()>(), async || panic!("during the expiry"));
    let task = asyncio::spawn(finally(timeout(SECOND, body), async move || {
        place.set(Some(current().cancelling()));
    }));
    assert!(error_of(task.await).is_panic());
    assert_eq!(counted.get(), Some(0));
}

/// The same for a timeout that is dropped while its body cleans up.
#[asyncio::test(virtual_time)]
async fn a_timeout_dropped_during_the_expiry_leaves_no_request_behind() {
    let mut limited = Box::pin(timeout(SECOND, async {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        pending::<()>().await;
    }));
    let mut longer = pin!(asyncio::sleep(2 * SECOND));
    poll_fn(|cx| {
        assert!(limited.as_mut().poll(cx).is_pending());
        longer.as_mut().poll(cx)
    })
    .await;
    assert_eq!(current().cancelling(), 1);
    drop(limited);
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4: a foreign cancellation is not converted.
#[asyncio::test(virtual_time)]
async fn a_foreign_cancellation_passes_through_a_timeout() {
    let task = asyncio::spawn(async {
        let caught = catch_cancelled(timeout(HOUR, pending::<()>()))
            .await
            .unwrap_err();
        (caught.reason(), current().cancelling())
    });
    asyncio::sleep(SECOND).await;
    task.cancel();
    assert_eq!(task.await.unwrap(), (CancelReason::User, 1));
}

/// semantics 4.4, gh-134471; C06: a request that comes together with the expiry is not swallowed.
#[asyncio::test(virtual_time)]
async fn a_request_at_the_moment_of_the_expiry_is_not_swallowed() {
    for earlier in [Duration::ZERO, Duration::from_nanos(1)] {
        let task = asyncio::spawn(async {
            let outcome = timeout(SECOND, pending::<()>()).await;
            asyncio::yield_now().await;
            outcome
        });
        let reference = task.task_ref();
        asyncio::running_loop().call_later(SECOND - earlier, move || {
            reference.cancel();
        });
        assert!(error_of(task.await).is_cancelled());
    }
}

/// gh-134471: a request that was there before is not claimed by `timeout(0)`.
#[asyncio::test(virtual_time)]
async fn an_earlier_request_is_not_claimed_by_a_timeout_of_zero() {
    let task = asyncio::spawn(async {
        current().cancel();
        let _claimed = timeout(Duration::ZERO, pending::<()>()).await;
        "swallowed"
    });
    assert!(error_of(task.await).is_cancelled());
}

/// semantics 4.4: a timeout inside of the cleanup after a request that was caught.
#[asyncio::test(virtual_time)]
async fn a_timeout_works_inside_of_a_cleanup() {
    let task = asyncio::spawn(async {
        let cancelled = catch_cancelled(pending::<()>()).await.unwrap_err();
        let expired = timeout(SECOND, pending::<()>()).await.is_err();
        assert!(expired && current().cancelling() == 1);
        cancelled.raise().await
    });
    settle().await;
    task.cancel();
    let task: Task<()> = task;
    assert!(error_of(task.await).is_cancelled());
}

/// issue 3: nested ones, each claims only its own expiry.
#[asyncio::test(virtual_time)]
async fn nested_timeouts_claim_only_their_own_expiry() {
    let outer_first = timeout(SECOND, timeout(HOUR, pending::<()>())).await;
    assert!(outer_first.is_err());
    let inner_first = timeout(HOUR, timeout(SECOND, pending::<()>())).await;
    assert!(inner_first.unwrap().is_err());
    assert_eq!(current().cancelling(), 0);
    asyncio::yield_now().await;
}

/// A timeout that has expired, is moved out of its task, and is dropped by another one.
#[asyncio::test(virtual_time)]
async fn a_timeout_withdraws_its_request_from_the_task_it_was_made_in() {
    let slow = finally(asyncio::sleep(HOUR), async || asyncio::sleep(HOUR).await);
    let mut expiring = Box::pin(timeout(SECOND, slow));
    let first = std::future::poll_fn(|cx| Poll::Ready(expiring.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    let sleeping = futures_util::future::select(expiring, Box::pin(asyncio::sleep(2 * SECOND)));
    let futures_util::future::Either::Right(((), expiring)) = sleeping.await else {
        panic!("the cleanup takes an hour");
    };
    assert_eq!(current().cancelling(), 1);
    let other = asyncio::spawn(async move {
        current().cancel();
        current().uncancel();
        current().cancel();
        drop(expiring);
        current().cancelling()
    });
    let outcome = other.await;
    assert!(
        error_of(outcome).is_cancelled(),
        "its own request is not withdrawn"
    );
    assert_eq!(current().cancelling(), 0);
}

/// Two timeouts of one task that are left at the same time: by the count, as in asyncio, each would take the other's
/// expiry for a request from outside.
#[asyncio::test(virtual_time)]
async fn timeouts_side_by_side_claim_only_their_own_expiry() {
    let slow = |seconds| {
        let body = finally(asyncio::sleep(HOUR), async || asyncio::sleep(SECOND).await);
        timeout(seconds * SECOND, body)
    };
    // The cleanup of the first ends when the second expires.
    let (first, second) = futures_util::future::join(slow(1), slow(2)).await;
    assert!(first.is_err() && second.is_err());
    assert_eq!(current().cancelling(), 0);
}

/// The same with the expiry of one raised again while the other cleans up: nobody's cleanup is disturbed.
#[asyncio::test(virtual_time)]
async fn a_request_raised_beside_a_cleanup_does_not_disturb_it() {
    let trace = Trace::new();
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        let branch = |name: &'static str, seconds| {
            let notes = notes.clone();
            finally(asyncio::sleep(HOUR), async move || {
                asyncio::sleep(seconds * SECOND).await;
                notes.note(name);
            })
        };
        futures_util::future::join(branch("short", 1), branch("long", 3)).await;
    });
    settle().await;
    task.cancel();
    assert!(error_of(task.await).is_cancelled());
    assert_eq!(trace.take(), ["short", "long"]);
}

/// semantics 7.5: nested ones of one deadline: the outermost has run out as well.
#[asyncio::test(virtual_time)]
async fn nested_timeouts_of_one_deadline_end_the_outer_body() {
    let deadline = asyncio::running_loop().time() + SECOND;
    let trace = Trace::new();
    let outcome = timeout_at(deadline, async {
        let _inner = timeout_at(deadline, asyncio::sleep(HOUR)).await;
        asyncio::sleep(HOUR).await;
        trace.note("unreachable");
    });
    assert!(outcome.await.is_err());
    assert!(trace.take().is_empty());
    assert_eq!(asyncio::running_loop().time(), deadline);
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4: an expiry is passed on to a child that the body awaits, and its cleanup awaited.
#[asyncio::test(virtual_time)]
async fn an_expiry_cancels_the_child_that_the_body_awaits() {
    let trace = Trace::new();
    let notes = trace.clone();
    let child = asyncio::spawn(finally(pending::<()>(), async move || {
        asyncio::sleep(SECOND).await;
        notes.note("child cleaned up");
    }));
    let reference = child.task_ref();
    assert!(timeout(SECOND, child).await.is_err());
    assert!(reference.is_cancelled());
    assert_eq!(trace.take(), ["child cleaned up"]);
}

/// semantics 4.5, `timeout <= 0`: what is not done is cancelled and waited for; its value, if it swallows that, is given.
#[asyncio::test(virtual_time)]
async fn a_timeout_of_zero_waits_for_the_cleanup_of_the_task_it_cancels() {
    let trace = Trace::new();
    let notes = trace.clone();
    let child = asyncio::spawn(finally(pending::<()>(), async move || {
        asyncio::sleep(SECOND).await;
        notes.note("child cleaned up");
    }));
    settle().await;
    assert!(timeout(Duration::ZERO, child).await.is_err());
    assert_eq!(trace.take(), ["child cleaned up"]);
    let swallows = asyncio::spawn(async {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        7
    });
    settle().await;
    assert_eq!(timeout(Duration::ZERO, swallows).await.unwrap().unwrap(), 7);
}

/// semantics 4.5: an error that the awaited code answers the expiry with is what the timeout gives.
#[asyncio::test(virtual_time)]
async fn a_body_that_answers_the_expiry_with_an_error_gives_that() {
    let answer = timeout(SECOND, async {
        catch_cancelled(pending::<()>()).await.unwrap_err();
        Err::<(), _>("half of it is written")
    });
    assert_eq!(answer.await, Ok(Err("half of it is written")));
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.5: what is awaited is no task of its own.
#[asyncio::test]
async fn the_body_of_a_timeout_runs_in_the_same_task() {
    let outside = current().id();
    let inside = timeout(HOUR, async {
        asyncio::yield_now().await;
        current().id()
    });
    assert_eq!(inside.await, Ok(outside));
}

/// semantics 4.4: the loop was busy past the deadline; a body that is ready by then has not timed out.
#[asyncio::test(virtual_time)]
async fn a_body_that_is_done_when_it_is_looked_at_has_not_timed_out() {
    let deadline = asyncio::running_loop().time() + SECOND;
    let body = asyncio::sleep_until(deadline);
    assert!(timeout_at(deadline, body).await.is_ok());
}

/// Outside of a task of this crate, a timeout just drops its future.
#[asyncio::test(virtual_time)]
async fn a_timeout_does_not_outlive_its_drop() {
    let mut limited = Box::pin(timeout(SECOND, pending::<()>()));
    poll_fn(|cx| {
        assert!(limited.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(limited);
    asyncio::sleep(HOUR).await; // the timer of the dropped one cancels nobody
    assert_eq!(current().cancelling(), 0);
}

/// C05 in process: the runner waits for a task that ignores its request for a while, and counts what it swallowed.
#[test]
fn a_main_that_swallows_and_returns_is_not_cancelled() {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        asyncio::run(async {
            current().cancel();
            catch_cancelled(pending::<()>()).await.unwrap_err();
            current().cancelling()
        })
    }));
    assert_eq!(outcome.unwrap().unwrap(), 1);
}
