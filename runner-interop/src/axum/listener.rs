//! Where connections come from.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use runner_core::io::{AsyncRead, AsyncWrite};
use runner_core::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Takes connections for [`serve`](super::serve): TCP and Unix sockets do, and what a program builds over them.
pub trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// Who is at its other end.
    type Peer: Clone + Send + Sync + 'static;

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// Those of the listener. They are reported, and this is called again: an error that lasts must not be returned at once.
    ///
    /// # Cancel safety
    ///
    /// No connection may be lost: the wait is dropped when serving ends.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        // An answer is written in one piece, so there is nothing that would be worth waiting for.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    /// Clients have no names of their own.
    type Peer = ();

    async fn accept(&self) -> io::Result<(UnixStream, ())> {
        let (stream, _unnamed) = self.accept().await?;
        Ok((stream, ()))
    }
}
