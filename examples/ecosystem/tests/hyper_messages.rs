//! Messages of HTTP, written by hand as strange clients and servers may write them, whole and in pieces of every size, to hyper
//! on this crate's sockets: forms of bodies, several requests at once, what is malformed, how connections end.
//!
//! The cases follow those of hyper's own tests, which its package leaves out.

use std::convert::Infallible;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use asyncio::hyper::{Executor, Io, Timer};
use asyncio::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _, future};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);
/// How much is written at once: everything, a few bytes, one.
const PIECES: [usize; 3] = [usize::MAX, 3, 1];

/// Answers with all that it has understood of the request.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let line = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().collect().await?;
    let trailer = body.trailers().and_then(|trailers| trailers.get("x-end"));
    let trailer = trailer.map_or(&b""[..], |value| value.as_bytes()).to_vec();
    let told = [line.as_bytes(), &body.to_bytes(), &trailer].concat();
    Ok(Response::new(Full::new(told.into())))
}

/// Writes to a connection in pieces, each of which the other side may read before the next one comes.
async fn write(mut stream: &TcpStream, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece.min(bytes.len()).max(1)) {
        // The other side has ended it, as it must with some of these.
        if stream.write_all(piece).await.is_err() {
            break;
        }
        asyncio::yield_now().await;
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Everything that comes until the connection ends, also if it ends by a reset.
async fn read_all(mut stream: &TcpStream) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        received.extend(&buffer[..length]);
    }
    String::from_utf8(received).unwrap()
}

/// Sends these bytes to hyper's server, and returns its answers.
async fn ask(sent: &str, piece: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = asyncio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        let mut http = server::conn::http1::Builder::new();
        http.timer(Timer::new())
            .auto_date_header(false)
            .half_close(true)
            .max_headers(8);
        // Its errors are the client's, who is told.
        let _ = http
            .serve_connection(Io::new(stream), service_fn(tell))
            .await;
    });
    let client = TcpStream::connect(address).await.unwrap();
    client.set_nodelay(true).unwrap();
    let (_, answers) = future::zip(write(&client, sent.as_bytes(), piece), read_all(&client)).await;
    server.await.unwrap();
    answers
}

fn answer(told: &str) -> String {
    let length = told.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{told}")
}

async fn assert_answers(sent: &str, expected: &str) {
    for piece in PIECES {
        let answers = ask(sent, piece).await;
        assert_eq!(answers, expected, "{sent:?} in pieces of {piece}");
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_server_understands_each_form_of_a_body() {
    const CHUNKED: &str = "PUT /b HTTP/1.1\r\nhost: me\r\ntransfer-encoding: chunked\r\n";
    for (sent, told) in [
        ("GET / HTTP/1.1\r\nhost: me\r\n\r\n".to_owned(), "GET / "),
        (
            "POST /a HTTP/1.1\r\nhost: me\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            "POST /a hello",
        ),
        (format!("{CHUNKED}\r\n0\r\n\r\n"), "PUT /b "),
        (
            format!("{CHUNKED}\r\n5\r\nhello\r\n1;name=value\r\n \r\n05\r\nworld\r\n0\r\n\r\n"),
            "PUT /b hello world",
        ),
        (
            format!("{CHUNKED}trailer: x-end\r\n\r\n3\r\none\r\n0\r\nx-end: !\r\n\r\n"),
            "PUT /b one!",
        ),
        // Empty lines before a request are passed over.
        (
            "\r\n\r\nGET /c HTTP/1.1\r\nhost: me\r\n\r\n".to_owned(),
            "GET /c ",
        ),
    ] {
        assert_answers(&sent, &answer(told)).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_server_answers_requests_in_their_order_however_they_come() {
    let one = "POST /1 HTTP/1.1\r\nhost: me\r\ncontent-length: 3\r\n\r\none";
    let two = "GET /2 HTTP/1.1\r\nhost: me\r\n\r\n";
    let three =
        "PUT /3 HTTP/1.1\r\nhost: me\r\ntransfer-encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n";
    let last = "GET /4 HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n";
    let expected = ["POST /1 one", "GET /2 ", "PUT /3 three"]
        .map(answer)
        .concat();
    let closed = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\nGET /4 ";
    let sent = [
        one,
        two,
        three,
        last,
        "GET /late HTTP/1.1\r\nhost: me\r\n\r\n",
    ]
    .concat();
    assert_answers(&sent, &(expected + closed)).await;
}

#[asyncio::test(timeout = "60s")]
async fn a_server_keeps_to_what_old_and_careful_clients_expect() {
    for (sent, expected) in [
        // Asked for its head only, it says how long the body would be.
        (
            "HEAD / HTTP/1.1\r\nhost: me\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n".to_owned(),
        ),
        (
            "GET / HTTP/1.0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nGET / ".to_owned(),
        ),
        (
            "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 6\r\n\r\nGET / \
             HTTP/1.0 200 OK\r\ncontent-length: 7\r\n\r\nGET /2 "
                .to_owned(),
        ),
        (
            "PUT / HTTP/1.1\r\nhost: me\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n.",
            format!("HTTP/1.1 100 Continue\r\n\r\n{}", answer("PUT / .")),
        ),
    ] {
        assert_answers(sent, &expected).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_server_refuses_what_is_malformed_and_answers_what_came_before() {
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(9));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "*".repeat(70_000));
    for (wrong, status) in [
        ("How do you do?\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/7.3\r\n\r\n", "400 Bad Request"),
        (
            "PUT / HTTP/1.1\r\ncontent-length: some\r\n\r\n",
            "400 Bad Request",
        ),
        (
            "PUT / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "400 Bad Request",
        ),
        (
            "PUT / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
            "400 Bad Request",
        ),
        (&many, "431 Request Header Fields Too Large"),
        (&long, "414 URI Too Long"),
    ] {
        let sent = format!("GET /ok HTTP/1.1\r\nhost: me\r\n\r\n{wrong}");
        let before = answer("GET /ok ");
        let refusal =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        // A long one bytewise takes long, and shows nothing more.
        for piece in PIECES
            .into_iter()
            .filter(|piece| wrong.len() / piece < 1_000)
        {
            let answers = ask(&sent, piece).await;
            assert_eq!(
                answers,
                format!("{before}{refusal}"),
                "{wrong:.40?} in pieces of {piece}"
            );
        }
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_server_answers_nothing_to_a_request_that_is_cut_off() {
    let whole = "PUT / HTTP/1.1\r\nhost: me\r\ncontent-length: 5\r\n\r\nhello";
    for length in 0..whole.len() {
        let answers = ask(&whole[..length], usize::MAX).await;
        assert!(
            answers.is_empty() || answers.starts_with("HTTP/1.1 400 "),
            "{answers:?} after {length} bytes"
        );
    }
}

/// Plays a server by hand that reads a request and then sends these bytes; returns what hyper's client makes of them.
async fn receive(method: &str, sent: &str, piece: usize) -> hyper::Result<(u16, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let server = async {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            head.extend(byte);
        }
        write(&stream, sent.as_bytes(), piece).await;
        // Until the client is done.
        read_all(&stream).await;
    };
    let client = async {
        let stream = Io::new(TcpStream::connect(address).await.unwrap());
        let (mut client, connection) = client::conn::http1::handshake(stream).await?;
        let connection = asyncio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "me");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let received = async {
            let response = client.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8(body.to_vec()).unwrap()))
        };
        let received = received.await;
        drop(client);
        // It tells the caller of its errors as well, if it has one.
        let _ = connection.await.unwrap();
        received
    };
    future::zip(server, client).await.1
}

#[asyncio::test(timeout = "60s")]
async fn a_client_understands_each_form_of_an_answer() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = "3\r\none\r\n1;ext\r\n \r\n3\r\ntwo\r\n0\r\nx-end: 1\r\n\r\n";
    for (method, sent, status, body) in [
        (
            "GET",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            200,
            "hello",
        ),
        ("GET", format!("{chunked}{chunks}"), 200, "one two"),
        // Until the end of the connection.
        (
            "GET",
            "HTTP/1.1 200 OK\r\n\r\nhello".to_owned(),
            200,
            "hello",
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\n\r\nhello".to_owned(),
            200,
            "hello",
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_owned(),
            200,
            "",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), 204, ""),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n".to_owned(),
            304,
            "",
        ),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n\
             HTTP/1.1 418 I'm a teapot\r\ncontent-length: 2\r\n\r\nno"
                .to_owned(),
            418,
            "no",
        ),
    ] {
        for piece in PIECES {
            let received = receive(method, &sent, piece).await.unwrap();
            assert_eq!(
                received,
                (status, body.to_owned()),
                "{sent:?} in pieces of {piece}"
            );
        }
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_client_is_told_of_answers_that_are_malformed_or_cut_off() {
    for wrong in [
        "How do you do?\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: some\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsome\r\n",
    ] {
        for piece in PIECES {
            let received = receive("GET", wrong, piece).await;
            assert!(received.is_err(), "{received:?} after {wrong:?}");
        }
    }
    for whole in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        for length in 0..whole.len() {
            let received = receive("GET", &whole[..length], usize::MAX).await;
            assert!(received.is_err(), "{received:?} after {length} bytes");
        }
    }
}

#[asyncio::test(timeout = "20s")]
async fn a_client_of_http2_gives_up_a_server_that_answers_no_ping() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = Io::new(TcpStream::connect(address).await.unwrap());
    let (silent, _peer) = listener.accept().await.unwrap();
    let mut http = client::conn::http2::Builder::new(Executor::new());
    http.timer(Timer::new())
        .keep_alive_interval(SHORT)
        .keep_alive_timeout(SHORT)
        .keep_alive_while_idle(true);
    let (client, connection) = http.handshake::<_, Empty<Bytes>>(stream).await.unwrap();
    let error = connection.await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    drop((client, silent));
}

#[asyncio::test(timeout = "20s")]
async fn connections_of_http2_stay_alive_by_pings() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = asyncio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        let service = service_fn(async |_request| {
            // Long enough for many pings.
            asyncio::sleep(SHORT * 4).await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("late"))))
        });
        let mut http = server::conn::http2::Builder::new(Executor::new());
        http.timer(Timer::new())
            .keep_alive_interval(SHORT / 10)
            .keep_alive_timeout(Duration::from_secs(10));
        http.serve_connection(Io::new(stream), service).await
    });
    let stream = Io::new(TcpStream::connect(address).await.unwrap());
    let handshake = client::conn::http2::handshake(Executor::new(), stream);
    let (mut client, connection) = handshake.await.unwrap();
    let connection = asyncio::spawn(connection);
    let request = Request::get("http://localhost/").body(Empty::<Bytes>::new());
    let response = client.send_request(request.unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "late");
    drop(client);
    connection.await.unwrap().unwrap();
    server.await.unwrap().unwrap();
}
