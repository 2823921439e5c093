//! The standard streams of real processes, on terminals, pipes and files: nothing is lost, nobody is held up, and what other
//! processes share is left as it was.

mod support;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio, Termination as _};
use std::time::{Duration, Instant};

use asyncio::io::{stderr, stdin, stdout};
use asyncio::{Runner, sleep, timeout};
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use support::child::{Child, Entry, Program, Setup, Test, run_programs, scenario};

const MS: Duration = Duration::from_millis(1);
/// Ample: reached only by failing tests.
const SOON: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let tests = TESTS.iter().map(|&(name, test)| Test::new(name, test));
    run_programs(SCENARIOS, tests.collect())
}

const SCENARIOS: &[Program] = &[
    ("returns while a task reads", || returning::main().report()),
    ("reads until interrupted", || reading::main().report()),
    ("echoes lines", || echoing::main().report()),
    ("cancels a read", || cancelling::main().report()),
    ("copies", || copying::main().report()),
    ("shows its modes", || modes::main().report()),
    ("leaves the input to a child", || leaving::main().report()),
    ("writes to nobody", || stuck::main().report()),
    ("writes to a broken pipe", || broken::main().report()),
    ("cancels writes", || giving_up::main().report()),
    ("does not look", || careless::main().report()),
    ("does not flush", || hasty::main().report()),
];

const TESTS: &[Entry] = &[
    (
        "a_task_that_waits_for_a_line_does_not_hold_the_process_back",
        no_holding_back,
    ),
    ("ctrl_c_ends_a_program_that_waits_for_a_line", interrupted),
    ("lines_typed_on_a_terminal_are_read_one_by_one", typed_lines),
    (
        "what_is_typed_for_a_cancelled_read_is_there_for_the_next",
        cancelled_read,
    ),
    ("a_megabyte_goes_from_pipe_to_pipe_unchanged", pipe_to_pipe),
    (
        "files_the_null_device_and_closed_streams_can_be_read_to_their_end",
        other_inputs,
    ),
    (
        "no_stream_is_ever_switched_to_non_blocking_mode",
        untouched_modes,
    ),
    (
        "a_dropped_reader_leaves_what_is_typed_to_a_child",
        left_to_a_child,
    ),
    (
        "output_that_nobody_reads_stops_neither_the_loop_nor_the_exit",
        nobody_reads,
    ),
    ("a_cancelled_write_has_written_nothing", cancelled_write),
    ("a_broken_pipe_is_an_error_and_no_death", broken_pipe),
    (
        "what_was_written_is_out_before_the_process_ends",
        flushed_at_exit,
    ),
    (
        "an_error_that_nobody_saw_is_told_by_the_shutdown",
        unseen_error,
    ),
];

// ----- input -----

mod returning {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        drop(asyncio::spawn(async { stdin().read(&mut [0; 64]).await }));
        sleep(10 * MS).await;
        writeln!(io::stdout(), "done")
    }
}

fn no_holding_back() {
    let child = Setup::new(scenario("returns while a task reads"))
        .on_terminal()
        .start();
    child.finish().exited_with(0).said("done").within(SOON);
}

mod reading {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        println!("ready");
        stdin().read(&mut [0; 64]).await.map(drop)
    }
}

fn interrupted() {
    let mut child = Setup::new(scenario("reads until interrupted"))
        .on_terminal()
        .start();
    child.wait_for_line("ready");
    child.press_ctrl_c();
    child.finish().died_of(2).within(SOON);
}

mod echoing {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        println!("ready");
        let mut lines = BufReader::new(stdin()).lines();
        while let Some(line) = lines.next().await {
            println!("line: {}", line?);
        }
        println!("end");
        Ok(())
    }
}

fn typed_lines() {
    let mut child = Setup::new(scenario("echoes lines")).on_terminal().start();
    child.wait_for_line("ready");
    for line in ["one", "two", "three"] {
        child.type_bytes(format!("{line}\n").as_bytes());
        assert_eq!(child.wait_for_line("line: "), format!("line: {line}"));
    }
    // Ctrl-D: the end.
    child.type_bytes(&[4]);
    child.finish().exited_with(0).said("end");
}

mod cancelling {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        let mut input = stdin();
        assert!(timeout(10 * MS, input.read(&mut [0; 64])).await.is_err());
        println!("cancelled");
        // What comes now was asked for by the read that is no more.
        sleep(50 * MS).await;
        let mut buffer = [0; 64];
        let mut length = input.read(&mut buffer[..2]).await?;
        length += input.read(&mut buffer[length..]).await?;
        println!("got {:?}", String::from_utf8_lossy(&buffer[..length]));
        Ok(())
    }
}

fn cancelled_read() {
    let mut child = Setup::new(scenario("cancels a read")).on_terminal().start();
    child.wait_for_line("cancelled");
    child.type_bytes(b"precious\n");
    child.finish().exited_with(0).said(r#"got "precious\n""#);
}

mod copying {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        futures_lite::io::copy(stdin(), &mut stdout()).await?;
        Ok(())
    }
}

fn copy_of(input: Stdio) -> Vec<u8> {
    let output = scenario("copies").stdin(input).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn pipe_to_pipe() {
    let bytes: Vec<u8> = (0..1_000_000u32).map(|it| (it / 11) as u8).collect();
    let mut child = scenario("copies")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || input.write_all(&sent));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
}

fn other_inputs() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let copy = copy_of(File::open(manifest).unwrap().into());
    assert_eq!(copy, std::fs::read(manifest).unwrap());
    assert_eq!(copy_of(Stdio::null()), b"");
    // A shell can start a program without the stream.
    let binary = std::env::current_exe().unwrap();
    let script = format!("'{}' <&-", binary.display());
    let names = scenario("copies");
    let (name, value) = names.get_envs().next().unwrap();
    let output = Command::new("sh")
        .args(["-c", &script])
        .env(name, value.unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
}

mod modes {
    use super::*;

    const NONBLOCKING: u32 = 0o4_000;

    fn show(when: &str) {
        for fd in 0..3 {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
            assert_eq!(flags & NONBLOCKING, 0, "{fd} {when}");
        }
    }

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        show("before");
        let mut input = stdin();
        assert!(timeout(10 * MS, input.read(&mut [0; 64])).await.is_err());
        show("while a read waits");
        stdout().write_all(b"out\n").await?;
        stderr().write_all(b"err\n").await?;
        show("after writes");
        stdout().flush().await?;
        stderr().flush().await?;
        input.read(&mut [0; 64]).await?;
        show("after a read");
        stdout().write_all(b"all are blocking\n").await
    }
}

fn untouched_modes() {
    let mut child = Setup::new(scenario("shows its modes"))
        .on_terminal()
        .start();
    child.wait_for_line("err");
    child.type_bytes(b"\n");
    child.finish().exited_with(0).said("all are blocking");
}

mod leaving {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        {
            let mut input = stdin();
            assert!(timeout(10 * MS, input.read(&mut [0; 64])).await.is_err());
        }
        let script = "echo your turn; read line; echo the child has: $line";
        let status = asyncio::process::Command::new("sh")
            .args(["-c", script])
            .status()
            .await?;
        assert!(status.success());
        Ok(())
    }
}

fn left_to_a_child() {
    let mut child = Setup::new(scenario("leaves the input to a child"))
        .on_terminal()
        .start();
    child.wait_for_line("your turn");
    child.type_bytes(b"something\n");
    child
        .finish()
        .exited_with(0)
        .said("the child has: something");
}

// ----- output -----

mod stuck {
    use super::*;

    pub(super) fn main() -> io::Result<()> {
        let runner = Runner::builder().shutdown_timeout(50 * MS).build();
        runner
            .run(async {
                let write = async { stdout().write_all(&vec![b'x'; 1_000_000]).await };
                assert!(timeout(50 * MS, write).await.is_err());
                eprintln!("the loop goes on");
            })
            .unwrap();
        let report = runner.close().unwrap();
        writeln!(io::stderr(), "{:?}", report.errors())
    }
}

fn nobody_reads() {
    let started = Instant::now();
    let mut child = scenario("writes to nobody")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(started.elapsed() < SOON);
    assert!(said.contains("the loop goes on"), "{said}");
    assert!(
        said.contains("bytes written to standard output were not taken in time"),
        "{said}"
    );
}

mod broken {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        let mut output = stdout();
        output.write_all(b"to nobody").await?;
        let error = output.flush().await.unwrap_err();
        eprintln!("{:?}", error.kind());
        // Told once.
        output.flush().await
    }
}

mod careless {
    use super::*;

    pub(super) fn main() -> io::Result<()> {
        let runner = Runner::new();
        runner
            .run(async { stdout().write_all(b"to nobody").await })
            .unwrap()?;
        let report = runner.close().unwrap();
        assert_eq!(report.errors().len(), 1);
        Ok(())
    }
}

fn unseen_error() {
    let child = Setup::new(scenario("does not look"));
    let child = child.stdout_to(support::child::Sink::Full).start();
    let finished = child.finish();
    finished
        .exited_with(0)
        .said("what was written to standard output is lost");
}

mod giving_up {
    use super::*;

    /// Awaits `future` while a request is pending, which must win.
    async fn interrupt<F: Future>(future: F) {
        let task = asyncio::current_task().unwrap();
        task.cancel();
        assert!(asyncio::catch_cancelled(future).await.is_err());
        task.uncancel();
    }

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        let mut output = stdout();
        interrupt(output.write_all(b"never\n")).await;
        output.write_all(b"kept\n").await?;
        interrupt(output.flush()).await;
        output.flush().await
    }
}

fn cancelled_write() {
    let finished = Child::start(scenario("cancels writes")).finish();
    assert_eq!(finished.exited_with(0).stdout, "kept\n");
}

fn broken_pipe() {
    let child = Setup::new(scenario("writes to a broken pipe"));
    let child = child.stdout_to(support::child::Sink::Broken).start();
    child.finish().exited_with(0).said("BrokenPipe");
}

mod hasty {
    use super::*;

    #[asyncio::main]
    pub(super) async fn main() -> io::Result<()> {
        for number in 0..10_000 {
            stdout().write_all(format!("{number}\n").as_bytes()).await?;
        }
        stderr().write_all(b"and stderr\n").await
    }
}

fn flushed_at_exit() {
    let finished = Child::start(scenario("does not flush")).finish();
    finished.exited_with(0).said("and stderr");
    let expected: String = (0..10_000).map(|number| format!("{number}\n")).collect();
    assert!(finished.stdout == expected);
}
