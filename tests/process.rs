//! Child processes: what is awaited, what is killed, and that nobody is left behind.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use asyncio::process::{Child, Command, Stdio};
use asyncio::{Runner, catch_cancelled, current_task, sleep, timeout};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

const LIMIT: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A child that ends only when it is killed.
fn patient() -> Command {
    let mut command = Command::new("sleep");
    command.arg("100000");
    command
}

/// Awaits `future` while a request is pending, which must win.
async fn interrupt<F: Future>(future: F) {
    current_task().unwrap().cancel();
    assert!(catch_cancelled(future).await.is_err());
    current_task().unwrap().uncancel();
}

/// The letter that the system has for what the process is doing; `None` if there is no such process.
#[cfg(target_os = "linux")]
fn state_of(id: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until the process is neither running nor a zombie.
#[cfg(target_os = "linux")]
fn wait_until_gone(id: u32) {
    let started = Instant::now();
    while let Some(state) = state_of(id) {
        assert!(started.elapsed() < LIMIT, "still there, as '{state}'");
        std::thread::yield_now();
    }
}

// ----- the end of a child -----

#[asyncio::test]
async fn the_status_says_how_the_child_ended() -> io::Result<()> {
    let status = timeout(LIMIT, shell("exit 7").status()).await??;
    assert_eq!(status.code(), Some(7));
    let mut child = patient().spawn()?;
    child.terminate()?;
    assert_eq!(timeout(LIMIT, child.wait()).await??.signal(), Some(15));
    let mut child = patient().spawn()?;
    child.kill()?;
    assert_eq!(timeout(LIMIT, child.wait()).await??.signal(), Some(9));
    Ok(())
}

#[asyncio::test]
async fn a_program_that_is_not_there_is_an_error_of_spawn() {
    let error = Command::new("no such program anywhere")
        .spawn()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[asyncio::test]
async fn the_status_stays_the_same_however_often_it_is_asked_for() -> io::Result<()> {
    let mut child = shell("exit 3").spawn()?;
    for _ in 0..3 {
        assert_eq!(timeout(LIMIT, child.wait()).await??.code(), Some(3));
        assert_eq!(child.try_wait()?.unwrap().code(), Some(3));
    }
    // Its number may be somebody else's by now.
    child.kill()?;
    child.send_signal(15)?;
    assert!(child.send_signal(4711).is_err());
    Ok(())
}

/// "The status is not lost: the next call gives it."
#[asyncio::test]
async fn a_cancelled_wait_leaves_the_status_to_the_next() -> io::Result<()> {
    let mut child = shell("exit 5").spawn()?;
    while child.try_wait()?.is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    interrupt(child.wait()).await;
    assert!(timeout(Duration::ZERO, child.wait()).await.is_ok());
    let mut child = patient().spawn()?;
    assert!(
        timeout(Duration::from_millis(1), child.wait())
            .await
            .is_err()
    );
    child.kill()?;
    assert_eq!(timeout(LIMIT, child.wait()).await??.signal(), Some(9));
    Ok(())
}

#[asyncio::test]
async fn a_hundred_children_at_once_are_each_given_their_own_status() -> io::Result<()> {
    let waits: Vec<_> = (0..100)
        .map(|code| {
            asyncio::spawn(async move {
                let status = shell(&format!("exit {code}")).status().await?;
                assert_eq!(status.code(), Some(code));
                io::Result::Ok(())
            })
        })
        .collect();
    for wait in waits {
        timeout(LIMIT, wait).await???;
    }
    Ok(())
}

#[asyncio::test]
async fn what_a_task_waits_for_is_the_child_by_number_and_program() -> io::Result<()> {
    let mut child = patient().kill_on_drop(true).spawn()?;
    let expected = format!("child process {} (sleep)", child.id());
    let wait = asyncio::task()
        .name("parent")
        .spawn(async move { child.wait().await });
    asyncio::yield_now().await;
    let dump = asyncio::debug::dump_tasks().to_string();
    assert!(dump.contains(&expected), "{dump}");
    wait.cancel();
    assert!(wait.await.unwrap_err().is_cancelled());
    Ok(())
}

// ----- streams -----

#[asyncio::test]
async fn output_collects_both_streams_and_gives_an_empty_input() -> io::Result<()> {
    let mut command = shell("cat; echo out; echo err >&2; exit 4");
    for _ in 0..2 {
        let output = timeout(LIMIT, command.output()).await??;
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
    }
    Ok(())
}

/// Both pipes fill up: who reads one to its end before the other waits for ever.
#[asyncio::test]
async fn more_output_than_pipes_hold_is_collected_from_both() -> io::Result<()> {
    let script =
        "head -c 1000000 /dev/zero >&2; head -c 3000000 /dev/zero; head -c 500000 /dev/zero >&2";
    let output = timeout(LIMIT, shell(script).output()).await??;
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (3_000_000, 1_500_000)
    );
    Ok(())
}

#[asyncio::test]
async fn a_megabyte_goes_through_a_child_unchanged() -> io::Result<()> {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|it| (it / 7) as u8).collect();
    let sent = bytes.clone();
    let writing = asyncio::spawn(async move {
        input.write_all(&sent).await?;
        input.close().await?;
        let closed = input.write(b"more").await.unwrap_err();
        assert_eq!(closed.kind(), io::ErrorKind::BrokenPipe);
        io::Result::Ok(())
    });
    let output = timeout(LIMIT, child.wait_with_output()).await??;
    assert!(output.stdout == bytes);
    writing.await??;
    Ok(())
}

#[asyncio::test]
async fn waiting_closes_the_input_that_nobody_took() -> io::Result<()> {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn()?;
    assert!(timeout(LIMIT, child.wait()).await??.success());
    Ok(())
}

#[asyncio::test]
async fn a_pipe_connects_two_children() -> io::Result<()> {
    let (reader, writer) = asyncio::io::pipe()?;
    let mut first = shell("echo one; echo two")
        .stdout(writer.into_blocking()?)
        .spawn()?;
    let second = Command::new("cat")
        .stdin(reader.into_blocking()?)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = timeout(LIMIT, second.wait_with_output()).await??;
    assert_eq!(output.stdout, b"one\ntwo\n");
    assert!(timeout(LIMIT, first.wait()).await??.success());
    Ok(())
}

#[asyncio::test]
async fn a_cancelled_read_of_a_childs_output_loses_no_byte() -> io::Result<()> {
    let mut child = shell("printf abc").stdout(Stdio::piped()).spawn()?;
    assert!(timeout(LIMIT, child.wait()).await??.success());
    let mut output = child.stdout.take().unwrap();
    let mut buffer = [0; 8];
    interrupt(output.read(&mut buffer)).await;
    assert_eq!(output.read(&mut buffer).await?, 3);
    Ok(())
}

// ----- who is left behind -----

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_nobody_awaits_is_no_zombie_even_while_the_loop_is_busy() {
    asyncio::run(async {
        let held = shell("exit 0").spawn().unwrap();
        wait_until_gone(held.id());
        let dropped = shell("exit 0").spawn().unwrap().id();
        wait_until_gone(dropped);
    })
    .unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_outlives_its_loop_is_still_waited_for() {
    let child = asyncio::run(async { shell("read line; exit 9").stdin(Stdio::piped()).spawn() });
    let mut child: Child = child.unwrap().unwrap();
    let id = child.id();
    assert!(matches!(state_of(id), Some('S' | 'R' | 'D')));
    drop(child.stdin.take());
    wait_until_gone(id);
    // Another loop is as good.
    let status = asyncio::run(async move { child.wait().await });
    assert_eq!(status.unwrap().unwrap().code(), Some(9));
}

#[cfg(target_os = "linux")]
#[asyncio::test]
async fn kill_on_drop_kills_and_leaves_no_zombie() -> io::Result<()> {
    let child = patient().kill_on_drop(true).spawn()?;
    let id = child.id();
    drop(child);
    wait_until_gone(id);
    let output = patient().kill_on_drop(true).spawn()?;
    let id = output.id();
    assert!(
        timeout(Duration::from_millis(1), output.wait_with_output())
            .await
            .is_err()
    );
    wait_until_gone(id);
    Ok(())
}

/// "The child goes on, or is killed with `kill_on_drop`."
#[cfg(target_os = "linux")]
#[asyncio::test]
async fn a_cancelled_status_kills_or_leaves_the_child_as_asked() -> io::Result<()> {
    let (mut reader, writer) = asyncio::io::pipe()?;
    let mut going_on = shell("echo $$; read line; echo gone on");
    going_on
        .stdin(Stdio::null())
        .stdout(writer.into_blocking()?);
    interrupt(going_on.status()).await;
    drop(going_on);
    let mut said = String::new();
    timeout(LIMIT, reader.read_to_string(&mut said)).await??;
    let (id, rest) = said.split_once('\n').unwrap();
    assert_eq!(rest, "gone on\n");
    wait_until_gone(id.parse().unwrap());

    let (mut reader, writer) = asyncio::io::pipe()?;
    let mut killed = shell("echo $$; exec sleep 100000");
    killed.kill_on_drop(true).stdout(writer.into_blocking()?);
    let status = killed.status();
    drop(killed);
    let mut id = [0; 32];
    let length = timeout(LIMIT, reader.read(&mut id)).await??;
    interrupt(status).await;
    let id = std::str::from_utf8(&id[..length]).unwrap().trim();
    wait_until_gone(id.parse().unwrap());
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn the_shutdown_kills_and_awaits_those_that_are_to_end_with_it() {
    let runner = Runner::new();
    let (in_a_task, kept, other) = runner
        .run(async {
            let mut child = patient().kill_on_drop(true).spawn()?;
            let in_a_task = child.id();
            drop(asyncio::spawn(async move { child.wait().await }));
            let kept = patient().kill_on_drop(true).spawn()?;
            io::Result::Ok((in_a_task, kept, patient().spawn()?))
        })
        .unwrap()
        .unwrap();
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    // Without waiting: the close did.
    assert_eq!((state_of(in_a_task), state_of(kept.id())), (None, None));
    assert!(state_of(other.id()).is_some(), "it was not to be killed");
    asyncio::run(async move {
        let mut other = other;
        other.kill()?;
        other.wait().await
    })
    .unwrap()
    .unwrap();
}

/// The child is real while the clock is not.
#[cfg(target_os = "linux")]
#[test]
fn a_shutdown_on_a_clock_that_jumps_waits_for_the_killed_all_the_same() {
    let runner = Runner::builder()
        .loop_factory(|| {
            asyncio::EventLoop::builder()
                .driver(asyncio::driver::VirtualTime::default())
                .build()
        })
        .shutdown_timeout(Duration::from_secs(1))
        .build();
    let child = runner.run(async { patient().kill_on_drop(true).spawn() });
    let child = child.unwrap().unwrap();
    assert!(runner.close().unwrap().abandoned_children().is_empty());
    assert_eq!(state_of(child.id()), None);
}

#[cfg(target_os = "linux")]
#[asyncio::test]
async fn a_child_in_a_group_of_its_own_is_out_of_reach_of_ctrl_c() -> io::Result<()> {
    let group_of = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[2].parse::<u32>().unwrap()
    };
    let mut with_us = patient().kill_on_drop(true).spawn()?;
    let mut alone = patient().process_group(0).kill_on_drop(true).spawn()?;
    assert_eq!(group_of(with_us.id()), group_of(std::process::id()));
    assert_eq!(group_of(alone.id()), alone.id());
    for child in [&mut with_us, &mut alone] {
        child.kill()?;
        timeout(LIMIT, child.wait()).await??;
    }
    Ok(())
}

/// What is opened for children is nobody's to inherit.
#[cfg(target_os = "linux")]
#[asyncio::test]
async fn every_descriptor_is_closed_on_exec() -> io::Result<()> {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    const CLOSED_ON_EXEC: u32 = 0o2_000_000;
    let flags_of = |fd: &str| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(flags.trim(), 8).ok()
    };
    let child = patient()
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (reader, _writer) = asyncio::io::pipe()?;
    for pipe in [&reader, child.stdout.as_ref().unwrap()] {
        let flags = flags_of(&pipe.as_fd().as_raw_fd().to_string()).unwrap();
        assert_ne!(flags & CLOSED_ON_EXEC, 0);
    }
    let mut seen = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_anonymous = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode"));
        let flags = flags_of(&entry.file_name().to_string_lossy());
        if let (true, Some(flags)) = (is_anonymous, flags) {
            assert_ne!(flags & CLOSED_ON_EXEC, 0, "{entry:?}");
            seen += 1;
        }
    }
    assert!(seen > 0, "the child's pidfd is one");
    Ok(())
}
