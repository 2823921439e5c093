//! A program that is looked at while it runs: blocked loops are reported, and signals ask what the tasks wait for.
//!
//! Real children, which block until the test has seen what it waits for, and no longer: a line typed on their terminal lets
//! them go on. This file knows no times but limits.

mod support;

use std::fs;
use std::future::pending;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use asyncio::{Runner, sleep, yield_now};
use support::child::{Child, Entry, Program, SIGINT, Setup, Test, run_programs, scenario};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_millis(200);
/// The sooner the better; reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(10);

const TESTS: &[Entry] = &[
    (
        "a loop that is blocked by a system call is reported while it is, and when it is over, each time",
        a_loop_that_is_blocked_by_a_system_call_is_reported,
    ),
    (
        "a loop that is blocked by computing is reported with the time that it has used",
        a_loop_that_is_blocked_by_computing_is_reported,
    ),
    (
        "a loop that is blocked by a callback is reported with the line that scheduled it",
        a_loop_that_is_blocked_by_a_callback_is_reported,
    ),
    (
        "a loop that is blocked in its shutdown is reported",
        a_loop_that_is_blocked_in_its_shutdown_is_reported,
    ),
    (
        "a loop that waits for an event is not reported",
        a_loop_that_waits_for_an_event_is_not_reported,
    ),
    (
        "the watchdog's thread is there from the first run to the close, and only if it was asked for",
        the_watchdogs_thread_is_there_only_if_it_was_asked_for,
    ),
    (
        "SIGQUIT and SIGUSR1 print what each task waits for, and the program goes on",
        signals_print_the_tasks,
    ),
    (
        "debug mode has the same signals print the same",
        debug_mode_prints_the_tasks,
    ),
    (
        "a blocked loop that is asked for its tasks is told about from outside, and answers later",
        a_blocked_loop_answers_later,
    ),
    (
        "without either option the signals end the process",
        without_either_option_the_signals_end_the_process,
    ),
    (
        "debug mode has the same signals print the same where no signal is handled, and starts no thread for it on Linux",
        debug_mode_needs_no_thread_for_it,
    ),
    (
        "after the close the signals do what they did before",
        after_the_close_the_signals_do_what_they_did_before,
    ),
    (
        "a signal that is ignored, or that the program handles itself, is left alone",
        a_signal_that_is_ignored_is_left_alone,
    ),
    (
        "listeners of the program are told beside the dump",
        listeners_are_told_beside_the_dump,
    ),
];

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[Program] = &[$((stringify!($name), || { $name(); ExitCode::SUCCESS })),*];
    };
}

programs! {
    reads computes calls blocks_shutdown waits counts_threads dumps dumps_in_debug_mode dumps_blocked dumps_nothing
    dumps_alone dumps_alone_beside_a_socket dumps_alone_when_it_goes_on dumps_and_closes listens
}

fn main() -> ExitCode {
    let tests = TESTS.iter().map(|&(name, test)| Test::new(name, test));
    run_programs(PROGRAMS, tests.collect())
}

/// Starts a program that blocks until a line is typed.
fn start(program: &str) -> Child {
    Setup::new(scenario(program)).on_terminal().start()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

// ---- blocked loops

/// Blocks until a line is typed.
fn read_line() {
    io::stdin().read_line(&mut String::new()).unwrap();
}

#[asyncio::main(blocked_loop_after = "200ms")]
async fn reads() {
    for name in ["first", "second"] {
        let task = asyncio::task().name(name).spawn(async { read_line() });
        task.await.unwrap();
        sleep(MS).await;
    }
}

fn a_loop_that_is_blocked_by_a_system_call_is_reported() {
    let mut child = start("reads");
    for name in ["first", "second"] {
        let task = format!("<Task name='{name}' spawned at tests/observing.rs:");
        let line = child.wait_for_line("The event loop has been blocked for ");
        assert!(line.contains(&task), "{line}");
        if cfg!(target_os = "linux") {
            let line = child.wait_for_line("its thread 'main' ");
            let state = "sleeps in the system call read on descriptor 0 (/dev/pts/";
            assert!(line.contains(state), "{line}");
            assert!(
                line.ends_with(" seconds of processor time meanwhile"),
                "{line}"
            );
        }
        child.type_bytes(b"\n");
        let line = child.wait_for_line("The event loop was blocked for ");
        assert!(line.contains(&task), "{line}");
    }
    let finished = child.finish();
    finished.exited_with(0);
    assert_eq!(
        count(&finished.stderr, "has been blocked"),
        2,
        "{finished:?}"
    );
    assert_eq!(count(&finished.stderr, "was blocked"), 2, "{finished:?}");
}

/// Computes until a line is typed.
fn compute() {
    let is_typed = Arc::new(AtomicBool::new(false));
    let typed = is_typed.clone();
    let reader = thread::spawn(move || {
        read_line();
        typed.store(true, Ordering::Relaxed);
    });
    while !is_typed.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    reader.join().unwrap();
}

#[asyncio::main(blocked_loop_after = LIMIT)]
async fn computes() {
    asyncio::current_task().unwrap().set_name("mathematician");
    yield_now().await;
    compute();
    sleep(MS).await;
}

fn a_loop_that_is_blocked_by_computing_is_reported() {
    let mut child = start("computes");
    let line = child.wait_for_line("The event loop has been blocked for ");
    assert!(
        line.contains("<Task name='mathematician' spawned at "),
        "{line}"
    );
    if cfg!(target_os = "linux") {
        child.wait_for_line("its thread 'main' runs, and used ");
    }
    child.type_bytes(b"\n");
    child.wait_for_line("The event loop was blocked for ");
    child.finish().exited_with(0);
}

fn calls() {
    let runner = Runner::builder().blocked_loop_after(LIMIT).build();
    let event_loop = runner.event_loop().unwrap();
    assert_eq!(event_loop.blocked_loop_after(), Some(LIMIT));
    event_loop.call_soon(read_line);
    runner.run(sleep(MS)).unwrap();
    runner.close().unwrap();
}

fn a_loop_that_is_blocked_by_a_callback_is_reported() {
    let mut child = start("calls");
    let line = child.wait_for_line("The event loop has been blocked for ");
    assert!(
        line.contains("<Handle created at tests/observing.rs:"),
        "{line}"
    );
    child.type_bytes(b"\n");
    child.wait_for_line("The event loop was blocked for ");
    child.finish().exited_with(0);
}

#[asyncio::main(blocked_loop_after = "200ms")]
async fn blocks_shutdown() {
    let clumsy = asyncio::finally(pending::<()>(), async || {
        read_line();
        sleep(MS).await;
    });
    drop(asyncio::task().name("clumsy").spawn(clumsy));
    yield_now().await;
}

fn a_loop_that_is_blocked_in_its_shutdown_is_reported() {
    let mut child = start("blocks_shutdown");
    let line = child.wait_for_line("The event loop has been blocked for ");
    assert!(line.contains("<Task name='clumsy' spawned at "), "{line}");
    child.type_bytes(b"\n");
    child.wait_for_line("The event loop was blocked for ");
    child.finish().exited_with(0);
}

#[asyncio::main(blocked_loop_after = "200ms")]
async fn waits() {
    // Twice the limit, and more looks than a block takes to be seen.
    sleep(2 * LIMIT).await;
}

fn a_loop_that_waits_for_an_event_is_not_reported() {
    let finished = Child::start(scenario("waits")).finish();
    finished.exited_with(0);
    assert_eq!(finished.stderr, "");
}

/// Whether this process has a thread of that name.
fn has_thread(name: &str) -> bool {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.into_iter().any(|known| known.trim_end() == name)
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "it never came to be");
        thread::sleep(MS);
    }
}

fn counts_threads() {
    const NAME: &str = "loop-watchdog";
    asyncio::run(async { assert!(!has_thread(NAME)) }).unwrap();
    let runner = Runner::builder().blocked_loop_after(LIMIT).build();
    assert!(!has_thread(NAME));
    // A thread takes its name when it runs.
    runner
        .run(async { wait_until(|| has_thread(NAME)) })
        .unwrap();
    let event_loop = runner.event_loop().unwrap();
    event_loop.set_blocked_loop_after(None).unwrap();
    assert_eq!(event_loop.blocked_loop_after(), None);
    wait_until(|| !has_thread(NAME));
    event_loop.set_blocked_loop_after(LIMIT).unwrap();
    wait_until(|| has_thread(NAME));
    runner.close().unwrap();
    wait_until(|| !has_thread(NAME));
    event_loop.set_blocked_loop_after(LIMIT).unwrap();
    assert_eq!(
        event_loop.blocked_loop_after(),
        None,
        "a closed loop cannot be blocked"
    );
}

fn the_watchdogs_thread_is_there_only_if_it_was_asked_for() {
    if cfg!(target_os = "linux") {
        Child::start(scenario("counts_threads"))
            .finish()
            .exited_with(0);
    }
}

// ---- signals that ask

/// Waits, with a task that waits for another one, until it is interrupted.
async fn wait_for_each_other() {
    asyncio::current_task().unwrap().set_name("boss");
    let worker = asyncio::task().name("worker").spawn(sleep(HOUR));
    yield_now().await;
    println!("ready to be asked");
    worker.await.unwrap();
}

#[asyncio::main(dump_on_signal)]
async fn dumps() {
    wait_for_each_other().await;
}

#[asyncio::main(debug)]
async fn dumps_in_debug_mode() {
    wait_for_each_other().await;
}

fn ask(child: &mut Child, signal: i32, name: &str) {
    child.signal(signal);
    child.wait_for_line(&format!(
        "{name}: the tasks of the event loop in thread 'main':"
    ));
    let line = child.wait_for_line("boss waits for task 'worker' (tests/observing.rs:");
    assert!(line.starts_with("boss"), "{line}");
    let line = child.wait_for_line("worker waits for sleep (");
    assert!(line.starts_with("  worker"), "{line}");
}

fn ask_and_interrupt(program: &str) {
    let mut child = Child::start(scenario(program));
    child.wait_for_line("ready");
    ask(&mut child, libc::SIGUSR1, "SIGUSR1");
    ask(&mut child, libc::SIGQUIT, "SIGQUIT");
    ask(&mut child, libc::SIGUSR1, "SIGUSR1");
    child.press_ctrl_c();
    let finished = child.finish();
    finished.died_of(SIGINT).never_said("does not answer");
}

fn signals_print_the_tasks() {
    ask_and_interrupt("dumps");
}

fn debug_mode_prints_the_tasks() {
    ask_and_interrupt("dumps_in_debug_mode");
}

#[asyncio::main(dump_on_signal)]
async fn dumps_blocked() {
    asyncio::current_task().unwrap().set_name("boss");
    let blocking = async {
        println!("ready");
        read_line();
        sleep(HOUR).await;
    };
    asyncio::task()
        .name("blocks")
        .spawn(blocking)
        .await
        .unwrap();
}

fn a_blocked_loop_answers_later() {
    let mut child = start("dumps_blocked");
    child.wait_for_line("ready");
    child.signal(libc::SIGUSR1);
    let line = child.wait_for_line("SIGUSR1: the event loop does not answer; it is blocked by ");
    assert!(
        line.contains("<Task name='blocks' spawned at tests/observing.rs:"),
        "{line}"
    );
    if cfg!(target_os = "linux") {
        child.wait_for_line("its thread 'main' sleeps in the system call read on descriptor 0");
    }
    child.type_bytes(b"\n");
    child.wait_for_line("SIGUSR1: the tasks of the event loop in thread 'main':");
    child.wait_for_line("boss waits for task 'blocks'");
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
}

#[asyncio::main]
async fn dumps_nothing() {
    wait_for_each_other().await;
}

fn without_either_option_the_signals_end_the_process() {
    for signal in [libc::SIGUSR1, libc::SIGQUIT] {
        let mut child = Child::start(scenario("dumps_nothing"));
        child.wait_for_line("ready");
        child.signal(signal);
        child.finish().died_of(signal);
    }
}

/// Handles no signal, and is not asked for dumps.
fn run_in_debug_mode(main: impl Future<Output = ()>) {
    let runner = Runner::builder().debug(true).interrupt(false).build();
    runner.run(main).unwrap();
}

fn dumps_alone() {
    run_in_debug_mode(async {
        if cfg!(target_os = "linux") {
            assert_eq!(fs::read_dir("/proc/self/task").unwrap().count(), 1);
        }
        wait_for_each_other().await;
    });
}

/// The loop waits in another way from its first socket on.
fn dumps_alone_beside_a_socket() {
    run_in_debug_mode(async {
        let socket = asyncio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let receiving = asyncio::spawn(async move { socket.recv_from(&mut [0]).await });
        wait_for_each_other().await;
        drop(receiving);
    });
}

fn dumps_alone_when_it_goes_on() {
    run_in_debug_mode(async {
        println!("blocks");
        read_line();
        yield_now().await;
        println!("goes on");
    });
    println!("closed");
    read_line();
}

fn debug_mode_needs_no_thread_for_it() {
    for program in ["dumps_alone", "dumps_alone_beside_a_socket"] {
        ask_and_interrupt(program);
    }
    for signal in [libc::SIGUSR1, libc::SIGQUIT] {
        let mut child = start("dumps_alone_when_it_goes_on");
        child.wait_for_line("blocks");
        child.signal(signal);
        child.type_bytes(b"\n");
        child.wait_for_line("the tasks of the event loop in thread 'main':");
        child.wait_for_line("goes on");
        child.wait_for_line("closed");
        child.signal(signal);
        child.finish().died_of(signal);
    }
}

fn dumps_and_closes() {
    for end in ["first closed", "second closed"] {
        let runner = Runner::builder().dump_on_signal(true).build();
        runner.run(yield_now()).unwrap();
        println!("between");
        read_line();
        runner.run(yield_now()).unwrap();
        runner.close().unwrap();
        println!("{end}");
    }
    asyncio::run(yield_now()).unwrap();
    println!("ran without dumps");
    read_line();
}

fn after_the_close_the_signals_do_what_they_did_before() {
    for signal in [libc::SIGUSR1, libc::SIGQUIT] {
        let mut child = start("dumps_and_closes");
        for end in ["first closed", "second closed"] {
            child.wait_for_line("between");
            child.signal(signal);
            child.wait_for_line("the event loop in thread 'main' is not being run");
            child.type_bytes(b"\n");
            child.wait_for_line("the tasks of the event loop in thread 'main'");
            child.wait_for_line(end);
        }
        child.wait_for_line("ran without dumps");
        child.signal(signal);
        child.finish().died_of(signal);
    }
}

fn a_signal_that_is_ignored_is_left_alone() {
    let mut child = Setup::new(scenario("dumps"))
        .ignoring(libc::SIGUSR1)
        .start();
    child.wait_for_line("ready");
    child.signal(libc::SIGUSR1);
    ask(&mut child, libc::SIGQUIT, "SIGQUIT");
    child.press_ctrl_c();
    child.finish().died_of(SIGINT).never_said("SIGUSR1");
}

#[asyncio::main(dump_on_signal)]
async fn listens() {
    let asked = asyncio::signal::user_defined1();
    println!("ready");
    asked.await.unwrap();
    println!("heard");
    wait_for_each_other().await;
}

fn listeners_are_told_beside_the_dump() {
    let mut child = Child::start(scenario("listens"));
    child.wait_for_line("ready");
    child.signal(libc::SIGUSR1);
    child.wait_for_line("heard");
    // Not only "ready": the dump may say that the main task is ready to run.
    child.wait_for_line("ready to be asked");
    ask(&mut child, libc::SIGUSR1, "SIGUSR1");
    child.press_ctrl_c();
    let finished = child.finish();
    finished.died_of(SIGINT);
    assert_eq!(
        count(&finished.stderr, "SIGUSR1: the tasks"),
        2,
        "{finished:?}"
    );
}
