//! Ctrl-C from the first press to the third, and what becomes of SIGINT before, between and after the runs. What it does
//! while the runner closes is in `closing.rs`.
//!
//! Each scenario is a program of its own, in a child process of its own, interrupted at a stated point: most of them twice,
//! once by Ctrl-C on a terminal and once by a plain signal to a process that writes to pipes. Judged are every line that
//! the program printed, what it wrote to stderr, and how its parent saw it die. Nothing here waits for a time: a child says
//! where it is, and the test presses then.

#![cfg(unix)]

#[path = "support/child.rs"]
mod child;

use std::process::{ExitCode, Termination};
use std::time::{Duration, Instant};

use asyncio::{RunError, Runner, finally, sleep};

use child::{Child, Program, SIGHUP, SIGINT, SIGTERM, Setup, Test, scenario};

/// What the first press writes on a terminal.
const NOTICE: &str = "Stopping. Press Ctrl-C again to stop without waiting for cleanup.";
/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// Nothing is waited for.
const PROMPTLY: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(5));
/// Long enough that the loop has to wait for it.
const A_MOMENT: Duration = Duration::from_millis(1);

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
    /// On a terminal, by plain signals, or both.
    by: By,
    steps: &'static [Step],
    end: End,
    /// How long the child lives: at least, from its start, and at most, from the last step (generous: others share the
    /// machine).
    lives: (Duration, Duration),
    /// Everything that the program prints.
    prints: &'static [&'static str],
    /// Whether the first press says what the next one does (on a terminal only).
    notice: bool,
    /// Everything else that is written to stderr.
    reports: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Both,
    Terminal,
    Signal,
}

impl Case {
    const fn new(name: &'static str, program: &'static str) -> Case {
        Case {
            name,
            program,
            by: By::Both,
            steps: &[Line("ready"), Press],
            end: Signal(SIGINT),
            lives: PROMPTLY,
            prints: &[],
            notice: true,
            reports: "",
        }
    }

    fn tests(&'static self) -> Vec<Test> {
        let mut tests = Vec::new();
        if self.by != By::Signal {
            let name = format!("{}, on a terminal", self.name);
            tests.push(Test::new(name, || self.check(true)));
        }
        if self.by != By::Terminal {
            let name = format!("{}, by plain signals", self.name);
            tests.push(Test::new(name, || self.check(false)));
        }
        tests
    }

    fn check(&self, on_terminal: bool) {
        let setup = Setup::new(scenario(self.program));
        let begun = Instant::now();
        let mut child = match on_terminal {
            true => setup.on_terminal().echoing().start(),
            false => setup.start(),
        };
        for step in self.steps {
            match *step {
                Line(text) => drop(child.wait_for_line(text)),
                Press => child.press_ctrl_c(),
                Pressed => child.press_and_wait(),
                Send(signal) => child.signal(signal),
            }
        }
        let last_step = begun.elapsed();
        let finished = child.finish();
        let (at_least, at_most) = self.lives;
        assert!(finished.elapsed >= at_least, "{finished:?}");
        let after_last_step = finished.elapsed.saturating_sub(last_step);
        assert!(
            after_last_step <= at_most,
            "{after_last_step:?}: {finished:?}"
        );
        match self.end {
            Signal(signal) => finished.died_of(signal),
            Status(code) => finished.exited_with(code),
        };
        let printed: Vec<&str> = finished.stdout.lines().collect();
        assert_eq!(printed, self.prints, "{finished:?}");
        let notice = if on_terminal && self.notice {
            format!("\n{NOTICE}\n")
        } else {
            String::new()
        };
        let written = without_line_numbers(&finished.stderr.replace("^C", ""));
        assert_eq!(written, notice + self.reports, "{finished:?}");
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

/// In the order of asyncio's scenarios (semantics 2.6), each of which is here but four:
///
/// * A third press while the interpreter joins its workers: a process of ours does not join them when it ends.
/// * A cancel before a `timeout(0)` that claims it: there is no press in it; `tests/cancellation.rs` has it.
/// * A child of a task group that fails while it is cancelled by a press: there is no task group yet. An error of the cleanup
///   in a press's place is here.
/// * A second press that is raised inside of whatever the main thread computes: nothing can be raised there, so the process
///   dies instead.
const CASES: &[Case] = &[
    // ---- The first press.
    Case {
        prints: &[
            "ready",
            "cleanup begins",
            "cleanup done",
            "leftover cleanup begins",
            "leftover cleanup done",
        ],
        ..Case::new(
            "a press in a sleep lets main and leftover tasks clean up, then the process dies of the signal",
            "press_in_sleep",
        )
    },
    Case {
        prints: &[
            "ready",
            "child cleanup begins",
            "child cleanup done",
            "cleanup begins",
            "cleanup done",
        ],
        ..Case::new(
            "a press while main awaits a task lets that task clean up first",
            "press_while_awaiting_child",
        )
    },
    Case {
        prints: &["ready", "cleanup begins", "cleanup done"],
        ..Case::new(
            "a press reaches a main that only yields",
            "press_while_yielding",
        )
    },
    Case {
        by: By::Signal,
        steps: &[],
        prints: &["pressed"],
        ..Case::new(
            "a press before the first step keeps main from beginning",
            "press_before_first_step",
        )
    },
    Case {
        steps: &[],
        prints: &["computed", "cleanup begins", "cleanup done"],
        ..Case::new(
            "a press during a computation is delivered at the next await",
            "press_while_computing",
        )
    },
    Case {
        end: Status(0),
        prints: &["ready", "swallowed cancelled by an interrupt", "the end"],
        ..Case::new(
            "a main that swallows the cancellation ends with its own value and status",
            "press_swallowed",
        )
    },
    Case {
        steps: &[Line("ready"), Press, Line("swallowed"), Press],
        prints: &["ready", "swallowed"],
        ..Case::new(
            "a main that swallows and goes on for ever ends at the second press",
            "press_swallowed_for_ever",
        )
    },
    Case {
        end: Status(0),
        prints: &["ready", "swallowed", "timed out"],
        ..Case::new(
            "a timeout after a swallowed press still strikes",
            "press_swallowed_then_timeout",
        )
    },
    Case {
        steps: &[],
        prints: &["interrupted"],
        ..Case::new(
            "a press together with a timeout is an interrupt",
            "press_with_timeout",
        )
    },
    Case {
        end: Status(1),
        prints: &["ready", "swallowed"],
        reports: "Error: the main task was cancelled by the program\n",
        ..Case::new(
            "a press and a cancel by the program are no interrupt",
            "press_then_cancel",
        )
    },
    Case {
        end: Status(1),
        prints: &["swallowed", "ready"],
        reports: "Error: the main task was cancelled by an interrupt\n",
        ..Case::new(
            "a cancel by the program and a press are no interrupt",
            "cancel_then_press",
        )
    },
    Case {
        prints: &["swallowed", "ready"],
        ..Case::new(
            "a cancel by the program that was withdrawn leaves a press what it is",
            "cancel_withdrawn_then_press",
        )
    },
    Case {
        end: Status(1),
        prints: &["ready", "cleanup begins"],
        reports: "Error: \"the cleanup failed\"\n",
        ..Case::new(
            "an error of the cleanup takes the press's place",
            "press_then_error",
        )
    },
    Case {
        steps: &[],
        by: By::Signal,
        prints: &["KeyboardInterrupt"],
        end: Status(130),
        ..Case::new(
            "a press in main's last step is not lost",
            "press_in_last_step",
        )
    },
    Case {
        end: Status(130),
        prints: &[
            "ready",
            "cleanup begins",
            "cleanup done",
            "KeyboardInterrupt",
            "closed",
        ],
        ..Case::new(
            "the interrupt is a value for the caller of run",
            "interrupt_as_value",
        )
    },
    Case {
        prints: &["ready", "main was released", "the job ended"],
        ..Case::new(
            "a press in a blocking job releases main, and the job is awaited",
            "press_in_job",
        )
    },
    Case {
        prints: &["ready", "a line without end"],
        ..Case::new(
            "what main printed last is flushed",
            "press_then_partial_line",
        )
    },
    // ---- The second press.
    Case {
        steps: &[Line("ready"), Press, Line("cleanup begins"), Press],
        end: Status(130),
        prints: &[
            "ready",
            "cleanup begins",
            "KeyboardInterrupt",
            "leftover cleanup begins",
            "leftover cleanup done",
            "closed in time",
        ],
        ..Case::new(
            "a second press during the cleanup ends the run at once, and the close is hurried",
            "second_press",
        )
    },
    Case {
        steps: &[Line("ready"), Press, Line("cleanup begins"), Press],
        prints: &["ready", "cleanup begins"],
        ..Case::new(
            "a second press during the cleanup kills without the rest of it",
            "endless_cleanup",
        )
    },
    Case {
        steps: &[
            Line("ready"),
            Press,
            Line("cleanup begins"),
            Press,
            Line("leftover cleanup begins"),
        ],
        // That is how long a hurried close waits in all.
        lives: (Duration::from_secs(1), Duration::from_secs(6)),
        prints: &["ready", "cleanup begins", "leftover cleanup begins"],
        reports: "The shutdown's time is over. Tasks that did not end and were dropped:\n  \
                  <Task name='leftover' spawned at tests/sigint.rs:LINE> (cancelled once, 1 s ago) \
                  waits for sleep (for ever)\n",
        ..Case::new(
            "a hurried close does not wait for ever",
            "two_endless_cleanups",
        )
    },
    Case {
        steps: &[Line("ready"), Pressed, Press],
        prints: &["ready"],
        notice: false,
        ..Case::new("a second press in a tight loop kills", "tight_loop")
    },
    Case {
        steps: &[Line("ready"), Pressed, Press],
        prints: &["ready"],
        notice: false,
        ..Case::new(
            "a second press kills while another task computes",
            "tight_loop_in_task",
        )
    },
    Case {
        steps: &[Line("ready"), Pressed, Press],
        prints: &["ready"],
        notice: false,
        ..Case::new("a second press in a blocking call kills", "blocking_call")
    },
    Case {
        by: By::Terminal,
        steps: &[Line("ready"), Pressed, Press],
        prints: &["ready"],
        notice: false,
        ..Case::new(
            "a second press kills while stderr is locked",
            "stderr_locked",
        )
    },
    Case {
        steps: &[],
        notice: false,
        ..Case::new(
            "two presses before the loop looks end the run at once, without a word about the next press",
            "two_presses",
        )
    },
    Case {
        by: By::Terminal,
        steps: &[],
        prints: &["ready"],
        notice: false,
        ..Case::new(
            "two presses before the loop looks kill while stderr is locked",
            "two_presses_with_stderr_locked",
        )
    },
    // ---- The third press.
    Case {
        steps: &[
            Line("ready"),
            Press,
            Line("cleanup begins"),
            Press,
            Line("leftover cleanup begins"),
            Press,
        ],
        prints: &["ready", "cleanup begins", "leftover cleanup begins"],
        ..Case::new(
            "a third press kills at once, also in a hurried close",
            "two_endless_cleanups",
        )
    },
    // ---- Outside of a run.
    Case {
        prints: &["ready"],
        notice: false,
        ..Case::new("before the first run a press kills", "before_first_run")
    },
    Case {
        prints: &["ready"],
        notice: false,
        ..Case::new("between two runs a press kills", "between_runs")
    },
    Case {
        prints: &["ready"],
        notice: false,
        ..Case::new("after the close a press kills", "after_close")
    },
    Case {
        by: By::Signal,
        steps: &[Line("generator cleanup begins"), Press],
        prints: &["main's value", "generator cleanup begins"],
        notice: false,
        lives: (Duration::from_secs(1), Duration::from_secs(6)),
        ..Case::new(
            "a press in the close of an async generator hurries it",
            "in_close_of_generator",
        )
    },
    Case {
        prints: &["ready"],
        notice: false,
        ..Case::new(
            "a runner on another thread leaves Ctrl-C alone",
            "other_thread",
        )
    },
    Case {
        prints: &["ready"],
        notice: false,
        ..Case::new("a runner can be told to leave Ctrl-C alone", "not_asked")
    },
    // ---- Other signals.
    Case {
        by: By::Signal,
        steps: &[Line("ready"), Send(SIGTERM)],
        end: Signal(SIGTERM),
        prints: &["ready"],
        ..Case::new("a request to terminate kills by default", "press_in_sleep")
    },
    Case {
        steps: &[Line("ready"), Send(SIGTERM)],
        end: Signal(SIGTERM),
        prints: &["ready", "cleanup begins", "cleanup done"],
        ..Case::new(
            "a request to terminate takes the same road where it was asked for",
            "terminate",
        )
    },
    Case {
        prints: &["ready", "cleanup begins", "cleanup done"],
        ..Case::new(
            "a program that hears requests to terminate still dies of Ctrl-C",
            "terminate",
        )
    },
    Case {
        steps: &[Line("ready"), Send(SIGTERM), Line("cleanup begins"), Press],
        end: Signal(SIGTERM),
        prints: &["ready", "cleanup begins"],
        ..Case::new(
            "a press after a request to terminate is the second one, and the first names the death",
            "terminate_endless_cleanup",
        )
    },
    Case {
        steps: &[Line("ready"), Send(SIGTERM)],
        end: Status(143),
        prints: &["ready", "terminated by a signal"],
        ..Case::new(
            "the request is a value for the caller of run",
            "terminate_as_value",
        )
    },
    Case {
        by: By::Signal,
        steps: &[Line("ready"), Send(SIGHUP)],
        end: Signal(SIGHUP),
        prints: &["ready"],
        ..Case::new("the loss of the terminal kills by default", "terminate")
    },
    Case {
        steps: &[Line("ready"), Send(SIGHUP)],
        end: Signal(SIGHUP),
        prints: &["ready", "cleanup begins", "cleanup done"],
        ..Case::new(
            "the loss of the terminal takes the same road where it was asked for",
            "hangup",
        )
    },
    Case {
        prints: &["ready", "cleanup begins", "cleanup done"],
        ..Case::new(
            "a program that hears the loss of its terminal still dies of Ctrl-C",
            "hangup",
        )
    },
    Case {
        steps: &[
            Line("ready"),
            Send(SIGHUP),
            Line("cleanup begins"),
            Send(SIGTERM),
        ],
        end: Signal(SIGHUP),
        prints: &["ready", "cleanup begins"],
        ..Case::new(
            "a request to terminate after the loss of the terminal is the second press",
            "hangup_endless_cleanup",
        )
    },
    Case {
        steps: &[Line("ready"), Send(SIGHUP)],
        end: Status(129),
        prints: &[
            "ready",
            "cancelled by a termination request",
            "hung up by a signal",
        ],
        ..Case::new(
            "the loss of the terminal is a value for the caller of run",
            "hangup_as_value",
        )
    },
    Case {
        by: By::Signal,
        steps: &[Line("ready"), Send(SIGTERM)],
        end: Signal(SIGTERM),
        prints: &["ready", "cleanup begins", "cleanup done"],
        ..Case::new(
            "a request to terminate is heard by a runner that leaves Ctrl-C alone",
            "terminate_only",
        )
    },
    Case {
        prints: &["ready"],
        notice: false,
        ..Case::new(
            "a runner that hears only requests to terminate leaves Ctrl-C alone",
            "terminate_only",
        )
    },
    // ---- Listeners.
    Case {
        steps: &[Line("ready"), Press, Line("the listener heard it"), Press],
        prints: &[
            "ready",
            "the listener heard it",
            "cleanup begins",
            "cleanup done",
        ],
        ..Case::new(
            "a press is its listener's, and without one the next press is the first",
            "listener_in_run",
        )
    },
    Case {
        steps: &[Line("ready"), Press, Line("the listener heard it"), Press],
        prints: &[
            "ready",
            "the listener heard it",
            "cleanup begins",
            "cleanup done",
        ],
        ..Case::new(
            "a listener from before the run gives the signal to the run",
            "listener_before_run",
        )
    },
    Case {
        steps: &[Line("ready"), Press, Line("the callback heard it"), Press],
        prints: &[
            "ready",
            "the callback heard it",
            "cleanup begins",
            "cleanup done",
        ],
        ..Case::new(
            "a callback from before the run gives the signal to the run",
            "callback_before_run",
        )
    },
    Case {
        steps: &[
            Line("ready"),
            Pressed,
            Line("press 1"),
            Pressed,
            Line("press 2"),
            Pressed,
            Line("press 3"),
            Pressed,
        ],
        end: Status(0),
        prints: &["ready", "press 1", "press 2", "press 3", "press 4"],
        notice: false,
        ..Case::new(
            "no number of presses kills past a listener",
            "listener_of_four",
        )
    },
    Case {
        steps: &[
            Line("ready"),
            Send(SIGTERM),
            Line("the listener heard it"),
            Press,
        ],
        prints: &[
            "ready",
            "the listener heard it",
            "cleanup begins",
            "cleanup done",
        ],
        ..Case::new(
            "a listener takes a request to terminate, and leaves Ctrl-C to the run",
            "listener_of_terminate",
        )
    },
    Case {
        by: By::Signal,
        steps: &[],
        end: Status(0),
        prints: &[
            "with a listener: ignored false, caught true",
            "in the run: ignored false, caught true",
            "after the run: ignored false, caught true",
            "after the listener: ignored false, caught false",
            "after a listener in a run: ignored false, caught true",
            "after that run: ignored false, caught false",
        ],
        ..Case::new(
            "a listener that outlives the run leaves the disposition from before it",
            "listener_dispositions",
        )
    },
    Case {
        by: By::Signal,
        steps: &[],
        end: Status(0),
        prints: &[
            "the listener heard it",
            "with the listener: 0 calls of the program's own handler",
            "without: 1 calls of the program's own handler",
        ],
        ..Case::new(
            "a handler of the program is back after the last listener",
            "listener_over_foreign_handler",
        )
    },
    Case {
        by: By::Signal,
        steps: &[],
        end: Status(0),
        prints: &["1 calls of the program's newer handler"],
        ..Case::new(
            "a handler that the program installed over a listener stays",
            "foreign_handler_over_listener",
        )
    },
    // ---- Dispositions.
    Case {
        by: By::Signal,
        steps: &[],
        end: Status(0),
        prints: &[
            "before: ignored false, caught false",
            "during: ignored false, caught true",
            "after a value: ignored false, caught false",
            "after an interrupt: ignored false, caught false",
            "after a panic: ignored false, caught false",
            "after the close: ignored false, caught false",
        ],
        reports: "",
        ..Case::new(
            "after each run the disposition is the one from before",
            "dispositions",
        )
    },
    Case {
        by: By::Signal,
        steps: &[],
        end: Status(0),
        prints: &[
            "during: ignored false, caught true",
            "the program's own handler was called 1 times",
            "after: the program's own handler is there",
        ],
        ..Case::new("a handler of the program is left alone", "foreign_handler")
    },
    Case {
        by: By::Signal,
        steps: &[],
        end: Status(0),
        prints: &["the late press was for run 0, and for no other"],
        ..Case::new("a late press never meets the next run", "late_presses")
    },
];

fn main() -> ExitCode {
    let mut tests: Vec<Test> = CASES.iter().flat_map(Case::tests).collect();
    tests.push(Test::new(
        "an ignored SIGINT stays ignored",
        an_ignored_sigint_stays_ignored,
    ));
    tests.push(Test::new(
        "a listener hears an ignored SIGINT, and leaves it ignored",
        a_listener_hears_an_ignored_sigint,
    ));
    tests.push(Test::new(
        "a press at any moment ends the process by the signal, and no cleanup is cut off",
        a_press_at_any_moment,
    ));
    tests.push(Test::new(
        "a press while runs come and go ends the process by the signal",
        a_press_while_runs_come_and_go,
    ));
    tests.push(Test::new(
        "an ignored SIGHUP stays ignored",
        an_ignored_sighup_stays_ignored,
    ));
    tests.push(Test::new(
        "a storm of presses ends the process by the signal",
        a_storm_ends_the_process_by_the_signal,
    ));
    tests.push(Test::new(
        "two presses at once are never none",
        two_presses_at_once_are_never_none,
    ));
    tests.push(Test::new(
        "a press wakes a parked loop promptly",
        a_press_wakes_a_parked_loop_promptly,
    ));
    child::run_programs(PROGRAMS, tests)
}

fn an_ignored_sigint_stays_ignored() {
    let finished = Setup::new(scenario("ignored"))
        .ignoring(SIGINT)
        .start()
        .finish();
    finished.exited_with(0);
    let printed: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(
        printed,
        [
            "before: ignored true, caught false",
            "during: ignored true, caught false",
            "main's value",
            "after: ignored true, caught false",
        ]
    );
}

fn a_listener_hears_an_ignored_sigint() {
    let mut child = Setup::new(scenario("listener_over_ignored"))
        .ignoring(SIGINT)
        .start();
    child.wait_for_line("ready");
    child.press_ctrl_c();
    let finished = child.finish();
    finished.exited_with(0);
    let printed: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(
        printed,
        [
            "with the listener: ignored false, caught true",
            "ready",
            "the listener heard it",
            "after: ignored true, caught false",
        ]
    );
}

/// Before `main`, while it starts, in the run: one press, a little later each time, until one has come when all was
/// under way. The moment decides how much is printed, and nothing else.
fn a_press_at_any_moment() {
    const WHOLE: [&str; 5] = [
        "ready",
        "cleanup begins",
        "cleanup done",
        "leftover cleanup begins",
        "leftover cleanup done",
    ];
    let mut moment = Duration::ZERO;
    for number in 0.. {
        let mut child = Child::start(scenario("press_in_sleep"));
        std::thread::sleep(moment);
        child.press_ctrl_c();
        let finished = child.finish();
        finished.died_of(SIGINT);
        assert_eq!(finished.stderr, "");
        let printed: Vec<&str> = finished.stdout.lines().collect();
        match *printed {
            // Before the run, before main's first step, or before main had printed anything.
            [] | ["leftover cleanup begins", "leftover cleanup done"] => {}
            _ => assert_eq!(printed, WHOLE, "{finished:?}"),
        }
        if number >= 40 && printed == WHOLE {
            return;
        }
        assert!(moment < Duration::from_secs(5), "no press met a run");
        // Small steps while an idle machine starts a program, then larger ones.
        moment += Duration::from_micros(50).max(moment / 40);
    }
}

/// Whoever meets no run has the process die of the signal, and the next run takes the signal over at the same moment.
fn a_press_while_runs_come_and_go() {
    for _ in 0..100 {
        let mut child = Child::start(scenario("runs_come_and_go"));
        child.wait_for_line("ready");
        child.press_ctrl_c();
        child.finish().died_of(SIGINT);
    }
}

/// As under `nohup`. A signal that was heard would be the first press, and name the death.
fn an_ignored_sighup_stays_ignored() {
    let mut child = Setup::new(scenario("hangup")).ignoring(SIGHUP).start();
    child.wait_for_line("ready");
    child.signal(SIGHUP);
    child.press_ctrl_c();
    child.wait_for_line("cleanup done");
    child.finish().died_of(SIGINT);
}

/// The system may make one press of each storm, but never none: after two storms the child has seen two presses at least.
fn a_storm_ends_the_process_by_the_signal() {
    let mut child = Child::start(scenario("endless_cleanup"));
    child.wait_for_line("ready");
    storm(&child);
    // Or so many were noticed that it is dead.
    if child.try_wait_for_line("cleanup begins") {
        storm(&child);
    }
    child.finish().died_of(SIGINT);
}

fn storm(child: &Child) {
    for _ in 0..1000 {
        if !child.try_signal(SIGINT) {
            break;
        }
    }
}

/// The system may make one of them. Twenty children, because there is a race to lose: 0.2 s in all.
fn two_presses_at_once_are_never_none() {
    for _ in 0..20 {
        let mut child = Setup::new(scenario("press_in_sleep")).on_terminal().start();
        child.wait_for_line("ready");
        child.type_bytes(&[3, 3]);
        child.finish().died_of(SIGINT);
    }
}

/// 50 ms is promised for a parked loop. The bound here is generous, since other processes share the machine.
fn a_press_wakes_a_parked_loop_promptly() {
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let mut child = Child::start(scenario("press_in_sleep"));
        child.wait_for_line("ready");
        child.press_ctrl_c();
        let finished = child.finish();
        finished.died_of(SIGINT);
        slowest = slowest.max(finished.since_press.expect("it was pressed"));
    }
    println!("from the press to the death: {slowest:?} at most");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

macro_rules! programs {
    ($($name:ident)*) => {
        /// Every module below that has a `main`.
        const PROGRAMS: &[Program] = &[$((stringify!($name), || $name::main().report())),*];
    };
}

programs! {
    press_in_sleep press_while_awaiting_child press_while_yielding press_before_first_step press_while_computing
    press_swallowed press_swallowed_for_ever press_swallowed_then_timeout press_with_timeout press_then_cancel
    cancel_then_press cancel_withdrawn_then_press press_then_error press_in_last_step interrupt_as_value press_in_job
    press_then_partial_line second_press endless_cleanup two_endless_cleanups tight_loop
    tight_loop_in_task blocking_call stderr_locked two_presses two_presses_with_stderr_locked before_first_run
    between_runs after_close in_close_of_generator other_thread not_asked terminate
    terminate_endless_cleanup terminate_as_value terminate_only hangup hangup_endless_cleanup hangup_as_value
    dispositions foreign_handler late_presses runs_come_and_go ignored listener_in_run listener_before_run callback_before_run
    listener_of_four listener_of_terminate listener_dispositions listener_over_foreign_handler
    foreign_handler_over_listener listener_over_ignored
}

// ---- What the programs have in common.

/// A cleanup that awaits.
async fn clean_up(whose: &str) {
    println!("{whose}cleanup begins");
    sleep(A_MOMENT).await;
    println!("{whose}cleanup done");
}

/// A cleanup that never ends.
async fn clean_up_for_ever(whose: &str) {
    println!("{whose}cleanup begins");
    sleep(Duration::MAX).await;
    println!("{whose}cleanup done");
}

/// Lets every task that was spawned take its first step.
async fn let_others_begin() {
    asyncio::yield_now().await;
}

/// Presses Ctrl-C at this very point: the handler has run when this returns.
fn press() {
    // SAFETY: `raise` has no preconditions.
    unsafe { libc::raise(SIGINT) };
}

fn block_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

/// What the process does about SIGINT, as everybody can see it.
fn disposition() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let has = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let mask = u64::from_str_radix(line.expect(name).trim(), 16).expect("a mask");
        mask & (1 << (SIGINT - 1)) != 0
    };
    format!("ignored {}, caught {}", has("SigIgn:"), has("SigCgt:"))
}

/// Counts the calls of a handler that the program installs past this crate.
mod foreign {
    use std::sync::atomic::{AtomicU32, Ordering};

    static CALLS: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count(_signal: libc::c_int) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn install() {
        // SAFETY: the handler only adds to an atomic integer.
        unsafe { libc::signal(libc::SIGINT, count as *const () as libc::sighandler_t) };
    }

    pub(super) fn calls() -> u32 {
        CALLS.load(Ordering::Relaxed)
    }
}

// ---- The programs.

mod press_in_sleep {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        drop(asyncio::spawn(finally(sleep(FOREVER), async || {
            clean_up("leftover ").await;
        })));
        let_others_begin().await;
        println!("ready");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod press_while_awaiting_child {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let task = asyncio::spawn(finally(
            async {
                println!("ready");
                sleep(FOREVER).await;
            },
            async || clean_up("child ").await,
        ));
        let _ = finally(task, async || clean_up("").await).await;
    }
}

mod press_while_yielding {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        let yielding = async {
            loop {
                asyncio::yield_now().await;
            }
        };
        finally::<_, _>(yielding, async || clean_up("").await).await
    }
}

/// The press comes in a callback that is ready before main is.
mod press_before_first_step {
    use super::*;

    fn factory() -> std::io::Result<asyncio::EventLoop> {
        let event_loop = asyncio::EventLoop::new()?;
        event_loop.call_soon(|| {
            press();
            println!("pressed");
        });
        Ok(event_loop)
    }

    #[asyncio::main(loop_factory = factory)]
    pub(super) async fn main() {
        println!("main's body runs");
        sleep(FOREVER).await;
    }
}

mod press_while_computing {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        press();
        println!("computed");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod press_swallowed {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        let cancelled = asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        println!("swallowed {cancelled}");
        sleep(A_MOMENT).await;
        println!("the end");
    }
}

mod press_swallowed_for_ever {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        println!("swallowed");
        sleep(FOREVER).await;
        println!("never");
    }
}

mod press_swallowed_then_timeout {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        println!("swallowed");
        asyncio::timeout(A_MOMENT, sleep(FOREVER))
            .await
            .unwrap_err();
        println!("timed out");
    }
}

mod press_with_timeout {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::new();
        let outcome = runner.run(async {
            let both = asyncio::timeout(Duration::ZERO, async {
                press();
                sleep(FOREVER).await;
            });
            let _ = both.await;
            // Only if the timeout was quicker.
            sleep(FOREVER).await;
        });
        if let Err(RunError::KeyboardInterrupt) = outcome {
            println!("interrupted");
        }
        die_of(SIGINT)
    }
}

/// Ends as `#[asyncio::main]` does after an interrupt.
fn die_of(signal: i32) -> ! {
    // SAFETY: neither call has preconditions.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    unreachable!("the signal kills")
}

fn cancel_main() {
    asyncio::current_task().expect("called by main").cancel();
}

mod press_then_cancel {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        println!("swallowed");
        cancel_main();
        sleep(FOREVER).await;
    }
}

mod cancel_then_press {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        cancel_main();
        asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        println!("swallowed");
        println!("ready");
        sleep(FOREVER).await;
    }
}

mod cancel_withdrawn_then_press {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        cancel_main();
        asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
        let main = asyncio::current_task().expect("called by main");
        assert_eq!(main.uncancel(), 0);
        println!("swallowed");
        println!("ready");
        sleep(FOREVER).await;
    }
}

mod press_then_error {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> Result<(), Box<dyn std::error::Error>> {
        println!("ready");
        if asyncio::catch_cancelled(sleep(FOREVER)).await.is_err() {
            println!("cleanup begins");
            return Err("the cleanup failed".into());
        }
        Ok(())
    }
}

mod press_in_last_step {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let error = asyncio::run(async { press() }).unwrap_err();
        println!("{error}");
        error.exit_code()
    }
}

mod interrupt_as_value {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::new();
        let outcome = runner.run(async {
            println!("ready");
            finally(sleep(FOREVER), async || clean_up("").await).await;
        });
        let error = outcome.unwrap_err();
        println!("{error}");
        assert!(error.is_interrupt());
        // The runner is as good as before.
        assert_eq!(runner.run(async { 7 }).unwrap(), 7);
        runner.close().unwrap();
        println!("closed");
        error.exit_code()
    }
}

mod press_in_job {
    use super::*;
    use std::sync::mpsc;

    #[asyncio::main]
    pub(super) async fn main() {
        let (end_job, end) = mpsc::channel();
        let job = asyncio::to_thread(move || {
            println!("ready");
            let _ = end.recv();
            println!("the job ended");
        });
        let released = async || {
            println!("main was released");
            end_job.send(()).unwrap();
        };
        let _ = finally(job, released).await;
    }
}

mod press_then_partial_line {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || print!("a line without end")).await;
    }
}

mod second_press {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::new();
        let outcome = runner.run(async {
            drop(asyncio::spawn(finally(sleep(FOREVER), async || {
                clean_up("leftover ").await;
            })));
            let_others_begin().await;
            println!("ready");
            finally(sleep(FOREVER), async || clean_up_for_ever("").await).await;
        });
        let error = outcome.unwrap_err();
        println!("{error}");
        let started = Instant::now();
        let report = runner.close().unwrap();
        // One second is the rule; the rest is for the machine.
        if report.survivors().is_empty() && started.elapsed() < Duration::from_secs(5) {
            println!("closed in time");
        }
        error.exit_code()
    }
}

mod endless_cleanup {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || clean_up_for_ever("").await).await;
    }
}

mod two_endless_cleanups {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let cleanup = async || clean_up_for_ever("leftover ").await;
        let leftover = finally(sleep(FOREVER), cleanup);
        drop(asyncio::task().name("leftover").spawn(leftover));
        let_others_begin().await;
        println!("ready");
        finally(sleep(FOREVER), async || clean_up_for_ever("").await).await;
    }
}

mod tight_loop {
    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        loop {
            std::hint::spin_loop();
        }
    }
}

mod tight_loop_in_task {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        drop(asyncio::spawn(async {
            println!("ready");
            loop {
                std::hint::spin_loop();
            }
        }));
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod blocking_call {
    #[asyncio::main]
    pub(super) async fn main() {
        println!("ready");
        loop {
            // SAFETY: no descriptors, and nothing is written.
            unsafe { libc::poll(std::ptr::null_mut(), 0, -1) };
        }
    }
}

/// Another thread takes stderr and never lets go of it.
fn lock_stderr() {
    let (locked, is_locked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _lock = std::io::stderr().lock();
        locked.send(()).unwrap();
        block_for_ever()
    });
    is_locked.recv().unwrap();
}

mod stderr_locked {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        lock_stderr();
        println!("ready");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod two_presses {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        press();
        press();
        let cleanup = async || {
            sleep(A_MOMENT).await;
            println!("cleanup done");
        };
        finally(sleep(FOREVER), cleanup).await;
    }
}

mod two_presses_with_stderr_locked {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        lock_stderr();
        println!("ready");
        press();
        press();
        sleep(FOREVER).await;
    }
}

mod before_first_run {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        runner.event_loop().unwrap();
        println!("ready");
        block_for_ever()
    }
}

mod between_runs {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        runner.run(sleep(A_MOMENT)).unwrap();
        println!("ready");
        block_for_ever()
    }
}

mod after_close {
    use super::*;

    pub(super) fn main() {
        asyncio::run(sleep(A_MOMENT)).unwrap();
        println!("ready");
        block_for_ever()
    }
}

mod in_close_of_generator {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let mut generator = asyncio::generator(async |values| {
            let emitting = async {
                values.emit(1).await;
                values.emit(2).await;
            };
            finally(emitting, async || clean_up_for_ever("generator ").await).await;
        });
        assert_eq!(generator.next().await, Some(1));
        // Kept from closing itself earlier.
        std::mem::forget(generator);
        println!("main's value");
    }
}

mod other_thread {
    use super::*;

    pub(super) fn main() {
        let runs = || {
            asyncio::run(async {
                println!("ready");
                finally(sleep(FOREVER), async || clean_up("").await).await;
            })
        };
        std::thread::spawn(runs).join().unwrap().unwrap();
    }
}

mod not_asked {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::builder().interrupt(false).build();
        let outcome = runner.run(async {
            println!("ready");
            finally(sleep(FOREVER), async || clean_up("").await).await;
        });
        outcome.unwrap();
    }
}

mod terminate {
    use super::*;

    #[asyncio::main(terminate)]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod terminate_endless_cleanup {
    use super::*;

    #[asyncio::main(terminate)]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || clean_up_for_ever("").await).await;
    }
}

mod terminate_as_value {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::builder().terminate(true).build();
        let outcome = runner.run(async {
            println!("ready");
            sleep(FOREVER).await;
        });
        let error = outcome.unwrap_err();
        println!("{error}");
        error.exit_code()
    }
}

mod terminate_only {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::builder().interrupt(false).terminate(true).build();
        let outcome = runner.run(async {
            println!("ready");
            finally(sleep(FOREVER), async || clean_up("").await).await;
        });
        assert!(matches!(outcome, Err(RunError::Terminated)));
        die_of(SIGTERM)
    }
}

mod hangup {
    use super::*;

    #[asyncio::main(hangup)]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod hangup_endless_cleanup {
    use super::*;

    #[asyncio::main(terminate, hangup)]
    pub(super) async fn main() {
        println!("ready");
        finally(sleep(FOREVER), async || clean_up_for_ever("").await).await;
    }
}

mod hangup_as_value {
    use super::*;

    pub(super) fn main() -> ExitCode {
        let runner = Runner::builder().hangup(true).build();
        let outcome: Result<(), RunError> = runner.run(async {
            println!("ready");
            let cancelled = asyncio::catch_cancelled(sleep(FOREVER)).await.unwrap_err();
            println!("{cancelled}");
            cancelled.raise().await
        });
        let error = outcome.unwrap_err();
        println!("{error}");
        assert!(error.is_interrupt());
        error.exit_code()
    }
}

mod dispositions {
    use super::*;

    pub(super) fn main() {
        std::panic::set_hook(Box::new(|_| {}));
        println!("before: {}", disposition());
        let runner = Runner::new();
        runner
            .run(async { println!("during: {}", disposition()) })
            .unwrap();
        println!("after a value: {}", disposition());
        let interrupted = runner.run(async {
            press();
            sleep(FOREVER).await;
        });
        assert!(interrupted.unwrap_err().is_interrupt());
        println!("after an interrupt: {}", disposition());
        let panics = || runner.run(async { panic!("on purpose") });
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
        println!("after a panic: {}", disposition());
        runner.close().unwrap();
        println!("after the close: {}", disposition());
    }
}

mod foreign_handler {
    use super::*;

    pub(super) fn main() {
        foreign::install();
        let outcome = asyncio::run(async {
            println!("during: {}", disposition());
            press();
            sleep(A_MOMENT).await;
        });
        outcome.unwrap();
        let calls = foreign::calls();
        println!("the program's own handler was called {calls} times");
        press();
        if foreign::calls() == calls + 1 {
            println!("after: the program's own handler is there");
        }
    }
}

/// Each press comes in the last step of a run; the next run begins at once.
mod late_presses {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        for _ in 0..200 {
            let pressed = runner.run(async { press() });
            assert!(pressed.unwrap_err().is_interrupt());
            let next = runner.run(async { sleep(Duration::from_micros(50)).await });
            next.expect("the press was for the run before");
        }
        runner.close().unwrap();
        println!("the late press was for run 0, and for no other");
    }
}

mod runs_come_and_go {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        println!("ready");
        loop {
            if runner.run(async {}).is_err() {
                // The press met a run; the disposition is the default again.
                press();
            }
        }
    }
}

mod ignored {
    use super::*;

    pub(super) fn main() {
        println!("before: {}", disposition());
        let outcome = asyncio::run(async {
            println!("during: {}", disposition());
            press();
            sleep(A_MOMENT).await;
            "main's value"
        });
        println!("{}", outcome.unwrap());
        println!("after: {}", disposition());
    }
}

mod listener_in_run {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let listener = asyncio::signal::ctrl_c();
        println!("ready");
        listener.await.unwrap();
        println!("the listener heard it");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod listener_before_run {
    use super::*;

    pub(super) fn main() {
        let listener = asyncio::signal::ctrl_c();
        let outcome = asyncio::run(async {
            println!("ready");
            listener.await.unwrap();
            println!("the listener heard it");
            finally(sleep(FOREVER), async || clean_up("").await).await;
        });
        assert!(matches!(outcome, Err(RunError::KeyboardInterrupt)));
        die_of(SIGINT)
    }
}

mod callback_before_run {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        let event_loop = runner.event_loop().unwrap();
        let remover = event_loop.clone();
        let heard = move || {
            assert!(remover.remove_signal_handler(SIGINT));
            println!("the callback heard it");
        };
        event_loop.add_signal_handler(SIGINT, heard).unwrap();
        let outcome = runner.run(async {
            println!("ready");
            finally(sleep(FOREVER), async || clean_up("").await).await;
        });
        assert!(matches!(outcome, Err(RunError::KeyboardInterrupt)));
        die_of(SIGINT)
    }
}

mod listener_of_four {
    #[asyncio::main]
    pub(super) async fn main() {
        let mut listener = asyncio::signal::ctrl_c();
        println!("ready");
        for number in 1..=4 {
            listener.recv().await.unwrap();
            println!("press {number}");
        }
    }
}

mod listener_of_terminate {
    use super::*;

    #[asyncio::main(terminate)]
    pub(super) async fn main() {
        let mut listener = asyncio::signal::terminate();
        println!("ready");
        listener.recv().await.unwrap();
        println!("the listener heard it");
        finally(sleep(FOREVER), async || clean_up("").await).await;
    }
}

mod listener_dispositions {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        let listener = asyncio::signal::ctrl_c();
        println!("with a listener: {}", disposition());
        runner
            .run(async { println!("in the run: {}", disposition()) })
            .unwrap();
        println!("after the run: {}", disposition());
        drop(listener);
        println!("after the listener: {}", disposition());
        runner
            .run(async {
                drop(asyncio::signal::ctrl_c());
                println!("after a listener in a run: {}", disposition());
            })
            .unwrap();
        println!("after that run: {}", disposition());
    }
}

mod listener_over_foreign_handler {
    use super::*;

    pub(super) fn main() {
        foreign::install();
        let outcome = asyncio::run(async {
            let listener = asyncio::signal::ctrl_c();
            press();
            listener.await.unwrap();
            println!("the listener heard it");
        });
        outcome.unwrap();
        let calls = foreign::calls();
        println!("with the listener: {calls} calls of the program's own handler");
        press();
        let calls = foreign::calls();
        println!("without: {calls} calls of the program's own handler");
    }
}

mod foreign_handler_over_listener {
    use super::*;

    pub(super) fn main() {
        let listener = asyncio::signal::ctrl_c();
        foreign::install();
        drop(listener);
        asyncio::run(sleep(A_MOMENT)).unwrap();
        press();
        let calls = foreign::calls();
        println!("{calls} calls of the program's newer handler");
    }
}

mod listener_over_ignored {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let listener = asyncio::signal::ctrl_c();
        println!("with the listener: {}", disposition());
        println!("ready");
        listener.await.unwrap();
        println!("the listener heard it");
        println!("after: {}", disposition());
    }
}
