//! Threads that are blocked for real, and say where.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::super::thread_state::ThreadId;
use super::*;
use crate::{Runner, RunnerBuilder};

/// The sooner the better; reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// There is one disposition of SIGURG and one request in a process; hold this meanwhile.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a thread run `blocks` until `asks`, which gets its number, has returned.
pub(super) fn with_thread<T>(
    blocks: impl FnOnce(&AtomicBool) + Send,
    asks: impl FnOnce(i32) -> T,
) -> T {
    /// Lets the thread go, also if the test fails.
    struct LetsGo<'a>(&'a AtomicBool);
    impl Drop for LetsGo<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let (tells, number) = mpsc::channel();
        scope.spawn(|| {
            tells.send(ThreadId::current().number()).unwrap();
            drop(tells);
            blocks(&goes_on);
        });
        let _lets_go = LetsGo(&goes_on);
        asks(number.recv().unwrap())
    })
}

/// Asks until the text has all those parts: the thread may be on its way to where it blocks.
fn wait_for_stack(thread: i32, parts: &[&str]) {
    let began = Instant::now();
    loop {
        let text = ask(thread, || true).unwrap().name_calls().to_string();
        if parts.iter().all(|part| text.contains(part)) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
        thread::yield_now();
    }
}

#[inline(never)]
fn computes_in_vain(goes_on: &AtomicBool) {
    while goes_on.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_thread_that_computes_says_in_which_function_and_line() {
    let _alone = alone();
    with_thread(computes_in_vain, |thread| {
        let parts = ["computes_in_vain\n", "/watchdog/stack/tests.rs:"];
        wait_for_stack(thread, &parts);
    });
}

#[test]
fn a_thread_in_a_system_call_says_where_it_called_and_the_call_goes_on() {
    #[inline(never)]
    fn reads_in_vain(mut from: &UnixStream) -> usize {
        from.read(&mut [0]).unwrap()
    }

    let _alone = alone();
    let (mut writer, reader) = UnixStream::pair().unwrap();
    let reads = |_: &AtomicBool| assert_eq!(reads_in_vain(&reader), 1);
    // Closed when this ends, however it does, which ends the reading.
    with_thread(reads, move |thread| {
        let began = Instant::now();
        let file = format!("/proc/self/task/{thread}/syscall");
        while std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("running")
        {
            assert!(began.elapsed() < PATIENCE, "it does not read");
        }
        wait_for_stack(thread, &["reads_in_vain\n", "stack/tests.rs:"]);
        writer.write_all(b".").unwrap();
    });
}

#[test]
fn a_thread_that_sleeps_says_who_put_it_to_sleep() {
    let _alone = alone();
    let sleeps = |goes_on: &AtomicBool| {
        while goes_on.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
    };
    with_thread(sleeps, |thread| {
        let parts = ["nanosleep", "stack/tests.rs:"];
        wait_for_stack(thread, &parts);
    });
}

#[inline(never)]
fn holds_the_loop_up(until: &mpsc::Receiver<()>) {
    // Not by a macro, of which the test would keep what it prints.
    std::io::stderr().write_all(b"it blocks\n").unwrap();
    let _ = until.recv();
}

/// Blocks its loop until the other end of its standard input is closed.
fn program(builder: RunnerBuilder) {
    let (_held, until) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        drop(_held);
    });
    let runner = builder.build();
    runner.run(async { holds_the_loop_up(&until) }).unwrap();
}

/// A process in which the same test is the program.
struct Blocked {
    child: Child,
    said: String,
}

impl Blocked {
    const IS_PROGRAM: &str = "WATCHDOG_STACK_TEST_IS_PROGRAM";

    /// `None` in that process, once it is over.
    fn start(builder: impl FnOnce() -> RunnerBuilder) -> Option<Blocked> {
        if env::var_os(Blocked::IS_PROGRAM).is_some() {
            program(builder());
            return None;
        }
        let name = thread::current().name().unwrap().to_owned();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &name])
            .env(Blocked::IS_PROGRAM, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut blocked = Blocked {
            child: child.unwrap(),
            said: String::new(),
        };
        blocked.read_until("it blocks\n");
        Some(blocked)
    }

    fn read_until(&mut self, text: &str) {
        let mut piece = [0; 4096];
        while !self.said.contains(text) {
            let length = self.child.stderr.as_mut().unwrap().read(&mut piece);
            let piece = &piece[..length.unwrap()];
            assert!(!piece.is_empty(), "{}", self.said);
            self.said.push_str(&String::from_utf8_lossy(piece));
        }
    }

    /// Waits for the stack, lets the program go on, and returns all that it said.
    fn tells_its_stack(mut self) -> String {
        self.read_until("blocked its event loop:");
        self.read_until("holds_the_loop_up\n");
        drop(self.child.stdin.take());
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut self.said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.said);
        let said = self.said;
        assert_eq!(said.matches("blocked its event loop:").count(), 1);
        for hidden in ["run_observed", "on_signal", "task/raw.rs", "catch_unwind"] {
            assert!(!said.contains(hidden), "{said}");
        }
        said
    }
}

#[test]
fn the_watchdog_tells_the_stack_of_a_blocked_loop_from_the_task_inwards() {
    let builder = || Runner::builder().blocked_loop_after(Duration::from_millis(20));
    if let Some(blocked) = Blocked::start(builder) {
        blocked.tells_its_stack();
    }
}

#[test]
fn a_blocked_loop_that_is_asked_for_its_tasks_tells_its_stack() {
    let builder = || Runner::builder().dump_on_signal(true);
    if let Some(blocked) = Blocked::start(builder) {
        let child = rustix::process::Pid::from_child(&blocked.child);
        rustix::process::kill_process(child, rustix::process::Signal::USR1).unwrap();
        let said = blocked.tells_its_stack();
        assert!(said.contains("SIGUSR1: the event loop does not answer"));
    }
}

fn calls(names: &[&str]) -> Vec<Call> {
    let call = |name: &&str| Call {
        name: (*name).to_owned(),
        place: None,
    };
    names.iter().map(call).collect()
}

#[test]
fn the_loop_is_cut_off_and_what_the_user_called_of_this_crate_is_not() {
    let all = [
        "read",
        "runner_core::net::read",
        "program::main::{{closure}}",
        "<core::panic::unwind_safe::AssertUnwindSafe<F> as core::ops::function::FnOnce<()>>::call_once",
        "std::panicking::catch_unwind",
        "<runner_core::task::raw::TaskFuture<F> as core::future::future::Future>::poll",
        "async_task::raw::RawTask<F,T,S,M>::run",
        "runner_core::event_loop::observe::<impl runner_core::event_loop::LoopCore>::run_observed",
        "runner_core::run",
        "program::main",
    ];
    assert_eq!(without_the_loop(calls(&all)), calls(&all[..3]));
    let outside = ["read", "program::run_observed", "program::main"];
    assert_eq!(without_the_loop(calls(&outside)), calls(&outside));
    let inside = [
        "runner_core::task::x",
        "runner_core::y::run_observed",
        "main",
    ];
    assert_eq!(without_the_loop(calls(&inside)), calls(&inside[..1]));
}

#[test]
fn the_loop_is_cut_off_by_its_files_where_names_have_no_paths() {
    let at = |name: &str, file: &str| Call {
        name: name.to_owned(),
        place: Some(Place {
            file: file.into(),
            line: 1,
        }),
    };
    let all = [
        at("poll", "/src/task/raw.rs"),
        at("call_once", "/rustc/x/library/core/src/ops/function.rs"),
        at("poll", "/src/runner-core-0.1.0/src/task/raw.rs"),
        at("run", "/src/async-task-4.7.1/src/raw.rs"),
        at(
            "run_observed",
            "/src/runner-core-0.1.0/src/event_loop/observe.rs",
        ),
        at("main", "/src/src/main.rs"),
    ];
    assert_eq!(without_the_loop(all.to_vec()), all[..1]);
}

#[test]
fn a_generic_function_is_told_without_its_parameters() {
    assert_eq!(without_parameters("recv<()>"), "recv");
    assert_eq!(without_parameters("std::recv::<()>"), "std::recv");
    assert_eq!(without_parameters("<A as B<C>>::d"), "<A as B<C>>::d");
    assert_eq!(without_parameters("<A as B<C>>"), "<A as B<C>>");
    assert_eq!(without_parameters("a::<B>::{closure}"), "a::<B>::{closure}");
}

#[test]
fn the_text_has_a_number_and_a_name_per_call_and_its_place_from_here() {
    let mut calls = calls(&["read", "program::main"]);
    calls[1].place = Some(Place {
        file: env::current_dir().unwrap().join("src/main.rs"),
        line: 7,
    });
    let text = Stack(calls).to_string();
    assert_eq!(
        text,
        "\n   0: read\n   1: program::main\n        at src/main.rs:7"
    );
}
