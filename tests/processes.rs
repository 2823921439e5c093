//! What the system sees of a process that uses the runtime: descriptors, threads, memory, processor time, forks.
//!
//! Each scenario is a program of its own in a child process of its own, so that nothing else opens descriptors or starts
//! threads meanwhile. Linux only: the figures come from procfs.

#![cfg(target_os = "linux")]

#[path = "support/child.rs"]
mod child;

use std::fs;
use std::future::pending;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Termination};
use std::time::{Duration, Instant};

use asyncio::io::Async;
use asyncio::{RunError, Runner, sleep};

use child::{Child, Finished, Program, SIGINT, Setup, Test, scenario};

/// Long enough that the loop has to wait for it.
const A_MOMENT: Duration = Duration::from_millis(1);

/// The name of a test, its program, and all that the program prints.
type Case = (&'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "a runner that is never used opens nothing, starts nothing, handles nothing",
        "unused_runner",
        &["dropped: the same", "closed: the same"],
    ),
    (
        "a program that only computes and sleeps holds no descriptor",
        "no_poller",
        &["during: no new descriptors", "after: no new descriptors"],
    ),
    (
        "a program with I/O holds its descriptors until the close only",
        "poller",
        &["during: new descriptors", "after: no new descriptors"],
    ),
    (
        "a forked child that drops everything leaves its parent's loop alone",
        "fork_and_drop",
        &[
            "child: dropped",
            "the child left with 0",
            "parent: read 5 bytes",
            "parent: slept",
        ],
    ),
    (
        "a fork in a task leaves the parent's loop alone",
        "fork_in_task",
        &[
            "the child left with 0",
            "parent: read 5 bytes",
            "parent: slept",
        ],
    ),
    (
        "a forked child is refused wherever it uses its parent's loop",
        "fork_and_use",
        &[
            "child: run: Forked",
            "child: run_until_complete: Forked",
            "child: run_forever: Forked",
            "the child left with 0",
            "parent: read 5 bytes",
            "parent: slept",
        ],
    ),
    (
        "a forked child has children and output of its own",
        "fork_and_spawn",
        &[
            "first: exit status: 1",
            "child: exit status: 2",
            "the child left with 0",
            "parent: exit status: 3",
        ],
    ),
    (
        "SIGINT to a forked child kills the child, and only the child",
        "fork_and_interrupt",
        &[
            "the child died of 2",
            "parent: read 5 bytes",
            "parent: slept",
        ],
    ),
    (
        "a signal that its parent listens to kills a forked child, which cannot listen itself",
        "fork_and_listen",
        &[
            "child: the thread of the signal listeners stayed in the process that forked this one",
            "the child died of 10",
            "parent: heard it",
        ],
    ),
    (
        "a signal that its parent answers with a dump kills a forked child, also one with a runner of its own",
        "fork_and_dump",
        &["the child died of 10", "parent: alive"],
    ),
    (
        "a program that is executed inherits no descriptor and no mask",
        "exec",
        &[
            "pollers: 0, sockets: 0",
            "SIGINT: blocked false, ignored false",
        ],
    ),
    (
        "a runner needs no descriptor",
        "no_descriptors",
        &["slept", "closed"],
    ),
    (
        "a poller that cannot be opened is an error of the operation, and the next try works",
        "few_descriptors",
        &[
            "0 left: Too many open files (os error 24), 0 leaked",
            "lifted: read 5 bytes",
            "1 left: Too many open files (os error 24), 0 leaked",
            "lifted: read 5 bytes",
            "2 left: Too many open files (os error 24), 0 leaked",
            "lifted: read 5 bytes",
            "3 left: read 5 bytes",
            "lifted: read 5 bytes",
        ],
    ),
    (
        "a poller that breaks ends the run with its error, and the close still drops every task",
        "broken_poller",
        &[
            "run: EventLoop",
            "dropped",
            "close: EventLoop",
            "idle meanwhile",
        ],
    ),
    (
        "an idle loop uses no processor time",
        "idle",
        &["parked: idle", "polling: idle"],
    ),
    (
        "many runners leave nothing behind",
        "many_runners",
        &[
            "the same descriptors, threads and handlers",
            "the same memory",
        ],
    ),
];

fn main() -> ExitCode {
    let mut tests: Vec<Test> = CASES
        .iter()
        .map(|&(name, program, prints)| {
            Test::new(name, move || {
                let finished = Child::start(scenario(program)).finish();
                finished.exited_with(0);
                assert_eq!(printed(&finished), prints, "{finished:?}");
                assert_eq!(finished.stderr, "", "{finished:?}");
            })
        })
        .collect();
    tests.push(Test::new(
        "a forked child may make a runner of its own, which says that it is deaf to Ctrl-C",
        a_forked_child_may_make_a_runner_of_its_own,
    ));
    tests.push(Test::new(
        "a status that the system does not keep is an error, and nobody waits for it",
        a_status_that_is_not_kept_is_an_error,
    ));
    tests.push(Test::new(
        "a signal that is ignored does no harm while a listener comes or goes",
        an_ignored_signal_does_no_harm_to_one_who_listens_for_moments,
    ));
    tests.push(Test::new(
        "a job that never ends is named, and does not keep the process",
        a_job_that_never_ends_is_named,
    ));
    tests.push(Test::new(
        "a job that reads from an idle terminal does not keep the process",
        a_job_that_reads_does_not_keep_the_process,
    ));
    child::run_programs(PROGRAMS, tests)
}

fn printed(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

/// The thread that hears signals stays with the parent.
fn a_forked_child_may_make_a_runner_of_its_own() {
    let finished = Child::start(scenario("fork_and_renew")).finish();
    finished.exited_with(0);
    assert_eq!(
        printed(&finished),
        [
            "child: read 5 bytes",
            "child: slept",
            "the child died of 2",
            "parent: read 5 bytes",
            "parent: slept",
        ]
    );
    finished.said("Ctrl-C will end the program without cleanup");
}

/// Whoever started the program ignored SIGCHLD: then the system keeps no status of children.
fn a_status_that_is_not_kept_is_an_error() {
    let finished = Setup::new(scenario("deaf_to_children"))
        .ignoring(libc::SIGCHLD)
        .start()
        .finish();
    finished.exited_with(0).within(Duration::from_secs(10));
    assert_eq!(printed(&finished), ["lost: SIGCHLD is ignored"]);
}

fn an_ignored_signal_does_no_harm_to_one_who_listens_for_moments() {
    let finished = Setup::new(scenario("listens_for_moments"))
        .ignoring(libc::SIGUSR1)
        .start()
        .finish();
    finished.exited_with(0);
    assert_eq!(printed(&finished), ["alive"]);
}

fn a_job_that_never_ends_is_named() {
    let finished = Child::start(scenario("endless_job")).finish();
    finished.exited_with(0);
    assert_eq!(
        printed(&finished),
        ["main's value", "abandoned: tests/processes.rs"]
    );
    finished
        .said("did not finish joining its threads within")
        .said("job submitted at tests/processes.rs:")
        // The limit is 200 ms; the rest is for the machine.
        .within(Duration::from_secs(5));
}

fn a_job_that_reads_does_not_keep_the_process() {
    let finished = Setup::new(scenario("reading_job"))
        .on_terminal()
        .start()
        .finish();
    finished
        .exited_with(0)
        .said("job submitted at tests/processes.rs:")
        .within(Duration::from_secs(5));
}

macro_rules! programs {
    ($($name:ident)*) => {
        /// Every module below that has a `main`.
        const PROGRAMS: &[Program] = &[$((stringify!($name), || $name::main().report())),*];
    };
}

programs! {
    unused_runner no_poller poller fork_and_drop fork_in_task fork_and_use fork_and_renew fork_and_interrupt fork_and_listen
    fork_and_dump fork_and_spawn exec
    no_descriptors few_descriptors broken_poller idle many_runners endless_job reading_job deaf_to_children listens_for_moments
}

// ---- What the programs have in common.

/// What this process holds.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    /// What each open descriptor leads to.
    descriptors: Vec<String>,
    threads: usize,
    handlers: String,
}

impl Holdings {
    fn now() -> Holdings {
        let threads = fs::read_dir("/proc/self/task").expect("procfs").count();
        Holdings {
            descriptors: descriptors(),
            threads,
            handlers: status("SigCgt:"),
        }
    }
}

fn descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("procfs");
    let mut links: Vec<String> = entries
        // The one that the listing itself needs is gone by now.
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .filter(|link| !link.starts_with("/proc/"))
        .collect();
    links.sort();
    links
}

fn status(field: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.expect(field).trim().to_owned()
}

/// The processor time of all threads so far, and how often one of them waited.
fn usage() -> (Duration, i64) {
    // SAFETY: `rusage` is plain C data that the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    (time(usage.ru_utime) + time(usage.ru_stime), usage.ru_nvcsw)
}

/// A pair of sockets, one of them on a loop.
struct Sockets {
    ours: Async<UnixStream>,
    theirs: UnixStream,
}

impl Sockets {
    fn new() -> Sockets {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let ours = Async::new(ours).expect("a socket can be non-blocking");
        Sockets { ours, theirs }
    }

    /// Waits for nothing, so that the socket is registered.
    async fn register(&self) {
        let mut buffer = [0; 8];
        let read = self.ours.read_with(|mut stream| stream.read(&mut buffer));
        let _ = asyncio::timeout(A_MOMENT, read).await;
    }

    /// Waits for data that is written once the loop waits.
    async fn receive(&self) -> std::io::Result<usize> {
        let mut theirs = self.theirs.try_clone()?;
        asyncio::running_loop().call_later(A_MOMENT, move || {
            theirs.write_all(b"hello").expect("the socket is open");
        });
        let mut buffer = [0; 8];
        self.ours
            .read_with(|mut stream| stream.read(&mut buffer))
            .await
    }
}

/// Shows that I/O and timers of a loop work.
async fn show_life(who: &str, sockets: &Sockets) {
    println!("{who}: read {} bytes", sockets.receive().await.unwrap());
    sleep(A_MOMENT).await;
    println!("{who}: slept");
}

/// Forks; the child runs `child` and leaves with 0. Says how the child ended.
fn fork(child: impl FnOnce()) {
    // SAFETY: the process has no thread that could hold a lock which the child needs (ctrlc's thread holds none), and the
    // child leaves by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: no preconditions.
            unsafe { libc::_exit(i32::from(outcome.is_err())) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: the status is written to a living integer.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            match libc::WIFSIGNALED(status) {
                true => println!("the child died of {}", libc::WTERMSIG(status)),
                false => println!("the child left with {}", libc::WEXITSTATUS(status)),
            }
        }
    }
}

fn name(error: &RunError) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

// ---- The programs.

mod unused_runner {
    use super::*;

    pub(super) fn main() {
        let before = Holdings::now();
        let word = || match Holdings::now() == before {
            true => "the same",
            false => "something else",
        };
        drop(Runner::new());
        println!("dropped: {}", word());
        Runner::builder().terminate(true).build().close().unwrap();
        println!("closed: {}", word());
    }
}

fn compare(when: &str, before: &[String]) {
    let word = if descriptors() == before {
        "no new"
    } else {
        "new"
    };
    println!("{when}: {word} descriptors");
}

mod no_poller {
    use super::*;

    pub(super) fn main() {
        let before = descriptors();
        let outcome = asyncio::run(async {
            let task = asyncio::spawn(async {
                sleep(A_MOMENT).await;
                asyncio::to_thread(|| 1).await.unwrap()
            });
            assert_eq!(task.await.unwrap(), 1);
            compare("during", &before);
        });
        outcome.unwrap();
        compare("after", &before);
    }
}

mod poller {
    use super::*;

    pub(super) fn main() {
        let before = descriptors();
        let outcome = asyncio::run(async {
            Sockets::new().receive().await.unwrap();
            compare("during", &before);
        });
        outcome.unwrap();
        compare("after", &before);
    }
}

mod fork_and_drop {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        let sockets = Sockets::new();
        runner.run(sockets.register()).unwrap();
        // Through pointers, since the parent goes on using both.
        let (theirs, sockets_copy) = (&raw const runner, &raw const sockets);
        fork(|| {
            // SAFETY: this is the child's copy of memory, which nobody uses afterwards: it leaves by `_exit`.
            unsafe {
                drop(sockets_copy.read());
                drop(theirs.read());
            }
            println!("child: dropped");
        });
        runner.run(show_life("parent", &sockets)).unwrap();
    }
}

mod fork_in_task {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let sockets = Sockets::new();
        sockets.register().await;
        asyncio::spawn(async { fork(|| {}) }).await.unwrap();
        show_life("parent", &sockets).await;
    }
}

mod fork_and_use {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        let sockets = Sockets::new();
        runner.run(sockets.register()).unwrap();
        fork(|| {
            let error = runner.run(sleep(A_MOMENT)).unwrap_err();
            println!("child: run: {}", name(&error));
            let event_loop = runner.event_loop().unwrap();
            let error = event_loop.run_until_complete(sleep(A_MOMENT)).unwrap_err();
            println!("child: run_until_complete: {}", name(&error));
            let error = event_loop.run_forever().unwrap_err();
            println!("child: run_forever: {}", name(&error));
        });
        runner.run(show_life("parent", &sockets)).unwrap();
    }
}

mod fork_and_listen {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let mut listener = asyncio::signal::user_defined1();
        fork(|| {
            let error = asyncio::signal::user_defined2().check().unwrap_err();
            println!("child: {error}");
            drop(asyncio::signal::user_defined1());
            // SAFETY: no preconditions.
            unsafe { libc::raise(libc::SIGUSR1) };
            println!("child: still alive");
        });
        // SAFETY: no preconditions.
        unsafe { libc::raise(libc::SIGUSR1) };
        listener.recv().await.unwrap();
        println!("parent: heard it");
    }
}

mod fork_and_dump {
    use super::*;

    fn answering() -> Runner {
        let builder = Runner::builder().dump_on_signal(true);
        builder.interrupt(false).build()
    }

    pub(super) fn main() {
        let runner = answering();
        runner.run(async {}).unwrap();
        fork(|| {
            let ask = async {
                // SAFETY: no preconditions.
                unsafe { libc::raise(libc::SIGUSR1) };
                println!("child: still alive");
            };
            answering().run(ask).unwrap();
        });
        runner.run(async { println!("parent: alive") }).unwrap();
    }
}

mod fork_and_spawn {
    use super::*;
    use futures_lite::AsyncWriteExt as _;

    fn show_child(who: &'static str, code: i32) {
        let life = async move {
            let script = format!("exit {code}");
            let status = asyncio::process::Command::new("sh")
                .args(["-c", &script])
                .status();
            let status = asyncio::timeout(Duration::from_secs(10), status).await;
            let line = format!("{who}: {}\n", status.unwrap().unwrap());
            asyncio::io::stdout().write_all(line.as_bytes()).await
        };
        let runner = Runner::builder().interrupt(false).build();
        runner.run(life).unwrap().unwrap();
        assert!(runner.close().unwrap().is_clean());
    }

    pub(super) fn main() {
        show_child("first", 1);
        fork(|| show_child("child", 2));
        show_child("parent", 3);
    }
}

mod listens_for_moments {
    pub(super) fn main() {
        let sends = std::thread::spawn(|| {
            for _ in 0..20_000 {
                // SAFETY: no preconditions.
                unsafe { libc::raise(libc::SIGUSR1) };
            }
        });
        while !sends.is_finished() {
            drop(asyncio::signal::user_defined1());
        }
        println!("alive");
    }
}

mod deaf_to_children {
    #[asyncio::main]
    pub(super) async fn main() {
        let mut child = asyncio::process::Command::new("sleep")
            .arg("100000")
            .spawn()
            .unwrap();
        child.kill().unwrap();
        let error = child.wait().await.unwrap_err().to_string();
        let is_told = error.contains("SIGCHLD is ignored");
        println!(
            "lost: {}",
            if is_told {
                "SIGCHLD is ignored"
            } else {
                &error
            }
        );
    }
}

mod fork_and_renew {
    use super::*;

    pub(super) fn main() {
        let runner = Runner::new();
        let sockets = Sockets::new();
        runner.run(sockets.register()).unwrap();
        fork(|| {
            let life = async {
                show_life("child", &Sockets::new()).await;
                // SAFETY: no preconditions.
                unsafe { libc::raise(SIGINT) };
                println!("child: still alive");
            };
            Runner::new().run(life).unwrap();
        });
        runner.run(show_life("parent", &sockets)).unwrap();
    }
}

mod fork_and_interrupt {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let sockets = Sockets::new();
        sockets.register().await;
        fork(|| {
            // SAFETY: no preconditions.
            unsafe { libc::raise(SIGINT) };
            println!("child: still alive");
        });
        show_life("parent", &sockets).await;
    }
}

mod exec {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let sockets = Sockets::new();
        sockets.register().await;
        asyncio::to_thread(|| {}).await.unwrap();
        let output = |program: &str, argument: &str| {
            let output = Command::new(program).args(["-l", argument]).output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        let listing = output("ls", "/proc/self/fd");
        let count = |text: &str| listing.matches(text).count();
        println!(
            "pollers: {}, sockets: {}",
            count("anon_inode:"),
            count("socket:")
        );
        let grep = Command::new("cat").arg("/proc/self/status").output();
        let status = String::from_utf8(grep.unwrap().stdout).unwrap();
        let has = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let mask = u64::from_str_radix(line.expect(field).trim(), 16).expect("a mask");
            mask & (1 << (SIGINT - 1)) != 0
        };
        println!(
            "SIGINT: blocked {}, ignored {}",
            has("SigBlk:"),
            has("SigIgn:")
        );
    }
}

/// Takes all descriptors but `left`; they are free again when the result is dropped.
fn take_descriptors_but(left: usize) -> Vec<fs::File> {
    // SAFETY: `rlimit` is plain C data that the first call fills and the second one reads.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = 64;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
    let mut taken: Vec<fs::File> = (0..)
        .map_while(|_| fs::File::open("/dev/null").ok())
        .collect();
    taken.truncate(taken.len() - left);
    taken
}

mod no_descriptors {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() {
        let _taken = take_descriptors_but(0);
        let task = asyncio::spawn(sleep(A_MOMENT));
        asyncio::to_thread(|| {}).await.unwrap();
        task.await.unwrap();
        println!("slept");
        drop(asyncio::spawn(asyncio::finally(
            pending::<()>(),
            async || {
                println!("closed");
            },
        )));
        asyncio::yield_now().await;
    }
}

mod few_descriptors {
    use super::*;

    pub(super) fn main() {
        for left in 0..4 {
            let runner = Runner::new();
            let sockets = Sockets::new();
            // What `receive` would need itself.
            let mut theirs = sockets.theirs.try_clone().unwrap();
            let taken = take_descriptors_but(left);
            let outcome = runner.run(async {
                let write = move || theirs.write_all(b"hello").expect("the socket is open");
                let writer = asyncio::running_loop().call_later(A_MOMENT, write);
                let mut buffer = [0; 8];
                let read = |mut stream: &UnixStream| stream.read(&mut buffer);
                let outcome = sockets.ours.read_with(read).await;
                writer.cancel();
                outcome
            });
            drop(taken);
            match outcome.unwrap() {
                Ok(length) => println!("{left} left: read {length} bytes"),
                Err(error) => {
                    let links = descriptors();
                    let leaked = links.iter().filter(|link| link.contains("anon_inode"));
                    println!("{left} left: {error}, {} leaked", leaked.count());
                }
            }
            // The same loop, the same socket.
            let again = runner.run(sockets.receive()).unwrap();
            println!("lifted: read {} bytes", again.unwrap());
        }
    }
}

/// The poller's number is given to a file that cannot be waited on. (Closing it would end the process by itself, since
/// the standard library checks that its descriptors are open.)
mod broken_poller {
    use super::*;

    struct Dropped;

    impl Drop for Dropped {
        fn drop(&mut self) {
            println!("dropped");
        }
    }

    fn break_poller() {
        let null = fs::File::open("/dev/null").expect("the null device");
        for entry in fs::read_dir("/proc/self/fd").expect("procfs").flatten() {
            let is_poller = fs::read_link(entry.path())
                .is_ok_and(|link| link.to_string_lossy().contains("eventpoll"));
            if is_poller {
                let fd: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
                // SAFETY: both are open, and the number keeps its owner.
                assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), fd) }, fd);
            }
        }
    }

    pub(super) fn main() {
        let runner = Runner::new();
        let sockets = Sockets::new();
        let (before, _) = usage();
        let outcome = runner.run(async {
            sockets.register().await;
            let dropped = Dropped;
            drop(asyncio::spawn(async move {
                let _dropped = dropped;
                let cleanup = async || sleep(Duration::from_secs(3600)).await;
                asyncio::finally(pending::<()>(), cleanup).await;
            }));
            asyncio::yield_now().await;
            break_poller();
            sleep(Duration::from_secs(3600)).await;
        });
        println!("run: {}", name(&outcome.unwrap_err()));
        // The task's cleanup would have to wait.
        println!("close: {}", name(&runner.close().unwrap_err()));
        let (after, _) = usage();
        // A loop that spins until the test's deadline would need twenty seconds.
        if after - before < Duration::from_secs(1) {
            println!("idle meanwhile");
        }
    }
}

/// 300 ms each: a loop that looks every millisecond shows by 300 waits, and one that spins by 300 ms of processor time;
/// both stand out from what starting and stopping needs.
mod idle {
    use super::*;

    const WHILE: Duration = Duration::from_millis(300);

    async fn judge(what: &str) {
        let (time, waits) = usage();
        let started = Instant::now();
        sleep(WHILE).await;
        assert!(started.elapsed() >= WHILE);
        let (time, waits) = (usage().0 - time, usage().1 - waits);
        if time < WHILE / 6 && waits < 30 {
            println!("{what}: idle");
        } else {
            println!("{what}: {time:?} of processor time, {waits} waits");
        }
    }

    #[asyncio::main]
    pub(super) async fn main() {
        judge("parked").await;
        let sockets = Sockets::new();
        sockets.register().await;
        let idle = asyncio::spawn(async move { sockets.ours.readable().await });
        judge("polling").await;
        idle.cancel();
    }
}

/// A hundred thousand lives in a release build, a tenth as many in the other: two seconds, or one. A tenth of the lives does
/// I/O, a tenth has a job, and a tenth listens to a signal.
mod many_runners {
    use super::*;

    const LIVES: u32 = if cfg!(debug_assertions) {
        10_000
    } else {
        100_000
    };

    fn live(number: u32) {
        let outcome = asyncio::run(async move {
            drop(asyncio::spawn(pending::<()>()));
            asyncio::yield_now().await;
            if number % 10 == 0 {
                Sockets::new().ours.writable().await.unwrap();
            }
            if number % 10 == 5 {
                asyncio::to_thread(|| {}).await.unwrap();
            }
            if number % 10 == 7 {
                asyncio::signal::user_defined1().check().unwrap();
            }
        });
        outcome.unwrap();
    }

    fn resident_kilobytes() -> i64 {
        let line = status("VmRSS:");
        let number = line.split_whitespace().next();
        number.and_then(|text| text.parse().ok()).expect("a size")
    }

    /// Threads leave the list a moment after they were joined.
    fn settled() -> Holdings {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let now = Holdings::now();
            // The main thread, ctrlc's, and that of the signal listeners.
            if now.threads <= 3 || Instant::now() > deadline {
                return now;
            }
            std::thread::yield_now();
        }
    }

    pub(super) fn main() {
        // Caches of the allocator and of the process are filled by then.
        (0..1000).for_each(live);
        let (before, memory) = (settled(), resident_kilobytes());
        (0..LIVES).for_each(live);
        let after = settled();
        match before == after {
            true => println!("the same descriptors, threads and handlers"),
            false => println!("before {before:?}, after {after:?}"),
        }
        let growth = resident_kilobytes() - memory;
        // A hundred bytes per life would be a megabyte at least.
        match growth < 512 {
            true => println!("the same memory"),
            false => println!("{growth} kB more"),
        }
    }
}

/// Returns once the job has begun: before that, it would be dropped with the task that awaits it.
async fn leave_a_job(job: fn()) {
    let (begun, has_begun) = std::sync::mpsc::channel();
    drop(asyncio::spawn(asyncio::to_thread(move || {
        let _ = begun.send(());
        job();
    })));
    while has_begun.try_recv().is_err() {
        asyncio::yield_now().await;
    }
}

mod endless_job {
    use super::*;

    pub(super) fn main() {
        let limit = Duration::from_millis(200);
        let runner = Runner::builder().shutdown_timeout(limit).build();
        let value = runner.run(async {
            leave_a_job(|| {
                loop {
                    std::thread::park();
                }
            })
            .await;
            "main's value"
        });
        println!("{}", value.unwrap());
        let report = runner.close().unwrap();
        for job in report.abandoned_jobs() {
            println!("abandoned: {}", job.location().file());
        }
    }
}

mod reading_job {
    use super::*;

    #[asyncio::main(shutdown_timeout = "200ms")]
    pub(super) async fn main() {
        leave_a_job(|| drop(std::io::stdin().read_line(&mut String::new()))).await;
    }
}
