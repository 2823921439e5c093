//! A reverse proxy: it hands requests on to one of several servers, and streams bodies both ways.
//!
//! Servers take turns; one that cannot be connected is passed over. A connection to a server is kept for a while after its answer.
//! It may have ended without our knowing, so only what can be asked twice goes over a kept one: requests without a body whose
//! method promises that asking again does no harm. Such a request is sent again, over a new connection, if no byte came back.
//!
//! What you learn here: hyper as server and client at once; groups within groups, and tasks that are handed to the group that
//! outlives them; time limits that become answers; connections that are asked to stop by an event, and cut if they do not.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/Cargo.toml --bin reverse_proxy -- 127.0.0.1:8082 127.0.0.1:8080 127.0.0.1:8083
//! curl http://127.0.0.1:8082/notes
//! ```

#![forbid(unsafe_code)]

mod pool;

use std::cell::Cell;
use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio::hyper::{Io, Timer};
use asyncio::net::{TcpListener, TcpStream};
use asyncio::sync::{Event, Semaphore};
use asyncio::{CancelledError, Sleep, TaskGroup, TaskGroupError, catch_cancelled, timeout};
use futures_lite::future;
use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version, server};
use pool::Pool;

/// How long a client may take for the head of a request, and how long it may be idle.
const IDLE: Duration = Duration::from_secs(30);
/// How long a server may take to be connected, before it is passed over.
const CONNECT: Duration = Duration::from_secs(2);
/// How many clients may be connected; further ones wait in the system's queue.
const MOST: usize = 1000;
/// What concerns one connection, and not the message (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const USAGE: &str = "usage: reverse_proxy [--limit MILLISECONDS] [--grace MILLISECONDS] [--keep MILLISECONDS] \
                     [--keep-most COUNT] ADDRESS SERVER..";

type Failure = Box<dyn Error + Send + Sync>;

#[asyncio::main(terminate)]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut limit, mut grace) = (Duration::from_secs(30), Duration::from_secs(5));
    let (mut keep, mut keep_most) = (Duration::from_secs(20), 64);
    let mut addresses = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or(USAGE)?.parse().map_err(|_| USAGE);
        match argument.as_str() {
            "--limit" => limit = Duration::from_millis(number()?),
            "--grace" => grace = Duration::from_millis(number()?),
            "--keep" => keep = Duration::from_millis(number()?),
            "--keep-most" => keep_most = usize::try_from(number()?)?,
            _ => addresses.push(argument),
        }
    }
    let [address, servers @ ..] = &addresses[..] else {
        return Err(USAGE.into());
    };
    if servers.is_empty() {
        return Err(USAGE.into());
    }
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let proxy = Proxy {
        servers: servers.to_vec(),
        turn: Cell::new(0),
        pool: Rc::new(Pool::new(keep_most, keep)),
        limit,
        grace,
        places: Semaphore::new(MOST),
        stopping: Event::new(),
    };
    Rc::new(proxy).run(listener).await?;
    Ok(())
}

/// What all connections share. The loop has one thread, so plain cells do.
struct Proxy {
    servers: Vec<String>,
    /// Whose turn it is.
    turn: Cell<usize>,
    /// The connections to them.
    pool: Rc<Pool>,
    /// How long a request may take until the head of its answer is there, and then each piece of the answer's body.
    limit: Duration,
    /// How long requests may go on that are under way when the proxy is asked to stop.
    grace: Duration,
    places: Semaphore,
    stopping: Event,
}

impl Proxy {
    async fn run(self: Rc<Self>, listener: TcpListener) -> Result<(), TaskGroupError> {
        let cancelled = TaskGroup::scope(async |group| {
            let connections = group.spawn(self.pool.clone().run());
            let cancelled = self.serve_all(listener).await;
            // Nobody is left who would use them.
            connections.cancel();
            cancelled
        })
        .await?;
        println!("all connections have ended");
        cancelled.raise().await
    }

    /// Serves clients until it is cancelled, and returns that when the last one has gone.
    async fn serve_all(
        self: &Rc<Self>,
        listener: TcpListener,
    ) -> Result<CancelledError, TaskGroupError> {
        TaskGroup::scope(async |group| {
            match catch_cancelled(self.accept(&listener, group)).await {
                Ok(never) => match never {},
                // The group waits for its children, which are not cancelled, but asked.
                Err(cancelled) => {
                    drop(listener);
                    self.stopping.set();
                    Ok::<_, Infallible>(cancelled)
                }
            }
        })
        .await
    }

    async fn accept(self: &Rc<Self>, listener: &TcpListener, group: &TaskGroup) -> Infallible {
        loop {
            let place = self.places.acquire().await;
            match listener.accept().await {
                Ok((stream, client)) => {
                    place.forget();
                    let proxy = self.clone();
                    group.spawn(async move {
                        proxy.serve(stream, client).await;
                        proxy.places.release();
                    });
                }
                // Out of descriptors, most likely. `accept` has waited a little, so that this does not spin.
                Err(error) => eprintln!("reverse_proxy: cannot accept: {error}"),
            }
        }
    }

    /// Serves one client. Its requests end with its connection, and with them the connections that they use.
    async fn serve(&self, stream: TcpStream, client: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let service =
            service_fn(
                |request| async move { Ok::<_, Infallible>(self.answer(request, client).await) },
            );
        let mut http = server::conn::http1::Builder::new();
        http.timer(Timer::new()).header_read_timeout(IDLE);
        let mut connection = pin!(http.serve_connection(Io::new(stream), service));
        // An error is that of a client that went away or talks nonsense, or one that `answer` has told.
        let ended = async {
            let _ = connection.as_mut().await;
            true
        };
        let asked_to_stop = async {
            self.stopping.wait().await;
            false
        };
        if !future::or(ended, asked_to_stop).await {
            // An idle connection ends at once, and any other one after its answer.
            connection.as_mut().graceful_shutdown();
            if timeout(self.grace, connection).await.is_err() {
                println!("a request of {client} was cut");
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Response<Content> {
        let Some(request) = to_server(request, client) else {
            return failed(StatusCode::BAD_REQUEST, "Ask for a path.\n");
        };
        match timeout(self.limit, self.ask(request)).await {
            Ok(Ok(response)) => self.to_client(response),
            Ok(Err(error)) => {
                eprintln!("reverse_proxy: {error}");
                failed(StatusCode::BAD_GATEWAY, "The server failed.\n")
            }
            Err(_too_long) => failed(StatusCode::GATEWAY_TIMEOUT, "The server is too slow.\n"),
        }
    }

    /// Hands the request on, and returns when the head of the answer is there.
    async fn ask(&self, request: Request<Incoming>) -> Result<Response<Incoming>, Failure> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let (parts, body) = request.into_parts();
        let can_be_repeated = parts.method.is_idempotent() && body.is_end_stream();
        if can_be_repeated {
            let server = turn % self.servers.len();
            if let Some(mut kept) = self.pool.take(server) {
                let nothing = Either::Right(Empty::new());
                match kept.send(Request::from_parts(parts.clone(), nothing)).await {
                    Ok(response) => {
                        self.pool.give_back(kept);
                        return Ok(response);
                    }
                    Err(error) if kept.has_answered() => return Err(error.into()),
                    Err(_stale) => {
                        let server = &self.servers[server];
                        eprintln!(
                            "reverse_proxy: {server} had ended a kept connection, and is asked again"
                        );
                    }
                }
            }
        }
        let (server, stream) = self.connect(turn).await?;
        let mut connection = self.pool.connect(server, stream).await?;
        let response = connection
            .send(Request::from_parts(parts, Either::Left(body)))
            .await?;
        self.pool.give_back(connection);
        Ok(response)
    }

    /// Connects the server whose turn it is, or the next one that can be. Returns its number as well.
    async fn connect(&self, turn: usize) -> io::Result<(usize, TcpStream)> {
        for index in 0..self.servers.len() {
            let number = turn.wrapping_add(index) % self.servers.len();
            let server = &self.servers[number];
            let connected = timeout(CONNECT, TcpStream::connect(server)).await;
            match connected.unwrap_or_else(|_too_long| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok((number, stream));
                }
                Err(error) => eprintln!("reverse_proxy: {server} is passed over: {error}"),
            }
        }
        Err(io::Error::other("no server can be connected"))
    }

    fn to_client(&self, mut response: Response<Incoming>) -> Response<Content> {
        remove_hop_by_hop(response.headers_mut());
        response.map(|body| {
            Either::Right(Pieces {
                body,
                limit: self.limit,
                alarm: None,
            })
        })
    }
}

/// Makes the request one of this proxy's; `None` if it is for no path.
fn to_server(mut request: Request<Incoming>, client: SocketAddr) -> Option<Request<Incoming>> {
    let path = request.uri().path_and_query()?.clone();
    if !request.headers().contains_key(header::HOST) {
        let host = request.uri().authority().map_or("", |host| host.as_str());
        let host = HeaderValue::from_str(host).ok()?;
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    let earlier = headers.get_all(X_FORWARDED_FOR).iter();
    let mut line: Vec<u8> = Vec::new();
    for value in earlier {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(client.ip().to_string().as_bytes());
    headers.insert(X_FORWARDED_FOR, HeaderValue::from_bytes(&line).ok()?);
    Some(request)
}

/// Removes what concerns the connection: what every proxy knows, and what the message itself says.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let said = headers.get_all(header::CONNECTION).iter();
    let said: Vec<HeaderName> = said
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in said.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn failed(status: StatusCode, text: &'static str) -> Response<Content> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    *response.status_mut() = status;
    response
}

/// Words of the proxy's own, or what a server sends.
type Content = Either<Full<Bytes>, Pieces>;

/// The body of a server's answer, no piece of which may take longer than the limit.
struct Pieces {
    body: Incoming,
    limit: Duration,
    /// Set while a piece is waited for.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.alarm = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Failure::from)));
        }
        let limit = self.limit;
        let begin = || Box::pin(asyncio::sleep(limit));
        ready!(self.alarm.get_or_insert_with(begin).as_mut().poll(cx));
        eprintln!("reverse_proxy: a server is silent in the middle of its answer");
        let too_slow = io::Error::from(io::ErrorKind::TimedOut);
        Poll::Ready(Some(Err(too_slow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
