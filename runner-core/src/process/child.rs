//! A child process that was started: its streams, its end, and the ways to bring that about.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::task::{Context as Cx, Poll};

use futures_io::AsyncRead;

use super::reaper::{self, Ward};
use crate::event_loop::try_running_loop;
use crate::io::{PipeReader, PipeWriter};
use crate::task::inquiry::WaitsOn;
use crate::task::{must_look_away_from_thread, spend_budget};

/// A child process that was started by [`Command::spawn`](super::Command::spawn).
///
/// Dropped, it goes on, or is killed with [`kill_on_drop`](super::Command::kill_on_drop). It is never left as a zombie.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::process::Command;
/// use std::os::unix::process::ExitStatusExt as _;
///
/// asyncio::run(async {
///     let mut child = Command::new("sleep").arg("60").spawn()?;
///     child.terminate()?;
///     let status = child.wait().await?;
///     assert_eq!(status.signal(), Some(15));
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct Child {
    /// What the child reads, if it was piped. Take it out to write while the child is awaited.
    pub stdin: Option<PipeWriter>,
    /// What the child writes to its output, if it was piped.
    pub stdout: Option<PipeReader>,
    /// What the child writes as errors, if it was piped.
    pub stderr: Option<PipeReader>,
    ward: Arc<Ward>,
}

impl Child {
    pub(super) fn new(
        mut child: std::process::Child,
        program: String,
        kill_on_drop: bool,
    ) -> io::Result<Child> {
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let event_loop = try_running_loop().map(|event_loop| event_loop.handle());
        // From here on somebody waits for it, whatever fails.
        let mut child = Child {
            stdin: None,
            stdout: None,
            stderr: None,
            ward: reaper::watch(child, program, kill_on_drop, event_loop),
        };
        child.stdin = streams.0.map(PipeWriter::from_std).transpose()?;
        child.stdout = streams.1.map(PipeReader::from_std).transpose()?;
        child.stderr = streams.2.map(PipeReader::from_std).transpose()?;
        Ok(child)
    }

    /// Returns the process's number, also after its end, when the system may have given it to another one.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.ward.id()
    }

    /// Waits for the child's end. Closes `stdin` first, if it is still here, so that a child that reads finds an end.
    ///
    /// Can be called again; the status stays the same.
    ///
    /// # Errors
    ///
    /// When the status cannot be known: the program ignores SIGCHLD, or another part of it waits for any child.
    ///
    /// # Cancel safety
    ///
    /// The status is not lost: the next call gives it.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    fn poll_wait(&self, cx: &mut Cx<'_>) -> Poll<io::Result<ExitStatus>> {
        let what = || WaitsOn::new(self.ward.to_string());
        if must_look_away_from_thread(cx, what, || self.ward.outcome().is_some()) {
            return Poll::Pending;
        }
        std::task::ready!(spend_budget(cx));
        self.ward.poll_outcome(cx)
    }

    /// Returns the child's status if it has ended, without waiting.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait).
    #[doc(alias = "returncode")]
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.ward.outcome().transpose()
    }

    /// Waits for the child's end, and collects what it writes to those of its outputs that are piped and still here.
    ///
    /// Closes `stdin` first. What the child has started in turn, and what still has an output open, is waited for as well.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait), and those of reading.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// The handle is dropped with it: the child goes on, or is killed with
    /// [`kill_on_drop`](super::Command::kill_on_drop); what it wrote is dropped.
    #[doc(alias = "communicate")]
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let mut stdout = Collected::from(self.stdout.take());
        let mut stderr = Collected::from(self.stderr.take());
        let status = poll_fn(|cx| {
            let read = [stdout.poll(cx)?, stderr.poll(cx)?];
            let status = self.poll_wait(cx)?;
            match read {
                [Poll::Ready(()), Poll::Ready(())] => status.map(io::Result::Ok),
                _ => Poll::Pending,
            }
        });
        let status = status.await?;
        Ok(Output {
            status,
            stdout: stdout.bytes,
            stderr: stderr.bytes,
        })
    }

    /// Kills the child (SIGKILL). Does not wait for its end; see [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// The system's, when the child has another user's rights. A child that has ended is no error.
    pub fn kill(&mut self) -> io::Result<()> {
        self.send_signal(libc::SIGKILL)
    }

    /// Asks the child to end (SIGTERM).
    ///
    /// # Errors
    ///
    /// As [`kill`](Child::kill).
    pub fn terminate(&mut self) -> io::Result<()> {
        self.send_signal(libc::SIGTERM)
    }

    /// Sends the signal of this number. A child that has ended gets none, nor does whoever has its number now.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no such signal, or it is one of those without a name; else as [`kill`](Child::kill).
    pub fn send_signal(&mut self, signal: i32) -> io::Result<()> {
        self.ward.send_signal(signal)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ward.let_go();
    }
}

/// What was read of a pipe until its end.
struct Collected {
    /// `None` at the end.
    pipe: Option<PipeReader>,
    bytes: Vec<u8>,
}

impl From<Option<PipeReader>> for Collected {
    fn from(pipe: Option<PipeReader>) -> Collected {
        Collected {
            pipe,
            bytes: Vec::new(),
        }
    }
}

impl Collected {
    fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        const PIECE: usize = 16 * 1024;
        while let Some(pipe) = &mut self.pipe {
            let filled = self.bytes.len();
            self.bytes.resize(filled + PIECE, 0);
            let read = Pin::new(pipe).poll_read(cx, &mut self.bytes[filled..]);
            let length = match &read {
                Poll::Ready(Ok(length)) => *length,
                _ => 0,
            };
            self.bytes.truncate(filled + length);
            if std::task::ready!(read)? == 0 {
                self.pipe = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}
