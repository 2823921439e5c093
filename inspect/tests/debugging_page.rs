//! The stories of docs/debugging.md: each of its programs is run, and what the page shows is what comes.
//!
//! Numbers are masked. A block of the page that is to be compared has its name in a comment above.
#![cfg(unix)]

#[path = "../../tests/support/child.rs"]
mod child;

#[path = "../../examples/debugging/blocked_loop.rs"]
mod blocked_loop;
#[path = "../../examples/debugging/hung_shutdown.rs"]
mod hung_shutdown;
#[path = "../../examples/debugging/leaked_task.rs"]
mod leaked_task;
#[path = "../../examples/debugging/slow_program.rs"]
mod slow_program;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use child::{Child, Entry, Program, SIGINT, Setup, Test, run_programs, scenario};

const PAGE: &str = include_str!("../../docs/debugging.md");

const TESTS: &[Entry] = &[
    (
        "a slow program is found by debug mode and on the time line",
        a_slow_program_is_found,
    ),
    (
        "a hung shutdown is found by asking, and by Ctrl-C",
        a_hung_shutdown_is_found,
    ),
    (
        "a leaked task is found by asking twice",
        a_leaked_task_is_found,
    ),
    (
        "a blocked loop is found by the watchdog and by asking",
        a_blocked_loop_is_found,
    ),
    (
        "every block of the page that has a name is compared",
        every_block_is_compared,
    ),
];

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[Program] = &[$((stringify!($name), || { let _: () = $name::main(); ExitCode::SUCCESS })),*];
    };
}

programs! { blocked_loop hung_shutdown leaked_task slow_program }

const BLOCKS: &[&str] = &[
    "slow: debug mode",
    "slow: time line",
    "hung: pstree",
    "hung: Ctrl-C",
    "leaked: list",
    "leaked: pstree",
    "blocked: watchdog",
    "blocked: ps",
];

fn main() -> ExitCode {
    let tests = TESTS.iter().map(|&(name, test)| Test::new(name, test));
    run_programs(PROGRAMS, tests.collect())
}

/// The block of the page with that name.
fn shown(name: &str) -> &'static str {
    let head = format!("<!-- {name} -->\n```text\n");
    let block = PAGE
        .split_once(&head)
        .and_then(|(_, rest)| rest.split_once("```\n"));
    block
        .unwrap_or_else(|| panic!("the page has no block `{name}`"))
        .0
}

/// One mark for each number, one space for several, and no trace of how the program got into this test.
fn masked(text: &str) -> String {
    let text = text.replace("inspect/tests/../../", "").replace('\r', "");
    let (mut out, mut last) = (String::new(), '\n');
    let letters: Vec<char> = text.trim().chars().collect();
    for (index, &letter) in letters.iter().enumerate() {
        let is_point = letter == '.'
            && last == 'N'
            && letters.get(index + 1).is_some_and(char::is_ascii_digit);
        let letter = if letter.is_ascii_digit() || is_point {
            'N'
        } else {
            letter
        };
        if (letter == 'N' || letter == ' ') && letter == last {
            continue;
        }
        out.push(letter);
        last = letter;
    }
    out.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn compare(name: &str, came: &str) {
    assert_eq!(
        masked(came),
        masked(shown(name)),
        "block `{name}`; what came:\n{came}"
    );
}

/// Where the sockets of one test lie.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = env::temp_dir().join(format!("asyncio-page-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = scenario(name);
        command.env("XDG_RUNTIME_DIR", &self.0);
        command.env("ASYNCIO_INSPECT", "1");
        command
    }

    /// Starts a program, and returns it with its number when it has printed that.
    fn start(&self, name: &str) -> (Child, String) {
        let mut child = Setup::new(self.program(name)).start();
        let line = child.wait_for_line("process ");
        let pid = line.split(' ').nth(1).unwrap().to_owned();
        (child, pid)
    }

    fn ps(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asyncio-ps"));
        command.env("XDG_RUNTIME_DIR", &self.0).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn a_slow_program_is_found() {
    let folder = Folder::new("slow");
    let trace = folder.0.join("trace.json");
    let mut command = folder.program("slow_program");
    command
        .env("ASYNCIO_DEBUG", "1")
        .env("ASYNCIO_TRACE", &trace);
    let finished = Child::start(command).finish();
    finished.exited_with(0);
    // On a machine that is busy other steps may be slow as well, and timers late or not.
    let mut lines = finished.stderr.lines();
    let said = lines.find(|line| line.starts_with("Executing <Task name='report' "));
    compare("slow: debug mode", said.unwrap_or(&finished.stderr));
    let trace = fs::read_to_string(trace).unwrap();
    let is_poll =
        |line: &&str| line.contains("\"name\":\"report\"") && line.contains("\"cat\":\"poll\"");
    let slow = trace.lines().filter(is_poll).nth(1).unwrap();
    compare("slow: time line", slow.trim_end_matches(','));
}

fn a_hung_shutdown_is_found() {
    let folder = Folder::new("hung");
    let (mut child, pid) = folder.start("hung_shutdown");
    // From the print to the shutdown is a moment.
    let began = Instant::now();
    let tree = loop {
        let tree = folder.ps(&["pstree", &pid]);
        if tree.contains("cancelled") || began.elapsed().as_secs() > 10 {
            break tree;
        }
    };
    compare("hung: pstree", &tree);
    child.press_ctrl_c();
    let finished = child.finish();
    finished.died_of(SIGINT);
    compare("hung: Ctrl-C", &finished.stderr);
}

fn a_leaked_task_is_found() {
    let folder = Folder::new("leaked");
    let (mut child, pid) = folder.start("leaked_task");
    let program = env::current_exe().unwrap();
    let program = program.file_name().unwrap().to_str().unwrap();
    compare(
        "leaked: list",
        &folder.ps(&[]).replace(program, "leaked_task"),
    );
    compare("leaked: pstree", &folder.ps(&["pstree", &pid]));
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
}

fn a_blocked_loop_is_found() {
    let folder = Folder::new("blocked");
    let (mut child, pid) = folder.start("blocked_loop");
    child.wait_for_line("The event loop has been blocked for ");
    if cfg!(target_os = "linux") {
        child.wait_for_line("its thread 'main' ");
        compare("blocked: ps", &folder.ps(&["ps", &pid]));
    }
    child.signal(libc::SIGKILL);
    let finished = child.finish();
    if cfg!(target_os = "linux") {
        compare("blocked: watchdog", &finished.stderr);
    }
}

fn every_block_is_compared() {
    let names: Vec<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("<!-- ")?.strip_suffix(" -->"))
        .collect();
    assert_eq!(names, BLOCKS);
}
