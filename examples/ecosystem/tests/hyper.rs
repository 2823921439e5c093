//! hyper's clients and servers on this loop, over real sockets: HTTP/1, HTTP/2, time, upgrades, cancellation.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio::Task;
use asyncio::hyper::{Executor, Io, OnThread, Timer};
use asyncio::net::{TcpListener, TcpStream};
use asyncio::sync::Event;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::Timer as _;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, server};

/// Short enough to wait for, and long enough for nobody to be that slow by accident.
const SHORT: Duration = Duration::from_millis(50);

type Answer = Response<Full<Bytes>>;

/// Serves one connection of HTTP/1 in a task.
async fn serve_http1<F>(
    answer: impl Fn(Request<Incoming>) -> F + 'static,
) -> (SocketAddr, Task<hyper::Result<()>>)
where
    F: Future<Output = Answer> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = asyncio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        let service = service_fn(move |request| {
            let answer = answer(request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut http = server::conn::http1::Builder::new();
        http.timer(Timer::new()).header_read_timeout(SHORT * 4);
        http.serve_connection(Io::new(OnThread::new(stream)), service)
            .with_upgrades()
            .await
    });
    (address, server)
}

async fn http1_client(address: SocketAddr) -> client::conn::http1::SendRequest<Full<Bytes>> {
    let stream = OnThread::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = client::conn::http1::handshake(Io::new(stream))
        .await
        .unwrap();
    asyncio::spawn(connection.with_upgrades());
    client
}

async fn echo(request: Request<Incoming>) -> Answer {
    let body = request.into_body().collect().await.unwrap();
    Response::new(Full::new(body.to_bytes()))
}

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post("http://localhost/").header("host", "localhost");
    request.body(Full::new(body.into())).unwrap()
}

async fn body_of(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Bytes in which a piece that is lost, doubled or moved shows.
fn long_body() -> Bytes {
    (0..1_000_003_u32).map(|at| (at % 251) as u8).collect()
}

#[asyncio::test(timeout = "20s")]
async fn one_connection_of_http1_carries_many_requests_small_and_large() {
    let (address, server) = serve_http1(echo).await;
    let mut client = http1_client(address).await;
    for body in [Bytes::new(), "hello".into(), long_body(), "again".into()] {
        let response = client.send_request(post(body.clone())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(body_of(response).await == body);
    }
    drop(client);
    server.await.unwrap().unwrap();
}

#[asyncio::test(timeout = "20s")]
async fn one_connection_of_http2_carries_many_requests_at_once() {
    const COUNT: usize = 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all_here = Rc::new((Cell::new(0), Event::new()));
    let server = asyncio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        // None is answered before all have come. Nothing here is `Send`.
        let service = service_fn(move |request| {
            let all_here = all_here.clone();
            async move {
                all_here.0.set(all_here.0.get() + 1);
                if all_here.0.get() == COUNT {
                    all_here.1.set();
                }
                all_here.1.wait().await;
                Ok::<_, Infallible>(echo(request).await)
            }
        });
        let mut http = server::conn::http2::Builder::new(Executor::new());
        http.timer(Timer::new());
        http.serve_connection(Io::new(stream), service).await
    });
    let stream = Io::new(TcpStream::connect(address).await.unwrap());
    let handshake = client::conn::http2::handshake(Executor::new(), stream);
    let (client, connection) = handshake.await.unwrap();
    let connection = asyncio::spawn(connection);
    let asking = (0..COUNT).map(|number| {
        let mut client = client.clone();
        let body = Bytes::from(vec![number as u8; 10_000 * number]);
        async move {
            let response = client.send_request(post(body.clone())).await.unwrap();
            body_of(response).await == body
        }
    });
    let answers = asyncio::gather(asking.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(answers, [true; COUNT]);
    drop(client);
    connection.await.unwrap().unwrap();
    server.await.unwrap().unwrap();
}

#[asyncio::test(timeout = "20s")]
async fn a_body_that_is_too_slow_times_out_and_the_client_is_told() {
    let (address, server) = serve_http1(async |request| {
        let status = match asyncio::timeout(SHORT, echo(request)).await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::REQUEST_TIMEOUT,
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    })
    .await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: me\r\ncontent-length: 10\r\n\r\nhalf";
    client.write_all(head).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let _ = server.await.unwrap();
}

#[asyncio::test(timeout = "20s")]
async fn a_head_that_never_ends_is_given_up() {
    let (address, server) = serve_http1(echo).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let error = server.await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(started.elapsed() >= SHORT * 4);
}

#[asyncio::test(virtual_time)]
async fn the_timer_goes_by_the_clock_of_the_loop() {
    let timer = Timer::new();
    let started = timer.now();
    assert_eq!(started, asyncio::running_loop().time());
    timer.sleep(Duration::from_secs(3600)).await;
    let woken = timer.now();
    assert_eq!(woken - started, Duration::from_secs(3600));
    timer.sleep_until(woken + Duration::from_secs(60)).await;
    assert_eq!(timer.now() - woken, Duration::from_secs(60));
}

#[asyncio::test(virtual_time)]
async fn an_alarm_that_is_set_anew_rings_at_its_new_time_only() {
    let timer = Timer::new();
    let started = timer.now();
    let mut alarm = timer.sleep(Duration::from_secs(10));
    let early = asyncio::timeout(Duration::from_secs(5), &mut alarm).await;
    assert!(early.is_err());
    timer.reset(&mut alarm, started + Duration::from_secs(30));
    alarm.await;
    assert_eq!(timer.now() - started, Duration::from_secs(30));
}

#[asyncio::test(virtual_time)]
async fn an_alarm_for_the_end_of_time_never_rings_and_can_be_dropped() {
    let mut alarm = Timer::new().sleep(Duration::MAX);
    let hour = Duration::from_secs(3600);
    assert!(asyncio::timeout(hour, &mut alarm).await.is_err());
}

#[asyncio::test(timeout = "20s")]
async fn both_sides_of_an_upgrade_talk_in_their_own_words_afterwards() {
    let (address, server) = serve_http1(async |mut request: Request<Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        asyncio::spawn(async move {
            let mut stream = Io::new(upgrade.await.unwrap());
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            word.reverse();
            stream.write_all(&word).await.unwrap();
            stream.close().await.unwrap();
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "backwards".parse().unwrap());
        response
    })
    .await;
    let mut client = http1_client(address).await;
    let mut request = post("");
    let headers = request.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "backwards".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = Io::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"abcd").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "dcba");
    server.await.unwrap().unwrap();
}

/// Tells when it is dropped.
struct Guard(Rc<Event>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A service that says when it has begun, never answers, and says when it is dropped.
fn endless(
    begun: &Rc<Event>,
    dropped: &Rc<Event>,
) -> impl Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer>>> + 'static {
    let (begun, dropped) = (begun.clone(), dropped.clone());
    move |_request| {
        let guard = Guard(dropped.clone());
        begun.set();
        Box::pin(async {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

#[asyncio::test(timeout = "20s")]
async fn a_connection_that_is_cancelled_drops_its_request_and_closes() {
    let (begun, dropped) = (Rc::new(Event::new()), Rc::new(Event::new()));
    let (address, server) = serve_http1(endless(&begun, &dropped)).await;
    let mut client = http1_client(address).await;
    let asking = asyncio::spawn(async move { client.send_request(post("")).await });
    begun.wait().await;
    server.cancel();
    assert!(server.await.unwrap_err().is_cancelled());
    assert!(dropped.is_set());
    assert!(asking.await.unwrap().unwrap_err().is_incomplete_message());
}

#[asyncio::test(timeout = "20s")]
async fn a_client_that_is_cancelled_ends_its_request_on_the_server() {
    let (begun, dropped) = (Rc::new(Event::new()), Rc::new(Event::new()));
    let (address, server) = serve_http1(endless(&begun, &dropped)).await;
    let asking = asyncio::spawn(async move {
        let stream = Io::new(TcpStream::connect(address).await.unwrap());
        let (mut client, connection) = client::conn::http1::handshake(stream).await.unwrap();
        let asking = async {
            let _ = client.send_request(post("")).await;
        };
        // The connection lives inside of the task, and ends with it.
        futures_lite::future::zip(asking, connection).await
    });
    begun.wait().await;
    asking.cancel();
    assert!(asking.await.unwrap_err().is_cancelled());
    dropped.wait().await;
    assert!(server.await.unwrap().unwrap_err().is_incomplete_message());
}

#[asyncio::test(timeout = "20s")]
async fn a_request_of_http2_that_is_cancelled_leaves_the_others_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, dropped) = (Rc::new(Event::new()), Rc::new(Event::new()));
    let hang = endless(&begun, &dropped);
    let server = asyncio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let is_endless = request.uri().path() == "/endless";
            let answer: Pin<Box<dyn Future<Output = Answer>>> = match is_endless {
                true => hang(request),
                false => Box::pin(echo(request)),
            };
            async { Ok::<_, Infallible>(answer.await) }
        });
        let http = server::conn::http2::Builder::new(Executor::new());
        http.serve_connection(Io::new(stream), service).await
    });
    let stream = Io::new(TcpStream::connect(address).await.unwrap());
    let handshake = client::conn::http2::handshake(Executor::new(), stream);
    let (mut client, connection) = handshake.await.unwrap();
    asyncio::spawn(connection);
    let mut request = post("");
    *request.uri_mut() = "http://localhost/endless".parse().unwrap();
    let hanging = asyncio::spawn(client.send_request(request));
    begun.wait().await;
    hanging.cancel();
    assert!(hanging.await.unwrap_err().is_cancelled());
    dropped.wait().await;
    let response = client.send_request(post("still here")).await.unwrap();
    assert_eq!(body_of(response).await, "still here");
    drop(client);
    server.await.unwrap().unwrap();
}
