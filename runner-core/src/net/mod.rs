//! Sockets: TCP, UDP and Unix sockets, with the traits of `futures-io`.
//!
//! Every operation is tried first and waits only if the system has nothing for it; a socket is registered with its loop
//! once, at its first wait, for both directions. Nothing on the way blocks the loop: names are looked up in the executor.
//!
//! Waiting borrows the socket, so none can be closed while somebody waits on it, and its number cannot come to mean another
//! one meanwhile. To end a wait from outside, cancel it, or end the direction with `shutdown`.
//!
//! # Options
//!
//! The sockets have the options that those of `std` have. All of them are [`AsFd`](std::os::fd::AsFd), which is what the
//! crate `socket2` needs to set any other:
//!
//! ```
//! # use runner_core as asyncio;
//! use asyncio::net::{TcpListener, TcpStream};
//! use socket2::{SockRef, TcpKeepalive};
//! use std::time::Duration;
//!
//! asyncio::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let stream = TcpStream::connect(listener.local_addr()?).await?;
//!     let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));
//!     SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
//!     assert!(SockRef::from(&stream).keepalive()?);
//!     std::io::Result::Ok(())
//! })
//! .unwrap()
//! .unwrap();
//! ```
//!
//! What has to be set before a socket is bound is set on a `socket2::Socket`, which becomes one of `std` and then, by
//! `from_std` or [`TcpStream::connect_std`], one of these.
//
// These files know `io::Async` and the calls of their kind, and nothing about the loop behind it.

mod addrs;
mod happy_eyeballs;
mod listener;
mod socket;
mod split;
mod stream;
mod tcp;
mod udp;
mod unix;

pub use self::addrs::{ToSocketAddrs, lookup_host};
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use self::tcp::{TcpListener, TcpStream};
pub use self::udp::UdpSocket;
pub use self::unix::{UnixDatagram, UnixListener, UnixStream};
