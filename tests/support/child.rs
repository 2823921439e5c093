//! Real child processes: started on a terminal of their own or by plain pipes, interrupted, and judged by how they died.
//!
//! A test names what its child is to print and waits for that, never for a time. Every child has one hard deadline; past
//! it the child is killed (by its own number, and it cannot be somebody else's: it is not reaped before) and the test
//! fails with all that the child has said. This file knows nothing about asyncio.
//!
//! Scenarios need the process's main thread, which libtest keeps for itself. A file that uses them is therefore a test
//! without harness (`harness = false`), whose `main` calls [`run_table`] or [`run_programs`]: in the child it runs the one
//! scenario that the environment names, in the parent it runs the tests.

// Each test file that includes this one uses a part of it.
#![allow(dead_code, unused_imports)]

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use libc::{SIGHUP, SIGINT, SIGTERM};

/// Names the scenario that a child is to play.
const SCENARIO: &str = "ASYNCIO_TEST_SCENARIO";
/// How long a child may live unless the test says otherwise. Ample: reached only by failing tests.
const DEADLINE: Duration = Duration::from_secs(20);
/// What Ctrl-C sends over a terminal's line.
const CTRL_C: u8 = 3;

/// A named piece of program that a child runs on its main thread, or a named test of the parent.
pub(crate) type Entry = (&'static str, fn());

/// A named program, whose status is that of the child.
pub(crate) type Program = (&'static str, fn() -> ExitCode);

/// A test of the parent.
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) run: Box<dyn Fn()>,
}

impl Test {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn() + 'static) -> Test {
        Test {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// Returns the command that runs this very binary as the scenario `name`.
pub(crate) fn scenario(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of the test binary"));
    command.env(SCENARIO, name);
    // Panic messages are compared.
    command.env("RUST_BACKTRACE", "0");
    command
}

/// The `main` of a test file without harness: plays a scenario in the child, runs the tests in the parent.
///
/// Arguments that do not begin with a dash select the tests whose names contain them.
pub(crate) fn run_table(scenarios: &[Entry], tests: &[Entry]) {
    if let Some(play) = find_scenario(scenarios) {
        return play();
    }
    let tests = tests.iter().map(|&(name, test)| Test::new(name, test));
    if !run_tests(tests.collect()) {
        process::exit(1);
    }
}

/// The same for programs with a status of their own. What this returns is what `main` is to return.
pub(crate) fn run_programs(programs: &[Program], tests: Vec<Test>) -> ExitCode {
    if let Some(play) = find_scenario(programs) {
        return play();
    }
    if run_tests(tests) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What this process is to play, if it is a child.
fn find_scenario<T: Copy>(scenarios: &[(&'static str, T)]) -> Option<T> {
    let name = env::var(SCENARIO).ok()?;
    let scenario = scenarios.iter().find(|(known, _)| *known == name);
    let (_, play) = scenario.unwrap_or_else(|| panic!("there is no scenario `{name}`"));
    Some(*play)
}

/// Runs the tests that the arguments select, one after another, and says whether all passed. Speaks as libtest does.
fn run_tests(mut tests: Vec<Test>) -> bool {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let names: Vec<&String> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    tests.retain(|test| {
        let is_match = |name: &&&String| match has("--exact") {
            true => test.name == ***name,
            false => test.name.contains(name.as_str()),
        };
        // None is ever ignored, which is what this flag asks for.
        !has("--ignored") && (names.is_empty() || names.iter().any(|name| is_match(&name)))
    });
    if has("--list") {
        tests
            .iter()
            .for_each(|test| println!("{}: test", test.name));
        return true;
    }
    let started = Instant::now();
    println!("\nrunning {} tests", tests.len());
    let mut failed = Vec::new();
    for test in &tests {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (test.run)()));
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {} ... {word}", test.name);
        if outcome.is_err() {
            failed.push(&test.name);
        }
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!(
        "\ntest result: {word}. {} passed; {} failed; finished in {:.2}s\n",
        tests.len() - failed.len(),
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    failed.is_empty()
}

/// Returns an example's executable, which `cargo test` builds beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let executable = profile.join("examples").join(name);
    assert!(
        executable.exists(),
        "{} is missing: `cargo test --test` builds no examples, `cargo build --example {name}` does",
        executable.display()
    );
    executable
}

/// A child that is not yet started.
pub(crate) struct Setup {
    command: Command,
    /// On a terminal of its own instead of pipes.
    terminal: bool,
    /// The terminal shows what is typed.
    echo: bool,
    /// The columns and rows of the terminal, which then is stdout as well.
    window: Option<(u16, u16)>,
    /// Outputs that lead nowhere, by [`Stream`].
    sinks: [Option<Sink>; 2],
    /// Signals that the child begins with ignoring.
    ignored: Vec<i32>,
    /// How long the child may live.
    deadline: Duration,
}

impl Setup {
    pub(crate) fn new(command: Command) -> Setup {
        Setup {
            command,
            terminal: false,
            echo: false,
            window: None,
            sinks: [None; 2],
            ignored: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Gives the child a session and a controlling terminal of its own, as its stdin and stderr. Stdout stays a pipe, so
    /// that the two are told apart.
    pub(crate) fn on_terminal(mut self) -> Setup {
        self.terminal = true;
        self
    }

    /// The same with stdout, for programs that draw: the terminal is a window of that many columns and rows.
    pub(crate) fn in_window(mut self, columns: u16, rows: u16) -> Setup {
        self.terminal = true;
        self.window = Some((columns, rows));
        self
    }

    /// Lets the terminal show what is typed, as `^C`; then [`Child::press_and_wait`] can tell when a press has arrived.
    pub(crate) fn echoing(mut self) -> Setup {
        self.echo = true;
        self
    }

    /// Lets what the child prints go nowhere.
    pub(crate) fn stdout_to(mut self, sink: Sink) -> Setup {
        self.sinks[Stream::Out as usize] = Some(sink);
        self
    }

    /// Lets what the child reports go nowhere.
    pub(crate) fn stderr_to(mut self, sink: Sink) -> Setup {
        self.sinks[Stream::Err as usize] = Some(sink);
        self
    }

    /// Starts the child with `signal` ignored, as `nohup` and a shell script's `&` do.
    pub(crate) fn ignoring(mut self, signal: i32) -> Setup {
        self.ignored.push(signal);
        self
    }

    /// Kills the child, and fails the test, after `deadline`.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Setup {
        self.deadline = deadline;
        self
    }

    pub(crate) fn start(self) -> Child {
        /// Between making a descriptor and marking it, a child started by another thread would inherit it, and keep a
        /// terminal open that this test waits to see closed.
        static STARTING: Mutex<()> = Mutex::new(());
        let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);

        let mut command = self.command;
        let terminal = self
            .terminal
            .then(|| Terminal::open(self.echo).expect("a pseudo-terminal"));
        command.stdout(Stdio::piped());
        match &terminal {
            Some(terminal) => {
                command.stdin(terminal.slave.try_clone().expect("a descriptor"));
                command.stderr(terminal.slave.try_clone().expect("a descriptor"));
                if let Some((columns, rows)) = self.window {
                    set_size(&terminal.master, columns, rows);
                    command.stdout(terminal.slave.try_clone().expect("a descriptor"));
                }
            }
            None => {
                command.stdin(Stdio::null()).stderr(Stdio::piped());
            }
        }
        let [out, err] = self.sinks;
        if let Some(sink) = out {
            command.stdout(sink.open().expect("a sink"));
        }
        if let Some(sink) = err {
            command.stderr(sink.open().expect("a sink"));
        }
        let closed = [(1, out), (2, err)]
            .into_iter()
            .filter(|(_, sink)| *sink == Some(Sink::Closed))
            .map(|(fd, _)| fd);
        prepare(
            &mut command,
            terminal.is_some(),
            self.ignored,
            closed.collect(),
        );
        let started = Instant::now();
        let mut child = command.spawn().expect("the child starts");
        // It holds the child's ends of the pipes.
        drop(command);
        let shared = Arc::new(Shared::default());
        match child.stdout.take() {
            Some(stdout) => read_lines(&shared, Stream::Out, stdout),
            None => shared.change(|seen| seen.closed[Stream::Out as usize] = true),
        }
        let keyboard = match terminal {
            Some(Terminal { master, slave }) => {
                // While anybody here holds the child's end, the end of its output cannot be seen.
                drop(slave);
                let keyboard = master.try_clone().expect("a descriptor");
                read_lines(&shared, Stream::Err, master);
                Some(keyboard)
            }
            None => {
                match child.stderr.take() {
                    Some(stderr) => read_lines(&shared, Stream::Err, stderr),
                    None => shared.change(|seen| seen.closed[Stream::Err as usize] = true),
                }
                None
            }
        };
        watch_for_exit(&shared, child.id());
        Child {
            process: child,
            keyboard,
            shared,
            started,
            deadline: started + self.deadline,
            seen: [0; 2],
            echoes: 0,
            pressed: None,
        }
    }
}

/// An output that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// A pipe that nobody reads from any more.
    Broken,
    /// A device that is always full.
    Full,
    /// No descriptor at all. (The standard library then opens the null device.)
    Closed,
}

impl Sink {
    fn open(self) -> io::Result<Stdio> {
        match self {
            Sink::Broken => {
                let (reader, writer) = UnixStream::pair()?;
                drop(reader);
                Ok(OwnedFd::from(writer).into())
            }
            Sink::Full => Ok(File::options().write(true).open("/dev/full")?.into()),
            Sink::Closed => Ok(Stdio::null()),
        }
    }
}

/// Does in the child, between fork and exec, what the test asked for.
fn prepare(command: &mut Command, terminal: bool, ignored: Vec<i32>, closed: Vec<i32>) {
    // SAFETY: the closure runs in the forked child before exec, where only async-signal-safe calls are allowed: it makes
    // the system calls `signal`, `close`, `setsid` and `ioctl`, reads memory that was filled before, and does not
    // allocate (an `io::Error` made from `errno` does not either).
    unsafe {
        command.pre_exec(move || {
            // Whatever the tests themselves were started with.
            for signal in [SIGHUP, SIGINT, libc::SIGQUIT, SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            for &signal in &ignored {
                libc::signal(signal, libc::SIG_IGN);
            }
            for &fd in &closed {
                libc::close(fd);
            }
            // A new session has no terminal; the first one it takes as its own makes it the foreground group there.
            if terminal && (libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0) {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// A pair of descriptors: what is written to the one is typed on the other.
struct Terminal {
    /// The keyboard and the screen.
    master: File,
    /// What the child sees.
    slave: OwnedFd,
}

impl Terminal {
    fn open(echo: bool) -> io::Result<Terminal> {
        let (mut master, mut slave) = (-1, -1);
        let null = std::ptr::null_mut();
        // SAFETY: the first two pointers are to integers that live for the call, and null stands for "not wanted".
        let opened =
            unsafe { libc::openpty(&mut master, &mut slave, null, null.cast(), null.cast()) };
        if opened != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `openpty` succeeded, so both are open, and nobody else knows them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        for fd in [master.as_raw_fd(), slave.as_raw_fd()] {
            // SAFETY: the descriptor is open; this command takes an integer and touches no memory.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        plain(&slave, echo)?;
        Ok(Terminal { master, slave })
    }
}

/// Switches off what a terminal adds for human eyes: the echo of what is typed (unless it is wanted), and carriage
/// returns. And what it takes away: Ctrl-C would throw away the output that nobody has read yet.
fn plain(slave: &OwnedFd, echo: bool) -> io::Result<()> {
    let fd = slave.as_raw_fd();
    // SAFETY: `termios` is plain C data, for which all zeroes is a value; it lives for both calls, and `fd` is open.
    let done = unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        let read = libc::tcgetattr(fd, &mut settings);
        if !echo {
            settings.c_lflag &= !libc::ECHO;
        }
        settings.c_lflag |= libc::NOFLSH;
        settings.c_oflag &= !libc::OPOST;
        read == 0 && libc::tcsetattr(fd, libc::TCSANOW, &settings) == 0
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the terminal's window that size; whoever is in the foreground there is told so.
fn set_size(master: &File, columns: u16, rows: u16) {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open, and the command reads a `winsize`, which lives for the call.
    let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ as _, &size) };
    assert_eq!(done, 0, "the size: {}", io::Error::last_os_error());
}

/// Which of a child's two outputs.
#[derive(Clone, Copy)]
enum Stream {
    Out = 0,
    Err = 1,
}

/// What the reading threads tell the test's thread.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// Anything in `seen` has changed.
    changed: Condvar,
}

/// What was seen of a child so far.
#[derive(Default)]
struct Seen {
    /// What it wrote, by [`Stream`].
    output: [Vec<u8>; 2],
    /// Which of them are at their end.
    closed: [bool; 2],
    /// When it ended. It is not reaped yet: its number stays its own.
    exited: Option<Instant>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `done` gives a value, or until `deadline`.
    fn wait<T>(&self, deadline: Instant, mut done: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let mut seen = self.lock();
        loop {
            if let Some(value) = done(&seen) {
                return Some(value);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Collects one output on a thread of its own: a child must never wait for its test to read.
fn read_lines(shared: &Arc<Shared>, stream: Stream, mut source: impl Read + Send + 'static) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A terminal whose other end is closed reports an error on Linux, and an end elsewhere.
                Ok(0) | Err(_) => break,
                Ok(n) => shared.change(|seen| {
                    seen.output[stream as usize].extend_from_slice(&buffer[..n]);
                }),
            }
        }
        shared.change(|seen| seen.closed[stream as usize] = true);
    });
}

/// Notes when the child ends, and leaves it to its owner to reap it.
fn watch_for_exit(shared: &Arc<Shared>, pid: u32) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        loop {
            // SAFETY: `siginfo_t` is plain C data that the call fills and nobody reads. `WNOWAIT` leaves the child alone.
            let waited = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT)
            };
            if waited == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
        shared.change(|seen| seen.exited = Some(Instant::now()));
    });
}

/// A running child. Dropped, it is killed.
pub(crate) struct Child {
    process: process::Child,
    /// The terminal's other end, if there is one.
    keyboard: Option<File>,
    shared: Arc<Shared>,
    started: Instant,
    deadline: Instant,
    /// How far into each output [`Child::wait_for_line`] has looked.
    seen: [usize; 2],
    /// How many presses the terminal has shown.
    echoes: usize,
    /// When Ctrl-C was pressed last.
    pressed: Option<Instant>,
}

impl Child {
    /// Starts `command` by plain pipes.
    pub(crate) fn start(command: Command) -> Child {
        Setup::new(command).start()
    }

    /// The child's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for a line that contains `text` on either output, and returns it. Lines up to it are not looked at again.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        match self.find_line(text) {
            Some(Some(line)) => line,
            Some(None) => self.fail(&format!("the child ended without a line with {text:?}")),
            None => self.fail(&format!("no line with {text:?} before the deadline")),
        }
    }

    /// The same, but the child may also end without such a line.
    #[track_caller]
    pub(crate) fn try_wait_for_line(&mut self, text: &str) -> bool {
        match self.find_line(text) {
            Some(line) => line.is_some(),
            None => self.fail(&format!("no line with {text:?} before the deadline")),
        }
    }

    /// `None` at the deadline, and `Some(None)` when there will be no such line any more.
    fn find_line(&mut self, text: &str) -> Option<Option<String>> {
        let from = self.seen;
        let found = self.shared.wait(self.deadline, |seen| {
            for stream in [Stream::Out, Stream::Err] {
                let from = from[stream as usize];
                let new = &seen.output[stream as usize][from..];
                if let Some((line, length)) = find_line(new, text) {
                    return Some(Some((stream, line, from + length)));
                }
            }
            // Nothing more will come.
            (seen.closed == [true; 2]).then_some(None)
        });
        found.map(|found| {
            let (stream, line, length) = found?;
            self.seen[stream as usize] = length;
            Some(line)
        })
    }

    /// Waits until all that has appeared on the terminal gives `done` something.
    #[track_caller]
    pub(crate) fn wait_for_output<T>(&mut self, mut done: impl FnMut(&[u8]) -> Option<T>) -> T {
        let found = self.shared.wait(self.deadline, |seen| {
            let found = done(&seen.output[Stream::Err as usize]);
            let is_over = found.is_none() && seen.closed == [true; 2];
            (found.is_some() || is_over).then_some(found)
        });
        match found {
            Some(Some(found)) => found,
            Some(None) => self.fail("the child ended before what was waited for had appeared"),
            None => self.fail("what was waited for did not appear before the deadline"),
        }
    }

    /// Resizes the window that the child is in.
    #[track_caller]
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let keyboard = self.keyboard.as_ref().expect("a child with `in_window`");
        set_size(keyboard, columns, rows);
    }

    /// Returns `true` if whoever reads from the terminal gets whole lines, as in its usual mode.
    #[track_caller]
    pub(crate) fn reads_lines(&self) -> bool {
        let keyboard = self.keyboard.as_ref().expect("a child with `on_terminal`");
        // SAFETY: `termios` is plain C data, for which all zeroes is a value; it lives for the call, and the descriptor is
        // open.
        let (done, settings) = unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            let done = libc::tcgetattr(keyboard.as_raw_fd(), &mut settings);
            (done, settings)
        };
        assert_eq!(done, 0, "the mode: {}", io::Error::last_os_error());
        settings.c_lflag & libc::ICANON != 0
    }

    /// Presses Ctrl-C: on the terminal, if there is one, so that the system interrupts whoever is in the foreground; else
    /// by sending SIGINT to the child.
    #[track_caller]
    pub(crate) fn press_ctrl_c(&mut self) {
        self.pressed = Some(Instant::now());
        if self.keyboard.is_some() {
            self.type_bytes(&[CTRL_C]);
        } else {
            self.signal(SIGINT);
        }
    }

    /// Presses Ctrl-C, and waits until the child's handler has been called for it, or the child is dead. Of two presses
    /// that the child has not noticed yet, the system makes one.
    ///
    /// On a terminal it has to be [`Setup::echoing`]: the system shows `^C` after it has sent the signal.
    #[track_caller]
    pub(crate) fn press_and_wait(&mut self) {
        self.press_ctrl_c();
        if self.keyboard.is_some() {
            self.echoes += 1;
            let echoes = self.echoes;
            let shown = self.shared.wait(self.deadline, |seen| {
                let shown = String::from_utf8_lossy(&seen.output[Stream::Err as usize])
                    .matches("^C")
                    .count();
                (shown >= echoes || seen.exited.is_some()).then_some(())
            });
            if shown.is_none() {
                self.fail("the terminal did not show the press before the deadline");
            }
        }
        while self.is_pending(SIGINT) {
            if Instant::now() >= self.deadline {
                self.fail("the press was not delivered before the deadline");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Says whether `signal` was sent to the child's process but not delivered to any of its threads yet.
    fn is_pending(&self, signal: i32) -> bool {
        // Gone, if the child is.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let bit = 1_u64 << (signal - 1);
        status.unwrap_or_default().lines().any(|line| {
            let mask = line
                .strip_prefix("ShdPnd:")
                .or_else(|| line.strip_prefix("SigPnd:"));
            mask.is_some_and(|mask| {
                u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & bit != 0)
            }) && self.shared.lock().exited.is_none()
        })
    }

    /// Types on the child's terminal.
    #[track_caller]
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        let keyboard = self.keyboard.as_mut().expect("a child with `on_terminal`");
        keyboard.write_all(bytes).expect("typing on the terminal");
    }

    /// Sends `signal` to the child alone. Harmless if the child has ended: its number is still its own.
    #[track_caller]
    pub(crate) fn signal(&self, signal: i32) {
        let pid = self.process.id() as libc::pid_t;
        // SAFETY: `kill` touches no memory of ours. The child is reaped by `self` only, so `pid` is no other process.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "signal {signal}: {}", io::Error::last_os_error());
    }

    /// Sends `signal` unless the child was seen to have ended; says whether it did. For storms.
    pub(crate) fn try_signal(&self, signal: i32) -> bool {
        let is_alive = self.shared.lock().exited.is_none();
        if is_alive {
            self.signal(signal);
        }
        is_alive
    }

    /// Waits for the child's end and for the rest of its output.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let exited = self.shared.wait(self.deadline, |seen| seen.exited);
        let Some(exited) = exited else {
            self.fail("the child was still alive at the deadline")
        };
        // A grandchild may hold the outputs for longer than the child lives; that is not the child's fault.
        let rest = self.deadline.min(exited + Duration::from_secs(1));
        self.shared
            .wait(rest, |seen| (seen.closed == [true; 2]).then_some(()));
        let status = self.process.wait().expect("the child is ours");
        let [stdout, stderr] = self.output();
        Finished {
            status,
            stdout,
            stderr,
            elapsed: exited - self.started,
            since_press: self.pressed.map(|pressed| exited - pressed),
        }
    }

    fn output(&self) -> [String; 2] {
        let seen = self.shared.lock();
        [Stream::Out, Stream::Err]
            .map(|stream| String::from_utf8_lossy(&seen.output[stream as usize]).into_owned())
    }

    #[track_caller]
    fn fail(&mut self, why: &str) -> ! {
        let _ = self.process.kill();
        let status = self.process.wait();
        let [stdout, stderr] = self.output();
        panic!("{why} (then: {status:?})\n{}", shown(&stdout, &stderr));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both do nothing to a child that was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Finds the first whole line that contains `text`; gives it, and where the next one begins.
fn find_line(output: &[u8], text: &str) -> Option<(String, usize)> {
    let mut length = 0;
    for line in output.split_inclusive(|&byte| byte == b'\n') {
        length += line.len();
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n")?).into_owned();
        if line.contains(text) {
            return Some((line, length));
        }
    }
    None
}

fn shown(stdout: &str, stderr: &str) -> String {
    let mut text = String::new();
    for (name, output) in [("stdout", stdout), ("stderr", stderr)] {
        let _ = writeln!(text, "--- {name} of the child:\n{output}");
    }
    text
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// On a terminal: all that appeared there.
    pub(crate) stderr: String,
    /// From the start to the end, whenever the test looked.
    pub(crate) elapsed: Duration,
    /// From the last press to the end.
    pub(crate) since_press: Option<Duration>,
}

impl Finished {
    /// Asserts that `signal` killed the child, as its parent sees it.
    #[track_caller]
    pub(crate) fn died_of(&self, signal: i32) -> &Finished {
        let is_so = self.status.signal() == Some(signal);
        assert!(
            is_so,
            "expected death by signal {signal}, not {}\n{}",
            self.status,
            self.shown()
        );
        self
    }

    /// Asserts that the child ended by itself, with `code`.
    #[track_caller]
    pub(crate) fn exited_with(&self, code: i32) -> &Finished {
        let is_so = self.status.code() == Some(code);
        assert!(
            is_so,
            "expected exit status {code}, not {}\n{}",
            self.status,
            self.shown()
        );
        self
    }

    /// Asserts that some line of either output contains `text`.
    #[track_caller]
    pub(crate) fn said(&self, text: &str) -> &Finished {
        let is_so = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(is_so, "expected {text:?}\n{}", self.shown());
        self
    }

    /// Asserts that no line of either output contains `text`.
    #[track_caller]
    pub(crate) fn never_said(&self, text: &str) -> &Finished {
        let is_so = !self.stdout.contains(text) && !self.stderr.contains(text);
        assert!(is_so, "did not expect {text:?}\n{}", self.shown());
        self
    }

    /// Asserts that the child was gone within `limit` of its start.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Finished {
        let elapsed = self.elapsed;
        assert!(
            elapsed <= limit,
            "took {elapsed:?} of {limit:?}\n{}",
            self.shown()
        );
        self
    }

    fn shown(&self) -> String {
        shown(&self.stdout, &self.stderr)
    }
}
