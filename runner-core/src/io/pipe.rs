//! Pipes: one direction each, between tasks, threads and processes.
//!
//! Every byte written is either read or still in the pipe. The writing end must be closed, or dropped, for the reading one
//! to see an end.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::Async;

/// Makes a pipe. What is written to one end is read from the other.
///
/// No other process inherits the ends.
///
/// # Errors
///
/// The system's, when it is short of descriptors.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
///
/// asyncio::run(async {
///     let (mut reader, mut writer) = asyncio::io::pipe()?;
///     writer.write_all(b"hello").await?;
///     drop(writer);
///     let mut text = String::new();
///     reader.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = new_pipe()?;
    let reader = PipeReader {
        io: Async::from_nonblocking(File::from(reader)),
    };
    let writer = PipeWriter {
        io: Some(Async::from_nonblocking(File::from(writer))),
    };
    Ok((reader, writer))
}

/// Both ends, in non-blocking mode.
#[cfg(target_os = "linux")]
pub(crate) fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::PipeFlags;
    Ok(rustix::pipe::pipe_with(
        PipeFlags::CLOEXEC | PipeFlags::NONBLOCK,
    )?)
}

/// Both ends, in non-blocking mode.
#[cfg(not(target_os = "linux"))]
pub(crate) fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe()?;
    for end in [&reader, &writer] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(end, true)?;
    }
    Ok((reader, writer))
}

/// The reading end of a pipe; also what a child process writes to its output.
///
/// # Cancel safety
///
/// One read that is cancelled while it waits has read nothing.
#[derive(Debug)]
pub struct PipeReader {
    io: Async<File>,
}

impl PipeReader {
    /// Takes over the reading end of any pipe, and switches it to non-blocking mode: a
    /// [`ChildStdout`](std::process::ChildStdout), a named pipe that was opened as a file.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn from_std(pipe: impl Into<OwnedFd>) -> io::Result<PipeReader> {
        Ok(PipeReader {
            io: Async::new(File::from(pipe.into()))?,
        })
    }

    /// Gives the descriptor back, in blocking mode: for a thread, or as the input of a child process.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        self.io.into_blocking().map(OwnedFd::from)
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.io).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.io).poll_read_vectored(cx, buffers)
    }
}

/// The writing end of a pipe; also what a child process reads from its input.
///
/// Closing it (`close` of the traits, or dropping it) is what the reader sees as the end. Writing to a pipe that nobody can
/// read any more gives [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Cancel safety
///
/// One write that is cancelled while it waits has written nothing.
#[derive(Debug)]
pub struct PipeWriter {
    /// `None` once it was closed.
    io: Option<Async<File>>,
}

impl PipeWriter {
    /// Takes over the writing end of any pipe, and switches it to non-blocking mode: a
    /// [`ChildStdin`](std::process::ChildStdin), a named pipe that was opened as a file.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn from_std(pipe: impl Into<OwnedFd>) -> io::Result<PipeWriter> {
        Ok(PipeWriter {
            io: Some(Async::new(File::from(pipe.into()))?),
        })
    }

    /// Gives the descriptor back, in blocking mode: for a thread, or as the output of a child process.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched; `BrokenPipe` if it was closed already.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        let io = self.io.ok_or_else(closed)?;
        io.into_blocking().map(OwnedFd::from)
    }

    fn get(&self) -> io::Result<&Async<File>> {
        self.io.as_ref().ok_or_else(closed)
    }
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "the writing end of this pipe was closed",
    )
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get()?).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get()?).poll_write_vectored(cx, buffers)
    }

    /// Does nothing: every write goes to the system at once.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the descriptor; what was written stays in the pipe for the reader.
    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.io = None;
        Poll::Ready(Ok(()))
    }
}
