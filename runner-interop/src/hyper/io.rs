//! hyper's streams of bytes over those of `futures-io`, and the other way round.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use runner_core::io::{AsyncRead, AsyncWrite};

/// The most that one read asks for. hyper's buffer may be far larger, and what is offered to the stream must be cleared first.
const READ_SIZE: usize = 64 * 1024;

/// Carries hyper's bytes over anything with the traits of `futures-io`: sockets of this crate, TLS over them, pipes.
///
/// Bytes are read into hyper's own buffer, with no copy in between. It works the other way round as well: over one of hyper's
/// streams, such as an upgraded connection, it has the traits of `futures-io`.
///
/// hyper writes head and body in one vectored write. Over a stream that has none of its own, such as TLS, tell hyper's builder
/// `writev(false)`: it then joins them first, which makes one record instead of two.
///
/// # Cancel safety
///
/// That of the stream: one read or write that is dropped while it waits has done nothing.
#[derive(Debug)]
pub struct Io<T> {
    stream: T,
}

impl<T> Io<T> {
    /// Wraps a stream.
    pub fn new(stream: T) -> Io<T> {
        Io { stream }
    }

    /// Gives the stream back. What hyper has read of it and not used is in the parts that hyper gives back beside it.
    pub fn into_inner(self) -> T {
        self.stream
    }

    /// Returns the stream, for its addresses and options.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// The same for changes.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }
}

impl<T: AsyncRead + Unpin> Read for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: only initialized bytes are written to it.
        let room = unsafe { target.as_mut() };
        let room_size = room.len().min(READ_SIZE);
        let room = &mut room[..room_size];
        room.fill(MaybeUninit::new(0));
        // SAFETY: every byte of it was initialized by the line above, and `MaybeUninit<u8>` has the layout of `u8`.
        let room = unsafe { &mut *(ptr::from_mut(room) as *mut [u8]) };
        let length = ready!(Pin::new(&mut self.stream).poll_read(cx, room))?;
        assert!(
            length <= room_size,
            "a stream claims to have read more than it was given room for"
        );
        // SAFETY: that many bytes are initialized, as just compared.
        unsafe { target.advance(length) };
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Write for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }
}

impl<T: Read + Unpin> AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<T: Write + Unpin> AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
