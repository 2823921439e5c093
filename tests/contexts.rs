//! Context variables: who sees what whom has set. CPython's rules (semantics 1.9, 5.2), seen from tasks and callbacks.

mod support;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use asyncio::{Context, EventLoop, Runner, context_var, copy_context};

use support::trace::Trace;

context_var! {
    static WHO: &'static str = "nobody";
    static DEPTH: u32;
}

const SECOND: Duration = Duration::from_secs(1);

fn who() -> &'static str {
    WHO.get().unwrap()
}

// ----- variables -----

#[test]
fn a_variable_has_its_default_until_it_is_set() {
    assert_eq!((WHO.get(), DEPTH.get()), (Some("nobody"), None));
    assert_eq!(DEPTH.get_or(7), 7);
    let token = DEPTH.set(1);
    assert_eq!((DEPTH.get(), DEPTH.get_or(7)), (Some(1), 1));
    DEPTH.reset(token);
    assert_eq!(DEPTH.get(), None);
}

#[test]
fn tokens_restore_in_any_order_what_was_before_their_set() {
    let first = WHO.set("first");
    let second = WHO.set("second");
    assert_eq!(second.old_value(), Some("first"));
    WHO.reset(second);
    assert_eq!(who(), "first");
    WHO.reset(first);
    assert_eq!(who(), "nobody");
}

#[test]
fn a_copy_of_a_context_is_independent() {
    WHO.set("before");
    let copy = copy_context();
    WHO.set("after");
    assert_eq!(copy.run(who), Ok("before"));
    copy.run(|| drop(WHO.set("in the copy"))).unwrap();
    assert_eq!(who(), "after");
    assert_eq!(copy.copy().run(who), Ok("in the copy"));
}

/// semantics 1.9 [rust]: an error, never a hang, and nothing is run.
#[test]
fn a_context_cannot_be_entered_twice() {
    let context = Context::new();
    let inner = context
        .run(|| context.run(|| unreachable!("must not run")))
        .unwrap();
    let outcome: Result<(), _> = inner;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("already entered"));
    assert_eq!(context.run(|| 7), Ok(7));
}

#[test]
fn a_panic_leaves_the_context() {
    let context = Context::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        context.run(|| {
            WHO.set("inside");
            panic!("now");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(who(), "nobody");
    assert_eq!(context.run(who), Ok("inside"));
}

// ----- tasks: 1.9 -----

/// semantics 1.9; test_context_1
#[asyncio::test]
async fn a_task_starts_with_a_copy_of_its_spawners_context() {
    WHO.set("spawner");
    let task = asyncio::spawn(async {
        let at_first = who();
        WHO.set("task");
        asyncio::yield_now().await;
        (at_first, who())
    });
    WHO.set("spawner, later");
    assert_eq!(task.await.unwrap(), ("spawner", "task"));
    assert_eq!(who(), "spawner, later");
}

/// test_context_4, 5: 100 tasks, none sees another's. test_context.py
#[asyncio::test]
async fn a_hundred_tasks_see_only_what_they_set_themselves() {
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            asyncio::spawn(async move {
                DEPTH.set(number);
                for _ in 0..3 {
                    asyncio::yield_now().await;
                    assert_eq!(DEPTH.get(), Some(number));
                    DEPTH.set(number);
                }
                DEPTH.get().unwrap()
            })
        })
        .collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    assert_eq!((sum, DEPTH.get()), (4_950, None));
}

/// test_context_6: an explicit context is used itself, not copied.
#[asyncio::test]
async fn a_task_may_be_given_a_context_which_keeps_its_changes() {
    let context = Context::new();
    let task = asyncio::task().context(context.clone()).spawn(async {
        assert_eq!(who(), "nobody");
        WHO.set("task");
    });
    WHO.set("spawner");
    task.await.unwrap();
    assert_eq!(WHO.get_in(&context), Some("task"));
    assert_eq!(who(), "spawner");
}

/// Several tasks may share one context: each is in it only while it is polled.
#[asyncio::test]
async fn tasks_may_share_one_context() {
    let context = Context::new();
    let count = || async {
        for _ in 0..10 {
            DEPTH.set(DEPTH.get_or(0) + 1);
            asyncio::yield_now().await;
        }
    };
    let one = asyncio::task().context(context.clone()).spawn(count());
    let two = asyncio::task().context(context.clone()).spawn(count());
    one.await.unwrap();
    two.await.unwrap();
    assert_eq!(DEPTH.get_in(&context), Some(20));
}

/// semantics 1.9 [rust]: a task whose context is entered when its turn comes fails, and does not hang.
#[test]
fn a_task_in_an_entered_context_fails() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let context = Context::new();
    let task = event_loop
        .task()
        .context(context.clone())
        .spawn(async { unreachable!("must not start") });
    let outcome = context.run(|| event_loop.run_until_complete(task)).unwrap();
    let outcome: Result<(), asyncio::JoinError> = outcome.unwrap();
    let error = outcome.unwrap_err();
    assert!(!error.is_panic() && !error.is_cancelled());
    assert!(error.to_string().contains("already entered"), "{error}");
}

/// semantics 5.2: a task's steps always run in its context, whoever wakes it.
#[asyncio::test(virtual_time)]
async fn a_task_is_in_its_context_whoever_wakes_it() {
    let trace = Trace::new();
    let notes = trace.clone();
    WHO.set("task's");
    let task = asyncio::spawn(async move {
        asyncio::sleep(SECOND).await; // woken by a timer
        notes.note(who());
        asyncio::to_thread(|| drop(WHO.set("thread's")))
            .await
            .unwrap(); // by another thread
        notes.note(who());
        let child = asyncio::spawn(async { drop(WHO.set("child's")) });
        child.await.unwrap(); // by a task
        notes.note(who());
    });
    WHO.set("main's");
    task.await.unwrap();
    assert_eq!(trace.take(), ["task's", "task's", "task's"]);
    assert_eq!(who(), "main's");
}

/// issue 3: a cancelled future is dropped inside of its task and context.
#[asyncio::test]
async fn a_cancelled_future_is_dropped_in_its_context() {
    struct NotesWho(Trace);
    impl Drop for NotesWho {
        fn drop(&mut self) {
            let task = asyncio::current_task().map(|task| task.name());
            self.0.note(format!("{} in {task:?}", who()));
        }
    }
    let trace = Trace::new();
    let guard = NotesWho(trace.clone());
    let task = asyncio::task().name("cancelled").spawn(async move {
        let _guard = guard;
        WHO.set("task's");
        std::future::pending::<()>().await;
    });
    asyncio::yield_now().await;
    WHO.set("main's");
    task.cancel();
    task.await.unwrap_err();
    assert_eq!(trace.take(), ["task's in Some(\"cancelled\")"]);
}

/// Not with the task's last handle or waker, which may be gone much later, and on another thread.
#[asyncio::test]
async fn what_a_task_has_set_is_dropped_when_it_ends() {
    #[derive(Clone)]
    struct Counted(#[allow(dead_code, reason = "counted")] Arc<()>);
    context_var! { static HELD: Counted; }

    let held = Arc::new(());
    let inside = Counted(held.clone());
    let task = asyncio::spawn(async move {
        HELD.set(inside);
        asyncio::yield_now().await;
        poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
    });
    asyncio::yield_now().await;
    assert_eq!(Arc::strong_count(&held), 2);
    let kept = task.task_ref();
    let waker = task.await.unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    drop((kept, waker));
}

#[test]
fn a_panic_while_a_tasks_variables_are_dropped_is_reported() {
    #[derive(Clone)]
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a variable's destructor");
        }
    }
    context_var! { static HELD: Arc<Panics>; }

    let trace = Trace::new();
    let event_loop = EventLoop::new().unwrap();
    let reported = trace.clone();
    event_loop.set_exception_handler(move |_, context| {
        reported.note(context.to_string().lines().next().unwrap())
    });
    let outcome = event_loop.run_until_complete(async {
        let task = asyncio::spawn(async {
            HELD.set(Arc::new(Panics));
            7
        });
        task.await.unwrap()
    });
    assert_eq!(outcome.unwrap(), 7);
    event_loop.close().unwrap();
    assert_eq!(
        trace.take(),
        ["a destructor panicked while the task's context variables were dropped"]
    );
}

/// The same when the loop is closed over a task's head, with the context still there (C10).
#[test]
fn a_future_dropped_by_close_is_dropped_in_its_context() {
    struct NotesWho(Trace);
    impl Drop for NotesWho {
        fn drop(&mut self) {
            self.0.note(who());
        }
    }
    let trace = Trace::new();
    let event_loop = EventLoop::new().unwrap();
    let guard = NotesWho(trace.clone());
    drop(event_loop.spawn(async move {
        let _guard = guard;
        WHO.set("task's");
        std::future::pending::<()>().await;
    }));
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["task's"]);
    assert_eq!(who(), "nobody");
}

// ----- callbacks: 5.2 -----

/// semantics 5.2: a copy at scheduling time; test_context_3
#[asyncio::test(virtual_time)]
async fn callbacks_and_timers_run_in_a_copy_taken_when_they_were_scheduled() {
    let (event_loop, trace) = (asyncio::running_loop(), Trace::new());
    let note = |what: &str| {
        let (notes, what) = (trace.clone(), what.to_owned());
        move || {
            notes.note(format!("{what} {}", who()));
            WHO.set("set by a callback");
        }
    };
    WHO.set("one");
    event_loop.call_soon(note("soon"));
    WHO.set("two");
    event_loop.call_later(SECOND, note("later"));
    WHO.set("three");
    event_loop.call_at(event_loop.time() + SECOND, note("at"));
    WHO.set("four");
    asyncio::sleep(2 * SECOND).await;
    assert_eq!(trace.take(), ["soon one", "later two", "at three"]);
    assert_eq!(who(), "four");
}

/// semantics 5.2: what a callback schedules and spawns copies the callback's context.
#[asyncio::test]
async fn what_a_callback_starts_inherits_from_the_callback() {
    let trace = Trace::new();
    let notes = trace.clone();
    asyncio::running_loop().call_soon(move || {
        WHO.set("callback's");
        let (soon, task) = (notes.clone(), notes.clone());
        asyncio::running_loop().call_soon(move || soon.note(format!("callback {}", who())));
        drop(asyncio::spawn(async move {
            task.note(format!("task {}", who()))
        }));
    });
    for _ in 0..3 {
        asyncio::yield_now().await;
    }
    assert_eq!(trace.take(), ["callback callback's", "task callback's"]);
    assert_eq!(who(), "nobody");
}

/// semantics 5.2; CPython: done callbacks run in the context of the one who added them.
#[asyncio::test]
async fn done_callbacks_run_in_the_context_of_whoever_added_them() {
    let trace = Trace::new();
    let task = asyncio::spawn(async { drop(WHO.set("task's")) });
    WHO.set("adder's");
    let notes = trace.clone();
    task.add_done_callback(move |_task| notes.note(who()));
    WHO.set("main's");
    task.await.unwrap();
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["adder's"]);
}

/// The same for one that is added when the task is done.
#[asyncio::test]
async fn late_done_callbacks_run_in_the_context_of_whoever_added_them() {
    let trace = Trace::new();
    let mut task = asyncio::spawn(async { drop(WHO.set("task's")) });
    (&mut task).await.unwrap();
    WHO.set("adder's");
    let notes = trace.clone();
    task.add_done_callback(move |_task| notes.note(who()));
    WHO.set("main's");
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["adder's"]);
}

/// semantics 5.2, 5.5: a call from another thread brings that thread's context along, or its default; never the loop's.
#[asyncio::test]
async fn a_call_from_another_thread_does_not_see_the_running_tasks_variables() {
    let trace = Trace::new();
    WHO.set("main's");
    let (remote, notes) = (asyncio::running_loop().handle(), trace.clone());
    asyncio::to_thread(move || {
        let call = move || notes.note(who());
        std::thread::spawn(move || remote.call_soon_threadsafe(call))
            .join()
            .unwrap()
            .unwrap();
    })
    .await
    .unwrap();
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["nobody"]);
}

/// semantics 5.2: `call_soon_threadsafe` copies the context of its caller, as `call_soon` does.
#[asyncio::test]
async fn a_call_from_another_thread_runs_in_the_callers_context() {
    let trace = Trace::new();
    let (remote, notes) = (asyncio::running_loop().handle(), trace.clone());
    let thread = std::thread::spawn(move || {
        WHO.set("caller's");
        remote
            .call_soon_threadsafe(move || notes.note(who()))
            .unwrap();
    });
    asyncio::to_thread(move || thread.join().unwrap())
        .await
        .unwrap();
    asyncio::yield_now().await;
    assert_eq!(trace.take(), ["caller's"]);
}

// ----- runs: 1.9, 1.7 -----

/// semantics 1.9: two runners share nothing.
#[test]
fn each_runner_has_a_context_of_its_own() {
    let (one, two) = (Runner::new(), Runner::new());
    one.run(async { drop(WHO.set("one's")) }).unwrap();
    two.run(async { drop(WHO.set("two's")) }).unwrap();
    assert_eq!(one.run(async { who() }).unwrap(), "one's");
    assert_eq!(two.run(async { who() }).unwrap(), "two's");
    assert_eq!(who(), "nobody");
}

/// semantics 1.9: a loop that is run by hand runs its future in a copy of the caller's context.
#[test]
fn run_until_complete_copies_the_callers_context() {
    let event_loop = EventLoop::new().unwrap();
    WHO.set("caller's");
    let seen = event_loop.run_until_complete(async {
        let seen = who();
        WHO.set("future's");
        seen
    });
    assert_eq!((seen.unwrap(), who()), ("caller's", "caller's"));
}

/// A scope that outlives a suspension: what lies between is another task's business.
#[asyncio::test]
async fn variables_survive_awaits_and_catch_scopes() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let inner = log.clone();
    let task = asyncio::spawn(async move {
        WHO.set("set inside of the scope");
        let caught = asyncio::catch_cancelled(async {
            DEPTH.set(1);
            std::future::pending::<()>().await;
        });
        caught.await.unwrap_err();
        inner.borrow_mut().push((who(), DEPTH.get()));
    });
    asyncio::yield_now().await;
    WHO.set("main's");
    task.cancel();
    task.await.unwrap();
    assert_eq!(*log.borrow(), [("set inside of the scope", Some(1))]);
}
