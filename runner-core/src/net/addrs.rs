//! Addresses: what can be named as one, and the look-up of names.
//!
//! A literal address costs nothing; a name is looked up in a thread of the executor, because the system's resolver
//! blocks. This file knows no sockets.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::{Duration, Instant};

use crate::decimal::Millis;
use crate::event_loop::running_loop;
use crate::executor::to_thread_with;
use crate::logging::{Level, say};
use crate::pool::StopToken;
use crate::threads::{NotGiven, handover, start_thread};

/// How often a look-up that takes long looks whether the shutdown has begun.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// What can be turned into socket addresses, by a look-up if need be: `"localhost:80"`, `("::1", 80)`, a [`SocketAddr`].
///
/// The same types as for [`std::net::ToSocketAddrs`], whose look-up would block the loop. Cannot be implemented outside of
/// this crate.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::net::TcpListener;
/// use std::net::Ipv4Addr;
///
/// asyncio::run(async {
///     TcpListener::bind("127.0.0.1:0").await?;
///     TcpListener::bind(("127.0.0.1", 0)).await?;
///     TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
pub trait ToSocketAddrs: sealed::ToHost {}

impl<T: sealed::ToHost + ?Sized> ToSocketAddrs for T {}

mod sealed {
    use super::{Host, io};

    /// The part of the trait that is nobody's business.
    pub trait ToHost {
        /// Reads what is written there, without asking anybody.
        fn to_host(&self) -> io::Result<Host>;
    }
}

use sealed::ToHost;

/// An address as it was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Host {
    /// Nothing is left to look up.
    Known {
        /// Most often all there is; kept apart so that a single address needs no allocation.
        first: Option<SocketAddr>,
        rest: Vec<SocketAddr>,
    },
    /// The executor has to ask the resolver.
    Named { name: String, port: u16 },
}

impl Host {
    fn one(address: impl Into<SocketAddr>) -> io::Result<Host> {
        Ok(Host::Known {
            first: Some(address.into()),
            rest: Vec::new(),
        })
    }
}

/// Looks up the addresses of a host: `"localhost:80"` or `("localhost", 80)`.
///
/// What is an address already is returned as it is, without a look-up.
///
/// # Errors
///
/// `InvalidInput` if it is neither an address nor a name with a port; the resolver's if it does not know the name;
/// `Interrupted` if the executor is shut down meanwhile; and those of [`to_thread`](crate::to_thread).
///
/// # Panics
///
/// When a name is looked up outside of a running loop.
///
/// # Cancel safety
///
/// A look-up that has begun goes on in its thread, and its result is dropped. It does not hold the shutdown back.
///
/// # Differences from asyncio
///
/// This is the part of `loop.getaddrinfo` that connecting needs.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let mut addresses = asyncio::net::lookup_host("localhost:80").await?;
///     assert!(addresses.all(|address| address.ip().is_loopback()));
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
#[doc(alias = "getaddrinfo")]
pub async fn lookup_host(
    host: impl ToSocketAddrs,
) -> io::Result<impl Iterator<Item = SocketAddr> + 'static> {
    let (first, rest) = match host.to_host()? {
        Host::Known { first, rest } => (first, rest),
        Host::Named { name, port } => (None, look_up(name, port).await?),
    };
    Ok(first.into_iter().chain(rest))
}

async fn look_up(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let event_loop = running_loop();
    if !event_loop.debug() {
        return ask(name, port).await;
    }
    say(Level::Debug, format_args!("Get address info {name}:{port}"));
    let text = format!("Getting address info {name}:{port}");
    let began = Instant::now();
    let addresses = ask(name, port).await;
    let taken = began.elapsed();
    let level = if taken >= event_loop.slow_callback_duration() {
        Level::Info
    } else {
        Level::Debug
    };
    let millis = Millis(taken);
    match &addresses {
        Ok(found) => say(level, format_args!("{text} took {millis:.3}ms: {found:?}")),
        Err(error) => say(
            level,
            format_args!("{text} failed in {millis:.3}ms: {error}"),
        ),
    }
    addresses
}

async fn ask(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let job = move |stop: StopToken| {
        unless_stopped(&stop, move || ask_resolver(&name, port)).unwrap_or_else(given_up)
    };
    to_thread_with(job).await?
}

/// Runs `work` in a thread that nobody waits for, so that the shutdown need not: a resolver whose server is silent takes half
/// a minute, and nothing can interrupt it. `None` if the shutdown was faster.
fn unless_stopped<T: Send + 'static>(
    stop: &StopToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (giver, taker) = handover();
    let work = move || giver.give(work());
    // Without a thread it is given up like one that takes too long: the giver is dropped, and the wait ends.
    let _ = start_thread("asyncio_resolver".into(), Box::new(work));
    while !stop.is_stopped() {
        match taker.take_within(STOP_INTERVAL) {
            Err(NotGiven::TimedOut) => {}
            result => return result.ok(),
        }
    }
    None
}

fn given_up<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::Interrupted,
        "the look-up of a host was given up: the executor shuts down, or no thread can be started",
    ))
}

fn ask_resolver(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    std::net::ToSocketAddrs::to_socket_addrs(&(name, port)).map(Iterator::collect)
}

/// Tries the addresses of `host` in turn until one of them is good for `attempt`.
///
/// # Errors
///
/// The last attempt's, and those of the look-up.
pub(super) async fn first_good<T, F: Future<Output = io::Result<T>>>(
    host: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<T> {
    let mut failure = None;
    for address in lookup_host(host).await? {
        match attempt(address).await {
            Ok(value) => return Ok(value),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(no_address))
}

/// The error for a host without any address.
pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "there is no address to use: the host resolved to none",
    )
}

impl ToHost for SocketAddr {
    fn to_host(&self) -> io::Result<Host> {
        Host::one(*self)
    }
}

impl ToHost for SocketAddrV4 {
    fn to_host(&self) -> io::Result<Host> {
        Host::one(*self)
    }
}

impl ToHost for SocketAddrV6 {
    fn to_host(&self) -> io::Result<Host> {
        Host::one(*self)
    }
}

impl ToHost for (IpAddr, u16) {
    fn to_host(&self) -> io::Result<Host> {
        Host::one(*self)
    }
}

impl ToHost for (Ipv4Addr, u16) {
    fn to_host(&self) -> io::Result<Host> {
        Host::one(*self)
    }
}

impl ToHost for (Ipv6Addr, u16) {
    fn to_host(&self) -> io::Result<Host> {
        Host::one(*self)
    }
}

impl ToHost for (&str, u16) {
    fn to_host(&self) -> io::Result<Host> {
        let (name, port) = *self;
        match name.parse::<IpAddr>() {
            Ok(ip) => Host::one((ip, port)),
            Err(_) => Ok(Host::Named {
                name: name.to_owned(),
                port,
            }),
        }
    }
}

impl ToHost for (String, u16) {
    fn to_host(&self) -> io::Result<Host> {
        (self.0.as_str(), self.1).to_host()
    }
}

impl ToHost for str {
    fn to_host(&self) -> io::Result<Host> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Host::one(address);
        }
        let parts = self.rsplit_once(':');
        let named = parts.and_then(|(name, port)| Some((name, port.parse().ok()?)));
        named.ok_or_else(|| not_an_address(self))?.to_host()
    }
}

fn not_an_address(text: &str) -> io::Error {
    let problem =
        format!("{text:?} is no address: expected a host and a port, as in `localhost:80`");
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

impl ToHost for String {
    fn to_host(&self) -> io::Result<Host> {
        self.as_str().to_host()
    }
}

impl ToHost for [SocketAddr] {
    fn to_host(&self) -> io::Result<Host> {
        Ok(Host::Known {
            first: None,
            rest: self.to_vec(),
        })
    }
}

impl<T: ToHost + ?Sized> ToHost for &T {
    fn to_host(&self) -> io::Result<Host> {
        (**self).to_host()
    }
}

#[cfg(test)]
mod tests;
