//! Programs that are looked at from outside: by `asyncio-ps`, by hand, and by somebody who means no good.
//!
//! Both sides are real children. Each test has a folder of its own in which the sockets lie.

#[path = "../../tests/support/child.rs"]
mod child;
mod window;

use std::fs::{self, Permissions};
use std::future::pending;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use asyncio::{Runner, sleep, yield_now};
use child::{Child, Entry, Program, SIGINT, Setup, Test, run_programs, scenario};
use serde_json::Value;
use vt100::Screen;
use window::{Window, lines};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(10);

const TESTS: &[Entry] = &[
    (
        "ps lists the tasks, and pstree what waits for what",
        ps_lists_the_tasks,
    ),
    (
        "metrics tells the numbers, list the programs",
        metrics_tells_the_numbers,
    ),
    (
        "a blocked loop is told about from outside, and answers later",
        a_blocked_loop_is_told_about,
    ),
    (
        "between two runs it is said that the loop is not being run",
        between_two_runs_it_is_said,
    ),
    (
        "several loops of one process answer together",
        several_loops_answer_together,
    ),
    (
        "each worker of a program is shown with its tasks",
        each_worker_is_shown,
    ),
    (
        "the socket is this user's alone, and gone with the program",
        the_socket_is_this_users_alone,
    ),
    (
        "a folder that is open to others is not used",
        a_folder_that_is_open_to_others_is_not_used,
    ),
    (
        "running times are kept only while somebody asks for them",
        running_times_are_kept_only_while,
    ),
    (
        "what is no request is refused, and the loop goes on",
        what_is_no_request_is_refused,
    ),
    (
        "too many connections are turned away",
        too_many_connections_are_turned_away,
    ),
    (
        "many questions to a blocked loop leave one behind",
        a_blocked_loop_is_not_flooded,
    ),
    (
        "an answer about very many tasks is bounded, and says so",
        an_answer_is_bounded,
    ),
    (
        "top draws the busiest task first until a key ends it",
        top_draws_the_busiest_first,
    ),
    (
        "every key that ends top gives the terminal back as it was",
        every_key_that_ends_top_gives_the_terminal_back,
    ),
    (
        "top fills the window that it is in, also when that is resized",
        top_fills_the_window_that_it_is_in,
    ),
    ("top is scrolled by keys, to the ends", top_is_scrolled),
    (
        "top says that the program has ended, on a terminal as it was",
        top_says_that_the_program_has_ended,
    ),
    ("top needs a terminal, and says so", top_needs_a_terminal),
    (
        "a program that is not there is said to be missing",
        a_missing_program_is_said,
    ),
    (
        "without being asked a program opens nothing",
        without_being_asked_nothing_is_open,
    ),
];

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[Program] = &[$((stringify!($name), || { $name(); ExitCode::SUCCESS })),*];
    };
}

programs! { waits blocks rests runs_two_loops has_workers has_many_tasks has_some_tasks is_busy }

fn main() -> ExitCode {
    let tests = TESTS.iter().map(|&(name, test)| Test::new(name, test));
    run_programs(PROGRAMS, tests.collect())
}

/// Where the sockets of one test lie.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-outside-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn setup(&self, program: &str) -> Setup {
        let mut command = scenario(program);
        command.env("XDG_RUNTIME_DIR", &self.0);
        command.env("ASYNCIO_INSPECT", "1");
        Setup::new(command)
    }

    /// Starts a program, and returns it when it has printed its number.
    fn start(&self, program: &str) -> (Child, u32) {
        self.wait_for_pid(self.setup(program))
    }

    fn wait_for_pid(&self, setup: Setup) -> (Child, u32) {
        let mut child = setup.start();
        let line = child.wait_for_line("ready ");
        let pid = line.trim().strip_prefix("ready ").unwrap().parse().unwrap();
        (child, pid)
    }

    fn ps(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asyncio-ps"));
        command.env("XDG_RUNTIME_DIR", &self.0).args(arguments);
        command
    }

    fn socket(&self, pid: u32) -> PathBuf {
        self.0.join("asyncio").join(format!("{pid}.sock"))
    }

    fn connect(&self, pid: u32) -> UnixStream {
        let stream = UnixStream::connect(self.socket(pid)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `asyncio-ps` prints.
fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn ask(stream: &mut UnixStream, request: &str) -> Vec<Value> {
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "{lines:?}");
        if line == "\n" {
            return lines;
        }
        lines.push(serde_json::from_str(&line).unwrap());
    }
}

fn say_ready() {
    println!("ready {}", std::process::id());
}

fn read_line() {
    io::stdin().read_line(&mut String::new()).unwrap();
}

fn interrupt(mut child: Child) {
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
}

#[asyncio::main]
async fn waits() {
    asyncio::current_task().unwrap().set_name("main");
    let worker = asyncio::task().name("worker").spawn(sleep(HOUR));
    let boss = asyncio::task().name("boss").spawn(worker);
    yield_now().await;
    say_ready();
    boss.await.unwrap().unwrap();
}

fn ps_lists_the_tasks() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let pid = pid.to_string();
    let table = output(folder.ps(&["ps", &pid]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(
        lines[1].contains("  main              waits for task 'boss' ("),
        "{table}"
    );
    assert!(
        lines[2].contains("  worker            waits for sleep ("),
        "{table}"
    );
    assert!(
        lines[2].contains("(inspect/tests/from_outside.rs:")
            && lines[2].contains(" old, child of "),
        "{table}"
    );
    let tree = output(folder.ps(&["pstree", &pid]));
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines.len(), 3, "{tree}");
    assert!(
        lines[0].starts_with("main waits for task 'boss' ("),
        "{tree}"
    );
    assert!(
        lines[1].starts_with("  boss waits for task 'worker' ("),
        "{tree}"
    );
    assert!(
        lines[2].starts_with("    worker waits for sleep ("),
        "{tree}"
    );
    interrupt(child);
}

fn metrics_tells_the_numbers() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let metrics = output(folder.ps(&["metrics", &pid.to_string()]));
    assert!(
        metrics.starts_with("loop 1 in thread 'main'\n"),
        "{metrics}"
    );
    assert!(metrics.contains("  tasks             3\n"), "{metrics}");
    assert!(metrics.contains("  spawned           3\n"), "{metrics}");
    let list = output(folder.ps(&[]));
    assert!(
        list.contains(&format!("{pid:>7}      3  from_outside")),
        "{list}"
    );
    interrupt(child);
}

#[asyncio::main]
async fn blocks() {
    let clumsy = asyncio::task().name("clumsy").spawn(async {
        say_ready();
        read_line();
        pending::<()>().await;
    });
    clumsy.await.unwrap();
}

fn a_blocked_loop_is_told_about() {
    let folder = Folder::new();
    let (mut child, pid) = folder.wait_for_pid(folder.setup("blocks").on_terminal());
    let pid = pid.to_string();
    let table = output(folder.ps(&["ps", &pid]));
    let begin =
        "the loop in thread 'main' is blocked by <Task name='clumsy' spawned at inspect/tests/";
    assert!(table.contains(begin), "{table}");
    if cfg!(target_os = "linux") {
        assert!(
            table.contains("sleeps in the system call read on descriptor 0"),
            "{table}"
        );
    }
    child.type_bytes(b"\n");
    let began = Instant::now();
    while !output(folder.ps(&["ps", &pid])).contains("waits for task 'clumsy'") {
        assert!(began.elapsed() < PATIENCE);
    }
    interrupt(child);
}

fn rests() {
    let runner = Runner::new();
    runner.run(yield_now()).unwrap();
    say_ready();
    read_line();
    runner.close().unwrap();
}

fn between_two_runs_it_is_said() {
    let folder = Folder::new();
    let (mut child, pid) = folder.wait_for_pid(folder.setup("rests").on_terminal());
    let table = output(folder.ps(&["ps", &pid.to_string()]));
    assert!(
        table.contains("the loop in thread 'main' is not being run"),
        "{table}"
    );
    child.type_bytes(b"\n");
    child.finish().exited_with(0);
}

fn runs_two_loops() {
    let other = std::thread::Builder::new().name("other".to_owned());
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = other.spawn(move || {
        asyncio::run(async move {
            sender.send(asyncio::running_loop().handle()).unwrap();
            sleep(HOUR).await;
        })
    });
    drop(other);
    asyncio::run(async move {
        receiver.recv().unwrap();
        say_ready();
        sleep(HOUR).await;
    })
    .unwrap_err();
    std::process::exit(7);
}

fn several_loops_answer_together() {
    let folder = Folder::new();
    let (mut child, pid) = folder.start("runs_two_loops");
    let answer = ask(&mut folder.connect(pid), "ps");
    assert_eq!(answer[0]["loops"], 2, "{answer:?}");
    let thread = |name: &str| answer.iter().filter(|it| it["thread"] == name).count();
    assert_eq!((thread("main"), thread("other")), (1, 1), "{answer:?}");
    assert_eq!(answer.iter().filter(|it| it["task"].is_u64()).count(), 2);
    child.press_ctrl_c();
    child.finish().exited_with(7);
}

#[asyncio::main(workers = 2)]
async fn has_workers() {
    asyncio::current_task().unwrap().set_name("at home");
    let there = asyncio::spawn_on(asyncio::workers()[1], || async {
        asyncio::current_task().unwrap().set_name("away");
        sleep(HOUR).await;
    });
    // Until it has its name.
    asyncio::spawn_on(asyncio::workers()[1], || async {})
        .await
        .unwrap();
    say_ready();
    there.await.unwrap();
}

fn each_worker_is_shown() {
    let folder = Folder::new();
    let (child, pid) = folder.start("has_workers");
    let answer = ask(&mut folder.connect(pid), "ps");
    assert_eq!(answer[0]["loops"], 2, "{answer:?}");
    let loop_of = |key: &str, value: &str| {
        let line = answer.iter().find(|line| line[key] == value);
        line.unwrap_or_else(|| panic!("{value}: {answer:?}"))["loop"].clone()
    };
    assert_eq!(loop_of("thread", "main"), loop_of("name", "at home"));
    assert_eq!(loop_of("thread", "asyncio-loop-1"), loop_of("name", "away"));
    interrupt(child);
    assert!(!folder.socket(pid).exists());
}

fn the_socket_is_this_users_alone() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.socket(pid)), 0o600);
    assert_eq!(mode(&folder.0.join("asyncio")), 0o700);
    interrupt(child);
    assert!(!folder.socket(pid).exists());
}

fn a_folder_that_is_open_to_others_is_not_used() {
    let folder = Folder::new();
    let sockets = folder.0.join("asyncio");
    fs::create_dir(&sockets).unwrap();
    fs::set_permissions(&sockets, Permissions::from_mode(0o755)).unwrap();
    let (mut child, pid) = folder.start("waits");
    child.wait_for_line("The program cannot be inspected: ");
    assert!(!folder.socket(pid).exists());
    child.press_ctrl_c();
    let finished = child.finish();
    finished.died_of(SIGINT);
    assert!(
        finished.stderr.contains("is open to other users"),
        "{finished:?}"
    );
}

#[asyncio::main]
async fn is_busy() {
    asyncio::current_task().unwrap().set_name("idle");
    let busy = asyncio::task().name("busy").spawn(async {
        loop {
            sleep(MS).await;
            let end = Instant::now() + MS;
            while Instant::now() < end {}
        }
    });
    say_ready();
    busy.await.unwrap()
}

fn busy(answer: &[Value]) -> (u64, u64) {
    let task = answer.iter().find(|line| line["name"] == "busy").unwrap();
    (
        task["polls"].as_u64().unwrap(),
        task["running_us"].as_u64().unwrap(),
    )
}

fn running_times_are_kept_only_while() {
    let folder = Folder::new();
    let (child, pid) = folder.start("is_busy");
    let mut stream = folder.connect(pid);
    let (before, running_us) = busy(&ask(&mut stream, "top"));
    assert_eq!(running_us, 0);
    let began = Instant::now();
    let running_us = loop {
        let answer = ask(&mut stream, "top");
        let (polls, running_us) = busy(&answer);
        // Each of them takes a millisecond; the loop is asked in the middle of none.
        if polls >= before + 20 {
            assert!(running_us >= 1000 * (polls - before - 1), "{answer:?}");
            assert_eq!(
                answer[2]["name"], "busy",
                "the busiest stands first: {answer:?}"
            );
            break running_us;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
    };
    drop(stream);
    // The end of the connection is noticed by a thread, and told to the loop: soon.
    let began = Instant::now();
    while busy(&ask(&mut folder.connect(pid), "top")).1 >= running_us {
        assert!(began.elapsed() < PATIENCE);
    }
    interrupt(child);
}

fn what_is_no_request_is_refused() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let mut stream = folder.connect(pid);
    let refusal = ask(&mut stream, "rm -rf");
    let text = "no such request; there are ps, tree, metrics and top";
    assert_eq!(refusal[0]["error"], text);
    assert_eq!(ask(&mut stream, "ps").len(), 5);
    // Longer than any request, without an end: refused before it ends.
    stream.write_all(&[b'a'; 64]).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "{\"error\":\"not a request\"}\n\n");
    // Half a request, and gone.
    folder.connect(pid).write_all(b"to").unwrap();
    assert_eq!(ask(&mut folder.connect(pid), "tree").len(), 5);
    interrupt(child);
}

fn too_many_connections_are_turned_away() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let mut streams: Vec<UnixStream> = (0..8).map(|_| folder.connect(pid)).collect();
    for stream in &mut streams {
        assert_eq!(ask(stream, "metrics").len(), 2);
    }
    let mut text = String::new();
    folder.connect(pid).read_to_string(&mut text).unwrap();
    assert_eq!(text, "{\"error\":\"too many connections\"}\n\n");
    drop(streams);
    let began = Instant::now();
    loop {
        let mut stream = folder.connect(pid);
        stream.write_all(b"metrics\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        if !line.contains("error") {
            break;
        }
        assert!(began.elapsed() < PATIENCE);
    }
    interrupt(child);
}

fn a_blocked_loop_is_not_flooded() {
    let folder = Folder::new();
    let (mut child, pid) = folder.wait_for_pid(folder.setup("blocks").on_terminal());
    let mut stream = folder.connect(pid);
    for _ in 0..4 {
        assert_eq!(ask(&mut stream, "tree")[1]["state"], "blocked");
    }
    child.type_bytes(b"\n");
    let began = Instant::now();
    loop {
        let answer = ask(&mut stream, "metrics");
        if answer[1]["state"] == "running" {
            // The question that was left, and this one.
            assert_eq!(answer[1]["remote_wakes"], 2, "{answer:?}");
            break;
        }
        assert!(began.elapsed() < PATIENCE);
    }
    interrupt(child);
}

#[asyncio::main]
async fn has_many_tasks() {
    for _ in 0..2_100 {
        drop(asyncio::task().name("x".repeat(400)).spawn(pending::<()>()));
    }
    yield_now().await;
    say_ready();
    pending::<()>().await;
}

fn an_answer_is_bounded() {
    let folder = Folder::new();
    let (child, pid) = folder.start("has_many_tasks");
    let mut stream = folder.connect(pid);
    let complete = |request: &str| {
        let began = Instant::now();
        loop {
            // On a machine that is slow the loop may be late.
            let answer = ask(&mut folder.connect(pid), request);
            if answer[1]["state"] == "running" {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE);
        }
    };
    for (request, bound) in [("ps", 2_000), ("tree", 2_000), ("top", 100)] {
        let answer = complete(request);
        let tasks: Vec<&Value> = answer.iter().filter(|it| it["task"].is_u64()).collect();
        assert_eq!(tasks.len(), bound);
        assert_eq!(answer.last().unwrap()["left_off"], 2_101 - bound);
        let lengths = tasks.iter().map(|it| it["name"].as_str().unwrap().len());
        assert_eq!(lengths.max(), Some(300));
    }
    // Whoever does not read what it asked for holds up nobody else.
    (0..50).for_each(|_| stream.write_all(b"ps\n").unwrap());
    assert_eq!(complete("metrics").len(), 2);
    interrupt(child);
}

/// A live view of the program, with its first picture drawn.
fn open_top(folder: &Folder, pid: u32, columns: u16, rows: u16) -> Window {
    let command = folder.ps(&["top", &pid.to_string()]);
    let mut top = Window::open(command, columns, rows);
    top.wait_for(|screen| lines(screen).len() > 2);
    top
}

/// The tasks of a screen, without their columns of numbers.
fn tasks(screen: &Screen) -> Vec<String> {
    let tasks = lines(screen).split_off(2);
    let name = |line: String| line.chars().skip(28).collect();
    tasks.into_iter().map(name).collect()
}

fn top_draws_the_busiest_first() {
    let folder = Folder::new();
    let (child, pid) = folder.start("is_busy");
    let mut top = open_top(&folder, pid, 100, 24);
    // More than once: the same place gets other numbers.
    for _ in 0..2 {
        let before = lines(top.wait_for(|_| true));
        let screen = top.wait_for(|screen| lines(screen) != before);
        assert!(screen.alternate_screen() && screen.hide_cursor());
        let lines = lines(screen);
        assert!(lines[0].ends_with(" - 2 tasks; q ends this"), "{lines:?}");
        assert_eq!(
            lines[1],
            "  BUSY    POLLS/s     TASK  NAME              WHAT IT DOES"
        );
        assert!(
            lines[2].contains("%") && lines[2][28..].starts_with("busy  "),
            "{lines:?}"
        );
        assert!(lines[3].starts_with("  0.0%"), "{lines:?}");
        assert!(
            lines[3][28..].starts_with("idle              waits for task 'busy' ("),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 4, "{lines:?}");
    }
    top.type_bytes(b"q");
    top.finish().0.exited_with(0);
    interrupt(child);
}

fn every_key_that_ends_top_gives_the_terminal_back() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    for key in [&b"q"[..], b"Q", b"\x1b", b"\x03"] {
        let mut top = open_top(&folder, pid, 80, 24);
        assert!(!top.reads_lines());
        // Keys without a meaning, and a part of what an arrow sends.
        top.type_bytes(b"x");
        top.type_bytes(b"\x1b[C");
        let before = lines(top.wait_for(|_| true));
        top.wait_for(|screen| lines(screen) != before);
        top.type_bytes(key);
        let screen = top.wait_for(|screen| !screen.alternate_screen());
        assert!(!screen.hide_cursor());
        assert_eq!(
            lines(screen),
            Vec::<String>::new(),
            "nothing is left behind"
        );
        assert!(top.reads_lines());
        top.finish().0.exited_with(0);
    }
    interrupt(child);
}

#[asyncio::main]
async fn has_some_tasks() {
    for number in 1..=30 {
        let task = asyncio::task().name(format!("number {number}"));
        drop(task.spawn(pending::<()>()));
    }
    yield_now().await;
    say_ready();
    pending::<()>().await;
}

fn top_fills_the_window_that_it_is_in() {
    let folder = Folder::new();
    let (child, pid) = folder.start("has_some_tasks");
    let mut top = open_top(&folder, pid, 100, 24);
    top.wait_for(|screen| tasks(screen).len() == 22);
    for (columns, rows, shown) in [(60, 10, 8), (140, 40, 31), (30, 4, 2)] {
        top.resize(columns, rows);
        let screen = top.wait_for(|screen| {
            let is_whole = lines(screen).len() > 2 && tasks(screen).len() == shown;
            is_whole && lines(screen)[0].starts_with("from_outside-")
        });
        let head = &lines(screen)[0];
        assert_eq!(head.ends_with("31 tasks; q ends this"), columns > 30);
        let widest = lines(screen).iter().map(|it| it.chars().count()).max();
        assert!(widest <= Some(columns.into()), "{:?}", lines(screen));
    }
    top.type_bytes(b"q");
    top.finish().0.exited_with(0);
    interrupt(child);
}

fn top_is_scrolled() {
    let folder = Folder::new();
    let (child, pid) = folder.start("has_some_tasks");
    let mut top = open_top(&folder, pid, 100, 10);
    top.wait_for(|screen| tasks(screen).len() == 8);
    // Beyond the end there is nothing: the last of 31 tasks stays.
    for _ in 0..4 {
        top.type_bytes(b"\x1b[6~");
        top.wait_for(|_| true);
    }
    top.type_bytes(b"\x1b[B");
    top.wait_for(|screen| tasks(screen).len() == 1);
    top.type_bytes(b"\x1b[A");
    top.wait_for(|screen| tasks(screen).len() == 2);
    top.type_bytes(b"\x1b[H");
    top.wait_for(|screen| tasks(screen).len() == 8);
    top.type_bytes(b"q");
    top.finish().0.exited_with(0);
    interrupt(child);
}

fn top_says_that_the_program_has_ended() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let mut top = open_top(&folder, pid, 80, 24);
    child.signal(libc::SIGKILL);
    child.finish().died_of(libc::SIGKILL);
    let end = format!("process {pid} has ended");
    let screen = top.wait_for(|screen| lines(screen) == [end.as_str()]);
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    assert!(top.reads_lines());
    top.finish().0.exited_with(0);
}

fn top_needs_a_terminal() {
    let folder = Folder::new();
    let (child, pid) = folder.start("waits");
    let mut command = folder.ps(&["top", &pid.to_string()]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        "asyncio-ps: top needs a terminal; ps and pstree do not\n"
    );
    interrupt(child);
}

fn a_missing_program_is_said() {
    let folder = Folder::new();
    let output = folder.ps(&["ps", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("asyncio-ps: process 1 cannot be asked: "),
        "{text}"
    );
}

fn without_being_asked_nothing_is_open() {
    let folder = Folder::new();
    let mut command = scenario("waits");
    command.env("XDG_RUNTIME_DIR", &folder.0);
    command.env("ASYNCIO_INSPECT", "0");
    let (child, _) = folder.wait_for_pid(Setup::new(command));
    assert!(!folder.0.join("asyncio").exists());
    interrupt(child);
}
