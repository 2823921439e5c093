//! Deadlines: their order, their extremes, and that none is early.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use asyncio::EventLoop;
use asyncio::driver::VirtualTime;

use support::trace::{Trace, reports_of};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time().build().unwrap()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

// ----- 5.2, 5.3 order -----

/// semantics 5.2: earlier deadline first, whatever the order of scheduling.
#[asyncio::test(virtual_time)]
async fn timers_fire_in_the_order_of_their_deadlines() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    for seconds in [3, 1, 2, 5, 4] {
        event_loop.call_later(seconds * SECOND, trace.noter(&seconds.to_string()));
    }
    asyncio::sleep(6 * SECOND).await;
    assert_eq!(trace.take(), ["1", "2", "3", "4", "5"]);
}

/// semantics 5.2 [rust]: first in, first out where CPython leaves it open.
#[asyncio::test(virtual_time)]
async fn timers_of_one_deadline_fire_in_the_order_of_scheduling() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    let when = event_loop.time() + SECOND;
    for number in 0..100 {
        event_loop.call_at(when, trace.noter(&number.to_string()));
    }
    asyncio::sleep(2 * SECOND).await;
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(trace.take(), expected);
}

/// semantics 5.2: callbacks and sleeping tasks share one order.
#[asyncio::test(virtual_time)]
async fn sleepers_and_callbacks_of_one_deadline_keep_their_order() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    event_loop.call_later(SECOND, trace.noter("callback 1"));
    let notes = trace.clone();
    let task = asyncio::spawn(async move {
        asyncio::sleep(SECOND).await;
        notes.note("task");
    });
    asyncio::yield_now().await;
    event_loop.call_later(SECOND, trace.noter("callback 2"));
    task.await.unwrap();
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["callback 1", "task", "callback 2"]);
}

/// test_call_later_negative_delays: what is overdue is ordered by its deadline as well.
#[asyncio::test(virtual_time)]
async fn overdue_timers_fire_in_the_order_of_their_deadlines() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    asyncio::sleep(HOUR).await;
    let now = event_loop.time();
    event_loop.call_at(now - SECOND, trace.noter("one second ago"));
    event_loop.call_at(now - 2 * SECOND, trace.noter("two seconds ago"));
    asyncio::sleep(SECOND).await;
    assert_eq!(trace.take(), ["two seconds ago", "one second ago"]);
}

/// semantics 5.3; W01
#[asyncio::test(virtual_time)]
async fn a_deadline_in_the_past_is_over_at_once() {
    let event_loop = asyncio::running_loop();
    asyncio::sleep(HOUR).await;
    let now = event_loop.time();
    asyncio::sleep_until(now - SECOND).await;
    asyncio::sleep_until(now).await;
    assert_eq!(event_loop.time(), now);
}

/// semantics 5.3: `sleep(<=0)` is one yield; W01
#[asyncio::test(virtual_time)]
async fn a_sleep_of_zero_yields_once() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    let now = event_loop.time();
    event_loop.call_soon(trace.noter("the others"));
    asyncio::sleep(Duration::ZERO).await;
    trace.note("main");
    assert_eq!(trace.take(), ["the others", "main"]);
    assert_eq!(event_loop.time(), now);
}

/// A sleep counts from when it is first awaited.
#[asyncio::test(virtual_time)]
async fn a_sleep_begins_when_it_is_awaited() {
    let event_loop = asyncio::running_loop();
    let sleep = asyncio::sleep(SECOND);
    asyncio::sleep(HOUR).await;
    let begin = event_loop.time();
    sleep.await;
    assert_eq!(event_loop.time(), begin + SECOND);
}

// ----- the virtual clock -----

/// api 2: tests of hours take milliseconds.
#[test]
fn virtual_hours_pass_at_once() {
    let begin = Instant::now();
    let event_loop = virtual_loop();
    let start = event_loop.time();
    event_loop
        .run_until_complete(async {
            let tasks: Vec<_> = (1..=100)
                .map(|hours| asyncio::spawn(asyncio::sleep(hours * HOUR)))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        })
        .unwrap();
    assert_eq!(event_loop.time() - start, 100 * HOUR);
    assert!(begin.elapsed() < HOUR);
}

/// api 2: the clock stands still while there is work.
#[asyncio::test(virtual_time)]
async fn virtual_time_passes_only_while_everybody_waits() {
    let event_loop = asyncio::running_loop();
    let begin = event_loop.time();
    for _ in 0..1_000 {
        asyncio::yield_now().await;
    }
    assert_eq!(event_loop.time(), begin);
    asyncio::sleep(Duration::from_nanos(1)).await;
    assert_eq!(event_loop.time(), begin + Duration::from_nanos(1));
}

/// api 2: the clock does not jump over a job in a thread.
#[asyncio::test(virtual_time)]
async fn virtual_time_waits_for_jobs_in_threads() {
    let event_loop = asyncio::running_loop();
    let begin = event_loop.time();
    let value = asyncio::timeout(HOUR, asyncio::to_thread(|| 7)).await;
    assert_eq!(value.unwrap().unwrap(), 7);
    assert_eq!(event_loop.time(), begin);
}

/// W13: the clock at the edges of the widths that timers are often kept in.
#[test]
fn the_order_holds_across_the_widths_of_integers() {
    let driver = VirtualTime::default();
    let clock = driver.handle();
    let event_loop = EventLoop::builder().driver(driver).build().unwrap();
    for edge in [1_u64 << 31, 1 << 32, 1 << 36] {
        let trace = Trace::new();
        let edge = Duration::from_millis(edge);
        clock.advance(edge - SECOND);
        let stopper = event_loop.clone();
        event_loop.call_later(3 * SECOND, move || stopper.stop());
        event_loop.call_later(2 * SECOND, trace.noter("after the edge"));
        event_loop.call_later(Duration::ZERO, trace.noter("before the edge"));
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["before the edge", "after the edge"]);
    }
}

// ----- extremes -----

/// W02: no duration is too long; it only never ends.
#[asyncio::test(virtual_time)]
async fn a_deadline_that_no_clock_reaches_is_never() {
    let event_loop = asyncio::running_loop();
    let begin = event_loop.time();
    let extremes = [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(u64::MAX / 10),
        Duration::from_secs(1 << 62),
        Duration::from_secs(i64::MAX as u64),
        Duration::from_secs(1_000 * 365 * 86_400),
    ];
    for duration in extremes {
        let sleeper = asyncio::spawn(asyncio::sleep(duration));
        let timer = event_loop.call_later(duration, || unreachable!("never"));
        let limited = asyncio::spawn(asyncio::timeout(duration, pending::<()>()));
        assert!(timer.when() > event_loop.time());
        asyncio::sleep(HOUR).await;
        assert!(!sleeper.is_finished() && !limited.is_finished());
        assert!(!timer.cancelled());
        timer.cancel();
        sleeper.cancel();
        limited.cancel();
        assert!(sleeper.await.unwrap_err().is_cancelled());
        assert!(limited.await.unwrap_err().is_cancelled());
    }
    assert_eq!(event_loop.time() - begin, 6 * HOUR);
}

/// W02: the last moment that an `Instant` can hold.
#[asyncio::test(virtual_time)]
async fn an_instant_near_its_end_is_accepted() {
    let event_loop = asyncio::running_loop();
    let mut last = event_loop.time();
    let mut step = Duration::MAX;
    while step >= SECOND {
        match last.checked_add(step) {
            Some(later) => last = later,
            None => step /= 2,
        }
    }
    let timer = event_loop.call_at(last, || unreachable!("never"));
    let sleeper = asyncio::spawn(asyncio::sleep_until(last));
    asyncio::sleep(HOUR).await;
    assert!(!sleeper.is_finished());
    timer.cancel();
}

/// W02: a loop that only waits for "never" sleeps, and a call from another thread ends that.
#[test]
fn a_loop_that_waits_for_never_can_still_be_woken() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_later(Duration::MAX, || unreachable!("never"));
    let remote = event_loop.handle();
    let (stopper, thread) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
    let (done, started) = (stopper.clone(), thread.clone());
    event_loop.call_soon(move || {
        *started.borrow_mut() = Some(std::thread::spawn(move || {
            remote
                .call_soon_threadsafe(|| asyncio::running_loop().stop())
                .unwrap();
        }));
        done.set(true);
    });
    event_loop.run_forever().unwrap();
    assert!(stopper.get());
    thread.take().unwrap().join().unwrap();
}

/// W04, W05: many timers with one deadline, beside I/O and cancelled ones: none is lost, none is doubled.
#[test]
fn half_of_many_timers_cancelled_leaves_exactly_the_other_half() {
    let event_loop = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    let timers: Vec<_> = (0..10_000_u64)
        .map(|number| {
            let fired = fired.clone();
            let delay = Duration::from_millis(number * 7_919 % 1_000);
            event_loop.call_later(delay, move || fired.set(fired.get() + 1))
        })
        .collect();
    timers.iter().step_by(2).for_each(|timer| timer.cancel());
    event_loop
        .run_until_complete(asyncio::sleep(2 * SECOND))
        .unwrap();
    assert_eq!(fired.get(), 5_000);
}

/// W05: I/O is served in the turn after, however many timers expire at once.
#[test]
#[cfg(unix)]
fn ten_thousand_timers_of_one_deadline_delay_a_reader_by_one_turn() {
    use std::io::Write as _;
    let event_loop = virtual_loop();
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let ours = Rc::new(ours);
    let trace = Trace::new();
    let next_turn = Rc::new(Cell::new(false));
    for number in 0..10_000 {
        let (inside, notes, first) = (event_loop.clone(), trace.clone(), number == 0);
        event_loop.call_later(SECOND, move || {
            if first {
                theirs_note(&inside, &notes);
            }
        });
    }
    fn theirs_note(event_loop: &EventLoop, trace: &Trace) {
        let (inside, notes) = (event_loop.clone(), trace.clone());
        event_loop.call_soon(move || {
            notes.note("next turn");
            inside.call_soon(notes.noter("the turn after"));
        });
    }
    let (notes, reader, inside) = (trace.clone(), ours.clone(), event_loop.clone());
    let seen = next_turn.clone();
    event_loop
        .add_reader(&*ours, move || {
            notes.note("reader");
            seen.set(true);
            inside.remove_reader(&*reader);
        })
        .unwrap();
    event_loop.call_later(SECOND - Duration::from_nanos(1), move || {
        theirs.write_all(b"!").unwrap()
    });
    event_loop
        .run_until_complete(asyncio::sleep(2 * SECOND))
        .unwrap();
    let order = trace.take();
    let position = |what: &str| order.iter().position(|line| line == what).unwrap();
    assert!(next_turn.get());
    assert!(position("reader") < position("the turn after"), "{order:?}");
}

// ----- timers as futures -----

/// semantics 7.3, test_task_cancel_sleeping_task: nothing stays behind of a cancelled sleep.
#[asyncio::test(virtual_time)]
async fn a_cancelled_sleep_ends_at_once_and_leaves_no_timer() {
    let event_loop = asyncio::running_loop();
    let begin = event_loop.time();
    let sleeper = asyncio::spawn(asyncio::sleep(HOUR));
    asyncio::sleep(SECOND).await;
    sleeper.cancel();
    assert!(sleeper.await.unwrap_err().is_cancelled());
    assert_eq!(event_loop.time(), begin + SECOND);
}

/// W12: the last waker wins.
#[asyncio::test(virtual_time)]
async fn a_sleep_wakes_the_waker_of_its_last_poll_once() {
    let (first, second) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let mut sleep = pin!(asyncio::sleep(SECOND));
    for counter in [&first, &second, &second] {
        let waker = Waker::from(counter.clone());
        assert!(
            sleep
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    asyncio::sleep(2 * SECOND).await;
    assert_eq!((first.count(), second.count()), (0, 1));
    let mut noop = Context::from_waker(Waker::noop());
    assert!(sleep.as_mut().poll(&mut noop).is_ready());
    asyncio::sleep(HOUR).await;
    assert_eq!((first.count(), second.count()), (0, 1));
}

/// W12: dropped while its timer has fired already, but before it was polled.
#[asyncio::test(virtual_time)]
async fn a_sleep_dropped_after_it_fired_disturbs_no_other_timer() {
    let trace = Trace::new();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let mut fired = Box::pin(asyncio::sleep(SECOND));
    assert!(
        fired
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    asyncio::sleep(SECOND).await;
    asyncio::yield_now().await;
    assert_eq!(counter.count(), 1);
    // Takes the place that the fired timer had.
    asyncio::running_loop().call_later(SECOND, trace.noter("the other timer"));
    drop(fired);
    asyncio::sleep(2 * SECOND).await;
    assert_eq!(trace.take(), ["the other timer"]);
}

/// W12: a timer may cancel another one of the same deadline, and itself.
#[asyncio::test(virtual_time)]
async fn a_timer_may_cancel_others_while_they_fire() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    let timers = Rc::new(RefCell::new(Vec::<asyncio::TimerHandle>::new()));
    let (all, notes) = (timers.clone(), trace.clone());
    let first = event_loop.call_later(SECOND, move || {
        notes.note("cancels all, itself too");
        all.borrow().iter().for_each(|timer| timer.cancel());
    });
    let second = event_loop.call_later(SECOND, trace.noter("must not run"));
    timers.borrow_mut().extend([first, second]);
    asyncio::sleep(HOUR).await;
    assert_eq!(trace.take(), ["cancels all, itself too"]);
}

/// W12: cancelling a timer that has fired takes no other one out.
#[asyncio::test(virtual_time)]
async fn cancelling_a_timer_that_has_fired_does_nothing() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    let fired = event_loop.call_later(SECOND, trace.noter("fired"));
    asyncio::sleep(2 * SECOND).await;
    event_loop.call_later(SECOND, trace.noter("in the same place"));
    fired.cancel();
    asyncio::sleep(2 * SECOND).await;
    assert_eq!(trace.take(), ["fired", "in the same place"]);
}

/// P08, T07: a waker that panics takes neither the loop nor the rest of the batch down.
#[test]
fn a_waker_that_panics_keeps_no_other_timer_from_firing() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let event_loop = virtual_loop();
    let reports = reports_of(&event_loop);
    let trace = Trace::new();
    let outcome = event_loop.run_until_complete(async {
        let mut bad = pin!(asyncio::sleep(SECOND));
        let waker = Waker::from(Arc::new(Bad));
        poll_fn(|_cx| {
            assert!(
                bad.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            Poll::Ready(())
        })
        .await;
        asyncio::running_loop().call_later(SECOND, trace.noter("same deadline"));
        asyncio::sleep(2 * SECOND).await;
        "alive"
    });
    assert_eq!(outcome.unwrap(), "alive");
    assert_eq!(trace.take(), ["same deadline"]);
    assert_eq!(reports.len(), 1);
}

/// A sleep that is awaited by nobody any more keeps nothing awake; one polled in a loop after its end stays done.
#[asyncio::test(virtual_time)]
async fn a_sleep_that_is_over_stays_over() {
    let mut sleep = Box::pin(asyncio::sleep(SECOND));
    sleep.as_mut().await;
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(Pin::new(&mut sleep).poll(&mut cx), Poll::Ready(()));
}

// ----- the real clock: the one place -----

/// Promise 7, W03; test_time_and_call_at: never early, by the real clock. Takes as long as its longest sleep.
#[test]
fn no_timer_is_early_by_the_real_clock() {
    let event_loop = EventLoop::new().unwrap();
    let early = Rc::new(Cell::new(0));
    let fired = Rc::new(Cell::new(0));
    event_loop
        .run_until_complete(async {
            let mut tasks = Vec::new();
            for number in 0..1_000_u32 {
                // Scattered over ten milliseconds, with odd nanoseconds.
                let delay = Duration::from_nanos(u64::from(
                    number.wrapping_mul(2_654_435_761) % 10_000_019,
                ));
                let (early, fired) = (early.clone(), fired.clone());
                tasks.push(asyncio::spawn(async move {
                    let begin = Instant::now();
                    asyncio::sleep(delay).await;
                    fired.set(fired.get() + 1);
                    if begin.elapsed() < delay {
                        early.set(early.get() + 1);
                    }
                }));
                if number % 100 == 0 {
                    asyncio::yield_now().await;
                }
            }
            for task in tasks {
                task.await.unwrap();
            }
            let event_loop = asyncio::running_loop();
            let when = event_loop.time() + Duration::from_micros(1_500);
            asyncio::sleep_until(when).await;
            assert!(event_loop.time() >= when && Instant::now() >= when);
        })
        .unwrap();
    assert_eq!((fired.get(), early.get()), (1_000, 0));
}

/// W06: a loop that is parked until far away serves a timer that another thread has it set. If the park was not ended,
/// the loop would be found waiting for an hour.
#[test]
fn an_earlier_timer_armed_by_another_thread_ends_a_long_park() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_later(HOUR, || unreachable!("the park was not ended"));
    let remote = event_loop.handle();
    let thread = std::thread::spawn(move || {
        let arm = || {
            let event_loop = asyncio::running_loop();
            let stopper = event_loop.clone();
            event_loop.call_later(Duration::from_millis(1), move || stopper.stop());
        };
        remote.call_soon_threadsafe(arm).unwrap();
    });
    event_loop.run_forever().unwrap();
    thread.join().unwrap();
}

/// test_timeout_rounding: tiny sleeps are waited for, not spun through.
#[test]
fn tiny_sleeps_do_not_spin() {
    let event_loop = EventLoop::new().unwrap();
    let turns = Rc::new(Cell::new(0_u32));
    event_loop
        .run_until_complete(async {
            for delay in [1_000_000, 100_000, 10_000, 1_000, 100] {
                let mut sleep = pin!(asyncio::sleep(Duration::from_nanos(delay)));
                poll_fn(|cx| {
                    turns.set(turns.get() + 1);
                    sleep.as_mut().poll(cx)
                })
                .await;
            }
        })
        .unwrap();
    assert!(turns.get() <= 20, "{} polls", turns.get());
}

/// The timer of the first loop goes with it, and is not taken for one that has fired. A loop that is there, but not run,
/// would never wake the sleeper.
#[test]
fn a_sleep_that_outlives_its_loop_goes_on_in_the_next_one() {
    for (is_closed, is_held) in [(true, true), (true, false), (false, true)] {
        let mut outliving = pin!(asyncio::sleep(HOUR));
        let first = virtual_loop();
        first
            .run_until_complete(async {
                poll_fn(|cx| {
                    assert!(outliving.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            })
            .unwrap();
        if is_closed {
            first.close().unwrap();
        }
        let held = is_held.then(|| first.clone());
        drop(first);
        let second = virtual_loop();
        second
            .run_until_complete(async {
                // Has the place that the other one had in its loop.
                let other = asyncio::spawn(asyncio::sleep(2 * HOUR));
                asyncio::yield_now().await;
                let began = asyncio::running_loop().time();
                outliving.await;
                let taken = asyncio::running_loop().time() - began;
                assert!(taken > HOUR - 60 * SECOND, "{taken:?}");
                other.await.unwrap();
                let taken = asyncio::running_loop().time() - began;
                assert!(taken >= 2 * HOUR - 60 * SECOND, "{taken:?}");
            })
            .unwrap();
        second.close().unwrap();
        if let Some(first) = held {
            first.close().unwrap();
        }
    }
}
