//! `Timeout::scope`: a deadline that can be asked for and moved. semantics 4.4, with its odd cases; what it has in common
//! with `timeout` is in `cancellation.rs`.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio::{
    CancelReason, JoinError, RescheduleError, TaskGroup, Timeout, catch_cancelled, finally, sleep,
    timeout,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use support::trace::Trace;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn current() -> asyncio::TaskRef {
    asyncio::current_task().unwrap()
}

fn now() -> Instant {
    asyncio::running_loop().time()
}

fn error_of<T>(outcome: Result<T, JoinError>) -> JoinError {
    outcome.map(|_value| ()).unwrap_err()
}

/// A handle that outlives its scope.
#[derive(Default, Clone)]
struct Kept(Rc<RefCell<Option<Timeout>>>);

impl Kept {
    fn keep(&self, timeout: &Timeout) {
        *self.0.borrow_mut() = Some(timeout.clone());
    }

    fn get(&self) -> Timeout {
        self.0.borrow().clone().expect("the scope has begun")
    }
}

// ----- what it has in common with `timeout` -----

#[asyncio::test(virtual_time)]
async fn a_scope_that_is_over_in_time_gives_its_value() {
    let kept = Kept::default();
    let deadline = now() + HOUR;
    let outcome = Timeout::scope(HOUR, async |timeout| {
        kept.keep(timeout);
        assert_eq!(timeout.when(), Some(deadline));
        sleep(SECOND).await;
        assert!(!timeout.expired());
        7
    });
    assert_eq!(outcome.await, Ok(7));
    assert_eq!(now(), deadline - HOUR + SECOND);
    assert!(!kept.get().expired());
    assert_eq!(kept.get().when(), Some(deadline));
    assert_eq!(current().cancelling(), 0);
}

#[asyncio::test(virtual_time)]
async fn a_scope_that_runs_out_drops_its_body_and_is_an_error() {
    let (kept, trace, begin) = (Kept::default(), Trace::new(), now());
    let outcome = Timeout::scope(SECOND, async |timeout| {
        kept.keep(timeout);
        let _dropped = trace.on_drop("body dropped");
        pending::<()>().await;
    });
    assert!(outcome.await.is_err());
    assert_eq!(trace.take(), ["body dropped"]);
    assert_eq!(now(), begin + SECOND);
    assert!(kept.get().expired());
    assert_eq!(current().cancelling(), 0);
    asyncio::yield_now().await; // nothing is left to be delivered
}

#[asyncio::test(virtual_time)]
async fn a_scope_may_name_the_moment() {
    let deadline = now() + SECOND;
    let outcome = Timeout::scope_at(deadline, async |_| pending::<()>().await);
    assert!(outcome.await.is_err());
    assert_eq!(now(), deadline);
}

/// semantics 4.4: None → never.
#[asyncio::test(virtual_time)]
async fn a_deadline_of_never_never_runs_out() {
    let unlimited = Timeout::scope_at(None, async |timeout| {
        assert_eq!(timeout.when(), None);
        sleep(1_000 * HOUR).await;
    });
    assert_eq!(unlimited.await, Ok(()));
    let for_ever = Timeout::scope(Duration::MAX, async |timeout| {
        assert_eq!(timeout.when(), None);
        sleep(1_000 * HOUR).await;
    });
    assert_eq!(for_ever.await, Ok(()));
}

/// semantics 4.4: `when <= now`: at least one await is needed to notice.
#[asyncio::test(virtual_time)]
async fn a_deadline_that_is_over_is_noticed_at_the_first_await() {
    sleep(SECOND).await;
    for deadline in [now(), now() - SECOND] {
        assert_eq!(
            Timeout::scope_at(deadline, async |_| ready(7).await).await,
            Ok(7)
        );
        let outcome = Timeout::scope_at(deadline, async |timeout| {
            assert!(!timeout.expired());
            asyncio::yield_now().await;
        });
        assert!(outcome.await.is_err());
    }
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4: the body swallowed the expiry: no error, `expired()` is true, and the count is restored.
#[asyncio::test(virtual_time)]
async fn a_body_that_swallows_the_expiry_gives_its_value_and_has_expired() {
    let kept = Kept::default();
    let outcome = Timeout::scope(SECOND, async |timeout| {
        kept.keep(timeout);
        let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
        assert_eq!(expiry.reason(), CancelReason::Deadline);
        assert!(timeout.expired());
        assert_eq!(current().cancelling(), 1);
        sleep(HOUR).await;
        "swallowed"
    });
    assert_eq!(outcome.await, Ok("swallowed"));
    assert!(kept.get().expired());
    assert_eq!(current().cancelling(), 0);
}

/// semantics 4.4: other exceptions pass, also during the expiry.
#[asyncio::test(virtual_time)]
async fn a_panic_of_the_body_passes_through_and_is_no_expiry() {
    for (duration, expired) in [(HOUR, false), (SECOND / 2, true)] {
        let kept = Kept::default();
        let place = kept.clone();
        let counted = Rc::new(Cell::new(None));
        let count = counted.clone();
        let scope = Timeout::scope(duration, async move |timeout| {
            place.keep(timeout);
            let _expiry = catch_cancelled(sleep(SECOND)).await;
            panic!("of the body");
        });
        let task = asyncio::spawn(finally(scope, async move || {
            count.set(Some(current().cancelling()));
        }));
        let task: asyncio::Task<Result<(), _>> = task;
        assert!(error_of(task.await).is_panic());
        assert_eq!(kept.get().expired(), expired);
        assert_eq!(counted.get(), Some(0), "nothing is left of the expiry");
    }
}

/// semantics 4.4: a foreign cancellation is not converted.
#[asyncio::test(virtual_time)]
async fn a_foreign_cancellation_passes_through_a_scope() {
    let kept = Kept::default();
    let place = kept.clone();
    let task = asyncio::spawn(async move {
        let scope = Timeout::scope(HOUR, async |timeout| {
            place.keep(timeout);
            pending::<()>().await;
        });
        let caught = catch_cancelled(scope).await.unwrap_err();
        (caught.reason(), current().cancelling())
    });
    sleep(SECOND).await;
    task.cancel();
    assert_eq!(task.await.unwrap(), (CancelReason::User, 1));
    assert!(!kept.get().expired());
}

/// semantics 4.4; gh-134471: if both come together, the request from outside wins, and is not lost.
#[asyncio::test(virtual_time)]
async fn a_request_from_outside_wins_over_the_expiry() {
    for earlier in [Duration::ZERO, Duration::from_nanos(1)] {
        let task = asyncio::spawn(async {
            let outcome = Timeout::scope(HOUR, async |timeout| {
                timeout.reschedule(now() + SECOND).unwrap();
                pending::<()>().await;
            });
            let _never = outcome.await;
            "went on"
        });
        let reference = task.task_ref();
        asyncio::running_loop().call_later(SECOND - earlier, move || {
            reference.cancel();
        });
        assert!(error_of(task.await).is_cancelled());
    }
}

/// semantics 4.4, a foreign cancel while it is expiring: the count is higher, so the cancellation goes on.
#[asyncio::test(virtual_time)]
async fn a_request_from_outside_during_the_expiry_goes_on() {
    let task = asyncio::spawn(async {
        let body = async |_: &Timeout| {
            finally(pending::<()>(), async || sleep(HOUR).await).await;
        };
        let caught = catch_cancelled(Timeout::scope(SECOND, body)).await;
        (caught.unwrap_err().reason(), current().cancelling())
    });
    sleep(2 * SECOND).await;
    task.cancel();
    assert_eq!(task.await.unwrap(), (CancelReason::User, 1));
}

// ----- reschedule -----

#[asyncio::test(virtual_time)]
async fn a_deadline_can_be_moved_on_again_and_again() {
    let begin = now();
    let outcome = Timeout::scope(2 * SECOND, async |timeout| {
        for _ in 0..10 {
            sleep(SECOND).await;
            timeout.reschedule(now() + 2 * SECOND).unwrap();
            assert_eq!(timeout.when(), Some(now() + 2 * SECOND));
        }
        pending::<()>().await;
    });
    assert!(outcome.await.is_err());
    assert_eq!(now(), begin + 12 * SECOND);
}

#[asyncio::test(virtual_time)]
async fn a_deadline_can_be_moved_to_an_earlier_time() {
    let begin = now();
    let outcome = Timeout::scope(HOUR, async |timeout| {
        sleep(SECOND).await;
        timeout.reschedule(now() + SECOND).unwrap();
        pending::<()>().await;
    });
    assert!(outcome.await.is_err());
    assert_eq!(now(), begin + 2 * SECOND);
}

#[asyncio::test(virtual_time)]
async fn a_deadline_can_be_given_up_and_set_again() {
    let begin = now();
    let outcome = Timeout::scope(SECOND, async |timeout| {
        timeout.reschedule(None).unwrap();
        assert_eq!(timeout.when(), None);
        sleep(HOUR).await;
        timeout.reschedule(now() + SECOND).unwrap();
        pending::<()>().await;
    });
    assert!(outcome.await.is_err());
    assert_eq!(now(), begin + HOUR + SECOND);
}

/// semantics 4.4: moved into the past, it is over at the next await.
#[asyncio::test(virtual_time)]
async fn a_deadline_moved_into_the_past_is_over_at_the_next_await() {
    let (begin, trace) = (now(), Trace::new());
    let outcome = Timeout::scope(HOUR, async |timeout| {
        timeout.reschedule(begin).unwrap();
        assert!(!timeout.expired());
        trace.note("still running");
        asyncio::yield_now().await;
        trace.note("unreachable");
    });
    assert!(outcome.await.is_err());
    assert_eq!(trace.take(), ["still running"]);
    assert_eq!(now(), begin);
    // A body that does not wait any more has not run out of time.
    let outcome = Timeout::scope(HOUR, async |timeout| timeout.reschedule(begin));
    assert_eq!(outcome.await, Ok(Ok(())));
}

/// From outside of the body, while it waits: the scope must learn of it.
#[asyncio::test(virtual_time)]
async fn another_task_can_move_the_deadline() {
    for (moved_to, over_at) in [
        (Some(2 * SECOND), Some(2 * SECOND)),
        (Some(5 * SECOND), Some(5 * SECOND)),
        (Some(Duration::ZERO), Some(SECOND)),
        (None, None),
    ] {
        for first in [Some(3 * SECOND), None] {
            let (kept, begin) = (Kept::default(), now());
            let deadline = first.map(|first| begin + first);
            let mover = asyncio::spawn({
                let kept = kept.clone();
                async move {
                    sleep(SECOND).await;
                    let when = moved_to.map(|after| begin + after);
                    kept.get().reschedule(when).unwrap();
                }
            });
            let outcome = Timeout::scope_at(deadline, async |timeout| {
                kept.keep(timeout);
                sleep(HOUR).await;
            });
            assert_eq!(outcome.await.is_err(), over_at.is_some());
            assert_eq!(now(), begin + over_at.unwrap_or(HOUR));
            mover.await.unwrap();
        }
    }
}

/// What is reached only through a waker of its own.
#[asyncio::test(virtual_time)]
async fn another_task_can_move_the_deadline_of_a_scope_in_a_sub_executor() {
    let (kept, begin) = (Kept::default(), now());
    let mover = asyncio::spawn({
        let kept = kept.clone();
        async move {
            sleep(SECOND).await;
            kept.get().reschedule(begin + 2 * SECOND).unwrap();
        }
    });
    let scope = Timeout::scope_at(None, async |timeout| {
        kept.keep(timeout);
        pending::<()>().await;
    });
    let all: FuturesUnordered<_> = [scope].into_iter().collect();
    assert!(all.collect::<Vec<_>>().await[0].is_err());
    assert_eq!(now(), begin + 2 * SECOND);
    mover.await.unwrap();
}

/// The children of a group keep the deadline of the scope around it away.
#[asyncio::test(virtual_time)]
async fn a_child_task_can_move_the_deadline_of_the_scope_that_waits_for_it() {
    let outcome = Timeout::scope(2 * SECOND, async |timeout| {
        let scope = TaskGroup::scope(async |group| {
            let timeout = timeout.clone();
            group.spawn(async move {
                for _ in 0..5 {
                    sleep(SECOND).await;
                    timeout.reschedule(now() + 2 * SECOND).unwrap();
                }
            });
        });
        scope.await.unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
}

/// The timer of a deadline that was moved wakes nobody.
#[asyncio::test(virtual_time)]
async fn a_moved_deadline_leaves_no_timer_behind() {
    let polls = Cell::new(0);
    let outcome = Timeout::scope(SECOND, async |timeout| {
        timeout.reschedule(now() + 10 * SECOND).unwrap();
        poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::<()>::Pending
        })
        .await;
    });
    assert!(outcome.await.is_err());
    // When it begins to wait, when the time is over, and once more to receive the expiry.
    assert_eq!(polls.get(), 3);
}

/// Moved by the body itself it wakes nobody either.
#[asyncio::test(virtual_time)]
async fn a_body_that_moves_its_own_deadline_is_not_polled_for_it() {
    let polls = Cell::new(0);
    let outcome = Timeout::scope(HOUR, async |timeout| {
        let mut slept = pin!(sleep(SECOND));
        poll_fn(|cx| {
            polls.set(polls.get() + 1);
            timeout.reschedule(now() + HOUR).unwrap();
            slept.as_mut().poll(cx)
        })
        .await;
    });
    assert_eq!(outcome.await, Ok(()));
    assert_eq!(polls.get(), 2);
}

/// A deadline that passes while the loop is busy is noticed where the body waits next; until then it can be moved.
#[asyncio::test]
async fn a_deadline_can_be_moved_until_its_end_was_noticed() {
    let outcome = Timeout::scope(Duration::from_millis(1), async |timeout| {
        while now() <= timeout.when().unwrap() {
            std::hint::spin_loop();
        }
        assert!(!timeout.expired());
        timeout.reschedule(None).unwrap();
        asyncio::yield_now().await;
    });
    assert_eq!(outcome.await, Ok(()));
}

/// semantics 4.4: "Cannot change state of expiring Timeout".
#[asyncio::test(virtual_time)]
async fn an_expiring_timeout_cannot_be_moved() {
    let begin = now();
    let outcome = Timeout::scope(SECOND, async |timeout| {
        let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
        let refused = timeout.reschedule(now() + HOUR).unwrap_err();
        assert_eq!(refused, RescheduleError::Expiring);
        assert_eq!(
            refused.to_string(),
            "cannot reschedule a timeout that is expiring"
        );
        assert_eq!(timeout.when(), Some(begin + SECOND), "nothing has changed");
        expiry.raise().await
    });
    let outcome: Result<(), _> = outcome.await;
    assert!(outcome.is_err());
}

/// semantics 4.4: "Cannot change state of expired Timeout", also if the body has swallowed the expiry.
#[asyncio::test(virtual_time)]
async fn an_expired_timeout_cannot_be_moved() {
    for swallow in [false, true] {
        let kept = Kept::default();
        let outcome = Timeout::scope(SECOND, async |timeout| {
            kept.keep(timeout);
            let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
            if !swallow {
                expiry.raise().await
            }
        });
        assert_eq!(outcome.await.is_ok(), swallow);
        let refused = kept.get().reschedule(None).unwrap_err();
        assert_eq!(refused, RescheduleError::Expired);
        assert_eq!(
            refused.to_string(),
            "cannot reschedule a timeout that has expired"
        );
    }
}

/// semantics 4.4: "Cannot change state of finished Timeout".
#[asyncio::test(virtual_time)]
async fn a_finished_timeout_cannot_be_moved() {
    let kept = Kept::default();
    let outcome = Timeout::scope(SECOND, async |timeout| kept.keep(timeout));
    assert_eq!(outcome.await, Ok(()));
    let refused = kept.get().reschedule(now() + HOUR).unwrap_err();
    assert_eq!(refused, RescheduleError::Finished);
    assert_eq!(
        refused.to_string(),
        "cannot reschedule a timeout whose scope is over"
    );
}

/// A scope that is dropped where it waits is over as well.
#[asyncio::test(virtual_time)]
async fn a_dropped_scope_is_finished_and_cancels_nobody() {
    let kept = Kept::default();
    let mut scope = Box::pin(Timeout::scope(SECOND, async |timeout| {
        kept.keep(timeout);
        pending::<()>().await;
    }));
    poll_fn(|cx| {
        assert!(scope.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(scope);
    assert_eq!(kept.get().reschedule(None), Err(RescheduleError::Finished));
    sleep(HOUR).await;
    assert_eq!(current().cancelling(), 0);
}

// ----- several of them -----

/// Each claims its own expiry only, and moving one moves no other.
#[asyncio::test(virtual_time)]
async fn nested_scopes_move_and_claim_their_own_deadline_only() {
    let begin = now();
    let outcome = Timeout::scope(2 * SECOND, async |outer| {
        let inner = Timeout::scope(SECOND, async |inner| {
            inner.reschedule(begin + HOUR).unwrap();
            assert_eq!(outer.when(), Some(begin + 2 * SECOND));
            pending::<()>().await;
        });
        inner.await
    });
    assert!(outcome.await.is_err(), "the outer one has run out");
    assert_eq!(now(), begin + 2 * SECOND);

    let begin = now();
    let outcome = Timeout::scope(SECOND, async |outer| {
        outer.reschedule(begin + HOUR).unwrap();
        let inner = Timeout::scope(2 * SECOND, async |_| pending::<()>().await).await;
        assert!(!outer.expired());
        inner
    });
    assert!(outcome.await.unwrap().is_err(), "the inner one has run out");
    assert_eq!(now(), begin + 2 * SECOND);
    assert_eq!(current().cancelling(), 0);
}

/// The expiry of the outer one goes through the inner one, which is over without having expired.
#[asyncio::test(virtual_time)]
async fn an_outer_expiry_is_no_expiry_of_the_inner_scope() {
    let kept = Kept::default();
    let outcome = timeout(SECOND, async {
        let inner = Timeout::scope(HOUR, async |inner| {
            kept.keep(inner);
            pending::<()>().await;
        });
        let _unreachable = inner.await;
    });
    assert!(outcome.await.is_err());
    assert!(!kept.get().expired());
    assert_eq!(kept.get().reschedule(None), Err(RescheduleError::Finished));
}

/// semantics 7.5: of nested ones of one deadline the outermost has run out, whatever the inner one does.
#[asyncio::test(virtual_time)]
async fn a_deadline_moved_onto_that_of_the_outer_scope_ends_the_outer_body() {
    let (deadline, trace) = (now() + SECOND, Trace::new());
    let outcome = Timeout::scope_at(deadline, async |_| {
        let inner = Timeout::scope_at(None, async |inner| {
            inner.reschedule(deadline).unwrap();
            pending::<()>().await;
        });
        let _expired = inner.await;
        sleep(HOUR).await;
        trace.note("unreachable");
    });
    assert!(outcome.await.is_err());
    assert!(trace.take().is_empty());
    assert_eq!(now(), deadline);
}

/// During the expiry of the outer one, the inner one can still be moved.
#[asyncio::test(virtual_time)]
async fn a_scope_in_the_cleanup_of_another_has_a_deadline_of_its_own() {
    let begin = now();
    let outcome = Timeout::scope(SECOND, async |outer| {
        let expiry = catch_cancelled(pending::<()>()).await.unwrap_err();
        assert!(outer.expired());
        let cleanup = Timeout::scope(SECOND, async |inner| {
            inner.reschedule(now() + 2 * SECOND).unwrap();
            pending::<()>().await;
        });
        assert!(cleanup.await.is_err());
        assert_eq!(now(), begin + 3 * SECOND);
        expiry.raise().await
    });
    let outcome: Result<(), _> = outcome.await;
    assert!(outcome.is_err());
    assert_eq!(current().cancelling(), 0);
}

// ----- what it looks like -----

/// semantics 4.4, its four representations.
#[asyncio::test(virtual_time)]
async fn a_timeout_says_its_state() {
    let kept = Kept::default();
    let outcome = Timeout::scope(2 * SECOND, async |timeout| {
        kept.keep(timeout);
        assert_eq!(format!("{timeout:?}"), "<Timeout [active] 2.0s left>");
        timeout.reschedule(None).unwrap();
        assert_eq!(format!("{timeout:?}"), "<Timeout [active] for ever>");
        timeout.reschedule(now()).unwrap();
        let _expiry = catch_cancelled(pending::<()>()).await;
        assert_eq!(format!("{timeout:?}"), "<Timeout [expiring]>");
    });
    assert_eq!(outcome.await, Ok(()));
    assert_eq!(format!("{:?}", kept.get()), "<Timeout [expired]>");
    let outcome = Timeout::scope_at(None, async |timeout| kept.keep(timeout));
    assert_eq!(outcome.await, Ok(()));
    assert_eq!(format!("{:?}", kept.get()), "<Timeout [finished]>");
}

/// A task's dump names the deadline as it is now.
#[asyncio::test(virtual_time)]
async fn a_dump_says_what_is_left_of_a_moved_deadline() {
    let task = asyncio::spawn(Timeout::scope(SECOND, async |timeout| {
        timeout.reschedule(now() + 10 * SECOND).unwrap();
        pending::<()>().await;
    }));
    sleep(4 * SECOND).await;
    let dump = asyncio::debug::dump_tasks().to_string();
    assert!(dump.contains("a timeout (6.0s left)"), "{dump}");
    assert!(task.await.unwrap().is_err());
}
