//! What all streams of bytes share, whatever carries them: how they are read, written, peeked at and ended.
//!
//! The kinds of stream differ in how they are made and in what their addresses are; the rest is here, once. This file knows
//! no kind by name.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context as Cx, Poll, ready};

use rustix::net::{RecvFlags, recv};

use crate::event_loop::Direction;
use crate::io::Async;

/// A stream of one kind. Only this crate has them.
pub trait Stream {
    /// The same in the standard library.
    type Std: AsFd;

    /// Says that a read that did not fill what it was given has emptied the socket, and that the call that would find
    /// nothing can be saved. An end is not "nothing": it can be read again and again.
    const SHORT_READ_EMPTIES: bool;

    /// Where it waits.
    fn io(&self) -> &Async<Self::Std>;

    /// Ends one direction or both.
    fn end(&self, how: Shutdown) -> io::Result<()>;
}

/// One read, tried until it gives something.
pub(super) fn poll_read<S: Stream>(
    stream: &S,
    cx: &mut Cx<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a S::Std: Read,
{
    let read = |mut socket: &S::Std| socket.read(buffer);
    let length = ready!(stream.io().poll_with(Direction::Read, cx, read))?;
    note_read(stream, length, buffer.len());
    Poll::Ready(Ok(length))
}

/// The same into several buffers, one after another.
pub(super) fn poll_read_vectored<S: Stream>(
    stream: &S,
    cx: &mut Cx<'_>,
    buffers: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a S::Std: Read,
{
    let read = |mut socket: &S::Std| socket.read_vectored(buffers);
    let length = ready!(stream.io().poll_with(Direction::Read, cx, read))?;
    note_read(
        stream,
        length,
        buffers.iter().map(|buffer| buffer.len()).sum(),
    );
    Poll::Ready(Ok(length))
}

fn note_read<S: Stream>(stream: &S, length: usize, room: usize) {
    if S::SHORT_READ_EMPTIES && 0 < length && length < room {
        stream.io().set_drained(Direction::Read);
    }
}

/// One write, tried until the system takes something.
pub(super) fn poll_write<S: Stream>(
    stream: &S,
    cx: &mut Cx<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a S::Std: Write,
{
    let write = |mut socket: &S::Std| socket.write(bytes);
    stream.io().poll_with(Direction::Write, cx, write)
}

/// The same from several buffers, one after another.
pub(super) fn poll_write_vectored<S: Stream>(
    stream: &S,
    cx: &mut Cx<'_>,
    buffers: &[IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a S::Std: Write,
{
    let write = |mut socket: &S::Std| socket.write_vectored(buffers);
    stream.io().poll_with(Direction::Write, cx, write)
}

/// Ends the writing direction; the other one stays open.
pub(super) fn end_writing<S: Stream>(stream: &S) -> io::Result<()> {
    match stream.end(Shutdown::Write) {
        // The peer was faster: there is nothing left to end.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

/// Waits for bytes and copies them, but leaves them where they are.
pub(super) async fn peek<S: Stream>(stream: &S, buffer: &mut [u8]) -> io::Result<usize> {
    let io = stream.io();
    io.read_with(|socket| Ok(recv(socket, &mut *buffer, RecvFlags::PEEK)?.0))
        .await
}

/// The traits of `futures-io` for a stream and for a reference to one.
macro_rules! implement_futures_io {
    ($stream:ty) => {
        $crate::net::stream::implement_futures_io!($stream, $stream);
        $crate::net::stream::implement_futures_io!($stream, &$stream);
    };
    ($stream:ty, $target:ty) => {
        impl $crate::io::AsyncRead for $target {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::stream::poll_read::<$stream>(&self, cx, buffer)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::stream::poll_read_vectored::<$stream>(&self, cx, buffers)
            }
        }

        impl $crate::io::AsyncWrite for $target {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::stream::poll_write::<$stream>(&self, cx, bytes)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::stream::poll_write_vectored::<$stream>(&self, cx, buffers)
            }

            /// Does nothing: every write goes to the system at once.
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            /// Ends the writing direction; the other one stays open.
            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready($crate::net::stream::end_writing::<$stream>(&self))
            }
        }
    };
}

pub(super) use implement_futures_io;
