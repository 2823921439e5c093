//! Standard input: a thread that reads when a task waits, and a buffer for what it has read.
//!
//! The thread first waits for input *and* a bell, and reads only then. When the last handle that waits is dropped the bell
//! rings, and what is typed from then on is left to whoever reads next, such as a child process.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Cx, Poll, Waker};

use futures_io::AsyncRead;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::super::pipe::new_pipe;
use crate::fork::ForkGuard;
use crate::task::inquiry::WaitsOn;
use crate::task::{must_look_away_from_thread, spend_budget};
use crate::threads::start_thread;

/// The most that one read takes from the system.
const ROOM: usize = 8 * 1024;

/// Returns a handle of the process's standard input.
///
/// # Examples
///
/// ```no_run
/// # use runner_core as asyncio;
/// use futures_lite::{AsyncBufReadExt as _, StreamExt as _, io::BufReader};
///
/// asyncio::run(async {
///     let mut lines = BufReader::new(asyncio::io::stdin()).lines();
///     while let Some(line) = lines.next().await {
///         println!("{} bytes", line?.len());
///     }
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
pub fn stdin() -> Stdin {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Stdin {
        // Only has to differ.
        id: LAST.fetch_add(1, Ordering::Relaxed),
    }
}

/// The process's standard input: a terminal, a pipe, a file, whatever it is.
///
/// It never holds the process back: a program that ends while a task waits for a line ends at once. The mode of the
/// terminal, which other processes share, is not touched.
///
/// All handles read from one buffer of the process, which is not the one of [`std::io::stdin`]: use one of the two. On a clock
/// that jumps ([`VirtualTime`](crate::driver::VirtualTime)) waiting for input does not hold the clock.
///
/// # Cancel safety
///
/// One read that is cancelled while it waits has taken nothing; what comes for it is there for the next one. A buffered reader
/// around it has a buffer of its own, which goes with it.
///
/// # Differences from asyncio
///
/// `connect_read_pipe(.., sys.stdin)` switches the terminal to non-blocking mode, also for the shell, and cannot read a file.
#[derive(Debug)]
pub struct Stdin {
    id: u64,
}

/// What the tasks and the thread share.
struct Input {
    /// Bytes that nobody has taken yet.
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
    /// What comes behind them.
    end: Option<End>,
    /// Whoever waits, by handle.
    waiting: Vec<(u64, Waker)>,
    /// The thread, once it was needed.
    thread: Option<Reader>,
}

enum End {
    /// A read returned nothing. A terminal may give more afterwards.
    Reached,
    Failed(io::Error),
}

/// How to reach the thread that reads.
struct Reader {
    /// Ends its wait for input.
    bell: File,
    /// A forked child has no such thread.
    guard: ForkGuard,
}

static INPUT: Mutex<Input> = Mutex::new(Input {
    bytes: Vec::new(),
    taken: 0,
    end: None,
    waiting: Vec::new(),
    thread: None,
});

/// Tells the thread that somebody waits.
static WANTED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Input> {
    // Nothing panics under the lock, so what is inside is whole.
    INPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Input {
    /// Gives what is there, without waiting.
    fn take(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let left = &self.bytes[self.taken..];
        if left.is_empty() {
            return self.end.take().map(|end| match end {
                End::Reached => Ok(0),
                End::Failed(error) => Err(error),
            });
        }
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.taken += length;
        Some(Ok(length))
    }

    /// Says whether `take` gives something.
    fn has_some(&self) -> bool {
        self.taken < self.bytes.len() || self.end.is_some()
    }

    /// Says whether the thread is to read.
    fn is_wanted(&self) -> bool {
        !self.has_some() && !self.waiting.is_empty()
    }

    fn wait(&mut self, id: u64, waker: &Waker) -> io::Result<()> {
        if self.thread.as_ref().is_none_or(|it| it.guard.is_forked()) {
            self.thread = Some(Reader::start()?);
        }
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == id) {
            Some((_, known)) => known.clone_from(waker),
            None => self.waiting.push((id, waker.clone())),
        }
        WANTED.notify_one();
        Ok(())
    }

    /// Keeps what was read, and tells whoever waits.
    fn put(&mut self, outcome: io::Result<&[u8]>) -> Vec<(u64, Waker)> {
        match outcome {
            Ok([]) => self.end = Some(End::Reached),
            Ok(bytes) => {
                self.bytes.clear();
                self.taken = 0;
                self.bytes.extend_from_slice(bytes);
            }
            Err(error) => self.end = Some(End::Failed(error)),
        }
        std::mem::take(&mut self.waiting)
    }
}

impl Reader {
    fn start() -> io::Result<Reader> {
        let (heard, bell) = new_pipe()?;
        let main = move || read_when_wanted(&File::from(heard));
        start_thread("asyncio_stdin".into(), Box::new(main))?;
        Ok(Reader {
            bell: File::from(bell),
            guard: ForkGuard::new(),
        })
    }
}

/// The thread's life, which is that of the process.
fn read_when_wanted(bell: &File) {
    let mut buffer = vec![0; ROOM];
    loop {
        let mut input = lock();
        while !input.is_wanted() {
            input = WANTED.wait(input).unwrap_or_else(PoisonError::into_inner);
        }
        drop(input);
        let outcome = match wait_for_input(bell) {
            Ok(true) => read(&mut buffer),
            Ok(false) => continue,
            Err(error) => Err(error),
        };
        if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            // Another process was faster.
            continue;
        }
        let waiting = lock().put(outcome.map(|length| &buffer[..length]));
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}

/// Returns `false` if the bell rang first.
fn wait_for_input(mut bell: &File) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut fds = [
        PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN),
    ];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
    if fds[1].revents().is_empty() {
        return Ok(true);
    }
    // Rung more than once, it is emptied by the next rounds.
    let _ = bell.read(&mut [0; 64]);
    Ok(false)
}

/// Without the buffer of `std`, whose lock a thread of the program may hold for as long as it waits for a line.
fn read(buffer: &mut [u8]) -> io::Result<usize> {
    let stdin = io::stdin();
    match rustix::io::retry_on_intr(|| rustix::io::read(stdin.as_fd(), &mut *buffer)) {
        // A program that was started without a standard input reads an end, as from `std`.
        Err(Errno::BADF) => Ok(0),
        result => Ok(result?),
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if must_look_away_from_thread(cx, || WaitsOn::new("standard input"), || lock().has_some()) {
            return Poll::Pending;
        }
        std::task::ready!(spend_budget(cx));
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut input = lock();
        match input.take(buffer) {
            Some(taken) => {
                input.waiting.retain(|(id, _)| *id != self.id);
                Poll::Ready(taken)
            }
            None => match input.wait(self.id, cx.waker()) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        let mut input = lock();
        let before = input.waiting.len();
        let (mine, others) = std::mem::take(&mut input.waiting)
            .into_iter()
            .partition(|(id, _)| *id == self.id);
        input.waiting = others;
        if input.waiting.is_empty() && before > 0 {
            if let Some(reader) = input.thread.as_mut().filter(|it| !it.guard.is_forked()) {
                // A bell that is full has rung.
                let _ = reader.bell.write(&[0]);
            }
        }
        drop(input);
        // A waker may come from anywhere: not under the lock.
        drop::<Vec<(u64, Waker)>>(mine);
    }
}
