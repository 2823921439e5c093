//! TCP: listeners and streams.
//!
//! A connection is either returned or still in the system's queue, a byte either returned or still in the socket, also
//! when the waiting task is cancelled. This file knows nothing about the loop, and of system calls only their names.

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use super::addrs::{ToSocketAddrs, first_good, lookup_host};
use super::happy_eyeballs::first_connected;
use super::socket::Sharing;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf};
use super::stream::{self, Stream, implement_futures_io};
use super::{listener, socket};
use crate::io::Async;

/// A TCP socket that takes connections.
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
///     let address = listener.local_addr()?;
///     let server = asyncio::spawn(async move {
///         let (mut stream, _peer) = listener.accept().await?;
///         stream.write_all(b"welcome").await
///     });
///     let mut text = String::new();
///     TcpStream::connect(address).await?.read_to_string(&mut text).await?;
///     assert_eq!(text, "welcome");
///     server.await?
/// })
/// .unwrap()
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    io: Async<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens on `address`; port 0 lets the system choose, see [`local_addr`](TcpListener::local_addr).
    ///
    /// If it stands for several addresses, the first one that can be listened on is taken. The option `SO_REUSEADDR` is
    /// set, so that a server can be started again at once.
    ///
    /// # Errors
    ///
    /// The system's, of the last address tried, and those of [`lookup_host`](super::lookup_host).
    ///
    /// # Panics
    ///
    /// When a name is looked up outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        TcpListener::bind_with(address, Sharing::Alone).await
    }

    /// The same, where other listeners may have the same address, if they are made by this method too: those of the other
    /// workers of a [`Runner`](crate::Runner), or of other processes of the same user.
    ///
    /// The option `SO_REUSEPORT` is set. On Linux the system then deals out the connections, by a hash of both addresses:
    /// each listener has a queue of its own, and each worker's loop accepts for itself. The connections that wait in a
    /// listener's queue when it is closed are reset. Other systems may give all connections to one of the listeners.
    ///
    /// Port 0 lets the system choose a port for each listener. To share one, bind the first listener to port 0, and the others
    /// to what [`local_addr`](TcpListener::local_addr) says then.
    ///
    /// # Errors
    ///
    /// As [`bind`](TcpListener::bind).
    ///
    /// # Panics
    ///
    /// As [`bind`](TcpListener::bind).
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::net::TcpListener;
    ///
    /// asyncio::run(async {
    ///     let first = TcpListener::bind_shared("127.0.0.1:0").await?;
    ///     let second = TcpListener::bind_shared(first.local_addr()?).await?;
    ///     assert_eq!(first.local_addr()?, second.local_addr()?);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap()
    /// .unwrap();
    /// ```
    #[doc(alias = "reuse_port")]
    pub async fn bind_shared(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        TcpListener::bind_with(address, Sharing::Shared).await
    }

    async fn bind_with(address: impl ToSocketAddrs, sharing: Sharing) -> io::Result<TcpListener> {
        let listen = async |address| socket::listen(address, sharing);
        Ok(TcpListener {
            io: Async::from_nonblocking(first_good(address, listen).await?),
        })
    }

    /// Waits for a connection; returns it and the peer's address.
    ///
    /// # Errors
    ///
    /// The system's. When it is short of descriptors or memory, the error is returned only after a pause of 100 ms: such an
    /// error lasts, and a loop that accepts, logs the error and accepts again would otherwise take all of the processor. The
    /// connections stay in the queue meanwhile. A connection that the peer gave up before it was accepted is no error.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost: it is either returned, or still in the queue for the next call.
    ///
    /// # Differences from asyncio
    ///
    /// `start_server` stops listening for one second when no descriptor is left, and tells the exception handler.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = listener::next(&self.io, socket::accept).await?;
        Ok((TcpStream::from_nonblocking(stream), peer))
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns after how many hops a packet is given up.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets after how many hops a packet is given up.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(ttl)
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
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener {
            io: Async::new(listener)?,
        })
    }

    /// Gives the listener back, still in non-blocking mode.
    pub fn into_std(self) -> std::net::TcpListener {
        self.io.into_inner()
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// A TCP connection, read and written through the traits of `futures-io`.
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
/// There is no buffer in between: `write` gives the bytes to the system, and waits while it takes no more. So there is no
/// `drain` to forget, and nothing that is lost when the program ends. Wrap the stream in a buffered reader to read lines.
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
///     let (mut server, _peer) = listener.accept().await?;
///     client.write_all(b"ping").await?;
///     let mut buffer = [0; 4];
///     server.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"ping");
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
///
/// [`into_split`]: TcpStream::into_split
#[derive(Debug)]
pub struct TcpStream {
    io: Async<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `address`; if it stands for several, to the one that answers first.
    ///
    /// Addresses are tried as RFC 8305 ("Happy Eyeballs") has it: IPv6 and IPv4 take turns, the next attempt begins as soon as
    /// one has failed, and beside one that has taken 250 ms.
    ///
    /// # Errors
    ///
    /// The system's, of the attempt that failed last, and those of [`lookup_host`](super::lookup_host).
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// The attempts are given up, and their sockets closed. The peer may have seen a connection that ends at once.
    ///
    /// # Differences from asyncio
    ///
    /// `create_connection` tries one address after another unless it is given a `happy_eyeballs_delay`.
    #[doc(alias = "open_connection")]
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        first_connected(lookup_host(address).await?, TcpStream::connect_to).await
    }

    async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::from_nonblocking(socket::new_stream(address)?);
        stream.reach(address).await?;
        Ok(stream)
    }

    /// Connects a socket that was made elsewhere to `address`, with whatever was set before: an address of its own, options.
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
    /// As [`connect`](TcpStream::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// use asyncio::net::{TcpListener, TcpStream};
    /// use socket2::{Domain, Socket, Type};
    /// use std::net::SocketAddr;
    ///
    /// asyncio::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let from: SocketAddr = "127.0.0.1:0".parse().unwrap();
    ///     let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    ///     socket.bind(&from.into())?;
    ///     let client = TcpStream::connect_std(socket.into(), listener.local_addr()?).await?;
    ///     assert_eq!(listener.accept().await?.1, client.local_addr()?);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap()
    /// .unwrap();
    /// ```
    pub async fn connect_std(
        socket: std::net::TcpStream,
        address: SocketAddr,
    ) -> io::Result<TcpStream> {
        let stream = TcpStream::from_std(socket)?;
        stream.reach(address).await?;
        Ok(stream)
    }

    async fn reach(&self, address: SocketAddr) -> io::Result<()> {
        let mut has_begun = false;
        let connect = |stream: &std::net::TcpStream| {
            if std::mem::replace(&mut has_begun, true) {
                socket::finish_connect(stream)
            } else {
                socket::begin_connect(stream, address)
            }
        };
        self.io.write_with(connect).await
    }

    fn from_nonblocking(stream: std::net::TcpStream) -> TcpStream {
        TcpStream {
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

    /// Says whether small writes are sent at once (`TCP_NODELAY`), or may wait for more.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Differences from asyncio
    ///
    /// asyncio sets it on every connection; here, as everywhere in Rust, it is off unless it is asked for.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get_ref().set_nodelay(nodelay)
    }

    /// Returns whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get_ref().nodelay()
    }

    /// Returns after how many hops a packet is given up.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets after how many hops a packet is given up.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(ttl)
    }

    /// Takes the error that the system keeps for the socket, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
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

    /// Splits the stream into halves that two tasks can own.
    ///
    /// The connection is closed when both are dropped; dropping the writing half ends the writing direction.
    /// [`reunite`](OwnedReadHalf::reunite) makes one of them again.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::split(self)
    }

    /// Takes over a stream of the standard library and switches it to non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the mode cannot be switched.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream {
            io: Async::new(stream)?,
        })
    }

    /// Gives the stream back, still in non-blocking mode.
    pub fn into_std(self) -> std::net::TcpStream {
        self.io.into_inner()
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl Stream for TcpStream {
    type Std = std::net::TcpStream;

    /// A read also stops short at an urgent byte; the driver's report of that one says not to rely on this.
    const SHORT_READ_EMPTIES: bool = true;

    fn io(&self) -> &Async<std::net::TcpStream> {
        &self.io
    }

    fn end(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

implement_futures_io!(TcpStream);
