//! The two halves of a stream, for two tasks of the same loop.
//!
//! Each half lends out the direction that it is named after, and nothing else. They share the stream by counting; this
//! file makes no system call but the one that says "no more from here".

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::tcp::TcpStream;

/// The reading half of a stream; made by [`TcpStream::into_split`].
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
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Rc<TcpStream>,
}

impl OwnedReadHalf {
    pub(super) fn new(stream: Rc<TcpStream>) -> OwnedReadHalf {
        OwnedReadHalf { stream }
    }

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
        self.stream.peek(buffer).await
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for OwnedReadHalf {
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

/// The writing half of a stream; made by [`TcpStream::into_split`]. Dropping it ends the writing direction.
///
/// # Cancel safety
///
/// As for [`TcpStream`].
///
/// # Examples
///
/// See [`OwnedReadHalf`].
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Rc<TcpStream>,
}

impl OwnedWriteHalf {
    pub(super) fn new(stream: Rc<TcpStream>) -> OwnedWriteHalf {
        OwnedWriteHalf { stream }
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncWrite for OwnedWriteHalf {
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

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        // The connection may have ended already, and there is nobody left to tell.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
