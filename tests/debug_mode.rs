//! What debug mode says, each message provoked in a program of its own: said once, and only in debug mode.
//!
//! A program is run twice: with debug mode on and with debug mode off.

mod support;

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use asyncio::driver::{Driver, Events, Interest, Notify, PollingDriver, Token, Wait};
use asyncio::{EventLoop, ExceptionContext, Runner, catch_cancelled, finally, sleep, yield_now};
use support::child::{Child, Program, Test, run_programs, scenario};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Ample: nothing on a busy machine takes so long by chance.
const LIMIT: Duration = Duration::from_millis(250);
const LONG: Duration = Duration::from_millis(300);

/// What each program says with `ASYNCIO_DEBUG=1`: one line for each of these, in this order, and no other line.
const SAYS: &[(&str, &str, &[&str])] = &[
    (
        "a slow step is named with its task, and a slow callback with its line",
        "slow",
        &[
            "Executing <Task name='slow' spawned at tests/debug_mode.rs:*> took 0.* seconds",
            "Executing <Handle created at tests/debug_mode.rs:*> took 0.* seconds",
        ],
    ),
    (
        "a task that was asked to stop and returns a value is named",
        "swallowed",
        &[
            "Task swallowed its cancellation: <Task name='swallows' spawned at tests/debug_mode.rs:*> was asked to stop and *",
        ],
    ),
    (
        "a task that withdraws the request, raises it again, or is asked by the shutdown swallows nothing",
        "not_swallowed",
        &[],
    ),
    (
        "a result that nobody has looked at is named, once per line that spawns",
        "unseen",
        &[
            "Task result was never retrieved: <Task name='done' spawned at tests/debug_mode.rs:*",
            "Task result was never retrieved: <Task name='left 0' spawned at tests/debug_mode.rs:*",
        ],
    ),
    (
        "results that were looked at, and values that are none, are nobody's business",
        "seen",
        &[],
    ),
    (
        "tasks, generators and jobs that a closed loop leaves behind are named",
        "left_behind",
        &[
            "Task was destroyed but it is pending!",
            "task: <Task name='pending' spawned at tests/debug_mode.rs:*>",
            "unclosed asynchronous generator <created at tests/debug_mode.rs:*>",
            "unclosed executor: executor job (submitted at tests/debug_mode.rs:*is not waited for",
        ],
    ),
    ("an orderly shutdown leaves nothing to name", "orderly", &[]),
    (
        "descriptors that outlive their loop are named",
        "left_sources",
        &[
            "unclosed transport <fd=*>",
            "unclosed reader or writer <fd=* added at tests/debug_mode.rs:*>",
        ],
    ),
    (
        "a loop that was never closed is named",
        "unclosed_loop",
        &["unclosed event loop <EventLoop running=false closed=false debug=true>"],
    ),
    (
        "a wait that takes longer than it was asked to is said with both times",
        "late_wait",
        &[
            "poll * ms took * ms: timeout",
            "A timer was late, by 0.* seconds at most",
        ],
    ),
    (
        "timers that a slow callback holds up are counted",
        "late_timers",
        &[
            "Executing <Handle*",
            "2 timers were late, by 0.* seconds at most",
        ],
    ),
    (
        "a report names the callback that makes it",
        "reporter",
        &[
            "out of cheese",
            "handle: <Handle created at tests/debug_mode.rs:*>",
        ],
    ),
    (
        "debug mode is switched while the loop runs",
        "switched",
        &["Executing <Task name='heard' spawned at tests/debug_mode.rs:*"],
    ),
];

/// What is said without debug mode: what is lost for good, whoever looks.
const SAYS_ANYWAY: &[(&str, &[&str])] = &[("reporter", &["out of cheese"])];

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[Program] = &[$((stringify!($name), || { $name(); ExitCode::SUCCESS })),*];
    };
}

programs! {
    slow swallowed not_swallowed unseen seen left_behind orderly left_sources unclosed_loop late_wait late_timers reporter
    switched
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for &(claim, program, says) in SAYS {
        tests.push(Test::new(claim, move || {
            let said = stderr_of(program, "1");
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(lines.len(), says.len(), "{said}");
            for (line, says) in lines.iter().zip(says) {
                assert!(is_like(line, says), "expected {says:?} in\n{said}");
            }
        }));
        // It switches debug mode on by itself.
        if program == "switched" {
            continue;
        }
        tests.push(Test::new(
            format!("{program}: not without debug mode"),
            move || {
                let anyway = SAYS_ANYWAY.iter().find(|(name, _)| *name == program);
                let anyway: &[&str] = anyway.map_or(&[], |(_, says)| says);
                let said = stderr_of(program, "0");
                let lines: Vec<&str> = said.lines().collect();
                assert_eq!(lines, anyway);
            },
        ));
    }
    tests.push(Test::new(
        "the handler is told of destroyed tasks, and may name them",
        the_handler_is_told_of_destroyed_tasks,
    ));
    tests.push(Test::new(
        "of many destroyed tasks a hundred are named, and the others counted",
        many_destroyed_tasks_are_counted,
    ));
    run_programs(PROGRAMS, tests)
}

/// `*` in the pattern stands for anything.
fn is_like(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let rest = line.strip_prefix(first);
    let rest = parts.try_fold(rest, |rest, part| {
        let rest = rest?;
        rest.find(part).map(|at| Some(&rest[at + part.len()..]))
    });
    rest.flatten()
        .is_some_and(|rest| rest.is_empty() || pattern.ends_with('*'))
}

fn stderr_of(program: &str, debug: &str) -> String {
    let mut command = scenario(program);
    command.env("ASYNCIO_DEBUG", debug);
    let finished = Child::start(command).finish();
    finished.exited_with(0);
    finished.stderr
}

/// What the handler of a loop is told when it is closed with what `leave` leaves behind: each message, and whom it names.
fn told_when_closed(leave: impl FnOnce(&EventLoop)) -> Vec<(String, Option<String>)> {
    let event_loop = EventLoop::builder().debug(true).build().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    event_loop.set_exception_handler(move |_loop, context| {
        let name = context.task().map(|task| task.name().to_owned());
        log.borrow_mut().push((context.message().to_owned(), name));
    });
    leave(&event_loop);
    event_loop.close().unwrap();
    seen.take()
}

fn leave_task(event_loop: &EventLoop, name: &str) {
    drop(event_loop.task().name(name).spawn(pending::<()>()));
}

fn the_handler_is_told_of_destroyed_tasks() {
    let told = told_when_closed(|event_loop| leave_task(event_loop, "lonely"));
    let message = "Task was destroyed but it is pending!".to_owned();
    assert_eq!(told, [(message, Some("lonely".to_owned()))]);
}

fn many_destroyed_tasks_are_counted() {
    let names: Vec<_> = (0..103).map(|number| number.to_string()).collect();
    let mut told = told_when_closed(|event_loop| {
        names.iter().for_each(|name| leave_task(event_loop, name));
    });
    let (rest, nobody) = told.pop().unwrap();
    assert_eq!(rest, "3 more tasks were destroyed but are pending!");
    assert_eq!(nobody, None);
    let named = told.into_iter().map(|(_, name)| name.unwrap());
    assert!(named.eq(names.into_iter().take(100)));
}

/// Runs a program that is meant to be quick, on a machine that may not be.
fn run<T>(future: impl Future<Output = T>) -> T {
    asyncio::run(async {
        asyncio::running_loop().set_slow_callback_duration(HOUR);
        future.await
    })
    .unwrap()
}

/// A loop on which nothing is late but what is hours late, closed when it is done.
fn with_loop<T>(work: impl FnOnce(&EventLoop) -> T) -> T {
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_slow_callback_duration(HOUR);
    let output = work(&event_loop);
    event_loop.close().unwrap();
    output
}

// ---- the programs

fn slow() {
    with_loop(|event_loop| {
        event_loop.set_slow_callback_duration(LIMIT);
        let slow = event_loop
            .task()
            .name("slow")
            .spawn(async { thread::sleep(LONG) });
        event_loop.run_until_complete(slow).unwrap().unwrap();
        let stopper = event_loop.clone();
        event_loop.call_soon(move || {
            thread::sleep(LONG);
            stopper.stop();
        });
        event_loop.run_forever().unwrap();
    });
}

fn swallowed() {
    run(async {
        let task = asyncio::task().name("swallows").spawn(async {
            let _ = catch_cancelled(pending::<()>()).await;
            "a value"
        });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), "a value");
    });
}

fn not_swallowed() {
    run(async {
        let withdraws = asyncio::spawn(async {
            let _ = catch_cancelled(pending::<()>()).await;
            asyncio::current_task().unwrap().uncancel();
        });
        let cleans_up = asyncio::spawn(finally(pending::<()>(), async || sleep(MS).await));
        let in_time = asyncio::spawn(asyncio::timeout(MS, pending::<()>()));
        yield_now().await;
        withdraws.cancel();
        cleans_up.cancel();
        withdraws.await.unwrap();
        cleans_up.await.unwrap_err();
        in_time.await.unwrap().unwrap_err();
        // Left to the shutdown.
        drop(asyncio::spawn(async {
            let _ = catch_cancelled(pending::<()>()).await;
        }));
        yield_now().await;
    });
}

fn unseen() {
    run(async {
        let done = asyncio::task()
            .name("done")
            .spawn(async { Ok::<(), io::Error>(()) });
        yield_now().await;
        drop(done);
        for number in 0..3 {
            let name = format!("left {number}");
            drop(
                asyncio::task()
                    .name(name)
                    .spawn(async { Err::<(), _>(io::Error::other("lost")) }),
            );
        }
        yield_now().await;
    });
}

fn seen() {
    run(async {
        asyncio::spawn(async { Ok::<_, io::Error>(1) })
            .await
            .unwrap()
            .unwrap();
        drop(asyncio::spawn(async {}));
        let cancelled = asyncio::spawn(pending::<io::Result<()>>());
        yield_now().await;
        cancelled.cancel();
        drop(cancelled);
        yield_now().await;
        asyncio::TaskGroup::scope(async |group| {
            drop(group.spawn(async { Ok::<_, io::Error>(1) }));
        })
        .await
        .unwrap();
    });
}

fn left_behind() {
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_slow_callback_duration(HOUR);
    let generator = event_loop
        .run_until_complete(async {
            let task = asyncio::task().name("pending").spawn(pending::<()>());
            drop(task);
            let mut generator = asyncio::generator(async |y| {
                y.emit(1).await;
                y.emit(2).await;
            });
            assert_eq!(generator.next().await, Some(1));
            asyncio::running_loop()
                .run_in_executor(move || {
                    begun.send(()).unwrap();
                    held.recv()
                })
                .detach();
            generator
        })
        .unwrap();
    has_begun.recv().unwrap();
    event_loop.close().unwrap();
    drop(generator);
    drop(release);
}

fn orderly() {
    let runner = Runner::new();
    runner
        .run(async {
            asyncio::running_loop().set_slow_callback_duration(HOUR);
            drop(asyncio::spawn(pending::<()>()));
            asyncio::to_thread(|| ()).await.unwrap();
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let ours = asyncio::io::Async::new(ours).unwrap();
            ours.writable().await.unwrap();
        })
        .unwrap();
    runner.close().unwrap();
}

fn left_sources() {
    let (object, watched) = UnixStream::pair().unwrap();
    let mut object = Some(object);
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_slow_callback_duration(HOUR);
    let left = event_loop
        .run_until_complete(async {
            let object = asyncio::io::Async::new(object.take().unwrap()).unwrap();
            object.writable().await.unwrap();
            object
        })
        .unwrap();
    event_loop.add_reader(&watched, || ()).unwrap();
    event_loop.close().unwrap();
    drop(left);
}

fn unclosed_loop() {
    drop(EventLoop::new().unwrap());
}

/// Oversleeps.
struct Oversleeping(PollingDriver);

impl Driver for Oversleeping {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wait(&mut self, wait: Wait, events: &mut Events) -> io::Result<()> {
        self.0.wait(wait, events)?;
        if wait.deadline().is_some() {
            thread::sleep(LONG);
        }
        Ok(())
    }

    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, what: Interest) -> io::Result<()> {
        self.0.register(fd, token, what)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, what: Interest) -> io::Result<()> {
        self.0.modify(fd, token, what)
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.0.deregister(fd, token)
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.0.notifier()
    }
}

fn late_wait() {
    let driver = Oversleeping(PollingDriver::new());
    let event_loop = EventLoop::builder()
        .driver(driver)
        .slow_callback_duration(LIMIT)
        .build()
        .unwrap();
    event_loop.run_until_complete(sleep(10 * MS)).unwrap();
    event_loop.close().unwrap();
}

fn late_timers() {
    with_loop(|event_loop| {
        event_loop.set_slow_callback_duration(LIMIT);
        event_loop.call_soon(|| thread::sleep(LONG));
        event_loop.call_later(MS, || ());
        let stopper = event_loop.clone();
        event_loop.call_later(2 * MS, move || stopper.stop());
        event_loop.run_forever().unwrap();
    });
}

fn reporter() {
    with_loop(|event_loop| {
        let reporter = event_loop.clone();
        event_loop.call_soon(move || {
            reporter.call_exception_handler(ExceptionContext::new("out of cheese"));
            reporter.stop();
        });
        event_loop.run_forever().unwrap();
    });
}

fn switched() {
    let event_loop = EventLoop::builder()
        .debug(false)
        .slow_callback_duration(Duration::ZERO)
        .build()
        .unwrap();
    event_loop
        .run_until_complete(async {
            let event_loop = asyncio::running_loop();
            drop(asyncio::task().name("unheard").spawn(async {}));
            yield_now().await;
            let (on, off) = (event_loop.clone(), event_loop.clone());
            on.set_debug(true);
            let heard = asyncio::task()
                .name("heard")
                .spawn(async move { off.set_debug(false) });
            // Waits for its turn without one of its own.
            assert!(heard.await.is_ok());
            drop(asyncio::task().name("unheard again").spawn(async {}));
            yield_now().await;
        })
        .unwrap();
    event_loop.close().unwrap();
}
