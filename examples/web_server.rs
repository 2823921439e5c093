//! A web server that loses nothing when it is stopped: hyper speaks HTTP, asyncio does everything below.
//!
//! What you learn here: how `#[asyncio::main]` turns Ctrl-C into a cancellation that the program can catch; how a
//! connection that is asked to stop finishes what it has begun; how blocking work goes to the executor; and how a
//! library that was written for other runtimes runs on this one.
//!
//! Run it, and try it from another terminal:
//!
//! ```text
//! cargo run --release --example web_server -- --listen 127.0.0.1:8080 --access-log access.log
//!
//! curl http://127.0.0.1:8080/
//! curl http://127.0.0.1:8080/slow?ms=3000
//! curl --data-binary @Cargo.toml http://127.0.0.1:8080/echo
//! curl http://127.0.0.1:8080/stats
//! ```
//!
//! Then press Ctrl-C while the second one waits: it still gets its answer, the log is complete, and the shell sees that the
//! server died of the interrupt. A second Ctrl-C does not wait.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use asyncio::Task;
use asyncio::hyper::{Io, Timer};
use asyncio::net::{TcpListener, TcpStream};
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

/// How long a client may take to send the head of a request, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests in flight may take once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long connections are still taken that were made before anybody could know that the server stops.
const LAST_ACCEPT: Duration = Duration::from_millis(10);
/// How long requests are still read on idle connections, for the same reason.
const LAST_CALL: Duration = Duration::from_millis(100);

const USAGE: &str = "\
Usage: web_server [--listen ADDR] [--access-log FILE]

  --listen ADDR      where to listen, 127.0.0.1:8080 by default; port 0 lets the system choose
  --access-log FILE  append a line per finished request to FILE
";

#[asyncio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprint!("web_server: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until it is cancelled, then cleans up, awaiting what takes time, and lets the cancellation go on.
async fn serve(options: Options) -> io::Result<()> {
    let listener = listen(&options.listen).await?;
    let server = Server::new(AccessLog::open(options.access_log).await?);
    announce(listener.local_addr()?)?;
    match asyncio::catch_cancelled(server.accept(&listener)).await {
        Ok(never) => match never {},
        Err(cancelled) => {
            server.stop(listener, options.grace).await;
            // Nobody may be left to read it.
            let _ = writeln!(io::stdout(), "served {} requests", server.served.get());
            cancelled.raise().await
        }
    }
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let explain = |error| io::Error::other(format!("cannot listen on {address}: {error}"));
    TcpListener::bind(address).await.map_err(explain)
}

/// The first line of output, for people and for programs that start this one on port 0.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}

/// What the command line asks for.
struct Options {
    listen: String,
    access_log: Option<PathBuf>,
    /// See [`GRACE`]; only tests have less patience.
    grace: Duration,
}

impl Options {
    /// Reads the arguments; `None` if somebody asks for help.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            listen: "127.0.0.1:8080".to_owned(),
            access_log: None,
            grace: GRACE,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("`{argument}` needs a value"))
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--listen" => options.listen = value()?,
                "--access-log" => options.access_log = Some(value()?.into()),
                "--grace" => options.grace = parse_millis(&value()?)?,
                _ => return Err(format!("unknown argument `{argument}`")),
            }
        }
        Ok(Some(options))
    }
}

fn parse_millis(text: &str) -> Result<Duration, String> {
    let millis = text.parse().map(Duration::from_millis);
    millis.map_err(|_| format!("`{text}` is no number of milliseconds"))
}

/// Everything that the connections share. The loop has one thread, so plain cells do.
struct Server {
    http: http1::Builder,
    log: Option<Rc<AccessLog>>,
    /// The tasks of all open connections, by number.
    connections: RefCell<HashMap<u64, Task<()>>>,
    /// Answers that were given to the end.
    served: Cell<u64>,
    /// Requests that were read and are not answered to the end.
    in_flight: Cell<u64>,
    /// No answer invites to another request any more.
    is_stopping: Cell<bool>,
}

impl Server {
    fn new(log: Option<Rc<AccessLog>>) -> Rc<Server> {
        let mut http = http1::Builder::new();
        http.timer(Timer::new()).header_read_timeout(HEAD_TIMEOUT);
        Rc::new(Server {
            http,
            log,
            connections: RefCell::default(),
            served: Cell::new(0),
            in_flight: Cell::new(0),
            is_stopping: Cell::new(false),
        })
    }

    /// Gives each connection a task of its own, for ever.
    async fn accept(self: &Rc<Self>, listener: &TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.begin_connection(stream, peer),
                // Out of descriptors, most likely. `accept` has waited a little, so that this does not spin.
                Err(error) => eprintln!("web_server: cannot accept: {error}"),
            }
        }
    }

    fn begin_connection(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        // An answer is written in one piece, so there is nothing that would be worth waiting for.
        let _ = stream.set_nodelay(true);
        let task = asyncio::spawn(self.clone().serve_connection(stream, peer));
        let server = self.clone();
        let forget = move |task: &asyncio::TaskRef| {
            server.connections.borrow_mut().remove(&task.id());
        };
        task.add_done_callback(forget);
        self.connections.borrow_mut().insert(task.id(), task);
    }

    /// Serves one connection to its end. To cancel this task is to ask it to come to that end soon.
    async fn serve_connection(self: Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let service = service_fn(|request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(peer, request).await) }
        });
        let stream = Io::new(stream);
        let mut connection = pin!(self.http.serve_connection(stream, service));
        // What is cancelled is only the waiting: the connection itself lives on outside of it. Errors are those of a client
        // that went away or talks nonsense, which is no news to a server.
        if let Ok(_ended) = asyncio::catch_cancelled(connection.as_mut()).await {
            return;
        }
        // A request may be on its way that was sent before anybody knew. It is answered with `Connection: close`.
        if let Ok(_ended) = asyncio::timeout(LAST_CALL, connection.as_mut()).await {
            return;
        }
        // Ends an idle connection at once, and any other one after its answer.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    /// Takes no new connections, and gives the open ones `grace` to finish.
    async fn stop(self: &Rc<Self>, listener: TcpListener, grace: Duration) {
        let deadline = asyncio::running_loop().time() + grace;
        self.is_stopping.set(true);
        self.ask_connections_to_stop().await;
        // Whoever is in the system's queue believes to be connected already.
        let _ = asyncio::timeout(LAST_ACCEPT, self.accept(&listener)).await;
        drop(listener);
        self.ask_connections_to_stop().await;
        let _ = asyncio::timeout_at(deadline, self.connections_ended()).await;
        self.cut_connections();
        self.connections_ended().await;
        if let Some(log) = &self.log {
            log.flush().await;
        }
    }

    /// Cancels each connection that was not cancelled before.
    async fn ask_connections_to_stop(&self) {
        // A task that is cancelled before its first step never takes one, and the latest have not had their turn yet.
        asyncio::yield_now().await;
        for task in self.connections.borrow().values() {
            if task.cancelling() == 0 {
                task.cancel();
            }
        }
    }

    /// Cancels what is left a second time, and nothing catches that.
    fn cut_connections(&self) {
        for task in self.connections.borrow().values() {
            task.cancel();
        }
    }

    async fn connections_ended(&self) {
        loop {
            let next = self.connections.borrow().keys().next().copied();
            let Some(task) = next.and_then(|id| self.connections.borrow_mut().remove(&id)) else {
                return;
            };
            let _ = task.await;
        }
    }

    /// Answers one request, and follows it to the last byte of its answer.
    async fn answer(
        self: Rc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<Answer> {
        let mut exchange = Exchange::begin(&self, peer, &request);
        let mut response = self.route(request).await;
        exchange.status = response.status();
        exchange.is_complete = exchange.method == Method::HEAD || response.body().is_end_stream();
        if self.is_stopping.get() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response.map(|content| Answer { content, exchange })
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Content> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/") => text("Hello from asyncio.\n"),
            (&Method::GET, "/slow") => slow(request.uri()).await,
            (&Method::POST, "/echo") => Response::new(Either::Right(request.into_body())),
            (&Method::GET, "/stats") => self.stats(),
            _ => with_status(StatusCode::NOT_FOUND, text("There is nothing here.\n")),
        }
    }

    /// This very request is one of those in flight.
    fn stats(&self) -> Response<Content> {
        let (served, in_flight) = (self.served.get(), self.in_flight.get());
        let tasks = asyncio::all_tasks().len();
        let json = format!(r#"{{"served":{served},"in_flight":{in_flight},"tasks":{tasks}}}"#);
        let mut response = text(json + "\n");
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// `/slow?ms=N`: answers after N milliseconds.
async fn slow(uri: &Uri) -> Response<Content> {
    let millis = uri.query().and_then(|query| query.strip_prefix("ms="));
    let Some(millis) = millis.and_then(|millis| millis.parse().ok()) else {
        let usage = text("Say how slow: /slow?ms=1000\n");
        return with_status(StatusCode::BAD_REQUEST, usage);
    };
    asyncio::sleep(Duration::from_millis(millis)).await;
    text(format!("That took {millis} ms.\n"))
}

fn text(text: impl Into<Bytes>) -> Response<Content> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn with_status(status: StatusCode, mut response: Response<Content>) -> Response<Content> {
    *response.status_mut() = status;
    response
}

/// Bytes that are there, or a body that is still arriving.
type Content = Either<Full<Bytes>, Incoming>;

/// The body of an answer, which knows whose answer it is.
struct Answer {
    content: Content,
    exchange: Exchange,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = <Content as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(cx));
        // hyper does not ask again when it knows that this was the last piece.
        if frame.is_none() || self.content.is_end_stream() {
            self.exchange.is_complete = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

/// One request, from its head to the last byte of its answer.
struct Exchange {
    server: Rc<Server>,
    peer: SocketAddr,
    method: Method,
    uri: Uri,
    version: Version,
    status: StatusCode,
    began: Instant,
    /// The whole answer was handed to the connection; hyper asks nobody for a body that has no bytes to send.
    is_complete: bool,
}

impl Exchange {
    fn begin(server: &Rc<Server>, peer: SocketAddr, request: &Request<Incoming>) -> Exchange {
        server.in_flight.set(server.in_flight.get() + 1);
        Exchange {
            server: server.clone(),
            peer,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            status: StatusCode::OK,
            began: Instant::now(),
            is_complete: false,
        }
    }
}

impl Drop for Exchange {
    /// Also when the client went away, or the server's patience was over: then it does not count.
    fn drop(&mut self) {
        let server = &self.server;
        server.in_flight.set(server.in_flight.get() - 1);
        if self.is_complete {
            server.served.set(server.served.get() + 1);
            if let Some(log) = &server.log {
                log.write(format_args!("{self}\n"));
            }
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let Exchange {
            peer,
            method,
            uri,
            version,
            status,
            ..
        } = self;
        write!(
            f,
            "{:.3} {peer} \"{method} {uri} {version:?}\" {} {}us",
            now.as_secs_f64(),
            status.as_u16(),
            self.began.elapsed().as_micros()
        )
    }
}

/// A file that is written in the executor, because a write to a disk may block. Lines that come meanwhile are collected
/// and written in one piece; there is one write at a time, so their order is kept.
struct AccessLog {
    file: Arc<File>,
    pending: RefCell<Vec<u8>>,
    /// Writes until nothing is pending.
    writer: RefCell<Option<Task<()>>>,
}

impl AccessLog {
    async fn open(path: Option<PathBuf>) -> io::Result<Option<Rc<AccessLog>>> {
        let Some(path) = path else { return Ok(None) };
        let open = move || match File::options().append(true).create(true).open(&path) {
            Err(error) => Err(io::Error::other(format!(
                "cannot open {}: {error}",
                path.display()
            ))),
            file => file,
        };
        Ok(Some(Rc::new(AccessLog {
            file: Arc::new(asyncio::to_thread(open).await??),
            pending: RefCell::default(),
            writer: RefCell::default(),
        })))
    }

    fn write(self: &Rc<Self>, line: fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        let _ = self.pending.borrow_mut().write_fmt(line);
        let mut writer = self.writer.borrow_mut();
        if writer.is_none() {
            *writer = Some(asyncio::spawn(self.clone().write_pending()));
        }
    }

    async fn write_pending(self: Rc<Self>) {
        loop {
            let batch = mem::take(&mut *self.pending.borrow_mut());
            if batch.is_empty() {
                break;
            }
            let file = self.file.clone();
            let written = asyncio::to_thread(move || (&*file).write_all(&batch)).await;
            if let Err(error) = written.unwrap_or_else(|error| Err(error.into())) {
                eprintln!("web_server: cannot write the access log: {error}");
            }
        }
        self.writer.borrow_mut().take();
    }

    /// Waits until every line is written.
    async fn flush(&self) {
        loop {
            let writer = self.writer.borrow_mut().take();
            let Some(writer) = writer else { return };
            let _ = writer.await;
        }
    }
}
