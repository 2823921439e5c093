//! Input and output: any descriptor ([`Async`]), pipes, and the standard streams.
//!
//! ```
//! # use runner_core as asyncio;
//! use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! asyncio::run(async {
//!     let (mut reader, mut writer) = asyncio::io::pipe()?;
//!     writer.write_all(b"through a pipe\n").await?;
//!     writer.close().await?;
//!     let mut text = String::new();
//!     reader.read_to_string(&mut text).await?;
//!     asyncio::io::stdout().write_all(text.as_bytes()).await
//! })
//! .unwrap()
//! .unwrap();
//! ```
//!
//! # Files
//!
//! There is no asynchronous file here. A regular file is always ready, so there is nothing that a loop could wait for: the
//! system blocks the thread in the call itself. [`to_thread`](crate::to_thread) is the place for such calls, a whole piece of
//! work at a time:
//!
//! ```
//! # use runner_core as asyncio;
//! # asyncio::run(async {
//! let manifest = asyncio::to_thread(|| std::fs::read_to_string("Cargo.toml")).await??;
//! assert!(manifest.contains("[package]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap().unwrap();
//! ```
//
// Try first, wait only when the system says `WouldBlock`: then the source is registered, once, and stays so until the
// object is dropped. A pending cancellation comes before any attempt, so no byte and no connection is lost to it.
// This file knows neither sockets nor the format of anything.

mod pipe;
mod stdio;

pub(crate) use self::pipe::new_pipe;
pub use self::pipe::{PipeReader, PipeWriter, pipe};
pub use self::stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub(crate) use self::stdio::{are_streams_in_use, flush_all, has_unwritten, take_losses};

use std::cell::OnceCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

#[doc(no_inline)]
pub use futures_io::{AsyncRead, AsyncWrite};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::event_loop::{Direction, Registration, running_loop};
use crate::task::inquiry::WaitsOn;
use crate::task::{must_look_away, spend_budget};

/// Makes anything with a descriptor that can be waited for usable in async code: sockets, pipes, terminals.
///
/// Belongs to the loop in which it first had to wait. What can be read and written through a shared reference (`&T` is
/// [`Read`] or [`Write`]) can be so with the traits of `futures-io`; everything else goes through
/// [`read_with`](Async::read_with) and [`write_with`](Async::write_with).
///
/// Waiting borrows the object, so it cannot be closed while somebody waits, and its number cannot come to mean something
/// else meanwhile. The mode that [`new`](Async::new) sets is one of the open file, not of the descriptor: for what other
/// processes share, as the standard streams, there are [`stdin`], [`stdout`] and [`stderr`].
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::io::Async;
/// use std::io::{Read as _, Write as _};
/// use std::os::unix::net::UnixStream;
///
/// asyncio::run(async {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     let ours = Async::new(ours)?;
///     asyncio::running_loop().call_soon(move || theirs.write_all(b"hello").unwrap());
///     let mut buffer = [0; 16];
///     let length = ours.read_with(|mut stream| stream.read(&mut buffer)).await?;
///     assert_eq!(&buffer[..length], b"hello");
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
pub struct Async<T: AsFd> {
    /// `None` only after `into_inner`.
    io: Option<T>,
    /// Made when an operation first had to wait.
    registration: OnceCell<Registration>,
}

impl<T: AsFd> Async<T> {
    /// Takes `io` over and switches it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn new(io: T) -> io::Result<Async<T>> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Ok(Async::from_nonblocking(io))
    }

    /// Takes over what is in non-blocking mode already.
    pub(crate) fn from_nonblocking(io: T) -> Async<T> {
        Async {
            io: Some(io),
            registration: OnceCell::new(),
        }
    }

    /// Returns the object itself.
    pub fn get_ref(&self) -> &T {
        self.io
            .as_ref()
            .expect("only `into_inner` takes the object out, and consumes `self`")
    }

    /// Gives the object back, still in non-blocking mode.
    pub fn into_inner(mut self) -> T {
        self.deregister();
        self.io
            .take()
            .expect("only `into_inner` takes the object out, and consumes `self`")
    }

    /// Gives the object back, in blocking mode, as those expect it who are not asynchronous: threads, child processes.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn into_blocking(self) -> io::Result<T> {
        let io = self.into_inner();
        rustix::io::ioctl_fionbio(&io, false)?;
        Ok(io)
    }

    /// Waits until the object is worth reading from.
    ///
    /// # Errors
    ///
    /// When the system refuses to watch the descriptor, or the loop is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Direction::Read).await
    }

    /// Waits until the object is worth writing to.
    ///
    /// # Errors
    ///
    /// As [`readable`](Async::readable).
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Direction::Write).await
    }

    async fn ready(&self, direction: Direction) -> io::Result<()> {
        poll_fn(|cx| self.poll_ready(direction, cx)).await
    }

    fn describe(&self, direction: Direction) -> WaitsOn {
        use std::os::fd::AsRawFd as _;
        let purpose = match direction {
            Direction::Read => "be readable",
            Direction::Write => "be writable",
        };
        let descriptor = self.get_ref().as_fd().as_raw_fd();
        WaitsOn::new(format!("descriptor {descriptor} to {purpose}"))
    }

    fn poll_ready(&self, direction: Direction, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        if must_look_away(cx, || self.describe(direction)) {
            return Poll::Pending;
        }
        std::task::ready!(spend_budget(cx));
        let registration = self.registration()?;
        loop {
            std::task::ready!(registration.poll_ready(direction, cx))?;
            // What the loop remembers is that an operation is worth trying; whether it would succeed, only the system
            // knows, and asking consumes nothing.
            if is_ready_now(self.get_ref().as_fd(), direction)? {
                return Poll::Ready(Ok(()));
            }
            registration.state.set_blocked(direction);
        }
    }

    /// Runs `operation`, a non-blocking read, as soon as it does not return [`io::ErrorKind::WouldBlock`].
    ///
    /// # Errors
    ///
    /// The operation's own, and those of [`readable`](Async::readable).
    ///
    /// # Cancel safety
    ///
    /// A cancellation that is pending comes first: either the operation was run and its result is returned, or it was
    /// not run.
    pub async fn read_with<R>(
        &self,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(|cx| self.poll_with(Direction::Read, cx, &mut operation)).await
    }

    /// Runs `operation`, a non-blocking write, as soon as it does not return [`io::ErrorKind::WouldBlock`].
    ///
    /// # Errors
    ///
    /// As [`read_with`](Async::read_with).
    ///
    /// # Cancel safety
    ///
    /// As [`read_with`](Async::read_with).
    pub async fn write_with<R>(
        &self,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(|cx| self.poll_with(Direction::Write, cx, &mut operation)).await
    }

    /// The heart of all I/O: try, and wait only if there is nothing to do.
    #[inline]
    pub(crate) fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Cx<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        if must_look_away(cx, || self.describe(direction)) {
            return Poll::Pending;
        }
        std::task::ready!(spend_budget(cx));
        loop {
            if let Some(registration) = self.registration.get() {
                std::task::ready!(registration.poll_ready(direction, cx))?;
            }
            match operation(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration()?.state.set_blocked(direction);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Notes that the last operation used up what there was; see `SourceState::set_drained`.
    pub(crate) fn set_drained(&self, direction: Direction) {
        if let Some(registration) = self.registration.get() {
            registration.state.set_drained(direction);
        }
    }

    fn registration(&self) -> io::Result<&Registration> {
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let registration = Registration::new(&running_loop(), self.get_ref().as_fd())?;
        Ok(self.registration.get_or_init(|| registration))
    }

    /// While the descriptor is still open: afterwards its number may be somebody else's.
    fn deregister(&mut self) {
        if let (Some(registration), Some(io)) = (self.registration.take(), &self.io) {
            registration.remove(io.as_fd());
        }
    }
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        self.deregister();
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.io).finish()
    }
}

/// # Cancel safety
///
/// One read that is cancelled while it waits has read nothing.
impl<T: AsFd> AsyncRead for &Async<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Read, cx, |mut io| io.read(buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Read, cx, |mut io| io.read_vectored(buffers))
    }
}

/// As for a reference.
impl<T: AsFd> AsyncRead for Async<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, buffers)
    }
}

/// Closing flushes, and ends nothing: what ends a direction depends on the kind of object.
///
/// # Cancel safety
///
/// One write that is cancelled while it waits has written nothing.
impl<T: AsFd> AsyncWrite for &Async<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Write, cx, |mut io| io.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Write, cx, |mut io| io.write_vectored(buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.poll_with(Direction::Write, cx, |mut io| io.flush())
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// As for a reference.
impl<T: AsFd> AsyncWrite for Async<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

/// Asks the system, without waiting.
fn is_ready_now(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<bool> {
    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    let ready =
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&Timespec::default())))?;
    Ok(ready > 0)
}
