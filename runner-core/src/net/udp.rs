//! UDP: sockets for datagrams.
//!
//! A datagram is received whole or not at all; a cancelled wait leaves it in the socket. This file knows nothing about the
//! loop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use super::addrs::{ToSocketAddrs, first_good, lookup_host, no_address};
use crate::io::Async;

/// A UDP socket.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::net::UdpSocket;
///
/// asyncio::run(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.send_to(b"ping", server.local_addr()?).await?;
///     let mut buffer = [0; 16];
///     let (length, sender) = server.recv_from(&mut buffer).await?;
///     assert_eq!((&buffer[..length], sender), (&b"ping"[..], client.local_addr()?));
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: Async<std::net::UdpSocket>,
}

impl UdpSocket {
    /// Opens a socket on `address`; port 0 lets the system choose.
    ///
    /// If it stands for several addresses, the first one that can be taken is.
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
    ///
    /// # Differences from asyncio
    ///
    /// This is `create_datagram_endpoint` with calls that are awaited instead of a protocol that is called back.
    #[doc(alias = "create_datagram_endpoint")]
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        let bound = first_good(address, async |address| std::net::UdpSocket::bind(address));
        UdpSocket::from_std(bound.await?)
    }

    /// Makes `address` the one that [`send`](UdpSocket::send) sends to, and the only one that is received from.
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
    /// The socket is connected or it is not.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        first_good(address, async |address| self.io.get_ref().connect(address)).await
    }

    /// Sends one datagram to `target`; if that stands for several addresses, to the first.
    ///
    /// # Errors
    ///
    /// The system's, and those of [`lookup_host`](super::lookup_host). An earlier datagram that was refused may be reported
    /// here.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// The datagram is sent or it is not.
    pub async fn send_to(&self, bytes: &[u8], target: impl ToSocketAddrs) -> io::Result<usize> {
        let target = lookup_host(target).await?.next().ok_or_else(no_address)?;
        let send = |socket: &std::net::UdpSocket| socket.send_to(bytes, target);
        self.io.write_with(send).await
    }

    /// Waits for a datagram; returns its length and its sender.
    ///
    /// What does not fit into `buffer` is cut off.
    ///
    /// # Errors
    ///
    /// The system's. An earlier datagram that was refused may be reported here.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// No datagram is lost: it is either returned, or still in the socket.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.read_with(|socket| socket.recv_from(buffer)).await
    }

    /// The same as [`recv_from`](UdpSocket::recv_from), but leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Panics
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed in any case.
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.read_with(|socket| socket.peek_from(buffer)).await
    }

    /// Sends one datagram to the address given to [`connect`](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// The system's. An earlier datagram that was refused may be reported here.
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

    /// Waits for a datagram from the address given to [`connect`](UdpSocket::connect), and returns its length.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Panics
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Cancel safety
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|socket| socket.recv(buffer)).await
    }

    /// The same as [`recv`](UdpSocket::recv), but leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Panics
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed in any case.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|socket| socket.peek(buffer)).await
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns the address given to [`connect`](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is none; else the system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Returns whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.io.get_ref().broadcast()
    }

    /// Says whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.io.get_ref().set_broadcast(broadcast)
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

    /// Returns whether datagrams to IPv4 groups come back to this machine.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.io.get_ref().multicast_loop_v4()
    }

    /// Says whether datagrams to IPv4 groups come back to this machine.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.io.get_ref().set_multicast_loop_v4(multicast_loop_v4)
    }

    /// Returns after how many hops a datagram to an IPv4 group is given up.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.io.get_ref().multicast_ttl_v4()
    }

    /// Sets after how many hops a datagram to an IPv4 group is given up; 1 unless set.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.io.get_ref().set_multicast_ttl_v4(multicast_ttl_v4)
    }

    /// Returns whether datagrams to IPv6 groups come back to this machine.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.io.get_ref().multicast_loop_v6()
    }

    /// Says whether datagrams to IPv6 groups come back to this machine.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.io.get_ref().set_multicast_loop_v6(multicast_loop_v6)
    }

    /// Joins an IPv4 group on the interface that has the address `interface`; the unspecified address lets the system choose.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.get_ref().join_multicast_v4(&group, &interface)
    }

    /// Leaves an IPv4 group on the interface that has the address `interface`; the unspecified address lets the system choose.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.get_ref().leave_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 group on the interface with the index `interface`; 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get_ref().join_multicast_v6(&group, interface)
    }

    /// Leaves an IPv6 group on the interface with the index `interface`; 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get_ref().leave_multicast_v6(&group, interface)
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
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        Ok(UdpSocket {
            io: Async::new(socket)?,
        })
    }

    /// Gives the socket back, still in non-blocking mode.
    pub fn into_std(self) -> std::net::UdpSocket {
        self.io.into_inner()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}
