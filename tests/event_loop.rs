//! The loop's turns: what runs when, what stops it, what it refuses, and where its failures go.

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio::driver::{Driver, Events, Interest, Notify, Token, VirtualTime, Wait};
use asyncio::{EventLoop, ExceptionContext, RunError, context_var};

use support::trace::{PanicOnDrop, Trace, Untouched, alone, reports_of, stderr_of};

const SECOND: Duration = Duration::from_secs(1);

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time().build().unwrap()
}

/// Runs everything that is ready, and what that makes ready, for so many turns.
fn run_turns(event_loop: &EventLoop, turns: usize) {
    for _ in 0..turns {
        event_loop.stop();
        event_loop.run_forever().unwrap();
    }
}

fn text<T>(result: Result<T, RunError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

/// A driver that notes how the loop waits.
struct Recording {
    inner: VirtualTime,
    begin: Instant,
    trace: Trace,
}

fn recording_loop() -> (EventLoop, Trace) {
    let (inner, trace) = (VirtualTime::default(), Trace::new());
    let driver = Recording {
        begin: inner.now(),
        inner,
        trace: trace.clone(),
    };
    (EventLoop::builder().driver(driver).build().unwrap(), trace)
}

impl Driver for Recording {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        self.trace.note(match wait.deadline() {
            Some(deadline) => format!("wait until {:?}", deadline - self.begin),
            None if wait.is_look() => "look".into(),
            None => "wait".into(),
        });
        self.inner.wait(wait, events)
    }

    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        self.inner.register(fd, token, interest)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        self.inner.modify(fd, token, interest)
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.inner.deregister(fd, token)
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.inner.notifier()
    }
}

// ----- 5.1 one iteration -----

/// semantics 5.1 step 2; test__run_once
#[test]
fn an_idle_loop_waits_for_its_next_timer_and_no_longer() {
    let (event_loop, waits) = recording_loop();
    let (stopper, far) = (event_loop.clone(), Rc::new(Cell::new(false)));
    let fired = far.clone();
    event_loop.call_later(20 * SECOND, move || fired.set(true));
    event_loop.call_later(10 * SECOND, move || stopper.stop());
    event_loop.run_forever().unwrap();
    assert_eq!(waits.take(), ["wait until 10s"]);
    assert!(!far.get());
}

/// semantics 5.1 step 1: a cancelled timer does not end a wait.
#[test]
fn a_cancelled_timer_is_not_waited_for() {
    let (event_loop, waits) = recording_loop();
    let stopper = event_loop.clone();
    let cancelled = event_loop.call_later(SECOND, || unreachable!("was called off"));
    event_loop.call_later(2 * SECOND, move || stopper.stop());
    cancelled.cancel();
    event_loop.run_forever().unwrap();
    assert_eq!(waits.take(), ["wait until 2s"]);
}

/// semantics 5.1 step 1; test__run_once_cancelled_event_cleanup: thousands of them cost nothing either.
#[test]
fn thousands_of_cancelled_timers_do_not_wake_the_loop() {
    let (event_loop, waits) = recording_loop();
    let stopper = event_loop.clone();
    event_loop.call_later(3600 * SECOND, move || stopper.stop());
    for millis in 1..=5_000 {
        event_loop
            .call_later(Duration::from_millis(millis), || {
                unreachable!("was called off")
            })
            .cancel();
    }
    event_loop.run_forever().unwrap();
    assert_eq!(waits.take(), ["wait until 3600s"]);
}

/// semantics 5.1 step 2: with something ready the loop does not wait.
#[test]
fn a_loop_with_something_ready_does_not_wait() {
    let (event_loop, waits) = recording_loop();
    event_loop.call_later(SECOND, || ());
    let stopper = event_loop.clone();
    event_loop.call_soon(move || stopper.stop());
    event_loop.run_forever().unwrap();
    assert!(waits.take().iter().all(|wait| wait == "look"));
}

/// semantics 5.1 step 5; test__run_once_schedule_handle
#[test]
fn a_callback_scheduled_by_a_callback_runs_in_the_next_iteration() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let (inner_loop, notes) = (event_loop.clone(), trace.clone());
    event_loop.call_soon(move || {
        notes.note("outer");
        inner_loop.call_soon(notes.noter("inner"));
    });
    event_loop.call_soon(trace.noter("neighbour"));
    run_turns(&event_loop, 1);
    assert_eq!(
        trace.take(),
        [
            "outer",     // ready when the turn began
            "neighbour", // as well
        ]
    );
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["inner"]);
}

/// semantics 5.1 step 5; test__add_callback_cancelled_handle
#[test]
fn a_cancelled_callback_is_skipped_also_in_its_own_turn() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let later = Rc::new(RefCell::new(None::<asyncio::Handle>));
    let (handle, notes) = (later.clone(), trace.clone());
    event_loop.call_soon(move || {
        notes.note("first");
        handle.borrow().as_ref().unwrap().cancel();
    });
    *later.borrow_mut() = Some(event_loop.call_soon(trace.noter("second")));
    run_turns(&event_loop, 2);
    assert_eq!(trace.take(), ["first"]);
}

/// semantics 5.1, promise 6: callbacks that reschedule themselves keep nobody from I/O and timers. T03
#[test]
fn a_self_rescheduling_callback_starves_no_timer() {
    let driver = VirtualTime::default();
    let clock = driver.handle();
    let event_loop = EventLoop::builder().driver(driver).build().unwrap();
    let fired = Rc::new(Cell::new(false));
    let (fire, stopper) = (fired.clone(), event_loop.clone());
    event_loop.call_later(SECOND, move || {
        fire.set(true);
        stopper.stop();
    });
    let rounds = Rc::new(Cell::new(0));
    fn again(event_loop: EventLoop, rounds: Rc<Cell<u32>>) {
        rounds.set(rounds.get() + 1);
        assert!(rounds.get() < 1_000, "the timer starves");
        let next = event_loop.clone();
        event_loop.call_soon(move || again(next, rounds));
    }
    again(event_loop.clone(), rounds.clone());
    clock.advance(SECOND);
    event_loop.run_forever().unwrap();
    assert!(fired.get());
    // 61 entries between two looks, and one turn to run what the look found.
    assert!(rounds.get() <= 64, "{} rounds", rounds.get());
}

/// semantics 5.1, promise 6; T03
#[test]
#[cfg(unix)]
fn a_task_that_always_wakes_itself_starves_no_reader() {
    use std::io::Write as _;
    let event_loop = virtual_loop();
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let ours = Rc::new(ours);
    let (found, finder) = (Rc::new(Cell::new(false)), event_loop.clone());
    let (find, reader) = (found.clone(), ours.clone());
    event_loop
        .add_reader(&*ours, move || {
            find.set(true);
            assert!(finder.remove_reader(&*reader));
        })
        .unwrap();
    theirs.write_all(b"!").unwrap();
    let polls = event_loop.run_until_complete(async {
        let mut polls = 0;
        while !found.get() && polls < 1_000 {
            polls += 1;
            asyncio::yield_now().await;
        }
        polls
    });
    assert!(polls.unwrap() <= 64);
}

// ----- 5.2 ordering -----

/// semantics 5.2: strict FIFO, each exactly once.
#[test]
fn call_soon_is_first_in_first_out() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    for number in 0..200 {
        event_loop.call_soon(trace.noter(&number.to_string()));
    }
    run_turns(&event_loop, 2);
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(trace.take(), expected);
}

/// semantics 5.2: the same queue; test_call_soon_threadsafe_same_thread
#[test]
fn call_soon_threadsafe_on_the_loops_own_thread_keeps_the_order() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    event_loop.call_soon(trace.noter("soon 1"));
    event_loop
        .handle()
        .call_soon_threadsafe(trace.noter("threadsafe"))
        .unwrap();
    event_loop.call_soon(trace.noter("soon 2"));
    run_turns(&event_loop, 2);
    assert_eq!(trace.take(), ["soon 1", "threadsafe", "soon 2"]);
}

/// semantics 5.2, inside of a running loop.
#[test]
fn call_soon_threadsafe_from_a_callback_keeps_the_order() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let (inside, notes) = (event_loop.clone(), trace.clone());
    event_loop.call_soon(move || {
        inside
            .handle()
            .call_soon_threadsafe(notes.noter("threadsafe"))
            .unwrap();
        inside.call_soon(notes.noter("soon"));
    });
    run_turns(&event_loop, 3);
    assert_eq!(trace.take(), ["threadsafe", "soon"]);
}

/// semantics 5.2: done callbacks are scheduled in the order of registration when the task ends.
#[test]
fn done_callbacks_are_called_in_the_order_of_registration() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    event_loop
        .run_until_complete(async {
            let notes = trace.clone();
            let task = asyncio::spawn(async move {
                asyncio::running_loop().call_soon(notes.noter("soon before the end"));
            });
            for number in 1..=3 {
                let notes = trace.clone();
                task.add_done_callback(move |task| {
                    notes.note(format!(
                        "callback {number}, finished {}",
                        task.is_finished()
                    ));
                });
            }
            asyncio::yield_now().await;
            assert!(task.is_finished());
            let (notes, late) = (trace.clone(), trace.clone());
            asyncio::running_loop().call_soon(notes.noter("soon after the end"));
            task.add_done_callback(move |_task| late.note("late"));
            assert!(!trace.take().iter().any(|line| line == "late"));
            asyncio::yield_now().await;
            asyncio::yield_now().await;
        })
        .unwrap();
    let trace = trace.take();
    assert_eq!(
        trace,
        [
            "soon before the end",       // queued before the task was done
            "callback 1, finished true", // queued at that moment, in order
            "callback 2, finished true",
            "callback 3, finished true",
            "soon after the end", // queued later
            "late",               // of a finished task: scheduled, not called at once
        ]
    );
}

/// semantics 5.2; SleepTests.test_sleep_zero
#[test]
fn tasks_that_yield_take_turns() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    event_loop
        .run_until_complete(async {
            let tasks: Vec<_> = ["a", "b", "c"]
                .into_iter()
                .map(|name| {
                    let notes = trace.clone();
                    asyncio::spawn(async move {
                        for step in 1..=3 {
                            notes.note(format!("{name}{step}"));
                            asyncio::sleep(Duration::ZERO).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        })
        .unwrap();
    assert_eq!(
        trace.take(),
        ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"]
    );
}

/// semantics 5.2
#[test]
fn yielding_lets_one_whole_iteration_pass() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    event_loop
        .run_until_complete(async {
            let (inside, notes) = (asyncio::running_loop(), trace.clone());
            asyncio::running_loop().call_soon(move || {
                notes.note("next turn");
                inside.call_soon(notes.noter("the turn after"));
            });
            asyncio::yield_now().await;
            trace.note("main");
            asyncio::yield_now().await;
        })
        .unwrap();
    assert_eq!(trace.take(), ["next turn", "main", "the turn after"]);
}

/// semantics 5.2
#[test]
fn what_was_ready_before_the_wait_runs_before_timers_of_the_same_turn() {
    let driver = VirtualTime::default();
    let clock = driver.handle();
    let event_loop = EventLoop::builder().driver(driver).build().unwrap();
    let trace = Trace::new();
    event_loop.call_later(SECOND, trace.noter("timer"));
    event_loop.call_soon(trace.noter("ready"));
    clock.advance(SECOND);
    let stopper = event_loop.clone();
    event_loop.call_later(2 * SECOND, move || stopper.stop());
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["ready", "timer"]);
}

/// semantics 5.2: a timer that is due at once is a callback of the next turn.
#[test]
fn a_timer_of_zero_runs_in_the_next_turn_after_what_is_ready() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let (inside, notes) = (event_loop.clone(), trace.clone());
    event_loop.call_soon(move || {
        inside.call_later(Duration::ZERO, notes.noter("timer"));
        inside.call_soon(notes.noter("soon"));
    });
    run_turns(&event_loop, 2);
    assert_eq!(trace.take(), ["soon", "timer"]);
}

/// semantics 5.2
#[test]
fn cancelling_a_handle_twice_is_harmless_and_drops_the_callback_at_once() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let dropped = trace.on_drop("callback dropped");
    let handle = event_loop.call_soon(move || drop(dropped));
    assert!(!handle.cancelled());
    handle.cancel();
    assert_eq!(trace.take(), ["callback dropped"]);
    handle.cancel();
    assert!(handle.cancelled());
    let dropped = trace.on_drop("timer dropped");
    let timer = event_loop.call_later(SECOND, move || drop(dropped));
    timer.cancel();
    timer.cancel();
    assert!(timer.cancelled());
    assert_eq!(trace.take(), ["timer dropped"]);
}

/// semantics 5.2: a handle that has run is only marked.
#[test]
fn cancelling_a_callback_that_has_run_does_nothing() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let handle = event_loop.call_soon(trace.noter("ran"));
    run_turns(&event_loop, 1);
    handle.cancel();
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["ran"]);
}

/// semantics 5.2: TimerHandle `when()`.
#[test]
fn a_timers_handle_tells_when_it_is_due() {
    let event_loop = virtual_loop();
    let now = event_loop.time();
    assert_eq!(event_loop.call_later(SECOND, || ()).when(), now + SECOND);
    assert_eq!(
        event_loop.call_at(now + 2 * SECOND, || ()).when(),
        now + 2 * SECOND
    );
}

/// issue 2, api 2: one seed is one order, and everything still runs exactly once.
#[test]
fn a_seed_changes_the_order_and_repeats_it() {
    let order = |seed: u64| {
        let event_loop = EventLoop::builder()
            .virtual_time()
            .seed(seed)
            .build()
            .unwrap();
        let trace = Trace::new();
        for number in 0..20 {
            event_loop.call_soon(trace.noter(&number.to_string()));
        }
        run_turns(&event_loop, 1);
        trace.take()
    };
    let plain = order(0);
    assert_eq!(order(7), order(7));
    assert!((1..=3).any(|seed| order(seed) != plain));
    let mut shuffled = order(7);
    shuffled.sort_by_key(|number| number.parse::<u32>().unwrap());
    assert_eq!(shuffled, plain);
}

// ----- 5.4 run_forever, stop, run_until_complete -----

/// semantics 5.4; test_run_forever_pre_stopped
#[test]
fn a_loop_stopped_before_it_runs_does_one_iteration_without_waiting() {
    let (event_loop, waits) = recording_loop();
    let trace = Trace::new();
    event_loop.call_later(SECOND, || unreachable!("there is no waiting"));
    event_loop.call_soon(trace.noter("ready"));
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["ready"]);
    run_turns(&event_loop, 1); // with nothing ready: still no wait
    assert!(waits.take().iter().all(|wait| wait == "look"));
}

/// semantics 5.4: `stop` sets a flag that is looked at after the batch.
#[test]
fn stop_lets_the_batch_finish_and_keeps_what_it_scheduled() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let (inside, notes) = (event_loop.clone(), trace.clone());
    event_loop.call_soon(move || {
        notes.note("stops");
        inside.stop();
        inside.call_soon(notes.noter("scheduled by the stopping one"));
    });
    event_loop.call_soon(trace.noter("same batch"));
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["stops", "same batch"]);
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["scheduled by the stopping one"]);
}

/// semantics 5.4: the flag is cleared on exit.
#[test]
fn a_stop_is_used_up_by_one_run() {
    let event_loop = virtual_loop();
    run_turns(&event_loop, 1);
    let done = event_loop.run_until_complete(async {
        asyncio::sleep(SECOND).await;
        "not stopped"
    });
    assert_eq!(done.unwrap(), "not stopped");
}

/// semantics 5.4; test_run_until_complete_stopped
#[test]
fn a_stopped_run_until_complete_says_so_and_drops_its_future() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let output = event_loop.run_until_complete(async {
        let _dropped = trace.on_drop("dropped");
        asyncio::running_loop().stop();
        pending::<()>().await;
    });
    assert_eq!(text(output), "Event loop stopped before Future completed.");
    assert_eq!(trace.take(), ["dropped"]);
}

/// test_stop_while_run_in_complete: a task survives the stop and can be resumed.
#[test]
fn a_task_goes_on_after_its_run_was_stopped() {
    let event_loop = virtual_loop();
    let mut task = event_loop.spawn(async {
        asyncio::sleep(60 * SECOND).await;
        "later"
    });
    let stopper = event_loop.clone();
    event_loop.call_later(SECOND, move || stopper.stop());
    assert!(matches!(
        event_loop.run_until_complete(&mut task),
        Err(RunError::Stopped)
    ));
    assert!(!task.is_finished());
    assert_eq!(
        event_loop.run_until_complete(task).unwrap().unwrap(),
        "later"
    );
}

/// semantics 5.4: a future that is done when the loop was stopped counts as done.
#[test]
fn a_future_that_finishes_in_the_turn_of_the_stop_has_its_value() {
    let event_loop = virtual_loop();
    let value = event_loop.run_until_complete(async {
        asyncio::running_loop().stop();
        "done"
    });
    assert_eq!(value.unwrap(), "done");
    // And the stop was used up.
    assert!(
        event_loop
            .run_until_complete(asyncio::sleep(SECOND))
            .is_ok()
    );
}

/// semantics 5.4: the batch in which the future finished is completed, plus the callback's own iteration.
#[test]
fn the_batch_that_is_ready_when_main_finishes_still_runs() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let (inside, notes) = (event_loop.clone(), trace.clone());
    event_loop
        .run_until_complete(async move {
            let next = inside.clone();
            inside.call_soon(move || {
                notes.note("ready with main's end");
                next.call_soon(notes.noter("one turn too late"));
            });
        })
        .unwrap();
    assert_eq!(trace.take(), ["ready with main's end"]);
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["one turn too late"]);
}

/// semantics 5.4: the loop can be reused; nothing of the first run stops the second (bpo-22429).
#[test]
fn a_loop_can_be_run_again_and_again() {
    let event_loop = virtual_loop();
    for number in 0..3 {
        let value = event_loop.run_until_complete(async {
            asyncio::sleep(SECOND).await;
            number
        });
        assert_eq!(value.unwrap(), number);
        assert!(!event_loop.is_running());
    }
}

/// semantics 1.6; test_run_until_complete_baseexception
#[test]
fn a_panic_of_the_future_leaves_no_stale_stop() {
    let event_loop = virtual_loop();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        event_loop.run_until_complete(async { panic!("out of cheese") })
    }));
    assert!(panicked.is_err());
    assert!(!event_loop.is_running());
    assert!(asyncio::try_running_loop().is_none());
    let stopper = event_loop.clone();
    let trace = Trace::new();
    event_loop.call_later(SECOND, trace.noter("ran as long as it was to"));
    event_loop.call_later(2 * SECOND, move || stopper.stop());
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["ran as long as it was to"]);
}

/// semantics 5.4: the entry checks, in their order; test_run_until_complete_nesting, test_running_loop_within_a_loop
#[test]
fn nested_runs_are_refused_with_the_future_dropped_unpolled() {
    let (outer, inner, closed) = (virtual_loop(), virtual_loop(), virtual_loop());
    closed.close().unwrap();
    let trace = Trace::new();
    let run_again = outer.clone();
    outer
        .run_until_complete(async {
            let running = "This event loop is already running";
            assert_eq!(
                text(run_again.run_until_complete(Untouched::new(&trace))),
                running
            );
            assert_eq!(text(run_again.run_forever()), running);
            let another = "Cannot run the event loop while another loop is running";
            assert_eq!(
                text(inner.run_until_complete(Untouched::new(&trace))),
                another
            );
            assert_eq!(text(inner.run_forever()), another);
            let is_closed = "Event loop is closed";
            assert_eq!(
                text(closed.run_until_complete(Untouched::new(&trace))),
                is_closed
            );
            assert_eq!(text(closed.run_forever()), is_closed);
            assert_eq!(trace.take(), ["dropped", "dropped", "dropped"]);
        })
        .unwrap();
}

/// semantics 5.4: in 3.13.0 a refused nested run wiped the outer loop's running mark.
#[test]
fn a_refused_nested_run_leaves_the_outer_one_running() {
    let (outer, inner) = (virtual_loop(), virtual_loop());
    let expected = outer.clone();
    outer
        .run_until_complete(async move {
            assert!(expected.run_forever().is_err());
            assert!(inner.run_forever().is_err());
            assert!(expected.is_running() && !inner.is_running());
            assert_eq!(asyncio::running_loop(), expected);
            asyncio::sleep(SECOND).await;
        })
        .unwrap();
}

/// semantics 5.4
#[test]
fn a_loop_is_running_exactly_while_it_runs() {
    let event_loop = virtual_loop();
    assert!(!event_loop.is_running());
    let inside = event_loop.clone();
    event_loop
        .run_until_complete(async move {
            assert!(inside.is_running());
            assert_eq!(asyncio::try_running_loop(), Some(inside));
        })
        .unwrap();
    assert!(!event_loop.is_running());
    assert!(asyncio::try_running_loop().is_none());
}

// ----- 3.4 close -----

/// semantics 3.4; test_close
#[test]
fn closing_a_loop_twice_is_harmless() {
    let event_loop = virtual_loop();
    event_loop.close().unwrap();
    event_loop.close().unwrap();
    assert!(event_loop.is_closed());
    assert_eq!(text(event_loop.run_forever()), "Event loop is closed");
}

/// semantics 3.4; test_close_running_event_loop
#[test]
fn a_running_loop_cannot_be_closed() {
    let event_loop = virtual_loop();
    let inside = event_loop.clone();
    event_loop
        .run_until_complete(async move {
            assert!(matches!(inside.close(), Err(RunError::AlreadyRunning)));
            assert!(!inside.is_closed());
            asyncio::sleep(SECOND).await;
        })
        .unwrap();
    event_loop.close().unwrap();
}

/// semantics 3.4: ready queue and timers are cleared without being run.
#[test]
fn close_drops_callbacks_and_timers_unrun() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let (notes, dropped) = (trace.clone(), trace.on_drop("callback dropped"));
    event_loop.call_soon(move || {
        notes.note("ran");
        drop(dropped);
    });
    let (notes, dropped) = (trace.clone(), trace.on_drop("timer dropped"));
    event_loop.call_later(SECOND, move || {
        notes.note("ran");
        drop(dropped);
    });
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["callback dropped", "timer dropped"]);
}

/// semantics 3.4: close never cancels tasks in the orderly way; here they are dropped, on this thread.
#[test]
fn close_drops_the_tasks_that_are_left_unasked() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let started = event_loop.spawn(Untouched::new(&trace));
    run_turns(&event_loop, 1);
    let unstarted = event_loop.spawn(Untouched::new(&trace));
    let notes = trace.clone();
    let catching = event_loop.spawn(async move {
        let _swallowed = asyncio::catch_cancelled(pending::<()>()).await;
        notes.note("code ran during close");
    });
    assert_eq!(trace.take(), ["polled"]);
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["dropped", "dropped"]);
    for task in [started, unstarted, catching] {
        assert!(task.is_finished() && task.is_cancelled());
        assert!(!task.cancel());
    }
    assert!(event_loop.all_tasks().is_empty());
}

/// semantics 3.4: what still works on a closed loop.
#[test]
fn a_closed_loop_still_answers_questions() {
    let event_loop = virtual_loop();
    event_loop.close().unwrap();
    event_loop.stop();
    event_loop.set_debug(true);
    assert!(event_loop.debug());
    assert!(!event_loop.is_running());
    assert!(event_loop.time() <= event_loop.time());
    assert!(event_loop.all_tasks().is_empty());
    assert!(event_loop.handle().is_closed());
}

/// semantics 3.4; test_remove_fds_after_closing, test_add_fds_after_closing
#[test]
#[cfg(unix)]
fn a_closed_loop_watches_no_descriptor() {
    let event_loop = virtual_loop();
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    event_loop.add_reader(&socket, || ()).unwrap();
    event_loop.close().unwrap();
    for error in [
        event_loop.add_reader(&socket, || ()).unwrap_err(),
        event_loop.add_writer(&socket, || ()).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "Event loop is closed");
    }
    assert!(!event_loop.remove_reader(&socket));
    assert!(!event_loop.remove_writer(&socket));
}

/// semantics 3.4: a job on a closed loop is refused, and says so to whoever awaits it.
#[test]
fn a_closed_loop_runs_no_job() {
    let event_loop = virtual_loop();
    event_loop.close().unwrap();
    let job = event_loop.run_in_executor(|| unreachable!("the executor is shut down"));
    let outcome: Result<(), asyncio::JoinError> = asyncio::run(job).unwrap();
    let error = outcome.unwrap_err();
    assert!(error.is_executor_shutdown());
    assert!(
        error
            .to_string()
            .contains("Executor shutdown has been called")
    );
}

/// A loop that is only dropped ends its tasks too.
#[test]
fn dropping_the_last_handle_closes_the_loop() {
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let remote = event_loop.handle();
    drop(event_loop.spawn(Untouched::new(&trace)));
    drop(event_loop);
    assert_eq!(trace.take(), ["dropped"]);
    assert!(remote.is_closed());
}

/// A callback whose destructor panics during close takes nothing else down.
#[test]
fn destructors_that_panic_during_close_keep_nobody_from_being_dropped() {
    let event_loop = virtual_loop();
    let reports = reports_of(&event_loop);
    let trace = Trace::new();
    let bad = PanicOnDrop("in a callback's destructor");
    event_loop.call_soon(move || drop(bad));
    let bad = PanicOnDrop("in a timer's destructor");
    event_loop.call_later(SECOND, move || drop(bad));
    let bad = PanicOnDrop("in a task's destructor");
    drop(event_loop.task().name("worker").spawn(async move {
        let _bad = bad;
        pending::<()>().await;
    }));
    event_loop.stop();
    let dropped = trace.on_drop("callback dropped");
    event_loop.call_soon(move || drop(dropped));
    let dropped = trace.on_drop("timer dropped");
    event_loop.call_later(SECOND, move || drop(dropped));
    drop(event_loop.spawn(Untouched::new(&trace)));
    event_loop.close().unwrap();
    let mut dropped = trace.take();
    dropped.sort();
    assert_eq!(dropped, ["callback dropped", "dropped", "timer dropped"]);
    assert_eq!(
        reports.take(),
        [
            "a destructor panicked while the loop was closed: in a callback's destructor [-]",
            "a destructor panicked while the task's future was dropped: in a task's destructor [worker]",
            "a destructor panicked while the loop was closed: in a timer's destructor [-]",
        ]
    );
}

// ----- 5.7 exception handler -----

/// semantics 5.7: a failing callback never stops the loop. P12
#[test]
fn a_callback_that_panics_is_reported_and_the_loop_goes_on() {
    let event_loop = virtual_loop();
    let reports = reports_of(&event_loop);
    let trace = Trace::new();
    event_loop.call_soon(|| panic!("in a callback"));
    event_loop.call_soon(trace.noter("the next callback"));
    event_loop.call_later(SECOND, || panic!("in a timer"));
    event_loop.call_later(2 * SECOND, trace.noter("the next timer"));
    event_loop
        .run_until_complete(asyncio::sleep(3 * SECOND))
        .unwrap();
    assert_eq!(trace.take(), ["the next callback", "the next timer"]);
    assert_eq!(
        reports.take(),
        [
            "Exception in callback: in a callback [-]",
            "Exception in callback: in a timer [-]",
        ]
    );
}

/// semantics 5.7: the keys of a callback's report are exception and handle; of a task's, exception and task.
#[test]
fn a_report_names_the_callback_or_the_task_and_its_place() {
    let event_loop = virtual_loop();
    let texts = Trace::new();
    let notes = texts.clone();
    event_loop.set_exception_handler(move |_event_loop, context| notes.note(context.to_string()));
    let callback_line = line!() + 1;
    event_loop.call_soon(|| panic!("first"));
    let task = event_loop.task().name("second");
    let task_line = line!() + 1;
    let task: asyncio::Task<()> = task.spawn(async { panic!("second") });
    drop(task);
    run_turns(&event_loop, 2);
    let file = file!();
    assert_eq!(
        texts.take(),
        [
            format!(
                "Exception in callback\nexception: panicked: first\n\
                 handle: <Handle created at {file}:{callback_line}>"
            ),
            format!(
                "Task exception was never retrieved\nexception: panicked: second\n\
                 task: <Task name='second' spawned at {file}:{task_line}>"
            ),
        ]
    );
}

/// test_set_exc_handler_custom: the handler gets the loop and exactly what was thrown.
#[test]
fn a_custom_handler_gets_the_loop_and_the_payload() {
    let event_loop = virtual_loop();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (log, expected) = (seen.clone(), event_loop.clone());
    event_loop.set_exception_handler(move |event_loop, context| {
        assert_eq!(*event_loop, expected);
        let payload = context.panic_payload().unwrap().downcast_ref::<u32>();
        log.borrow_mut().push(payload.copied());
    });
    event_loop.call_soon(|| std::panic::panic_any(7_u32));
    run_turns(&event_loop, 1);
    assert_eq!(*seen.borrow(), [Some(7)]);
}

/// semantics 5.7
#[test]
fn the_program_may_report_through_the_handler_itself() {
    let event_loop = virtual_loop();
    let reports = reports_of(&event_loop);
    event_loop.call_exception_handler(ExceptionContext::new("plain"));
    let error = io::Error::other("the cause");
    event_loop.call_exception_handler(ExceptionContext::new("with cause").with_error(error));
    assert_eq!(
        reports.take(),
        ["plain: - [-]", "with cause: the cause [-]"]
    );
}

/// A handler may set another one, which is asked from then on.
#[test]
fn a_handler_may_be_replaced_from_inside() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let notes = trace.clone();
    event_loop.set_exception_handler(move |event_loop, _context| {
        notes.note("first handler");
        let notes = notes.clone();
        event_loop.set_exception_handler(move |_event_loop, _context| notes.note("second handler"));
    });
    event_loop.call_exception_handler(ExceptionContext::new("one"));
    event_loop.call_exception_handler(ExceptionContext::new("two"));
    assert_eq!(trace.take(), ["first handler", "second handler"]);
}

/// A handler may report something itself, without an end.
#[test]
fn a_handler_may_schedule_and_spawn() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let notes = trace.clone();
    event_loop.set_exception_handler(move |event_loop, context| {
        notes.note(context.message());
        event_loop.call_soon(notes.noter("callback of the handler"));
        drop(event_loop.spawn({
            let notes = notes.clone();
            async move { notes.note("task of the handler") }
        }));
    });
    event_loop.call_soon(|| panic!("now"));
    run_turns(&event_loop, 2);
    assert_eq!(
        trace.take(),
        [
            "Exception in callback",
            "callback of the handler",
            "task of the handler"
        ]
    );
}

context_var! {
    static WHO: &'static str = "nobody";
}

/// semantics 1.9, 5.7: the handler runs in the context of what the report is about.
#[test]
fn the_handler_runs_in_the_context_of_the_task_it_is_about() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let notes = trace.clone();
    event_loop.set_exception_handler(move |_event_loop, _context| notes.note(WHO.get().unwrap()));
    drop::<asyncio::Task<()>>(event_loop.spawn(async {
        WHO.set("the task");
        panic!("now");
    }));
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["the task"]);
}

/// semantics 1.9, 5.7
#[test]
fn the_handler_runs_in_the_context_of_the_callback_it_is_about() {
    let event_loop = virtual_loop();
    let trace = Trace::new();
    let notes = trace.clone();
    event_loop.set_exception_handler(move |_event_loop, _context| notes.note(WHO.get().unwrap()));
    WHO.set("whoever scheduled it");
    event_loop.call_soon(|| panic!("now"));
    WHO.set("somebody else");
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["whoever scheduled it"]);
}

/// semantics 5.7; test_set_exc_handler_broken; P09. In a process of its own, whose stderr is read.
#[test]
fn a_handler_that_panics_falls_back_to_stderr_and_the_loop_goes_on() {
    const TEST: &str = "a_handler_that_panics_falls_back_to_stderr_and_the_loop_goes_on";
    let Some(output) = alone(TEST, &[]) else {
        let event_loop = virtual_loop();
        event_loop.set_exception_handler(|_event_loop, _context| panic!("the handler broke"));
        event_loop.call_soon(|| panic!("the callback broke"));
        let trace = Trace::new();
        event_loop.call_soon(trace.noter("went on"));
        run_turns(&event_loop, 1);
        assert_eq!(trace.take(), ["went on"]);
        return;
    };
    let stderr = stderr_of(&output);
    let handler = "Unhandled error in exception handler\nexception: panicked: the handler broke\n";
    assert_eq!(stderr.matches(handler).count(), 1, "{stderr}");
    let original = "Exception in callback\nexception: panicked: the callback broke\n";
    assert_eq!(stderr.matches(original).count(), 1, "{stderr}");
}

/// semantics 5.7: the default handler writes one record: the message, or what stands for it, then a line per key.
#[test]
fn the_default_handler_writes_one_record_to_stderr() {
    const TEST: &str = "the_default_handler_writes_one_record_to_stderr";
    let Some(output) = alone(TEST, &[]) else {
        let event_loop = virtual_loop();
        event_loop.set_exception_handler(|event_loop, context| {
            event_loop.default_exception_handler(context);
        });
        event_loop.call_exception_handler(ExceptionContext::new("through the custom handler"));
        event_loop.reset_exception_handler();
        event_loop.call_exception_handler(ExceptionContext::new(""));
        event_loop.call_exception_handler(
            ExceptionContext::new("with cause").with_error(io::Error::other("the cause")),
        );
        return;
    };
    let stderr = stderr_of(&output);
    let record = "through the custom handler\nUnhandled exception in event loop\nwith cause\nexception: the cause\n";
    assert!(stderr.contains(record), "{stderr}");
}

// ----- 5.9, 6.2 debug mode -----

/// semantics 5.9, 6.2 row 1; test_log_slow_callbacks. What is slow is the limit's affair: nothing is faster than zero.
#[test]
fn debug_mode_names_slow_callbacks_and_steps() {
    const TEST: &str = "debug_mode_names_slow_callbacks_and_steps";
    let Some(output) = alone(TEST, &[]) else {
        let event_loop = EventLoop::builder()
            .virtual_time()
            .debug(true)
            .slow_callback_duration(Duration::ZERO)
            .build()
            .unwrap();
        eprintln!("line {}", line!() + 1);
        event_loop.call_soon(|| ());
        drop(event_loop.task().name("slow").spawn(async {}));
        run_turns(&event_loop, 1);
        // From here on nothing is slow any more.
        event_loop.set_slow_callback_duration(Duration::MAX);
        assert_eq!(event_loop.slow_callback_duration(), Duration::MAX);
        event_loop.call_soon(|| eprintln!("not slow"));
        run_turns(&event_loop, 1);
        event_loop.set_slow_callback_duration(Duration::ZERO);
        event_loop.set_debug(false);
        event_loop.call_soon(|| eprintln!("not in debug mode"));
        run_turns(&event_loop, 1);
        return;
    };
    let stderr = stderr_of(&output);
    let lines: Vec<&str> = stderr.lines().collect();
    let slow: Vec<&&str> = lines
        .iter()
        .filter(|line| line.starts_with("Executing"))
        .collect();
    let line = lines
        .iter()
        .find_map(|line| line.strip_prefix("line "))
        .unwrap();
    assert_eq!(slow.len(), 2, "{stderr}");
    assert!(
        slow[0].contains(&format!("<Handle created at {}:{line}>", file!())),
        "{stderr}"
    );
    assert!(slow[1].contains("<Task name='slow' spawned at"), "{stderr}");
    assert!(
        slow.iter()
            .all(|line| line.contains(" took 0.") && line.ends_with(" seconds"))
    );
}

/// semantics 5.9
#[test]
fn the_limit_of_slowness_is_a_tenth_of_a_second_unless_set() {
    let event_loop = virtual_loop();
    assert_eq!(
        event_loop.slow_callback_duration(),
        Duration::from_millis(100)
    );
}

// ----- the current loop -----

/// semantics 1.10: since 3.14 no loop is ever created implicitly.
#[test]
fn the_running_loop_goes_before_the_chosen_one() {
    assert!(asyncio::try_event_loop().is_none());
    let (chosen, running) = (virtual_loop(), virtual_loop());
    asyncio::set_event_loop(chosen.clone());
    assert_eq!(asyncio::event_loop(), chosen);
    assert!(asyncio::try_running_loop().is_none());
    let expected = running.clone();
    running
        .run_until_complete(async move { assert_eq!(asyncio::event_loop(), expected) })
        .unwrap();
    assert_eq!(asyncio::event_loop(), chosen);
    asyncio::set_event_loop(None);
    assert!(asyncio::try_event_loop().is_none());
}

/// semantics 1.8: per thread.
#[test]
fn another_thread_has_neither_a_running_nor_a_chosen_loop() {
    let event_loop = EventLoop::new().unwrap();
    asyncio::set_event_loop(event_loop.clone());
    event_loop
        .run_until_complete(async {
            let seen = asyncio::to_thread(|| {
                (
                    asyncio::try_running_loop().is_none(),
                    asyncio::try_event_loop().is_none(),
                    asyncio::current_task().is_none(),
                )
            });
            assert_eq!(seen.await.unwrap(), (true, true, true));
        })
        .unwrap();
    asyncio::set_event_loop(None);
}

/// Promise 10: a loop that only computes and sleeps opens nothing.
#[test]
#[cfg(target_os = "linux")]
fn a_loop_without_io_opens_no_descriptor_and_starts_no_thread() {
    const TEST: &str = "a_loop_without_io_opens_no_descriptor_and_starts_no_thread";
    let Some(output) = alone(TEST, &[]) else {
        let count = |what: &str| {
            std::fs::read_dir(format!("/proc/self/{what}"))
                .unwrap()
                .count()
        };
        let before = (count("fd"), count("task"));
        let event_loop = EventLoop::new().unwrap();
        let while_running = event_loop.run_until_complete(async {
            asyncio::sleep(Duration::from_millis(1)).await;
            asyncio::spawn(asyncio::yield_now()).await.unwrap();
            (count("fd"), count("task"))
        });
        assert_eq!(while_running.unwrap(), before);
        return;
    };
    stderr_of(&output);
}

/// A handler that holds its loop is no reason for either to stay.
#[test]
fn a_closed_loop_lets_go_of_its_exception_handler() {
    let event_loop = virtual_loop();
    let held = std::rc::Rc::new(());
    let (by_handler, itself) = (held.clone(), event_loop.clone());
    event_loop.set_exception_handler(move |_loop, _context| {
        let _ = (&by_handler, &itself);
    });
    event_loop.close().unwrap();
    assert_eq!(std::rc::Rc::strong_count(&held), 1);
}
