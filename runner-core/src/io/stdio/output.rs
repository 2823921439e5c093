//! Standard output and error: a buffer that takes what is written, and a thread that passes it on.
//!
//! What was taken is written, whether the task that wrote it lives or not; the shutdown waits for that, but not for ever. An
//! error is told to whoever writes or flushes next.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Cx, Poll, Waker};

use futures_io::AsyncWrite;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::fork::ForkGuard;
use crate::task::inquiry::WaitsOn;
use crate::task::{must_look_away_from_thread, spend_budget};
use crate::threads::start_thread;

/// How much is taken before a writer has to wait.
const ROOM: usize = 64 * 1024;

/// Returns a handle of the process's standard output.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use futures_lite::AsyncWriteExt as _;
///
/// asyncio::run(async {
///     let mut stdout = asyncio::io::stdout();
///     stdout.write_all(b"a line\n").await?;
///     stdout.flush().await
/// })
/// .unwrap()
/// .unwrap();
/// ```
pub fn stdout() -> Stdout {
    Stdout { output: &STDOUT }
}

/// Returns a handle of the process's standard error.
pub fn stderr() -> Stderr {
    Stderr { output: &STDERR }
}

/// The process's standard output. A reader that is slow, or a terminal that was stopped, holds up no other task.
///
/// A write is done when its bytes were taken into a buffer of 64 KiB; `flush` waits until the system has them. When a runner
/// closes it waits for them as well, within its budget and for at most 5 seconds; what nobody has read by then is lost, and
/// the report says so. Whoever must not lose it awaits `flush`. The buffer is not the one of [`std::io::stdout`]: flush
/// before the other one is used.
///
/// # Cancel safety
///
/// One write that is cancelled while it waits has written nothing. A cancelled `flush` can be repeated.
#[derive(Debug, Clone)]
pub struct Stdout {
    output: &'static Output,
}

/// The process's standard error; otherwise as [`Stdout`].
///
/// # Cancel safety
///
/// As for [`Stdout`].
#[derive(Debug, Clone)]
pub struct Stderr {
    output: &'static Output,
}

/// Says whether the streams were ever used; saves those who do not use them the locks.
pub(crate) fn are_streams_in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

/// Says whether something was taken and is not written yet.
pub(crate) fn has_unwritten() -> bool {
    OUTPUTS.iter().any(|output| output.lock().unwritten() > 0)
}

/// Waits until everything is written that was taken. Errors stay where they are.
pub(crate) async fn flush_all() {
    for output in OUTPUTS {
        poll_fn(|cx| output.poll_idle(cx)).await;
    }
}

/// What was lost, or is about to be: for each stream one text, and whether it is stderr that does not take anything.
pub(crate) fn take_losses() -> impl Iterator<Item = (String, bool)> {
    let loss = |output: &'static Output| {
        let mut state = output.lock();
        let text = match (state.unwritten(), state.error.take()) {
            (0, None) => return None,
            (0, Some(error)) => format!("what was written to {} is lost: {error}", output.name),
            (left, _) => format!(
                "{left} bytes written to {} were not taken in time",
                output.name
            ),
        };
        Some((text, std::ptr::eq(output, &STDERR)))
    };
    OUTPUTS.into_iter().filter_map(loss)
}

/// Whether anybody ever wrote here.
static IN_USE: AtomicBool = AtomicBool::new(false);

static STDOUT: Output = Output::new("standard output", "asyncio_stdout", |bytes| {
    write(io::stdout(), bytes)
});
static STDERR: Output = Output::new("standard error", "asyncio_stderr", |bytes| {
    write(io::stderr(), bytes)
});

static OUTPUTS: [&Output; 2] = [&STDOUT, &STDERR];

/// One of the two streams.
struct Output {
    name: &'static str,
    thread_name: &'static str,
    /// Writes a part, and blocks while the system takes nothing.
    write: fn(&[u8]) -> io::Result<usize>,
    state: Mutex<State>,
    /// Tells the thread that there is something to write.
    filled: Condvar,
}

/// What the tasks and the thread share.
struct State {
    /// Taken, and not yet begun to be written.
    bytes: Vec<u8>,
    /// How much the thread has still to write of what it took out of `bytes`.
    writing: usize,
    /// Not told yet.
    error: Option<io::Error>,
    /// Whoever waits for room or for the end.
    waiting: Vec<Waker>,
    /// Whether the thread runs, and in which process.
    thread: Option<ForkGuard>,
}

impl State {
    /// In a forked child nothing: what it finds here is its parent's to write.
    fn unwritten(&self) -> usize {
        match self.thread {
            Some(guard) if !guard.is_forked() => self.bytes.len() + self.writing,
            _ => 0,
        }
    }

    fn wait(&mut self, cx: &mut Cx<'_>) {
        if !self.waiting.iter().any(|it| it.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

impl Output {
    const fn new(
        name: &'static str,
        thread_name: &'static str,
        write: fn(&[u8]) -> io::Result<usize>,
    ) -> Output {
        Output {
            name,
            thread_name,
            write,
            state: Mutex::new(State {
                bytes: Vec::new(),
                writing: 0,
                error: None,
                waiting: Vec::new(),
                thread: None,
            }),
            filled: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, so what is inside is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_write(&'static self, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if must_look_away_from_thread(cx, || self.describe(), || self.lock().bytes.len() < ROOM) {
            return Poll::Pending;
        }
        std::task::ready!(spend_budget(cx));
        let mut state = self.lock();
        self.start_thread(&mut state)?;
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        let length = bytes.len().min(ROOM - state.bytes.len());
        if length == 0 && !bytes.is_empty() {
            state.wait(cx);
            return Poll::Pending;
        }
        state.bytes.extend_from_slice(&bytes[..length]);
        self.filled.notify_one();
        Poll::Ready(Ok(length))
    }

    fn poll_flush(&self, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_idle(cx));
        Poll::Ready(self.lock().error.take().map_or(Ok(()), Err))
    }

    fn poll_idle(&self, cx: &mut Cx<'_>) -> Poll<()> {
        if must_look_away_from_thread(cx, || self.describe(), || self.lock().unwritten() == 0) {
            return Poll::Pending;
        }
        let mut state = self.lock();
        if state.unwritten() == 0 {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    fn describe(&self) -> WaitsOn {
        WaitsOn::new(format!("{} to take what was written", self.name))
    }

    fn start_thread(&'static self, state: &mut State) -> io::Result<()> {
        if state.thread.is_some_and(|guard| !guard.is_forked()) {
            return Ok(());
        }
        // Relaxed: a shutdown is not asked to wait for what other threads write at the same moment.
        IN_USE.store(true, Ordering::Relaxed);
        // If there is something, it is the parent's of this process.
        state.bytes.clear();
        state.writing = 0;
        start_thread(self.thread_name.into(), Box::new(|| self.pass_on()))?;
        state.thread = Some(ForkGuard::new());
        Ok(())
    }

    /// The thread's life, which is that of the process.
    fn pass_on(&self) {
        let mut taken = Vec::new();
        loop {
            let mut state = self.lock();
            while state.bytes.is_empty() {
                let woken = self.filled.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            }
            taken.clear();
            std::mem::swap(&mut taken, &mut state.bytes);
            self.note(state, taken.len(), None);
            self.write_out(&taken);
        }
    }

    fn write_out(&self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let error = match (self.write)(left) {
                Ok(length) => {
                    left = &left[length..];
                    None
                }
                Err(error) => {
                    left = &[];
                    Some(error)
                }
            };
            self.note(self.lock(), left.len(), error);
        }
    }

    /// Notes how much is left, and tells whoever waits.
    fn note(&self, mut state: MutexGuard<'_, State>, left: usize, error: Option<io::Error>) {
        state.writing = left;
        if error.is_some() {
            // Behind a hole nothing is worth being written.
            state.bytes.clear();
            state.error = error;
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Without the buffer of `std`, whose lock a thread of the program may hold.
fn write(stream: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::write(&stream, bytes)) {
            // A program that was started without this stream writes to nowhere, as with `std`.
            Err(Errno::BADF) => return Ok(bytes.len()),
            // Somebody else has switched the mode of what we share.
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(&stream, PollFlags::OUT)];
                rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
            }
            result => return Ok(result?),
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} bytes", self.name, self.lock().unwritten())
    }
}

impl AsyncWrite for Stdout {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }

    /// Flushes; the stream stays open for others.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }
}

impl AsyncWrite for Stderr {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }

    /// Flushes; the stream stays open for others.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }
}
