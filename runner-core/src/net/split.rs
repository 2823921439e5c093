//! The two halves of a stream, for two tasks of the same loop.
//!
//! Each half lends out the direction that it is named after, and nothing else. They share the stream by counting; this
//! file makes no system call but the one that says "no more from here".

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::stream::{self, Stream};
use super::tcp::TcpStream;

/// Makes both halves of `stream`.
pub(super) fn split<S: Stream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Rc::new(stream);
    let reader = OwnedReadHalf {
        stream: stream.clone(),
    };
    let writer = OwnedWriteHalf {
        stream,
        ends_when_dropped: true,
    };
    (reader, writer)
}

/// The reading half of a stream; made by [`TcpStream::into_split`] and [`UnixStream::into_split`].
///
/// # Cancel safety
///
/// As for [`TcpStream`].
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::net::{TcpListener, TcpStream};
/// use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
///
/// asyncio::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut reader, mut writer) = listener.accept().await?.0.into_split();
///     let echo = asyncio::spawn(async move { futures_lite::io::copy(&mut reader, &mut writer).await });
///     client.write_all(b"there and back").await?;
///     client.close().await?;
///     let mut text = String::new();
///     client.read_to_string(&mut text).await?;
///     assert_eq!(text, "there and back");
///     echo.await?
/// })
/// .unwrap()
/// .unwrap();
/// ```
///
/// [`UnixStream::into_split`]: super::UnixStream::into_split
#[derive(Debug)]
pub struct OwnedReadHalf<S: Stream = TcpStream> {
    stream: Rc<S>,
}

impl<S: Stream> OwnedReadHalf<S> {
    /// Waits for bytes and copies them to `buffer`, but leaves them where they are; see [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed in any case.
    pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        stream::peek(&*self.stream, buffer).await
    }

    /// Makes one stream of both halves again; neither direction is ended.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], which has both halves, if they are not of one stream.
    pub fn reunite(self, mut writer: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Rc::ptr_eq(&self.stream, &writer.stream) {
            return Err(ReuniteError(self, writer));
        }
        writer.ends_when_dropped = false;
        drop(writer);
        let stream = Rc::try_unwrap(self.stream).ok();
        Ok(stream.expect("a stream has two halves, and one of them is gone"))
    }
}

impl<S: Stream> AsRef<S> for OwnedReadHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Stream> AsyncRead for OwnedReadHalf<S>
where
    for<'a> &'a S: AsyncRead,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_read_vectored(cx, buffers)
    }
}

/// The writing half of a stream; made by [`TcpStream::into_split`] and [`UnixStream::into_split`]. Dropping it ends the
/// writing direction.
///
/// # Cancel safety
///
/// As for [`TcpStream`].
///
/// # Examples
///
/// See [`OwnedReadHalf`].
///
/// [`UnixStream::into_split`]: super::UnixStream::into_split
#[derive(Debug)]
pub struct OwnedWriteHalf<S: Stream = TcpStream> {
    stream: Rc<S>,
    /// False only on the way back into one stream.
    ends_when_dropped: bool,
}

impl<S: Stream> AsRef<S> for OwnedWriteHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Stream> AsyncWrite for OwnedWriteHalf<S>
where
    for<'a> &'a S: AsyncWrite,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_close(cx)
    }
}

impl<S: Stream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.ends_when_dropped {
            // The connection may have ended already, and there is nobody left to tell.
            let _ = self.stream.end(Shutdown::Write);
        }
    }
}

/// Two halves that do not belong together; see [`OwnedReadHalf::reunite`].
#[derive(Debug)]
pub struct ReuniteError<S: Stream = TcpStream>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S: Stream> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot make one stream of two halves that are not of the same one")
    }
}

impl<S: Stream + fmt::Debug> std::error::Error for ReuniteError<S> {}
