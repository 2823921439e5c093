//! The calls on sockets for which `std` has no form that never blocks.
//!
//! Each of them is made once and either succeeds, fails or says `WouldBlock`. Nobody here waits, and nobody here knows who
//! would.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};

/// Connections that may wait in the system's queue for an `accept`. More than the 128 of `std`: a client that finds the
/// queue full tries again only after a second.
const BACKLOG: i32 = 1024;

/// Makes a listener on `address`, which may be in use by connections that are about to end.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_tcp(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Makes a socket that can be connected to `address`.
pub(super) fn new_stream(address: SocketAddr) -> io::Result<TcpStream> {
    new_tcp(address).map(TcpStream::from)
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
    match accept_nonblocking(listener) {
        // That peer gave up while it was queued; `Interrupted` asks for the next one.
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

#[cfg(target_os = "linux")]
fn new_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(
        family(address),
        SocketType::STREAM,
        flags,
        None,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn new_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family(address), SocketType::STREAM, None)?;
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
