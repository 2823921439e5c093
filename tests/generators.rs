//! Async generators: iteration, closing, and what the loop does about those that nobody finishes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio::{
    AsyncGenerator, EventLoop, Runner, Yielder, catch_cancelled, generator, sleep, spawn, timeout,
    yield_now,
};
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

const MS: Duration = Duration::from_millis(1);

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// Emits 1, 2, 3; its cleanup awaits before it says that it is done.
fn counting(log: &Log) -> AsyncGenerator<u32> {
    let log = log.clone();
    generator(async move |y: Yielder<u32>| {
        asyncio::finally(
            async {
                for n in 1..=3 {
                    y.emit(n).await;
                }
            },
            async || {
                log.add("cleaning up");
                sleep(Duration::from_millis(1)).await;
                log.add("clean");
            },
        )
        .await;
    })
}

#[asyncio::test(virtual_time)]
async fn a_generator_gives_its_values_and_then_nothing() {
    let log = Log::default();
    let mut numbers = counting(&log);
    assert_eq!(numbers.next().await, Some(1));
    assert_eq!(numbers.next().await, Some(2));
    assert_eq!(numbers.next().await, Some(3));
    assert_eq!(numbers.next().await, None);
    assert_eq!(numbers.next().await, None);
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
}

#[asyncio::test(virtual_time)]
async fn aclose_runs_the_cleanup_where_the_body_is_suspended_and_awaits_it() {
    let log = Log::default();
    let mut numbers = counting(&log);
    assert_eq!(numbers.next().await, Some(1));
    numbers.aclose().await;
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
    assert_eq!(numbers.next().await, None);
    numbers.aclose().await; // again: nothing happens
    assert_eq!(asyncio::current_task().unwrap().cancelling(), 0);
}

#[asyncio::test]
async fn a_generator_that_was_never_iterated_never_runs() {
    let log = Log::default();
    let mut numbers = counting(&log);
    numbers.aclose().await;
    drop(numbers);
    drop(counting(&log));
    yield_now().await;
    assert!(log.lines().is_empty());
}

#[asyncio::test(virtual_time)]
async fn a_generator_dropped_unfinished_is_closed_in_the_background() {
    let log = Log::default();
    let mut numbers = counting(&log);
    assert_eq!(numbers.next().await, Some(1));
    drop(numbers);
    assert!(log.lines().is_empty()); // not here, but by a task of the loop
    sleep(Duration::from_millis(5)).await;
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
}

/// issue 4: it was started by one task, and its last handle is dropped by another.
#[asyncio::test(virtual_time)]
async fn a_generator_whose_last_handle_another_task_drops_is_closed_all_the_same() {
    let log = Log::default();
    let mut numbers = counting(&log);
    assert_eq!(numbers.next().await, Some(1));
    let heir = spawn(async move {
        assert_eq!(numbers.next().await, Some(2));
    });
    heir.await.unwrap();
    sleep(Duration::from_millis(5)).await;
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
}

/// semantics 3.2, and python/cpython#95584: dropped in the last moment, its cleanup is not lost.
#[test]
fn a_generator_dropped_when_main_ends_is_still_cleaned_up_by_close() {
    let log = Log::default();
    let runner = Runner::builder()
        .loop_factory(|| EventLoop::builder().virtual_time().build())
        .build();
    runner
        .run(async {
            let mut numbers = counting(&log);
            assert_eq!(numbers.next().await, Some(1));
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
    assert!(report.is_clean(), "{report:?}");
}

/// semantics 1.7 and 3.2: generators are closed after the tasks that consume them.
#[test]
fn close_ends_the_consumer_first_and_then_the_generator() {
    let log = Log::default();
    let runner = Runner::builder()
        .loop_factory(|| EventLoop::builder().virtual_time().build())
        .build();
    let numbers = Rc::new(RefCell::new(Some(counting(&log))));
    runner
        .run(async {
            let (log, numbers) = (log.clone(), numbers.clone());
            drop(spawn(async move {
                let mut taken = numbers.take().unwrap();
                assert_eq!(taken.next().await, Some(1));
                let waited = asyncio::catch_cancelled(std::future::pending::<()>()).await;
                log.add("consumer cancelled");
                *numbers.borrow_mut() = Some(taken); // outlives its consumer
                waited.unwrap_err().raise().await
            }));
            yield_now().await;
        })
        .unwrap();
    runner.close().unwrap();
    assert_eq!(log.lines(), ["consumer cancelled", "cleaning up", "clean"]);
}

#[asyncio::test(virtual_time)]
async fn a_generator_that_holds_another_one_closes_both() {
    let log = Log::default();
    let inner = counting(&log);
    let outer_log = log.clone();
    let mut outer = generator(async move |y| {
        let mut inner = inner;
        while let Some(n) = inner.next().await {
            y.emit(n * 10).await;
        }
        outer_log.add("never reached");
    });
    assert_eq!(outer.next().await, Some(10));
    asyncio::running_loop().shutdown_asyncgens().await;
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
    assert_eq!(outer.next().await, None);
}

#[asyncio::test(virtual_time)]
async fn a_cancelled_consumer_takes_the_body_along_through_its_cleanup() {
    let log = Log::default();
    let body_log = log.clone();
    let consumer = spawn(async move {
        let mut waiting = generator(async move |y: Yielder<u32>| {
            asyncio::finally(std::future::pending::<()>(), async || {
                body_log.add("body cleaned up")
            })
            .await;
            y.emit(1).await;
        });
        waiting.next().await
    });
    yield_now().await;
    consumer.cancel();
    assert!(consumer.await.unwrap_err().is_cancelled());
    assert_eq!(log.lines(), ["body cleaned up"]);
}

#[test]
fn a_panic_in_a_cleanup_is_reported_and_the_others_are_closed() {
    let log = Log::default();
    let runner = Runner::builder()
        .loop_factory(|| EventLoop::builder().virtual_time().build())
        .build();
    let reports = Log::default();
    let seen = reports.clone();
    runner
        .event_loop()
        .unwrap()
        .set_exception_handler(move |_, context| seen.add(context.message().to_owned()));
    let mut good = counting(&log);
    let mut bad = generator(async |y: Yielder<u32>| {
        asyncio::finally(y.emit(1), async || panic!("cleanup failed")).await;
    });
    runner
        .run(async {
            assert_eq!(good.next().await, Some(1));
            assert_eq!(bad.next().await, Some(1));
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert_eq!(
        reports.lines(),
        ["an error occurred during closing of asynchronous generator"]
    );
    assert_eq!(report.errors().len(), 1);
    assert_eq!(log.lines(), ["cleaning up", "clean"]);
}

#[asyncio::test]
async fn a_generator_started_after_the_shutdown_is_reported() {
    let reports = Log::default();
    let seen = reports.clone();
    let event_loop = asyncio::running_loop();
    event_loop.set_exception_handler(move |_, context| seen.add(context.message().to_owned()));
    event_loop.shutdown_asyncgens().await;
    let mut late = generator(async |y| y.emit(1).await);
    assert_eq!(late.next().await, Some(1));
    assert_eq!(
        reports.lines(),
        ["an asynchronous generator was scheduled after loop.shutdown_asyncgens() call"]
    );
}

#[asyncio::test]
async fn a_body_that_emits_while_it_is_closed_is_dropped_with_a_panic() {
    let mut stubborn = generator(async |y: Yielder<u32>| {
        let _ = asyncio::catch_cancelled(y.emit(1)).await;
        y.emit(2).await;
    });
    assert_eq!(stubborn.next().await, Some(1));
    let closing = spawn(async move { stubborn.aclose().await });
    let error = closing.await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("emitted a value during its cleanup"),
        "{error}"
    );
}

/// It hung: the request took the body along, and then somebody beside the generator swallowed it.
#[asyncio::test(virtual_time)]
async fn who_waits_for_a_value_learns_of_the_end_if_a_sibling_takes_the_request() {
    let goes_on = Rc::new(Cell::new(false));
    let may_go_on = goes_on.clone();
    let task = spawn(async move {
        let mut values = generator(async move |y: Yielder<()>| {
            // Somebody else's futures, which know of no request.
            let first = poll_fn(|_| match may_go_on.get() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            catch_cancelled(first).await.unwrap();
            std::future::pending::<()>().await;
            y.emit(()).await;
        });
        let next = async { assert_eq!(values.next().await, None) };
        // It has waited for less long than the generator, and is therefore the last to be asked.
        let waits = async {
            sleep(MS).await;
            sleep(1000 * MS).await;
        };
        let swallower = async { drop(catch_cancelled(waits).await) };
        let both: FuturesUnordered<_> = [swallower.boxed_local(), next.boxed_local()]
            .into_iter()
            .collect();
        both.collect::<Vec<()>>().await.len()
    });
    sleep(2 * MS).await;
    goes_on.set(true);
    task.cancel();
    let outcome = timeout(MS, task).await.expect("it hangs");
    assert_eq!(outcome.unwrap(), 2);
}
