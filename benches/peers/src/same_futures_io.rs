//! The four ways to serve a connection, over the traits of `futures-io`, for the contestants whose sockets have these.

use std::io;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::tcp_clients::{BULK_BUFFER, MESSAGE_LENGTH, SERVER_BUFFER};

/// Sends everything back until the client closes.
pub(crate) async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; SERVER_BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

/// Sends one message back and closes.
pub(crate) async fn echo_once(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut message = [0; MESSAGE_LENGTH];
    stream.read_exact(&mut message).await?;
    stream.write_all(&message).await
}

/// Reads until the client ends, and returns how much that was.
pub(crate) async fn drain(mut stream: impl AsyncRead + Unpin) -> io::Result<usize> {
    let mut buffer = vec![0; BULK_BUFFER];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(total),
            length => total += length,
        }
    }
}

/// Writes so many bytes and closes.
pub(crate) async fn pour(mut stream: impl AsyncWrite + Unpin, bytes: usize) -> io::Result<()> {
    let chunk = vec![7; BULK_BUFFER];
    for _ in 0..bytes / BULK_BUFFER {
        stream.write_all(&chunk).await?;
    }
    Ok(())
}
