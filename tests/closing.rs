//! What ends a program while its runner closes, and how its parent sees that: presses of Ctrl-C during the close, `exit`,
//! exit hooks, panics that stop the program.
//!
//! Each scenario is a program of its own, in a child process of its own, interrupted at a stated point. Nothing here waits
//! for a time: a child says where it is, and the test presses then.

#![cfg(unix)]

#[path = "support/child.rs"]
mod child;

use std::error::Error;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use asyncio::{DetachedPanic, EventLoop, RunError, Runner, finally, sleep};

use child::{Child, Finished, Program, SIGINT, SIGTERM, Setup, Sink, Test, scenario};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// Long enough that the loop has to wait for it.
const A_MOMENT: Duration = Duration::from_millis(1);
/// What a hurried close takes in all.
const HURRIED: Duration = Duration::from_secs(1);

/// What a press writes on a terminal that is the first one and hurries the close.
const NOTICE: &str = "Stopping within a second. Press Ctrl-C again to stop at once.";
/// What a hurried close writes whose time is over.
const TIME_IS_OVER: &str = "The shutdown's time is over.";

/// One thing that a test does with a child.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Waits for a line of this text.
    Line(&'static str),
    /// Presses Ctrl-C.
    Press,
    /// Presses Ctrl-C and waits until the program's handler has run.
    Pressed,
    /// Sends another signal.
    Send(i32),
}

use Step::{Line, Press, Pressed, Send};

/// How a child's parent sees it end.
#[derive(Debug, Clone, Copy)]
enum End {
    Signal(i32),
    Status(i32),
}

use End::{Signal, Status};

/// One row of the table.
struct Case {
    /// What is claimed.
    name: &'static str,
    /// The program that the child runs.
    program: &'static str,
    steps: &'static [Step],
    end: End,
    /// Everything that the program prints.
    prints: &'static [&'static str],
    /// What stands in stderr.
    says: &'static [&'static str],
    /// What does not.
    never_says: &'static [&'static str],
}

impl Case {
    const fn new(name: &'static str, program: &'static str) -> Case {
        Case {
            name,
            program,
            steps: &[],
            end: Status(0),
            prints: &[],
            says: &[],
            never_says: &["a bug of this crate"],
        }
    }

    fn check(&self) {
        let mut child = Child::start(scenario(self.program));
        for step in self.steps {
            match *step {
                Line(text) => drop(child.wait_for_line(text)),
                Press => child.press_ctrl_c(),
                Pressed => child.press_and_wait(),
                Send(signal) => child.signal(signal),
            }
        }
        let finished = child.finish();
        match self.end {
            Signal(signal) => finished.died_of(signal),
            Status(code) => finished.exited_with(code),
        };
        assert_eq!(printed(&finished), self.prints, "{finished:?}");
        let stderr = without_line_numbers(&finished.stderr);
        for text in self.says {
            assert!(stderr.contains(text), "expected {text:?}: {finished:?}");
        }
        for text in self.never_says {
            finished.never_said(text);
        }
    }
}

/// Puts `LINE` for each line number of this file.
fn without_line_numbers(text: &str) -> String {
    let mut parts = text.split(concat!(file!(), ":"));
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result += concat!(file!(), ":LINE");
        result += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    result
}

fn printed(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

const CASES: &[Case] = &[
    // ---- A press during the close: nothing was pressed before.
    Case {
        steps: &[Line("leftover cleanup begins"), Press],
        end: Signal(SIGINT),
        prints: &["main's value", "leftover cleanup begins", "hook"],
        says: &[TIME_IS_OVER],
        never_says: &[NOTICE, "was dropped for this"],
        ..Case::new(
            "a press in the close of a finished main hurries it, and the process dies of the signal",
            "endless_close",
        )
    },
    Case {
        steps: &[Line("leftover cleanup begins"), Pressed, Press],
        end: Signal(SIGINT),
        prints: &["main's value", "leftover cleanup begins"],
        never_says: &[TIME_IS_OVER],
        ..Case::new(
            "a second press in the close of a finished main kills at once",
            "endless_close",
        )
    },
    Case {
        end: Signal(SIGINT),
        prints: &["leftover cleanup begins", "leftover cleanup done"],
        never_says: &[TIME_IS_OVER],
        ..Case::new(
            "a close that ends soon after the press is whole, and the process still dies of the signal",
            "short_close",
        )
    },
    Case {
        steps: &[Line("job begins"), Line("leftover"), Press],
        end: Signal(SIGINT),
        prints: &[
            "job begins",
            "leftover cleanup begins",
            "leftover cleanup done",
        ],
        says: &[
            "The executor's threads were not waited for.",
            "job submitted at",
        ],
        ..Case::new(
            "a press during the close releases it from a job",
            "endless_job",
        )
    },
    Case {
        steps: &[Line("asked to end"), Press],
        end: Signal(SIGINT),
        prints: &["asked to end"],
        says: &["Did not end in time: endless"],
        ..Case::new(
            "a press during the close releases it within a second from what runs beside the loop",
            "endless_companion",
        )
    },
    Case {
        steps: &[Line("leftover cleanup begins"), Send(SIGTERM)],
        end: Signal(SIGTERM),
        prints: &["leftover cleanup begins"],
        says: &[TIME_IS_OVER],
        ..Case::new(
            "a request to terminate hurries the close where it was asked for",
            "terminate_endless_close",
        )
    },
    Case {
        steps: &[Line("leftover cleanup begins"), Send(SIGTERM)],
        end: Signal(SIGTERM),
        prints: &["main's value", "leftover cleanup begins"],
        never_says: &[TIME_IS_OVER],
        ..Case::new(
            "a request to terminate kills a close where it was not asked for",
            "endless_close",
        )
    },
    // ---- A press during the close, after others in the run.
    Case {
        steps: &[Line("ready"), Press, Line("leftover cleanup begins"), Press],
        end: Signal(SIGINT),
        prints: &["ready", "leftover cleanup begins"],
        says: &[TIME_IS_OVER],
        ..Case::new(
            "after a press in the run, one in the close is the second and hurries",
            "interrupted_then_endless_close",
        )
    },
    Case {
        steps: &[
            Line("ready"),
            Press,
            Line("leftover cleanup begins"),
            Pressed,
            Press,
        ],
        end: Signal(SIGINT),
        prints: &["ready", "leftover cleanup begins"],
        never_says: &[TIME_IS_OVER],
        ..Case::new(
            "after a press in the run, the second one in the close is the third and kills at once",
            "interrupted_then_endless_close",
        )
    },
    Case {
        steps: &[
            Line("ready"),
            Send(SIGTERM),
            Line("leftover cleanup begins"),
            Press,
        ],
        end: Signal(SIGTERM),
        prints: &["ready", "leftover cleanup begins"],
        says: &[TIME_IS_OVER],
        ..Case::new(
            "a press in the close after a request to terminate is the second, and the first names the death",
            "interrupted_then_endless_close",
        )
    },
    // ---- A loop that does not react.
    Case {
        steps: &[Line("blocked"), Pressed, Press],
        end: Signal(SIGINT),
        prints: &["blocked"],
        ..Case::new(
            "a second press kills a close whose destructor blocks",
            "blocking_destructor",
        )
    },
    Case {
        steps: &[Line("ready"), Press, Line("blocked"), Press],
        end: Signal(SIGINT),
        prints: &["ready", "blocked"],
        ..Case::new(
            "after a press in the run, one in the close kills if a destructor blocks",
            "interrupted_then_blocking_destructor",
        )
    },
    Case {
        steps: &[Line("blocked"), Pressed, Press],
        end: Signal(SIGINT),
        prints: &["blocked"],
        ..Case::new(
            "a second press kills a loop that is just being closed",
            "blocking_last_phase",
        )
    },
    // ---- What main had to say.
    Case {
        end: Status(1),
        prints: &["leftover cleanup begins", "leftover cleanup done"],
        says: &["Error: \"out of cheese\"\n"],
        ..Case::new(
            "an error of main is not lost to a press in the close",
            "error_then_press",
        )
    },
    Case {
        end: Status(1),
        prints: &["leftover cleanup begins", "leftover cleanup done"],
        says: &["Error: \"out of cheese\"\n"],
        ..Case::new(
            "a boxed error of main is not lost to a press in the close",
            "boxed_error_then_press",
        )
    },
    Case {
        end: Status(101),
        prints: &["leftover cleanup begins", "leftover cleanup done"],
        says: &["out of cheese"],
        ..Case::new(
            "a panic of main is not lost to a press in the close",
            "panic_then_press",
        )
    },
    Case {
        end: Status(130),
        prints: &[
            "leftover cleanup begins",
            "leftover cleanup done",
            "KeyboardInterrupt",
        ],
        says: &["KeyboardInterrupt: the main task's value, a u32, was dropped for this"],
        ..Case::new(
            "a press in the close takes the place of the value of run, which is said",
            "run_then_press",
        )
    },
    Case {
        end: Status(130),
        prints: &[
            "7",
            "leftover cleanup begins",
            "leftover cleanup done",
            "KeyboardInterrupt",
            "Closed",
            "after: SIGINT caught false, SIGTERM caught false",
        ],
        ..Case::new(
            "a press in the close is what close returns, and run's value stays the caller's",
            "close_as_value",
        )
    },
    Case {
        steps: &[Line("leftover cleanup begins"), Press],
        end: Signal(SIGINT),
        prints: &["leftover cleanup begins"],
        never_says: &[TIME_IS_OVER],
        ..Case::new(
            "a runner that was told to leave Ctrl-C alone does so in the close as well",
            "not_asked",
        )
    },
    // ---- Dispositions.
    Case {
        prints: &[
            "before: SIGINT caught false, SIGTERM caught false",
            "in the run: SIGINT caught true, SIGTERM caught true",
            "between: SIGINT caught false, SIGTERM caught false",
            "in the close: SIGINT caught true, SIGTERM caught true",
            "after: SIGINT caught false, SIGTERM caught false",
        ],
        ..Case::new(
            "the close takes the signals, and gives them back",
            "dispositions",
        )
    },
    // ---- exit
    Case {
        end: Status(3),
        prints: &[
            "main cleanup begins",
            "main cleanup done",
            "leftover cleanup begins",
            "leftover cleanup done",
            "hook",
        ],
        ..Case::new(
            "exit ends the process with its status, after an orderly close",
            "exit_in_task",
        )
    },
    Case {
        end: Status(4),
        prints: &["main cleanup begins", "main cleanup done"],
        ..Case::new("exit can be called in a job", "exit_in_job")
    },
    Case {
        end: Status(5),
        prints: &["main cleanup begins", "main cleanup done"],
        ..Case::new("exit can be called in any thread", "exit_in_thread")
    },
    Case {
        end: Status(6),
        prints: &["main cleanup begins", "main cleanup done"],
        ..Case::new("exit can be called in a callback", "exit_in_callback")
    },
    Case {
        end: Status(3),
        prints: &["swallowed"],
        ..Case::new(
            "a main that swallows an exit does not undo it",
            "exit_swallowed",
        )
    },
    Case {
        end: Status(1),
        says: &["Error: \"out of cheese\"\n"],
        ..Case::new("an error of main is not lost to an exit", "exit_then_error")
    },
    Case {
        end: Status(101),
        says: &["out of cheese"],
        ..Case::new("a panic of main is not lost to an exit", "exit_then_panic")
    },
    Case {
        end: Status(0),
        prints: &["leftover cleanup begins", "leftover cleanup done"],
        ..Case::new("exit(0) succeeds", "exit_with_success")
    },
    Case {
        end: Status(2),
        ..Case::new("a failure is not hidden by a later exit", "exit_twice")
    },
    Case {
        end: Status(8),
        ..Case::new("an exit hook can set the status", "exit_in_hook")
    },
    Case {
        end: Status(9),
        prints: &["no runner runs or closes"],
        ..Case::new("exit outside of a run panics", "exit_outside")
    },
    Case {
        steps: &[Line("main cleanup begins"), Press],
        end: Signal(SIGINT),
        prints: &[
            "main cleanup begins",
            "leftover cleanup begins",
            "leftover cleanup done",
            "hook",
        ],
        ..Case::new("a press after an exit counts more", "exit_then_press")
    },
    Case {
        steps: &[Line("ready"), Press],
        end: Status(7),
        prints: &["ready", "main cleanup begins"],
        ..Case::new("an exit after a press counts more", "press_then_exit")
    },
    Case {
        end: Signal(SIGINT),
        prints: &["leftover cleanup begins", "leftover cleanup done"],
        ..Case::new(
            "a press in the close counts more than an exit in the run",
            "exit_then_press_in_close",
        )
    },
    Case {
        end: Status(3),
        prints: &["the program asked to exit with status 3", "7"],
        ..Case::new(
            "exit is a value for the caller of run, and the runner stays usable",
            "exit_as_value",
        )
    },
    // ---- Panics.
    Case {
        end: Status(101),
        prints: &[
            "main cleanup begins",
            "main cleanup done",
            "leftover cleanup begins",
            "leftover cleanup done",
            "hook",
        ],
        says: &["Task exception was never retrieved", "out of cheese"],
        ..Case::new(
            "a detached panic can stop the program, in an orderly way",
            "detached_panic",
        )
    },
    Case {
        end: Status(101),
        prints: &["leftover cleanup begins", "leftover cleanup done", "hook"],
        says: &["out of cheese"],
        ..Case::new("exit hooks run after a panic of main", "panic_then_hook")
    },
    Case {
        end: Signal(libc::SIGABRT),
        prints: &["main"],
        ..Case::new(
            "a panic while another one unwinds aborts, as in every program",
            "double_panic",
        )
    },
    Case {
        end: Status(3),
        prints: &["main"],
        never_says: &["hook"],
        ..Case::new("process::exit runs no exit hook", "process_exit")
    },
    // ---- Long waits.
    Case {
        prints: &["main", "done"],
        says: &[
            "The shutdown still waits for:\n  <Task name='slow' spawned at tests/closing.rs:LINE>\n\
             The shutdown still waits for:\n  <Task name='slow' spawned at tests/closing.rs:LINE>\n\
             The shutdown still waits for:\n  <Task name='at_exit' spawned at tests/closing.rs:LINE>\n",
        ],
        ..Case::new(
            "a close without a limit says after 10, 30 and 70 seconds whom it waits for",
            "long_close",
        )
    },
];

fn main() -> ExitCode {
    let mut tests: Vec<Test> = CASES
        .iter()
        .map(|case| Test::new(case.name, || case.check()))
        .collect();
    tests.push(Test::new(
        "on a terminal the first press says what the next one does in the close",
        the_first_press_says_what_the_next_one_does,
    ));
    tests.push(Test::new(
        "a press in the close gives it one second, neither more nor less",
        a_press_gives_one_second,
    ));
    for sink in [Sink::Broken, Sink::Full, Sink::Closed] {
        tests.push(Test::new(
            format!("a hurried close whose stderr is {sink:?} ends as any other"),
            move || a_hurried_close_without_stderr(sink),
        ));
    }
    for sink in [Sink::Broken, Sink::Full] {
        tests.push(Test::new(
            format!("exit hooks run whole while stdout is {sink:?}"),
            move || hooks_without_stdout(sink),
        ));
    }
    child::run_programs(PROGRAMS, tests)
}

fn the_first_press_says_what_the_next_one_does() {
    let mut child = Setup::new(scenario("endless_close")).on_terminal().start();
    child.wait_for_line("leftover cleanup begins");
    child.press_ctrl_c();
    child.wait_for_line(NOTICE);
    child.press_ctrl_c();
    let finished = child.finish();
    finished.died_of(SIGINT).never_said(TIME_IS_OVER);
    assert_eq!(finished.stderr, format!("\n{NOTICE}\n"));
}

fn a_press_gives_one_second() {
    let mut child = Child::start(scenario("endless_close"));
    child.wait_for_line("leftover cleanup begins");
    child.press_ctrl_c();
    let finished = child.finish();
    let taken = finished.since_press.expect("pressed");
    // The rest is for the machine.
    assert!((HURRIED..5 * HURRIED).contains(&taken), "{finished:?}");
}

fn a_hurried_close_without_stderr(sink: Sink) {
    let mut child = Setup::new(scenario("endless_close"))
        .stderr_to(sink)
        .start();
    child.wait_for_line("leftover cleanup begins");
    child.press_ctrl_c();
    child.wait_for_line("hook");
    child.finish().died_of(SIGINT);
}

/// `println!` panics; that is reported, and the next hook runs.
fn hooks_without_stdout(sink: Sink) {
    let finished = Setup::new(scenario("printing_hooks"))
        .stdout_to(sink)
        .start()
        .finish();
    finished
        .exited_with(0)
        .said("unhandled exception during asyncio.run() shutdown")
        .said("failed printing to stdout")
        .said("the next hook runs");
}

macro_rules! programs {
    ($($name:ident)*) => {
        /// Every module below that has a `main`.
        const PROGRAMS: &[Program] = &[$((stringify!($name), || $name::main().report())),*];
    };
}

programs! {
    endless_close short_close endless_job endless_companion terminate_endless_close interrupted_then_endless_close blocking_destructor
    interrupted_then_blocking_destructor blocking_last_phase error_then_press boxed_error_then_press panic_then_press
    run_then_press close_as_value not_asked dispositions exit_in_task exit_in_job exit_in_thread exit_in_callback
    exit_swallowed exit_then_error exit_then_panic exit_with_success exit_twice exit_in_hook exit_outside exit_then_press
    press_then_exit exit_then_press_in_close exit_as_value detached_panic panic_then_hook double_panic process_exit
    long_close printing_hooks
}

// ---- What the programs have in common.

/// A cleanup that awaits.
async fn clean_up(whose: &str) {
    println!("{whose} cleanup begins");
    sleep(A_MOMENT).await;
    println!("{whose} cleanup done");
}

/// A task whose cleanup goes on for ever.
async fn leave_an_endless_task() {
    let cleanup = async || {
        println!("leftover cleanup begins");
        sleep(FOREVER).await;
    };
    drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
    asyncio::yield_now().await;
}

/// A task whose cleanup takes a moment.
async fn leave_a_task() {
    let cleanup = async || clean_up("leftover").await;
    drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
    asyncio::yield_now().await;
}

/// A task that presses Ctrl-C in its cleanup, and then goes on with it.
async fn leave_a_task_that_presses() {
    let cleanup = async || {
        println!("leftover cleanup begins");
        press();
        sleep(A_MOMENT).await;
        println!("leftover cleanup done");
    };
    drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
    asyncio::yield_now().await;
}

/// Presses Ctrl-C at this very point: the handler has run when this returns.
fn press() {
    // SAFETY: `raise` has no preconditions.
    unsafe { libc::raise(SIGINT) };
}

/// Waits for ever in its destructor.
struct Blocking;

impl Drop for Blocking {
    fn drop(&mut self) {
        println!("blocked");
        loop {
            std::thread::park();
        }
    }
}

/// Main's life until somebody stops it.
async fn wait_and_clean_up() {
    finally(sleep(FOREVER), async || clean_up("main").await).await;
}

/// Says whether the process has a handler for `signal`.
fn is_caught(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .expect("the kernel says which signals are caught");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a number");
    mask & (1 << (signal - 1)) != 0
}

fn dispositions() -> String {
    format!(
        "SIGINT caught {}, SIGTERM caught {}",
        is_caught(SIGINT),
        is_caught(SIGTERM)
    )
}

// ---- The programs.

mod endless_close {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::at_exit(async { println!("hook") });
        leave_an_endless_task().await;
        println!("main's value");
    }
}

mod short_close {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task_that_presses().await;
    }
}

mod endless_job {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let (begun, begins) = std::sync::mpsc::channel();
        asyncio::running_loop()
            .run_in_executor(move || {
                println!("job begins");
                begun.send(()).unwrap();
                loop {
                    std::thread::park();
                }
            })
            .detach();
        begins.recv().unwrap();
        leave_a_task().await;
    }
}

mod endless_companion {
    use super::*;
    use std::pin::Pin;

    struct Endless;

    impl asyncio::Companion for Endless {
        fn name(&self) -> &str {
            "endless"
        }

        fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            Box::pin(async {
                println!("asked to end");
                sleep(FOREVER).await;
            })
        }
    }

    #[asyncio::main]
    pub(super) async fn main() {
        let event_loop = asyncio::running_loop();
        event_loop.companion_or_start(|| Ok(Endless)).unwrap();
    }
}

mod terminate_endless_close {
    use super::*;

    #[asyncio::main(terminate)]
    pub(super) async fn main() {
        leave_an_endless_task().await;
    }
}

mod interrupted_then_endless_close {
    use super::*;

    #[asyncio::main(terminate)]
    pub(super) async fn main() {
        leave_an_endless_task().await;
        println!("ready");
        sleep(FOREVER).await;
    }
}

mod blocking_destructor {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        drop(asyncio::spawn(async {
            let _blocking = Blocking;
            sleep(FOREVER).await;
        }));
        asyncio::yield_now().await;
    }
}

mod interrupted_then_blocking_destructor {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        drop(asyncio::spawn(async {
            let _blocking = Blocking;
            sleep(FOREVER).await;
        }));
        asyncio::yield_now().await;
        println!("ready");
        sleep(FOREVER).await;
    }
}

/// The timer's callback is dropped when the loop is closed, after its last turn.
mod blocking_last_phase {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let blocking = Blocking;
        asyncio::running_loop().call_later(FOREVER, move || drop(blocking));
    }
}

mod error_then_press {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), &'static str> {
        leave_a_task_that_presses().await;
        Err("out of cheese")
    }
}

mod boxed_error_then_press {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), Box<dyn Error>> {
        leave_a_task_that_presses().await;
        Err("out of cheese".into())
    }
}

mod panic_then_press {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task_that_presses().await;
        panic!("out of cheese")
    }
}

mod run_then_press {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let outcome = asyncio::run(async {
            leave_a_task_that_presses().await;
            7_u32
        });
        let error = outcome.unwrap_err();
        println!("{error}");
        error.exit_code()
    }
}

mod close_as_value {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::builder().terminate(true).build();
        let value = runner.run(async {
            leave_a_task_that_presses().await;
            7
        });
        println!("{}", value.unwrap());
        let error = runner.close().unwrap_err();
        println!("{error}");
        println!("{:?}", runner.state());
        println!("after: {}", dispositions());
        error.exit_code()
    }
}

mod not_asked {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::builder().interrupt(false).build();
        runner.run(leave_an_endless_task()).unwrap();
        runner.close().unwrap();
    }
}

mod dispositions {
    use super::*;

    pub(super) fn main() {
        println!("before: {}", dispositions());
        let runner = Runner::builder().terminate(true).build();
        let run = runner.run(async {
            println!("in the run: {}", dispositions());
            let cleanup = async || println!("in the close: {}", dispositions());
            drop(asyncio::spawn(finally(sleep(FOREVER), cleanup)));
            asyncio::yield_now().await;
        });
        run.unwrap();
        println!("between: {}", dispositions());
        runner.close().unwrap();
        println!("after: {}", dispositions());
    }
}

mod exit_in_task {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::at_exit(async { println!("hook") });
        leave_a_task().await;
        drop(asyncio::spawn(async { asyncio::exit(3) }));
        wait_and_clean_up().await;
    }
}

mod exit_in_job {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        drop(asyncio::spawn(asyncio::to_thread(|| asyncio::exit(4))));
        wait_and_clean_up().await;
    }
}

mod exit_in_thread {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        std::thread::spawn(|| asyncio::exit(5));
        wait_and_clean_up().await;
    }
}

mod exit_in_callback {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), RunError> {
        asyncio::running_loop().call_soon(|| asyncio::exit(6));
        wait_and_clean_up().await;
        Ok(())
    }
}

mod exit_swallowed {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::exit(3);
        let cancelled = asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        assert_eq!(cancelled.reason(), asyncio::CancelReason::Shutdown);
        println!("swallowed");
    }
}

mod exit_then_error {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), &'static str> {
        asyncio::exit(0);
        let _ = asyncio::catch_cancelled(sleep(FOREVER)).await;
        Err("out of cheese")
    }
}

mod exit_then_panic {
    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::exit(0);
        panic!("out of cheese")
    }
}

mod exit_with_success {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task().await;
        asyncio::exit(0);
    }
}

mod exit_twice {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::exit(0);
        asyncio::exit(2);
        asyncio::exit(3);
        asyncio::exit(0);
        sleep(FOREVER).await;
    }
}

mod exit_in_hook {
    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::at_exit(async { asyncio::exit(8) });
    }
}

mod exit_outside {
    use super::*;

    pub(super) fn main() -> ExitCode {
        std::panic::set_hook(Box::new(|_| {}));
        asyncio::run(async {}).unwrap();
        let panic = std::panic::catch_unwind(|| asyncio::exit(3)).unwrap_err();
        let text = panic.downcast::<String>().unwrap();
        if text.contains("no runner runs or closes") {
            println!("no runner runs or closes");
        }
        ExitCode::from(9)
    }
}

mod exit_then_press {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::at_exit(async { println!("hook") });
        leave_a_task().await;
        asyncio::exit(3);
        finally(sleep(FOREVER), async || {
            println!("main cleanup begins");
            sleep(FOREVER).await;
        })
        .await;
    }
}

mod press_then_exit {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || {
            println!("main cleanup begins");
            asyncio::exit(7);
        })
        .await;
    }
}

mod exit_then_press_in_close {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        leave_a_task_that_presses().await;
        asyncio::exit(3);
    }
}

mod exit_as_value {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::new();
        let outcome = runner.run(async {
            asyncio::exit(3);
            sleep(FOREVER).await;
        });
        let error = outcome.unwrap_err();
        println!("{error}");
        assert!(matches!(error, RunError::Exit(3)) && !error.is_interrupt());
        println!("{}", runner.run(async { 7 }).unwrap());
        runner.close().unwrap();
        error.exit_code()
    }
}

mod detached_panic {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::builder()
            .detached_panic(DetachedPanic::Stop)
            .build();
        let outcome = runner.run(async {
            asyncio::at_exit(async { println!("hook") });
            leave_a_task().await;
            drop(asyncio::spawn(async { panic!("out of cheese") }));
            wait_and_clean_up().await;
        });
        outcome.unwrap();
    }
}

mod panic_then_hook {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::at_exit(async { println!("hook") });
        leave_a_task().await;
        panic!("out of cheese")
    }
}

mod double_panic {
    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    #[asyncio::main]
    pub(super) async fn main() {
        println!("main");
        asyncio::at_exit(async { println!("hook") });
        let _bad = Bad;
        panic!("out of cheese")
    }
}

mod process_exit {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("main");
        asyncio::at_exit(async { println!("hook") });
        drop(asyncio::spawn(async { std::process::exit(3) }));
        sleep(FOREVER).await;
    }
}

mod long_close {
    use super::*;

    #[asyncio::main(loop_factory = || EventLoop::builder().virtual_time().build())]
    pub(super) async fn main() {
        asyncio::at_exit(async {
            sleep(Duration::from_secs(40)).await;
            println!("done");
        });
        let cleanup = async || sleep(Duration::from_secs(40)).await;
        let slow = finally(sleep(FOREVER), cleanup);
        drop(asyncio::task().name("slow").spawn(slow));
        asyncio::yield_now().await;
        println!("main");
    }
}

mod printing_hooks {
    #[asyncio::main]
    pub(super) async fn main() {
        asyncio::at_exit(async {
            eprintln!("the next hook runs");
        });
        asyncio::at_exit(async { println!("hook") });
    }
}
