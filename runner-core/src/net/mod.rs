//! Sockets: TCP and UDP, with the traits of `futures-io`.
//!
//! Every operation is tried first and waits only if the system has nothing for it; a socket is registered with its loop
//! once, at its first wait, for both directions. Nothing on the way blocks the loop: names are looked up in the executor.
//! These files know `io::Async` and the calls of their kind, and nothing about the loop behind it.

mod addrs;
mod socket;
mod split;
mod tcp;
mod udp;

pub use self::addrs::{ToSocketAddrs, lookup_host};
pub use self::split::{OwnedReadHalf, OwnedWriteHalf};
pub use self::tcp::{TcpListener, TcpStream};
pub use self::udp::UdpSocket;
