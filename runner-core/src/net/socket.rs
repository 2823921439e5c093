//! The calls on sockets for which `std` has no form that never blocks.
//!
//! Each of them is made once and either succeeds, fails or says `WouldBlock`. Nobody here waits, and nobody here knows who
//! would.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net as unix;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};

/// Connections that may wait in the system's queue for an `accept`. More than the 128 of `std`: a client that finds the
/// queue full tries again only after a second.
const BACKLOG: i32 = 1024;

/// Whether other listeners may have the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Alone,
    Shared,
}

/// Makes a listener on `address`, which may be in use by connections that are about to end.
pub(super) fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = new(family(address), SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if sharing == Sharing::Shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Makes a socket that can be connected to `address`.
pub(super) fn new_stream(address: SocketAddr) -> io::Result<TcpStream> {
    new(family(address), SocketType::STREAM).map(TcpStream::from)
}

/// Begins to connect; `WouldBlock` if that takes longer than a moment.
pub(super) fn begin_connect(stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
    match rustix::net::connect(stream, &address) {
        Err(Errno::INPROGRESS) => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result?),
    }
}

/// Asks how connecting ended; `WouldBlock` if it did not.
///
/// A socket without an error need not be connected: whoever asks may have been woken for nothing.
pub(super) fn finish_connect(stream: &TcpStream) -> io::Result<()> {
    sockopt::socket_error(stream)??;
    match stream.peer_addr() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        result => result.map(drop),
    }
}

/// Takes the next connection out of the system's queue.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    skip_aborted(accept_nonblocking(listener))
}

/// The same for Unix sockets.
pub(super) fn accept_unix(
    listener: &unix::UnixListener,
) -> io::Result<(unix::UnixStream, unix::SocketAddr)> {
    let accepted = listener.accept().and_then(|(stream, peer)| {
        stream.set_nonblocking(true)?;
        Ok((stream, peer))
    });
    skip_aborted(accepted)
}

/// A peer may have given up while it was queued; `Interrupted` asks for the next one.
fn skip_aborted<T>(accepted: io::Result<T>) -> io::Result<T> {
    match accepted {
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
            Err(io::ErrorKind::Interrupted.into())
        }
        result => result,
    }
}

/// Returns `true` if the system is short of what a new socket needs: descriptors or memory.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

/// Makes a Unix stream that is connected to `address`; `WouldBlock` if the listener's queue is full, of whose end no event
/// tells.
pub(super) fn connect_unix(address: &unix::SocketAddr) -> io::Result<unix::UnixStream> {
    let socket = new(AddressFamily::UNIX, SocketType::STREAM)?;
    rustix::net::connect(&socket, &unix_address(address)?)?;
    Ok(unix::UnixStream::from(socket))
}

/// The address in the words of the calls.
fn unix_address(address: &unix::SocketAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_abstract_name() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "a Unix socket without a name cannot be connected to",
    ))
}

#[cfg(target_os = "linux")]
fn new(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, kind, flags, None)?)
}

#[cfg(not(target_os = "linux"))]
fn new(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, kind, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

fn family(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// One call where `std` needs two.
#[cfg(target_os = "linux")]
fn accept_nonblocking(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let stream = TcpStream::from(socket);
    let peer = match peer {
        Some(peer) => SocketAddr::try_from(peer)?,
        None => stream.peer_addr()?,
    };
    Ok((stream, peer))
}

#[cfg(not(target_os = "linux"))]
fn accept_nonblocking(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}
