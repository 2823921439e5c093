//! Serving axum's routers: what is answered, what an orderly stop finishes, closes and cuts, and which limits hold.

use std::future::IntoFuture as _;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use asyncio::Task;
use asyncio::axum::{OnThread, Peer, Serve, local, serve};
use asyncio::hyper::{Executor, Io};
use asyncio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use asyncio::sync::Event;
use axum::extract::{Path, Request};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::StatusCode;
use hyper::body::Bytes;

/// Short enough to wait for, and long enough for nobody to be that slow by accident.
const SHORT: Duration = Duration::from_millis(100);

/// A server in a task of its own, and where it is.
struct Server {
    task: Task<std::convert::Infallible>,
    address: SocketAddr,
}

impl Server {
    async fn start(
        router: Router,
        set: impl FnOnce(Serve<TcpListener>) -> Serve<TcpListener>,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = set(serve(listener, router));
        let task = asyncio::spawn(async { serve.await });
        Server { task, address }
    }

    async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
        }
    }

    /// Asks it to stop, and waits until it has.
    async fn stop(self) {
        self.task.cancel();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// One connection, used as a plain client does.
struct Client {
    stream: TcpStream,
}

impl Client {
    async fn send(&mut self, head: &str, body: &str) {
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: me\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads one answer: its head and its body; an error if the connection ends before.
    async fn receive(&mut self) -> io::Result<(String, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).await?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.stream.read_exact(&mut body).await?;
        Ok((head, String::from_utf8(body).unwrap()))
    }

    async fn ask(&mut self, head: &str) -> String {
        self.send(head, "").await;
        self.receive().await.unwrap().1
    }

    /// Waits for the end of the connection, without a further byte.
    async fn ended(mut self) {
        assert_eq!(self.stream.read(&mut [0]).await.unwrap(), 0);
    }
}

/// `/` answers at once. `/slow` says when it has begun, waits until it may end, and says when it is dropped.
struct Slow {
    router: Router,
    begun: Rc<Event>,
    may_end: Rc<Event>,
    is_dropped: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Slow {
        struct Guard(Arc<AtomicBool>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (begun, may_end) = (Rc::new(Event::new()), Rc::new(Event::new()));
        let is_dropped = Arc::new(AtomicBool::new(false));
        // axum shares its handlers as if between threads.
        let events = Arc::new(OnThread::new((begun.clone(), may_end.clone())));
        let dropped = is_dropped.clone();
        let slow = async move || {
            let guard = Guard(dropped.clone());
            let (begun, may_end) = events.with(|events| events.clone()).unwrap();
            local(async move {
                let _guard = guard;
                begun.set();
                may_end.wait().await;
            })
            .await;
            "slow"
        };
        Slow {
            router: Router::new()
                .route("/", get(async || "quick"))
                .route("/slow", get(slow)),
            begun,
            may_end,
            is_dropped,
        }
    }

    fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::SeqCst)
    }
}

#[asyncio::test(timeout = "20s")]
async fn a_router_answers_with_paths_json_and_peers_on_one_connection() {
    async fn double(Json(numbers): Json<Vec<i64>>) -> Json<Vec<i64>> {
        Json(numbers.iter().map(|number| number * 2).collect())
    }
    let router = Router::new()
        .route(
            "/hello/{name}",
            get(async |Path(name): Path<String>| format!("hello {name}")),
        )
        .route("/double", post(double))
        .route(
            "/me",
            get(async |Peer(peer): Peer<SocketAddr>| peer.to_string()),
        );
    let server = Server::start(router, |serve| serve).await;
    let mut client = server.connect().await;
    assert_eq!(client.ask("GET /hello/world").await, "hello world");
    client.send("POST /double", "[1, 2]").await;
    assert_eq!(client.receive().await.unwrap().1, "[2,4]");
    let me = client.stream.local_addr().unwrap().to_string();
    assert_eq!(client.ask("GET /me").await, me);
    client.send("GET /nowhere", "").await;
    assert!(
        client
            .receive()
            .await
            .unwrap()
            .0
            .starts_with("HTTP/1.1 404 ")
    );
    server.stop().await;
    client.ended().await;
}

#[asyncio::test(timeout = "20s")]
async fn a_unix_socket_is_served_as_well() {
    let path = std::env::temp_dir().join(format!("asyncio-axum-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let router = Router::new().route("/", get(async |_: Peer<()>| "here"));
    let server = asyncio::spawn(async { serve(listener, router).await });
    let mut client = UnixStream::connect(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nhere"), "{answer}");
    server.cancel();
    assert!(server.await.unwrap_err().is_cancelled());
}

#[asyncio::test(timeout = "20s")]
async fn a_stop_answers_the_request_under_way_and_closes_idle_connections() {
    let slow = Slow::new();
    let server = Server::start(slow.router.clone(), |serve| serve).await;
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    assert_eq!(idle.ask("GET /").await, "quick");
    busy.send("GET /slow", "").await;
    slow.begun.wait().await;
    server.task.cancel();
    idle.ended().await;
    assert!(!server.task.is_finished() && !slow.is_dropped());
    slow.may_end.set();
    let (head, body) = busy.receive().await.unwrap();
    assert_eq!(body, "slow");
    assert!(head.contains("connection: close"), "{head}");
    busy.ended().await;
    let address = server.address;
    assert!(server.task.await.unwrap_err().is_cancelled());
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[asyncio::test(timeout = "20s")]
async fn a_stop_does_not_interrupt_what_a_handler_has_put_a_timeout_around() {
    let (begun, may_end) = (Rc::new(Event::new()), Rc::new(Event::new()));
    let events = Arc::new(OnThread::new((begun.clone(), may_end.clone())));
    let handler = async move || {
        let (begun, may_end) = events.with(|events| events.clone()).unwrap();
        local(async move {
            begun.set();
            let waited = asyncio::timeout(Duration::from_secs(60), may_end.wait()).await;
            format!("{}", waited.is_ok())
        })
        .await
    };
    let server = Server::start(Router::new().route("/", get(handler)), |serve| serve).await;
    let mut client = server.connect().await;
    client.send("GET /", "").await;
    begun.wait().await;
    server.task.cancel();
    asyncio::yield_now().await;
    may_end.set();
    assert_eq!(client.receive().await.unwrap().1, "true");
    assert!(server.task.await.unwrap_err().is_cancelled());
}

#[asyncio::test(timeout = "20s")]
async fn a_request_whose_time_is_over_is_cut() {
    let slow = Slow::new();
    let server = Server::start(slow.router.clone(), |serve| serve.stop_timeout(SHORT)).await;
    let mut client = server.connect().await;
    client.send("GET /slow", "").await;
    slow.begun.wait().await;
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() >= SHORT);
    assert!(slow.is_dropped());
    client.ended().await;
}

#[asyncio::test(timeout = "20s")]
async fn a_second_cancellation_cuts_at_once() {
    let slow = Slow::new();
    let patient = |serve: Serve<_>| serve.stop_timeout(Duration::MAX);
    let server = Server::start(slow.router.clone(), patient).await;
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    assert_eq!(idle.ask("GET /").await, "quick");
    busy.send("GET /slow", "").await;
    slow.begun.wait().await;
    server.task.cancel();
    // Then it waits for the busy one only.
    idle.ended().await;
    server.stop().await;
    busy.ended().await;
    assert!(slow.is_dropped());
}

#[asyncio::test(timeout = "20s")]
async fn a_server_that_is_dropped_leaves_no_connection_behind() {
    let slow = Slow::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(listener, slow.router.clone()).into_future();
    let mut client = Client {
        stream: TcpStream::connect(address).await.unwrap(),
    };
    client.send("GET /slow", "").await;
    let begun = async { slow.begun.wait().await };
    futures_lite::future::or(async { match serving.await {} }, begun).await;
    client.ended().await;
    assert!(slow.is_dropped());
}

#[asyncio::test(timeout = "20s")]
async fn no_more_connections_are_open_than_allowed() {
    let slow = Slow::new();
    let server = Server::start(slow.router.clone(), |serve| serve.max_connections(1)).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET /slow", "").await;
    second.send("GET /", "").await;
    slow.begun.wait().await;
    assert!(asyncio::timeout(SHORT, second.receive()).await.is_err());
    slow.may_end.set();
    assert_eq!(first.receive().await.unwrap().1, "slow");
    drop(first);
    assert_eq!(second.receive().await.unwrap().1, "quick");
    server.stop().await;
}

#[asyncio::test(timeout = "20s")]
async fn a_connection_that_says_nothing_is_closed_in_time() {
    let slow = Slow::new();
    let server = Server::start(slow.router.clone(), |serve| serve.idle_timeout(SHORT)).await;
    let (silent, mut idle) = (server.connect().await, server.connect().await);
    assert_eq!(idle.ask("GET /").await, "quick");
    let started = Instant::now();
    silent.ended().await;
    idle.ended().await;
    assert!(started.elapsed() < SHORT * 50);
    server.stop().await;
}

#[asyncio::test(timeout = "20s")]
async fn a_stop_answers_the_requests_of_http2_that_are_under_way() {
    let slow = Slow::new();
    let server = Server::start(slow.router.clone(), |serve| serve).await;
    let stream = Io::new(TcpStream::connect(server.address).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(Executor::new(), stream);
    let (mut client, connection) = handshake.await.unwrap();
    let connection = asyncio::spawn(connection);
    let request = Request::get("http://localhost/slow").body(Empty::<Bytes>::new());
    let answer = asyncio::spawn(client.send_request(request.unwrap()));
    slow.begun.wait().await;
    server.task.cancel();
    asyncio::yield_now().await;
    assert!(!server.task.is_finished() && !slow.is_dropped());
    slow.may_end.set();
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "slow");
    connection.await.unwrap().unwrap();
    assert!(server.task.await.unwrap_err().is_cancelled());
}

#[asyncio::test(timeout = "20s")]
async fn a_request_of_http2_whose_time_is_over_is_cut() {
    let slow = Slow::new();
    let server = Server::start(slow.router.clone(), |serve| serve.stop_timeout(SHORT)).await;
    let stream = Io::new(TcpStream::connect(server.address).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(Executor::new(), stream);
    let (mut client, connection) = handshake.await.unwrap();
    asyncio::spawn(async { connection.await.is_ok() });
    let request = Request::get("http://localhost/slow").body(Empty::<Bytes>::new());
    let answer = asyncio::spawn(client.send_request(request.unwrap()));
    slow.begun.wait().await;
    server.stop().await;
    assert!(slow.is_dropped());
    assert!(answer.await.unwrap().is_err());
}

#[asyncio::test(timeout = "20s")]
async fn a_handler_that_panics_ends_its_connection_and_no_other() {
    async fn broken() {
        panic!("broken on purpose");
    }
    let seen = Rc::new(Event::new());
    let reported = seen.clone();
    asyncio::running_loop().set_exception_handler(move |_loop, context| {
        assert_eq!(context.exception().unwrap(), "broken on purpose");
        reported.set();
    });
    let router = Router::new()
        .route("/broken", get(broken))
        .route("/", get(async || "fine"));
    let server = Server::start(router, |serve| serve).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET /broken", "").await;
    first.ended().await;
    seen.wait().await;
    assert_eq!(second.ask("GET /").await, "fine");
    server.stop().await;
}

#[asyncio::test(timeout = "20s")]
async fn a_handler_can_take_its_connection_over_and_keep_it_through_the_stop() {
    async fn take_over(mut request: Request) -> impl axum::response::IntoResponse {
        let upgrade = hyper::upgrade::on(&mut request);
        asyncio::spawn(async move {
            let mut stream = Io::new(upgrade.await.unwrap());
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            word.reverse();
            stream.write_all(&word).await.unwrap();
        });
        let headers = [("connection", "upgrade"), ("upgrade", "backwards")];
        (StatusCode::SWITCHING_PROTOCOLS, headers)
    }
    let router = Router::new().route("/", get(take_over));
    let server = Server::start(router, |serve| serve).await;
    let mut client = server.connect().await;
    let request =
        b"GET / HTTP/1.1\r\nhost: me\r\nconnection: upgrade\r\nupgrade: backwards\r\n\r\n";
    client.stream.write_all(request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    server.stop().await;
    client.stream.write_all(b"abcd").await.unwrap();
    let mut answer = String::new();
    client.stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "dcba");
}

#[asyncio::test(virtual_time)]
async fn a_local_future_that_is_cancelled_is_dropped_where_it_waits() {
    let dropped = Rc::new(Event::new());
    let guard = dropped.clone();
    let task = asyncio::spawn(local(async move {
        let _guard = Guard(guard);
        asyncio::sleep(Duration::MAX).await;
    }));
    asyncio::sleep(SHORT).await;
    assert!(!dropped.is_set());
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(dropped.is_set());

    /// Tells when it is dropped.
    struct Guard(Rc<Event>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.set();
        }
    }
}

/// tokio is there for its channels and traits, which need no runtime; threads, a reactor and timers are not even compiled.
#[test]
fn no_other_runtime_is_built() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p} features: {f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && tree.contains("hyper v1"),
        "{tree}"
    );
    for line in tree.lines() {
        let (package, features) = line.split_once(" features: ").unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap();
        assert!(!["smol", "async-std", "async-io"].contains(&name), "{line}");
        if name == "tokio" {
            let features = features.split([',', ' ']);
            let runs = |feature: &str| ["rt", "net", "time", "rt-multi-thread"].contains(&feature);
            assert!(!features.into_iter().any(runs), "{line}");
        }
    }
}
