//! Unix sockets: listeners and streams between processes of one machine; datagrams are in `unix/datagram.rs`.
//!
//! The same as TCP with other addresses: a path in the file system or, on Linux, an abstract name, which are those of
//! `std`. This file knows nothing about the loop.

mod datagram;

pub use self::datagram::UnixDatagram;

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self as std_unix, SocketAddr};
use std::path::Path;
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use super::split::{self, OwnedReadHalf, OwnedWriteHalf};
use super::stream::{self, Stream, implement_futures_io};
use super::{listener, socket};
use crate::io::Async;
use crate::sleep::sleep;
use crate::task::inquiry::WaitsOn;
use crate::task::must_look_away;

/// How long a connect to a listener with a full queue waits before it tries again, at first and at most.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_QUEUE_PAUSE: Duration = Duration::from_millis(64);

/// A Unix socket that takes connections.
///
/// Its file is neither removed before it is bound nor when it is dropped: a file that is in the way belongs to somebody, and
/// only the program knows whether to whom it belongs is still alive.
///
/// # Differences from asyncio
///
/// `start_unix_server` removes a socket's file that is in the way, and since Python 3.13 its own one when it is closed.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::net::{UnixListener, UnixStream};
/// use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
///
/// # let directory = std::env::temp_dir().join(format!("asyncio-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).unwrap();
/// let path = directory.join("socket");
/// asyncio::run(async {
///     let listener = UnixListener::bind(&path)?;
///     let server = asyncio::spawn(async move {
///         let (mut stream, _peer) = listener.accept().await?;
///         stream.write_all(b"welcome").await
///     });
///     let mut text = String::new();
///     UnixStream::connect(&path).await?.read_to_string(&mut text).await?;
///     assert_eq!(text, "welcome");
///     server.await??;
///     std::fs::remove_file(&path)
/// })
/// .unwrap()
/// .unwrap();
/// # std::fs::remove_dir_all(&directory).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "start_unix_server")]
pub struct UnixListener {
    io: Async<std_unix::UnixListener>,
}

impl UnixListener {
    /// Listens on the file `path`, which must not be there yet.
    ///
    /// # Errors
    ///
    /// The system's: `AddrInUse` if there is a file, `InvalidInput` if the path has more than about 100 bytes.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::from_std(std_unix::UnixListener::bind(path)?)
    }

    /// Listens on `address`, which may be an abstract name where there are any.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # #[cfg(target_os = "linux")] {
    /// use asyncio::net::{UnixListener, UnixStream};
    /// use std::os::linux::net::SocketAddrExt as _;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// let name = format!("asyncio-example-{}", std::process::id());
    /// let address = SocketAddr::from_abstract_name(name).unwrap();
    /// asyncio::run(async {
    ///     let listener = UnixListener::bind_addr(&address)?;
    ///     let _client = UnixStream::connect_addr(&address).await?;
    ///     listener.accept().await
    /// })
    /// .unwrap()
    /// .unwrap();
    /// # }
    /// ```
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::from_std(std_unix::UnixListener::bind_addr(address)?)
    }

    /// Waits for a connection; returns it and the peer's address, which most often has no name.
    ///
    /// # Errors
    ///
    /// The system's. When it is short of descriptors or memory, after a pause, as
    /// [`TcpListener::accept`](super::TcpListener::accept).
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost: it is either returned, or still in the queue for the next call.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = listener::next(&self.io, socket::accept_unix).await?;
        Ok((UnixStream::from_nonblocking(stream), peer))
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Takes the error that the system keeps for the socket, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Takes over a listener of the standard library and switches it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn from_std(listener: std_unix::UnixListener) -> io::Result<UnixListener> {
        Ok(UnixListener {
            io: Async::new(listener)?,
        })
    }

    /// Gives the listener back, still in non-blocking mode.
    pub fn into_std(self) -> std_unix::UnixListener {
        self.io.into_inner()
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// A connection between two processes of one machine, read and written through the traits of `futures-io`.
///
/// A reference can be read and written as well, so one task may read while another one writes; [`into_split`] makes
/// halves that own what they use. Dropping the stream closes the connection.
///
/// # Cancel safety
///
/// One read or write that is cancelled while it waits has done nothing. What is built of several of them, as `read_exact`
/// and `write_all`, may have done a part.
///
/// # Differences from asyncio
///
/// As for [`TcpStream`](super::TcpStream). The peer's credentials are not offered yet: no safe call of `std` or of the
/// crates below tells them rightly across the borders of containers.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::net::UnixStream;
/// use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
///
/// asyncio::run(async {
///     let (mut ours, mut theirs) = UnixStream::pair()?;
///     ours.write_all(b"ping").await?;
///     let mut buffer = [0; 4];
///     theirs.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"ping");
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
///
/// [`into_split`]: UnixStream::into_split
#[derive(Debug)]
pub struct UnixStream {
    io: Async<std_unix::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener on the file `path`.
    ///
    /// If the listener's queue is full, this waits until there is room. The system tells nobody when that is, so it is tried
    /// again after pauses of 1 to 64 ms.
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
    /// The attempt is given up, and its socket closed. The peer may have seen a connection that ends at once.
    #[doc(alias = "open_unix_connection")]
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_pathname(path)?).await
    }

    /// Connects to the listener on `address`, which may be an abstract name where there are any.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixStream::connect).
    ///
    /// # Panics
    ///
    /// As [`connect`](UnixStream::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](UnixStream::connect).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let mut pause = QUEUE_PAUSE;
        loop {
            let connect = |cx: &mut Cx<'_>| match must_look_away(cx, || describe(address)) {
                true => Poll::Pending,
                false => Poll::Ready(socket::connect_unix(address)),
            };
            match poll_fn(connect).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => return result.map(UnixStream::from_nonblocking),
            }
            pause = (pause * 2).min(LONGEST_QUEUE_PAUSE);
        }
    }

    /// Makes both ends of a connection without a name.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = std_unix::UnixStream::pair()?;
        Ok((UnixStream::from_std(one)?, UnixStream::from_std(other)?))
    }

    fn from_nonblocking(stream: std_unix::UnixStream) -> UnixStream {
        UnixStream {
            io: Async::from_nonblocking(stream),
        }
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Ends one direction or both. The other end reads an end, and whoever waits on this one is woken.
    ///
    /// # Errors
    ///
    /// The system's; `NotConnected` if the connection has ended already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// Waits for bytes and copies them to `buffer`, but leaves them where they are: the next read finds them again.
    ///
    /// Returns how many there were; 0 at the end of what the peer sends.
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
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        stream::peek(self, buffer).await
    }

    /// Takes the error that the system keeps for the socket, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Splits the stream into halves that two tasks can own.
    ///
    /// The connection is closed when both are dropped; dropping the writing half ends the writing direction.
    /// [`reunite`](OwnedReadHalf::reunite) makes one of them again.
    pub fn into_split(self) -> (OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>) {
        split::split(self)
    }

    /// Takes over a stream of the standard library and switches it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn from_std(stream: std_unix::UnixStream) -> io::Result<UnixStream> {
        Ok(UnixStream {
            io: Async::new(stream)?,
        })
    }

    /// Gives the stream back, still in non-blocking mode.
    pub fn into_std(self) -> std_unix::UnixStream {
        self.io.into_inner()
    }
}

fn describe(address: &SocketAddr) -> WaitsOn {
    WaitsOn::new(format!("a connection to {address:?}"))
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl Stream for UnixStream {
    type Std = std_unix::UnixStream;

    /// A read also stops short in front of bytes that a descriptor was sent with, and no event tells that more is there.
    const SHORT_READ_EMPTIES: bool = false;

    fn io(&self) -> &Async<std_unix::UnixStream> {
        &self.io
    }

    fn end(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

implement_futures_io!(UnixStream);
