//! What a program's parent sees when the program ends: the exit status, and the last words on stderr.
//!
//! Each scenario is a `main` of its own in a child process of its own.

#![cfg(unix)]

#[path = "support/child.rs"]
mod child;

use std::error::Error;
use std::fmt;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use asyncio::{RunError, finally, sleep};

use child::{Child, Finished, Program, Setup, Sink, Test, scenario};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// Long enough that the loop has to wait for it.
const A_MOMENT: Duration = Duration::from_millis(1);

/// What a program is and how it ends.
struct Case {
    name: &'static str,
    program: &'static str,
    status: i32,
    prints: &'static [&'static str],
    /// All of stderr; of a panic only its first line is compared, and its last part.
    reports: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a main that returns nothing succeeds",
        program: "unit",
        status: 0,
        prints: &["main", "leftover"],
        reports: "",
    },
    Case {
        name: "a main that returns Ok succeeds",
        program: "ok",
        status: 0,
        prints: &["leftover"],
        reports: "",
    },
    Case {
        name: "an error is printed for programmers, and is status 1",
        program: "error",
        status: 1,
        prints: &["leftover"],
        reports: "Error: \"out of cheese\"\n",
    },
    Case {
        name: "an exit code is kept",
        program: "exit_code",
        status: 42,
        prints: &["leftover"],
        reports: "",
    },
    Case {
        name: "any other type is asked for its status",
        program: "own_type",
        status: 7,
        prints: &["leftover"],
        reports: "",
    },
    Case {
        name: "a main that never returns ends as it says",
        program: "never",
        status: 9,
        prints: &["main"],
        reports: "",
    },
    Case {
        name: "process::exit in a task ends the program at once",
        program: "exit_in_task",
        status: 3,
        prints: &["task"],
        reports: "",
    },
    Case {
        name: "process::exit in a job ends the program at once",
        program: "exit_in_job",
        status: 4,
        prints: &["job"],
        reports: "",
    },
    Case {
        name: "a run that gave no value is printed, and is status 1",
        program: "stopped",
        status: 1,
        prints: &["leftover"],
        reports: "Error: Event loop stopped before Future completed.\n",
    },
    Case {
        name: "a loop that cannot be made is printed with its reason, and is status 1",
        program: "no_loop",
        status: 1,
        prints: &[],
        reports: "Error: the event loop failed: out of loops\n",
    },
    Case {
        name: "a cancelled main is printed, and is status 1",
        program: "cancelled",
        status: 1,
        prints: &["leftover"],
        reports: "Error: the main task was cancelled by the program: enough\n",
    },
    Case {
        name: "a boxed error carries a run that gave no value",
        program: "stopped_boxed",
        status: 1,
        prints: &["leftover"],
        reports: "Error: Stopped\n",
    },
    Case {
        name: "an error type made from RunError carries a run that gave no value",
        program: "stopped_own_error",
        status: 1,
        prints: &["leftover"],
        reports: "Error: Own(\"Event loop stopped before Future completed.\")\n",
    },
    Case {
        name: "an error type that is not made from RunError has it printed",
        program: "stopped_foreign_error",
        status: 1,
        prints: &["leftover"],
        reports: "Error: Event loop stopped before Future completed.\n",
    },
    Case {
        name: "a function with another name panics with the text of a run that gave no value",
        program: "stopped_function",
        status: 101,
        prints: &["leftover"],
        reports: "Event loop stopped before Future completed.",
    },
    Case {
        name: "a main can be called again",
        program: "again",
        status: 0,
        prints: &["main", "leftover", "main", "leftover"],
        reports: "",
    },
    Case {
        name: "a main inside of a running loop says so, and ends the program at once with status 1",
        program: "nested",
        status: 1,
        prints: &[],
        reports: "Error: Runner.run() cannot be called from a running event loop\n",
    },
    Case {
        name: "a main inside of a running loop says so in the error that it returns",
        program: "nested_result",
        status: 0,
        prints: &[
            "Runner.run() cannot be called from a running event loop",
            "leftover",
        ],
        reports: "",
    },
    Case {
        name: "a function with another name inside of a running loop panics with the reason",
        program: "nested_function",
        status: 101,
        prints: &["leftover"],
        reports: "Runner.run() cannot be called from a running event loop",
    },
    Case {
        name: "a panic in main is status 101 after the orderly shutdown",
        program: "panic",
        status: 101,
        prints: &["leftover"],
        reports: "out of cheese",
    },
    Case {
        name: "a panic in a task that nobody awaits leaves main's status alone",
        program: "panic_in_task",
        status: 0,
        prints: &["leftover"],
        reports: "out of cheese",
    },
    Case {
        name: "a close in the middle of a panic does not hide the panic",
        program: "panic_twice",
        status: 101,
        prints: &["leftover"],
        reports: "out of cheese",
    },
];

impl Case {
    fn check(&self) {
        let finished = Child::start(scenario(self.program)).finish();
        finished.exited_with(self.status);
        assert_eq!(printed(&finished), self.prints, "{finished:?}");
        if finished.stderr.contains("panicked at") {
            finished.said(self.reports);
        } else {
            assert_eq!(finished.stderr, self.reports);
        }
    }
}

fn printed(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

fn main() -> ExitCode {
    let mut tests: Vec<Test> = CASES
        .iter()
        .map(|case| Test::new(case.name, || case.check()))
        .collect();
    for sink in [Sink::Broken, Sink::Full, Sink::Closed] {
        tests.push(Test::new(
            format!("reports to a stderr that is {sink:?} change nothing"),
            move || reports_to_nowhere_change_nothing(sink),
        ));
        tests.push(Test::new(
            format!("an interrupt with a stderr that is {sink:?} is an interrupt"),
            move || an_interrupt_without_stderr_is_an_interrupt(sink),
        ));
    }
    for sink in [Sink::Broken, Sink::Full] {
        tests.push(Test::new(
            format!("printing to a stdout that is {sink:?} panics, and all is cleaned up"),
            move || printing_to_nowhere_panics(sink),
        ));
    }
    tests.push(Test::new(
        "a program without stdout succeeds",
        a_program_without_stdout_succeeds,
    ));
    tests.push(Test::new(
        "leaving by process::exit never hangs",
        leaving_never_hangs,
    ));
    child::run_programs(PROGRAMS, tests)
}

fn reports_to_nowhere_change_nothing(sink: Sink) {
    let finished = Setup::new(scenario("reporter"))
        .stderr_to(sink)
        .start()
        .finish();
    finished.exited_with(5);
    assert_eq!(printed(&finished), ["main", "leftover"]);
}

fn an_interrupt_without_stderr_is_an_interrupt(sink: Sink) {
    let mut child = Setup::new(scenario("interrupted")).stderr_to(sink).start();
    child.wait_for_line("main");
    child.press_ctrl_c();
    let finished = child.finish();
    finished.died_of(child::SIGINT);
    assert_eq!(printed(&finished), ["main", "leftover"]);
}

/// `println!` panics, as in every program; the leftover tells by a report on stderr that it was cleaned up.
fn printing_to_nowhere_panics(sink: Sink) {
    let finished = Setup::new(scenario("unit"))
        .stdout_to(sink)
        .start()
        .finish();
    finished.exited_with(101).said("failed printing to stdout");
}

fn a_program_without_stdout_succeeds() {
    let finished = Setup::new(scenario("unit"))
        .stdout_to(Sink::Closed)
        .start()
        .finish();
    finished.exited_with(0);
    assert_eq!(finished.stderr, "");
}

/// Half a second for a hundred programs that leave while other threads wake and submit.
fn leaving_never_hangs() {
    for _ in 0..50 {
        for (program, status) in [("exit_amid_wakes", 3), ("return_amid_wakes", 0)] {
            Child::start(scenario(program)).finish().exited_with(status);
        }
    }
}

macro_rules! programs {
    ($($name:ident)*) => {
        /// Every module below that has a `main`.
        #[allow(unreachable_code, reason = "one of them never returns")]
        const PROGRAMS: &[Program] = &[$((stringify!($name), || $name::main().report())),*];
    };
}

programs! {
    unit ok error exit_code own_type exit_in_task exit_in_job stopped cancelled stopped_boxed stopped_own_error
    stopped_foreign_error stopped_function panic panic_in_task panic_twice reporter interrupted exit_amid_wakes
    return_amid_wakes never no_loop again nested nested_result nested_function
}

// ---- The programs.

/// A task that says that it could clean up.
async fn leave_a_task() {
    let cleanup = async || {
        sleep(A_MOMENT).await;
        println!("leftover");
    };
    drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
    asyncio::yield_now().await;
}

mod no_loop {
    #[asyncio::main(loop_factory = || Err::<asyncio::EventLoop, _>(std::io::Error::other("out of loops")))]
    pub(super) async fn main() {}
}

mod unit {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        println!("main");
    }
}

mod ok {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), String> {
        leave_a_task().await;
        Ok(())
    }
}

mod error {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), &'static str> {
        leave_a_task().await;
        Err("out of cheese")
    }
}

mod exit_code {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> ExitCode {
        leave_a_task().await;
        ExitCode::from(42)
    }
}

mod own_type {
    use super::*;

    pub(super) struct Seven;

    impl Termination for Seven {
        fn report(self) -> ExitCode {
            ExitCode::from(7)
        }
    }

    #[asyncio::main]
    pub(super) async fn main() -> impl Termination {
        leave_a_task().await;
        Seven
    }
}

mod again {
    pub(super) fn main() {
        super::unit::main();
        super::unit::main();
    }
}

mod nested {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        unit::main();
    }
}

mod nested_result {
    use super::*;

    mod inner {
        #[asyncio::main]
        pub(super) async fn main() -> Result<(), asyncio::RunError> {
            println!("never");
            Ok(())
        }
    }

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        println!("{}", inner::main().unwrap_err());
    }
}

mod nested_function {
    use super::*;

    #[asyncio::main]
    async fn function() {
        println!("never");
    }

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        function();
    }
}

mod never {
    #[asyncio::main]
    pub(super) async fn main() -> ! {
        println!("main");
        std::process::exit(9)
    }
}

mod exit_in_task {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        let task = asyncio::spawn(async {
            println!("task");
            std::process::exit(3)
        });
        let _: Result<(), _> = task.await;
        println!("never");
    }
}

mod exit_in_job {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        let job = asyncio::to_thread(|| {
            println!("job");
            std::process::exit(4)
        });
        let _: Result<(), _> = job.await;
        println!("never");
    }
}

async fn stop() {
    leave_a_task().await;
    asyncio::running_loop().stop();
    sleep(FOREVER).await;
}

mod stopped {
    #[asyncio::main]
    pub(super) async fn main() {
        super::stop().await;
    }
}

mod cancelled {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        let main = asyncio::current_task().expect("this is a task");
        main.cancel_with("enough");
        sleep(FOREVER).await;
    }
}

mod stopped_boxed {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), Box<dyn Error>> {
        stop().await;
        Ok(())
    }
}

mod stopped_own_error {
    use super::*;

    #[expect(dead_code, reason = "printed")]
    #[derive(Debug)]
    pub(super) struct Own(String);

    impl From<RunError> for Own {
        fn from(error: RunError) -> Own {
            Own(error.to_string())
        }
    }

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), Own> {
        stop().await;
        Ok(())
    }
}

mod stopped_foreign_error {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), fmt::Error> {
        stop().await;
        Ok(())
    }
}

mod stopped_function {
    use super::*;

    #[asyncio::main]
    async fn go() {
        stop().await;
    }

    pub(super) fn main() {
        go();
        println!("never");
    }
}

mod panic {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        panic!("out of cheese")
    }
}

mod panic_in_task {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        drop(asyncio::spawn(async { panic!("out of cheese") }));
        sleep(A_MOMENT).await;
    }
}

/// The leftover of a panicking main panics as well, while it is cleaned up.
mod panic_twice {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        let cleanup = async || panic!("and out of wine");
        drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
        asyncio::yield_now().await;
        panic!("out of cheese")
    }
}

/// Has something to report at every stage: a task's panic, a cleanup's panic, a survivor.
mod reporter {
    use super::*;

    #[asyncio::main(shutdown_timeout = "50ms", debug)]
    pub(super) async fn main() -> ExitCode {
        leave_a_task().await;
        drop(asyncio::spawn(async { panic!("out of cheese") }));
        let cleanup = async || panic!("and out of wine");
        drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
        let stubborn = async || sleep(FOREVER).await;
        drop(asyncio::spawn(finally(sleep(FOREVER), stubborn)));
        sleep(A_MOMENT).await;
        println!("main");
        ExitCode::from(5)
    }
}

mod interrupted {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        println!("main");
        sleep(FOREVER).await;
    }
}

/// Threads that wake the loop and hand it work for as long as there is one, each piece after the one before is done.
fn disturb(event_loop: &asyncio::EventLoop) {
    for _ in 0..2 {
        let handle = event_loop.handle();
        std::thread::spawn(move || {
            loop {
                let (done, is_done) = std::sync::mpsc::channel();
                let callback = move || {
                    let _ = done.send(());
                };
                if handle.call_soon_threadsafe(callback).is_err() || is_done.recv().is_err() {
                    return;
                }
            }
        });
    }
}

mod exit_amid_wakes {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        disturb(&asyncio::running_loop());
        sleep(A_MOMENT).await;
        std::process::exit(3)
    }
}

mod return_amid_wakes {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        disturb(&asyncio::running_loop());
        let job = || std::thread::sleep(A_MOMENT);
        drop(asyncio::spawn(asyncio::to_thread(job)));
        sleep(A_MOMENT).await;
    }
}
