//! Serving a router, and stopping.
//!
//! The cancellation that stops it reaches only the one who accepts. The connections learn of it by an event, so no handler is
//! interrupted before the time for stopping is over. This file knows nothing of sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{Extension, FromRequestParts, Request};
use axum::http::request::Parts;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::server::conn::auto;
use runner_core::sync::{Event, Semaphore};
use runner_core::{ExceptionContext, catch_cancelled, running_loop, sleep, timeout};
use tower_service::Service as _;

use super::connections::{Connections, Spawner};
use super::listener::Listener;
use crate::hyper::{Io, Timer};
use crate::on_thread::OnThread;

/// How long connections are still taken that were made before anybody could know of the stop.
const LAST_ACCEPT: Duration = Duration::from_millis(10);
/// How long requests that were cut may take to clean up.
const CLEANUP: Duration = Duration::from_secs(1);

/// Serves `router` to everybody who connects to `listener`, over HTTP/1 and HTTP/2, until the task is cancelled.
///
/// It returns nothing: awaited, it serves for ever. When its task is cancelled, by Ctrl-C, by SIGTERM or by the program,
///
/// 1. connections that are in the listener's queue by then are taken, and the listener is closed;
/// 2. connections without a request under way are closed, and the others after their answer;
/// 3. what is left after [`stop_timeout`](Serve::stop_timeout) is cancelled, and may clean up for one second more;
/// 4. the cancellation goes on to the code around.
///
/// A second cancellation cuts all connections at once, and so does dropping the future.
///
/// Requests are served by tasks of their own. A shutdown cancels those like every task, so await this in the main task, or in a
/// task or group that the main task awaits: then the requests have ended before the shutdown begins.
///
/// A connection that was upgraded, for example to a WebSocket, is the handler's from then on. It is neither counted nor waited
/// for.
///
/// # Panics
///
/// When it is awaited outside of a running loop.
///
/// # Cancel safety
///
/// This is what it is made for: no request is lost that was begun, unless its time is over.
///
/// # Differences from axum
///
/// `axum::serve` stops by a future that is handed to it, has no limits, and needs tokio. Who asks is found by the extractor
/// [`Peer`], not by `ConnectInfo`.
///
/// # Examples
///
/// ```
/// # mod asyncio { pub use runner_core::*; pub use runner_interop::axum; }
/// use asyncio::net::{TcpListener, TcpStream};
/// use axum::{Router, routing::get};
/// use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
///
/// asyncio::run(async {
///     let router = Router::new().route("/", get(async || "hello"));
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let server = asyncio::spawn(async { asyncio::axum::serve(listener, router).await });
///
///     let mut client = TcpStream::connect(address).await?;
///     client.write_all(b"GET / HTTP/1.1\r\nhost: me\r\n\r\n").await?;
///     let mut answer = vec![0; 17];
///     client.read_exact(&mut answer).await?;
///     assert_eq!(answer, b"HTTP/1.1 200 OK\r\n");
///
///     server.cancel();
///     assert!(server.await.unwrap_err().is_cancelled());
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
pub fn serve<L: Listener>(listener: L, router: Router) -> Serve<L> {
    Serve {
        listener,
        router,
        max_connections: usize::MAX,
        idle_timeout: Duration::from_secs(30),
        stop_timeout: Duration::from_secs(10),
    }
}

/// What [`serve`] is to do; awaited, it does it.
#[must_use = "it serves only when it is awaited"]
pub struct Serve<L> {
    listener: L,
    router: Router,
    max_connections: usize,
    idle_timeout: Duration,
    stop_timeout: Duration,
}

impl<L> Serve<L> {
    /// Has at most `count` connections open at a time. Further ones wait in the system's queue. There is no limit by default.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    #[track_caller]
    pub fn max_connections(mut self, count: usize) -> Serve<L> {
        assert!(count > 0, "a server without connections serves nobody");
        self.max_connections = count;
        self
    }

    /// Closes a connection that has sent no head of a request for `duration`: 30 seconds by default.
    ///
    /// This is for HTTP/1, and for what comes before the first request of HTTP/2.
    pub fn idle_timeout(mut self, duration: Duration) -> Serve<L> {
        self.idle_timeout = duration;
        self
    }

    /// Gives requests that are under way so long to finish when the server stops: 10 seconds by default.
    pub fn stop_timeout(mut self, duration: Duration) -> Serve<L> {
        self.stop_timeout = duration;
        self
    }
}

impl<L> fmt::Debug for Serve<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("max_connections", &self.max_connections)
            .field("idle_timeout", &self.idle_timeout)
            .field("stop_timeout", &self.stop_timeout)
            .finish_non_exhaustive()
    }
}

impl<L: Listener + 'static> IntoFuture for Serve<L> {
    type Output = Infallible;
    type IntoFuture = Pin<Box<dyn Future<Output = Infallible>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<L: Listener + 'static> Serve<L> {
    async fn run(self) -> Infallible {
        let connections = Connections::default();
        let server = Server::new(&self, connections.spawner());
        let accepting = server.accept(&self.listener, &connections);
        match catch_cancelled(accepting).await {
            Ok(never) => match never {},
            Err(cancelled) => {
                let _ = timeout(LAST_ACCEPT, server.accept(&self.listener, &connections)).await;
                drop(self.listener);
                server.is_stopping.set();
                if timeout(self.stop_timeout, connections.ended())
                    .await
                    .is_err()
                {
                    connections.cancel();
                    let _ = timeout(CLEANUP, connections.ended()).await;
                }
                cancelled.raise().await
            }
        }
    }
}

/// Who asks, as the listener knows it: an extractor for handlers, with a `SocketAddr` for TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<A>(pub A);

impl<A: Clone + Send + Sync + 'static, S: Send + Sync> FromRequestParts<S> for Peer<A> {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ExtensionRejection> {
        let Extension(peer) = Extension::from_request_parts(parts, state).await?;
        Ok(peer)
    }
}

/// What the connections share.
struct Server {
    router: Router,
    http: auto::Builder<Spawner>,
    /// One permit for each connection that may be opened.
    free: Semaphore,
    idle_timeout: Duration,
    is_stopping: Event,
}

/// Why a connection is not simply served on.
enum Turn {
    Ended,
    Stopping,
    /// No request came in time.
    Silent,
}

impl Server {
    fn new<L>(options: &Serve<L>, spawner: Spawner) -> Rc<Server> {
        let mut http = auto::Builder::new(spawner);
        http.http1()
            .timer(Timer::new())
            .header_read_timeout(options.idle_timeout);
        http.http2().timer(Timer::new());
        Rc::new(Server {
            router: options.router.clone(),
            http,
            free: Semaphore::new(options.max_connections),
            idle_timeout: options.idle_timeout,
            is_stopping: Event::new(),
        })
    }

    /// Gives each connection a task of its own, for ever.
    async fn accept<L: Listener>(
        self: &Rc<Self>,
        listener: &L,
        connections: &Connections,
    ) -> Infallible {
        loop {
            let permit = self.free.acquire().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    permit.forget();
                    let place = Place(self.clone());
                    connections.spawn(place.serve(stream, Peer(peer)));
                }
                Err(error) => running_loop().call_exception_handler(
                    ExceptionContext::new("cannot accept a connection").with_error(error),
                ),
            }
        }
    }

    /// Errors of a connection are those of a client that went away or talks nonsense, which is no news to a server.
    async fn serve<S, A>(&self, stream: S, peer: Peer<A>)
    where
        S: runner_core::io::AsyncRead + runner_core::io::AsyncWrite + Unpin + 'static,
        A: Clone + Send + Sync + 'static,
    {
        let is_silent = Rc::new(Cell::new(true));
        let service = service_fn({
            let is_silent = is_silent.clone();
            let router = self.router.clone();
            move |mut request: Request<Incoming>| {
                is_silent.set(false);
                request.extensions_mut().insert(peer.clone());
                router.clone().call(request)
            }
        });
        // Upgrades ask for a stream that could be sent.
        let stream = Io::new(OnThread::new(stream));
        let http = self.http.serve_connection_with_upgrades(stream, service);
        let mut http = pin!(http);
        let mut stop = pin!(self.is_stopping.wait());
        let mut patience = pin!(sleep(self.idle_timeout));
        let turn = poll_fn(|cx| {
            // First of all, so that a request which has arrived is read before the connection stops.
            if http.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Ended);
            }
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Stopping);
            }
            if is_silent.get() && patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Silent);
            }
            Poll::Pending
        });
        if let Turn::Stopping = turn.await {
            http.as_mut().graceful_shutdown();
            let _ = http.await;
        }
    }
}

/// The place of one connection, free again when this is dropped.
struct Place(Rc<Server>);

impl Place {
    async fn serve<S, A>(self, stream: S, peer: Peer<A>)
    where
        S: runner_core::io::AsyncRead + runner_core::io::AsyncWrite + Unpin + 'static,
        A: Clone + Send + Sync + 'static,
    {
        self.0.serve(stream, peer).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.free.release();
    }
}
