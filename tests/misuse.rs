//! Misuse panics at once, with the remedy in its text, and points at the line of the program that is to be changed.

mod support;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use asyncio::driver::VirtualTime;
use asyncio::{EventLoop, ThreadPoolExecutor, context_var};

thread_local! {
    /// Where this thread's last panic was, and what it said; `None` unless a test asks.
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

#[derive(Debug, Default)]
struct Seen {
    file: String,
    line: u32,
    text: String,
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| String::from(*text));
    text.or_else(|| payload.downcast_ref().cloned())
        .unwrap_or_default()
}

/// Calls `misuse`, which panics, and returns where and how. The hook belongs to the process: it is set once, and leaves
/// every panic that no test asked for to the one before.
#[track_caller]
fn panic_of<T>(misuse: impl FnOnce() -> T) -> Seen {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let asked = LAST.with_borrow_mut(|last| {
                let Some(last) = last else { return false };
                let place = info.location().unwrap();
                *last = Seen {
                    file: place.file().into(),
                    line: place.line(),
                    text: text_of(info.payload()),
                };
                true
            });
            if !asked {
                previous(info);
            }
        }));
    });
    LAST.set(Some(Seen::default()));
    let outcome = catch_unwind(AssertUnwindSafe(misuse));
    let seen = LAST.take().unwrap();
    assert!(outcome.is_err(), "it did not panic");
    seen
}

/// The panic is at this file's `line`, and says what is wrong and what to do.
#[track_caller]
fn check(seen: &Seen, line: u32, texts: &[&str]) {
    assert_eq!(
        (seen.file.as_str(), seen.line),
        (file!(), line),
        "{}",
        seen.text
    );
    for text in texts {
        assert!(seen.text.contains(text), "{}", seen.text);
    }
}

fn closed() -> EventLoop {
    let event_loop = EventLoop::new().unwrap();
    event_loop.close().unwrap();
    event_loop
}

/// A misuse, on one line with the macro's name, and that line.
macro_rules! misuse {
    ($misuse:expr) => {
        (panic_of(|| $misuse), line!())
    };
}

const OUTSIDE: &[&str] = &["no running event loop", "asyncio::run"];

/// semantics 7.3: no running loop.
#[test]
fn asking_for_the_running_loop_outside_of_one_points_at_the_caller() {
    let (seen, line) = misuse!(asyncio::running_loop());
    check(&seen, line, OUTSIDE);
}

/// test_bare_create_task
#[test]
fn spawning_outside_of_a_loop_points_at_the_caller() {
    let (seen, line) = misuse!(drop(asyncio::spawn(async {})));
    check(&seen, line, OUTSIDE);
    let (seen, line) = misuse!(drop(asyncio::task()));
    check(&seen, line, OUTSIDE);
    let (seen, line) = misuse!(asyncio::all_tasks());
    check(&seen, line, OUTSIDE);
}

/// semantics 1.7: the thread is named.
#[test]
fn asking_for_the_current_loop_where_there_is_none_points_at_the_caller() {
    let ask = || panic_of(|| asyncio::event_loop()); // the line below this one would do as well
    let line = line!() - 1;
    let thread = std::thread::Builder::new().name("nobody's".into());
    let seen = thread.spawn(ask).unwrap().join().unwrap();
    check(
        &seen,
        line,
        &[
            "no current event loop in thread 'nobody's'",
            "set_event_loop",
        ],
    );
}

/// semantics 3.4: what a closed loop refuses.
#[test]
fn using_a_closed_loop_points_at_the_caller() {
    let event_loop = closed();
    let (now, later) = (event_loop.time(), Duration::from_secs(1));
    let cases = [
        misuse!(event_loop.call_soon(|| ())),
        misuse!(event_loop.call_later(later, || ())),
        misuse!(event_loop.call_at(now, || ())),
        misuse!(drop(event_loop.spawn(async {}))),
        misuse!(drop(event_loop.task().spawn(async {}))),
    ];
    for (seen, line) in cases {
        check(&seen, line, &["Event loop is closed"]);
    }
}

/// 7.3 test_error_in_call_soon: what a closed loop refuses is dropped.
#[test]
fn what_a_closed_loop_refuses_is_dropped() {
    let trace = support::trace::Trace::new();
    let event_loop = closed();
    let dropped = trace.on_drop("callback");
    panic_of(|| event_loop.call_soon(move || drop(dropped)));
    let future = support::trace::Untouched::new(&trace);
    panic_of(|| drop(event_loop.spawn(future)));
    assert_eq!(trace.take(), ["callback", "dropped"]);
}

/// A thread that joins on the loop's own thread would wait for itself.
#[test]
fn joining_a_remote_task_on_its_own_loop_points_at_the_caller() {
    asyncio::run(async {
        let task = asyncio::running_loop().handle().spawn(async { 7 });
        let (seen, line) = misuse!(task.join());
        check(
            &seen,
            line,
            &["would block it for ever", "await the handle"],
        );
    })
    .unwrap();
}

#[test]
fn taking_a_panic_out_of_another_error_points_at_the_caller() {
    asyncio::run(async {
        let task = asyncio::spawn(std::future::pending::<()>());
        task.cancel();
        let error = task.await.unwrap_err();
        let (seen, line) = misuse!(error.into_panic());
        check(&seen, line, &["no panic", "check `is_panic` first"]);
    })
    .unwrap();
}

context_var! {
    static COLOUR: u32 = 0;
    static SHAPE: u32 = 0;
}

#[test]
fn resetting_with_a_foreign_token_points_at_the_caller() {
    let token = SHAPE.set(1);
    let (seen, line) = misuse!(COLOUR.reset(token));
    check(&seen, line, &["`COLOUR`", "`SHAPE`"]);
    let elsewhere = asyncio::Context::new();
    let token = elsewhere.run(|| COLOUR.set(1)).unwrap();
    let (seen, line) = misuse!(COLOUR.reset(token));
    check(&seen, line, &["another context"]);
}

/// E14
#[test]
fn an_executor_without_workers_points_at_the_caller() {
    let (seen, line) = misuse!(ThreadPoolExecutor::with_max_workers(0));
    check(&seen, line, &["max_workers must be greater than 0"]);
    let builder = ThreadPoolExecutor::builder();
    let (seen, line) = misuse!(builder.max_workers(0));
    check(&seen, line, &["max_workers must be greater than 0"]);
    let builder = ThreadPoolExecutor::builder();
    let (seen, line) = misuse!(builder.thread_name_prefix("a\0b"));
    check(&seen, line, &["thread_name_prefix must not contain NUL"]);
}

#[test]
fn advancing_a_virtual_clock_past_its_end_points_at_the_caller() {
    let clock = VirtualTime::default().handle();
    let (seen, line) = misuse!(clock.advance(Duration::MAX));
    check(&seen, line, &["virtual clock"]);
}

/// A poll has no caller to point at, so the text has to do.
#[test]
fn polling_outside_of_a_loop_says_where_to_do_it() {
    let poll = |future: std::pin::Pin<&mut dyn Future<Output = ()>>| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let seen = panic_of(|| future.poll(&mut cx).is_ready());
        for text in OUTSIDE {
            assert!(seen.text.contains(text), "{}", seen.text);
        }
    };
    poll(std::pin::pin!(asyncio::sleep(Duration::from_secs(1))));
    poll(std::pin::pin!(asyncio::sleep_until(
        Instant::now() + Duration::from_secs(1)
    )));
    poll(std::pin::pin!(async {
        asyncio::to_thread(|| ()).await.unwrap()
    }));
}
