//! Unix sockets for datagrams, which are never lost on the way: a sender waits while the receiver's queue is full.
//!
//! A datagram is received whole or not at all; a cancelled wait leaves it in the socket.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self as std_unix, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::io::Async;
use crate::sleep::sleep;

/// How long `send_to` waits for room in the receiver's queue before it tries again, at first and at most.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_QUEUE_PAUSE: Duration = Duration::from_millis(16);

/// A Unix socket for datagrams.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::net::UnixDatagram;
///
/// asyncio::run(async {
///     let (ours, theirs) = UnixDatagram::pair()?;
///     ours.send(b"ping").await?;
///     let mut buffer = [0; 16];
///     let length = theirs.recv(&mut buffer).await?;
///     assert_eq!(&buffer[..length], b"ping");
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    io: Async<std_unix::UnixDatagram>,
}

impl UnixDatagram {
    /// Opens a socket on the file `path`, which must not be there yet. The file is not removed when it is dropped.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(std_unix::UnixDatagram::bind(path)?)
    }

    /// Opens a socket on `address`, which may be an abstract name where there are any.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(std_unix::UnixDatagram::bind_addr(address)?)
    }

    /// Opens a socket without a name: it can send, and nobody can answer.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(std_unix::UnixDatagram::unbound()?)
    }

    /// Makes two sockets without a name that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = std_unix::UnixDatagram::pair()?;
        Ok((UnixDatagram::from_std(one)?, UnixDatagram::from_std(other)?))
    }

    /// Makes the socket on the file `path` the one that [`send`](UnixDatagram::send) sends to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.io.get_ref().connect(path)
    }

    /// The same for an address, which may be an abstract name where there are any.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.io.get_ref().connect_addr(address)
    }

    /// Sends one datagram to the socket that this one is connected to.
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
    /// The datagram is sent or it is not.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.write_with(|socket| socket.send(bytes)).await
    }

    /// Sends one datagram to the socket on the file `path`.
    ///
    /// While that one's queue is full, this waits. The system tells only connected senders when there is room, so it is tried
    /// again after pauses of 1 to 16 ms; [`connect`](UnixDatagram::connect) and [`send`](UnixDatagram::send) need none.
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
    /// The datagram is sent or it is not.
    pub async fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(bytes, &SocketAddr::from_pathname(path)?)
            .await
    }

    /// The same for an address, which may be an abstract name where there are any.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UnixDatagram::send_to).
    ///
    /// # Panics
    ///
    /// As [`send_to`](UnixDatagram::send_to).
    ///
    /// # Cancel safety
    ///
    /// As [`send_to`](UnixDatagram::send_to).
    pub async fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let mut pause = QUEUE_PAUSE;
        // No event tells that the queue of somebody else has room: `None` instead of `WouldBlock`, so as not to wait for one.
        let send = |socket: &std_unix::UnixDatagram| match socket.send_to_addr(bytes, address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        };
        loop {
            if let Some(length) = self.io.write_with(send).await? {
                return Ok(length);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_QUEUE_PAUSE);
        }
    }

    /// Waits for a datagram and returns its length. What does not fit into `buffer` is cut off.
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
    /// No datagram is lost: it is either returned, or still in the socket.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|socket| socket.recv(buffer)).await
    }

    /// The same, and returns the sender as well.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Panics
    ///
    /// As [`recv`](UnixDatagram::recv).
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](UnixDatagram::recv).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.read_with(|socket| socket.recv_from(buffer)).await
    }

    /// Ends one direction or both; whoever waits here is woken.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns the address of the socket that this one is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is none; else the system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Takes the error that the system keeps for the socket, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Takes over a socket of the standard library and switches it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn from_std(socket: std_unix::UnixDatagram) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram {
            io: Async::new(socket)?,
        })
    }

    /// Gives the socket back, still in non-blocking mode.
    pub fn into_std(self) -> std_unix::UnixDatagram {
        self.io.into_inner()
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}
