//! `debug::dump_tasks`: what each task waits for, and that asking for it disturbs nothing.

mod support;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio::debug::{Activity, TaskState, dump_tasks};
use asyncio::net::{TcpListener, TcpStream};
use asyncio::{TaskGroup, TaskInfo, catch_cancelled, finally, sleep, timeout};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::trace::Trace;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Runs what is ready, and what that makes ready.
async fn settle() {
    for _ in 0..5 {
        asyncio::yield_now().await;
    }
}

fn named<F: Future + 'static>(name: &str, future: F) -> asyncio::Task<F::Output> {
    asyncio::task().name(name).spawn(future)
}

/// What the task of that name is said to be doing.
fn activity(name: &str) -> String {
    let dump = dump_tasks();
    let state = dump.tasks().iter().find(|task| task.info().name() == name);
    state
        .unwrap_or_else(|| panic!("no {name} in\n{dump}"))
        .activity()
        .to_string()
}

// ----- what is said -----

#[asyncio::test(virtual_time, leftovers = "cancel")]
async fn time_is_said_with_what_is_left_of_it() {
    drop(named("sleeper", sleep(9 * SECOND)));
    drop(named("for ever", sleep(Duration::MAX)));
    drop(named("bounded", timeout(5 * SECOND, pending::<()>())));
    settle().await;
    sleep(SECOND).await;
    assert_eq!(activity("sleeper"), "waits for sleep (8.0s left)");
    assert_eq!(activity("for ever"), "waits for sleep (for ever)");
    assert_eq!(activity("bounded"), "waits for a timeout (4.0s left)");
    let left = |name: &str| {
        let dump = dump_tasks();
        let state = dump.tasks().iter().find(|task| task.info().name() == name);
        match state.map(|state| state.activity().clone()) {
            Some(Activity::Waiting(on)) => on[0].time_left(),
            other => panic!("{name}: {other:?}"),
        }
    };
    assert_eq!(left("sleeper"), Some(8 * SECOND));
    assert_eq!(left("for ever"), None);
    assert_eq!(left("bounded"), Some(4 * SECOND));
}

#[asyncio::test(leftovers = "cancel")]
async fn tasks_are_said_by_name() {
    let worker = named("worker", pending::<()>());
    let other = named("other", pending::<()>());
    let third = named("third", pending::<()>());
    drop(named("boss", worker));
    drop(named("gatherer", asyncio::gather([other])));
    drop(named("shielder", asyncio::shield(third)));
    drop(named(
        "parent",
        TaskGroup::scope(async |group| {
            drop(
                asyncio::task()
                    .name("child")
                    .spawn_in(group, pending::<()>()),
            );
        }),
    ));
    settle().await;
    assert_eq!(activity("boss"), "waits for task 'worker'");
    assert_eq!(activity("gatherer"), "waits for task 'other'");
    assert_eq!(activity("shielder"), "waits for task 'third'");
    assert_eq!(activity("parent"), "waits for task 'child'");
    assert_eq!(
        activity("worker"),
        "waits for something that is not asyncio's"
    );
}

#[asyncio::test(leftovers = "cancel")]
async fn sockets_jobs_and_generators_are_said() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    drop(named(
        "acceptor",
        async move { drop(listener.accept().await) },
    ));
    let (release, released) = mpsc::channel::<()>();
    drop(named(
        "employer",
        asyncio::running_loop().run_in_executor(move || released.recv()),
    ));
    drop(named("consumer", async {
        let mut numbers = asyncio::generator(async |y| {
            sleep(HOUR).await;
            y.emit(1).await;
        });
        numbers.next().await
    }));
    settle().await;
    let said = activity("acceptor");
    assert!(
        said.starts_with("waits for descriptor ") && said.ends_with(" to be readable"),
        "{said}"
    );
    let said = activity("employer");
    assert!(
        said.starts_with("waits for the job submitted at tests/task_dumps.rs:"),
        "{said}"
    );
    assert!(activity("consumer").starts_with("waits for sleep"));
    release.send(()).unwrap();
    Ok(())
}

/// Side by side in one task: all of it.
#[asyncio::test(virtual_time, leftovers = "cancel")]
async fn everything_that_a_task_waits_for_is_said() {
    drop(named("busy", async {
        futures_util::future::join(sleep(SECOND), sleep(2 * SECOND)).await;
    }));
    settle().await;
    assert_eq!(
        activity("busy"),
        "waits for sleep (1.0s left), sleep (2.0s left)"
    );
}

#[asyncio::test(leftovers = "cancel")]
async fn a_task_that_does_not_wait_says_so() {
    drop(named("new", pending::<()>()));
    assert_eq!(activity("new"), "has not begun");
    asyncio::current_task().unwrap().set_name("me");
    assert_eq!(activity("me"), "is running");
    let yielding = named("yielding", async {
        loop {
            asyncio::yield_now().await;
        }
    });
    settle().await;
    assert_eq!(
        activity("yielding"),
        "is ready to run, and waited for its next turn"
    );
    yielding.cancel();
}

/// The tree: below each task those it waits for; a circle is no endless one.
#[asyncio::test(leftovers = "cancel")]
async fn a_dump_is_printed_as_a_tree() {
    asyncio::current_task().unwrap().set_name("main");
    let leaf = named("leaf", pending::<()>());
    let middle = named("middle", leaf);
    drop(named("root", middle));
    settle().await;
    let text = dump_tasks().to_string();
    let names: Vec<_> = text
        .lines()
        .map(|line| line.split(" waits").next().unwrap())
        .collect();
    assert!(names[0].starts_with("main is running ("), "{text}");
    assert_eq!(names[1..], ["root", "  middle", "    leaf"]);
}

/// Of a task of that name.
fn state(name: &str) -> TaskState {
    let dump = dump_tasks();
    let mut tasks = dump.tasks().iter();
    tasks.find(|it| it.info().name() == name).unwrap().clone()
}

#[asyncio::test(virtual_time, leftovers = "cancel")]
async fn a_task_tells_who_spawned_it_and_how_old_it_is() {
    asyncio::current_task().unwrap().set_name("main");
    asyncio::sleep(Duration::from_secs(2)).await;
    let parent = named("parent", async {
        asyncio::sleep(Duration::from_secs(3)).await;
        drop(named("child", pending::<()>()));
        asyncio::sleep(Duration::from_secs(1)).await;
    });
    asyncio::sleep(Duration::from_millis(3500)).await;
    let (main, child) = (state("main"), state("child"));
    assert_eq!(main.parent().map(TaskInfo::id), None);
    assert_eq!(child.parent().map(TaskInfo::id), Some(parent.id()));
    assert_eq!(main.age(), Some(Duration::from_millis(5500)));
    assert_eq!(child.age(), Some(Duration::from_millis(500)));
    let text = child.to_string();
    assert!(
        text.contains(", 0.5 s old, child of 'parent', polled 1 time"),
        "{text}"
    );
    parent.await.unwrap();
    assert!(
        state("child").parent().is_none(),
        "a task that is done is nobody's parent"
    );
}

#[asyncio::test(virtual_time, leftovers = "cancel")]
async fn polls_are_counted_but_for_those_that_only_ask() {
    drop(named("waits", pending::<()>()));
    drop(named("wakes itself", async {
        for _ in 0..3 {
            asyncio::yield_now().await;
        }
        pending::<()>().await;
    }));
    assert_eq!(state("waits").polls(), 0);
    asyncio::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        assert_eq!(state("waits").polls(), 1);
        assert_eq!(state("wakes itself").polls(), 4);
    }
}

#[asyncio::test(leftovers = "cancel")]
async fn the_time_of_a_long_poll_is_counted_in_debug_mode() {
    drop(named("waits", pending::<()>()));
    drop(named("computes", async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        pending::<()>().await;
    }));
    settle().await;
    // By the system's tick, which may be as long as 10 ms.
    let running = state("computes").running().unwrap();
    assert!(running >= Duration::from_millis(40), "{running:?}");
    assert!(state("waits").running().unwrap() < running);
}

#[asyncio::test(debug = false, leftovers = "cancel")]
async fn without_debug_mode_there_are_no_ages_and_no_times() {
    drop(named("waits", pending::<()>()));
    settle().await;
    let state = state("waits");
    assert_eq!(
        (state.age(), state.running(), state.polls()),
        (None, None, 1)
    );
}

#[asyncio::test(leftovers = "cancel")]
async fn cancellations_that_were_swallowed_are_counted() {
    let stubborn = named("stubborn", async {
        for _ in 0..3 {
            let _ = catch_cancelled(pending::<()>()).await;
        }
    });
    for _ in 0..2 {
        settle().await;
        stubborn.cancel();
    }
    settle().await;
    let dump = dump_tasks();
    let state = dump
        .tasks()
        .iter()
        .find(|task| task.info().name() == "stubborn")
        .unwrap();
    assert_eq!(state.cancelling(), 2);
    assert!(matches!(state.activity(), Activity::Waiting(on) if on.is_empty()));
    assert!(dump.to_string().contains(", cancelled 2 times ("), "{dump}");
}

// ----- that nothing is disturbed -----

/// Asks all the time while a program with everything in it runs, and compares what it does with what it does unasked.
#[test]
fn asking_changes_nothing_that_a_program_does() {
    let unasked = trace_of_a_program(false);
    assert!(unasked.len() > 8, "{unasked:?}");
    assert_eq!(trace_of_a_program(true), unasked);
}

fn trace_of_a_program(ask: bool) -> Vec<String> {
    let trace = Trace::new();
    let notes = trace.clone();
    let event_loop = move || asyncio::EventLoop::builder().virtual_time().build();
    let runner = asyncio::Runner::builder().loop_factory(event_loop).build();
    runner
        .run(async move {
            if ask {
                // Between any two events of the program.
                drop(asyncio::spawn(async {
                    for _ in 0..100 {
                        sleep(MS / 2).await;
                        drop(dump_tasks());
                    }
                }));
            }
            let program = asyncio::spawn(program(notes.clone()));
            sleep(20 * MS).await;
            program.cancel();
            notes.note(format!(
                "program: {:?}",
                program.await.map_err(|error| error.is_cancelled())
            ));
        })
        .unwrap();
    runner.close().unwrap();
    trace.take()
}

async fn program(trace: Trace) {
    let note = |line: &'static str| trace.note(line);
    let mut numbers = asyncio::generator({
        let trace = trace.clone();
        async move |y| {
            for number in 0..2 {
                sleep(MS).await;
                y.emit(number).await;
            }
            trace.note("generator done");
        }
    });
    while let Some(number) = numbers.next().await {
        trace.note(format!("number {number}"));
    }
    let slow = finally(sleep(HOUR), async || {
        sleep(MS).await;
        note("timeout cleaned up");
    });
    trace.note(format!("timeout: {:?}", timeout(MS, slow).await));
    let outcome = TaskGroup::scope(async |group| {
        let sibling = trace.clone();
        group.spawn(finally(sleep(HOUR), async move || {
            sleep(MS).await;
            sibling.note("sibling cleaned up");
        }));
        group.spawn(async {
            sleep(MS).await;
            Err::<(), _>("boom")
        });
        sleep(HOUR).await;
    });
    trace.note(format!("group failed: {}", outcome.await.is_err()));
    let gathered = asyncio::gather([2, 1].map(|n| async move {
        sleep(n * MS).await;
        n
    }));
    trace.note(format!("gathered {:?}", gathered.await.unwrap()));
    let child = asyncio::spawn({
        let trace = trace.clone();
        async move {
            let cancelled = catch_cancelled(sleep(HOUR)).await.unwrap_err();
            sleep(MS).await;
            trace.note("child cleaned up");
            cancelled.raise().await
        }
    });
    let both = futures_util::future::join(
        child,
        finally(sleep(HOUR), async || note("beside cleaned up")),
    );
    both.await.0.unwrap()
}

/// A real descriptor: what arrives is still there, and still wakes.
#[asyncio::test]
async fn asking_loses_no_byte() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    let reader = named("reader", async move {
        let mut buffer = [0; 8];
        server.read(&mut buffer).await
    });
    settle().await;
    drop(dump_tasks());
    client.write_all(b"x").await?;
    drop(dump_tasks());
    assert_eq!(timeout(10 * SECOND, reader).await.unwrap().unwrap()?, 1);
    Ok(())
}

/// The future of somebody else may go on when it is polled: then the task does.
/// One that comes between the wake-up that asking sends and the poll that this leads to has woken nobody.
#[asyncio::test]
async fn asking_loses_no_wake_up_from_another_thread() {
    for _ in 0..5_000 {
        let job = named("job", asyncio::to_thread(|| ()));
        let ask = async {
            while !job.is_finished() {
                drop(dump_tasks());
                asyncio::yield_now().await;
            }
        };
        timeout(10 * SECOND, ask).await.expect("the job was lost");
        job.await.unwrap().unwrap();
    }
}

#[asyncio::test]
async fn a_task_that_goes_on_when_it_is_asked_is_not_cancelled() {
    let is_open = Rc::new(Cell::new(false));
    let gate = is_open.clone();
    let task = named("foreign", async move {
        poll_fn(|_cx| match gate.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        7
    });
    settle().await;
    is_open.set(true);
    assert_eq!(activity("foreign"), "is done");
    assert_eq!(task.await.unwrap(), 7);
}

/// A real request that somebody makes while the task is asked is delivered.
#[asyncio::test]
async fn a_request_made_while_the_task_is_asked_is_delivered() {
    let is_armed = Rc::new(Cell::new(false));
    let armed = is_armed.clone();
    let task = named("suicidal", async move {
        let poisoned = poll_fn(|_cx| {
            if armed.replace(false) {
                asyncio::current_task().unwrap().cancel_with("while asked");
            }
            Poll::<()>::Pending
        });
        catch_cancelled(poisoned)
            .await
            .unwrap_err()
            .message()
            .map(String::from)
    });
    settle().await;
    is_armed.set(true);
    drop(dump_tasks());
    assert_eq!(
        timeout(SECOND, task).await.unwrap().unwrap().as_deref(),
        Some("while asked")
    );
}

// ----- where it is printed -----

#[test]
fn a_shutdown_over_its_budget_says_what_it_waited_for() {
    let builder = asyncio::Runner::builder().shutdown_timeout(20 * MS);
    let runner = builder.build();
    runner
        .run(async {
            drop(named("stubborn", async {
                let _ = catch_cancelled(pending::<()>()).await;
                sleep(HOUR).await;
            }));
            settle().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    let said = report.survivors()[0].activity().to_string();
    assert!(
        said.starts_with("waits for sleep (35") || said.starts_with("waits for sleep (3600"),
        "{said}"
    );
}
