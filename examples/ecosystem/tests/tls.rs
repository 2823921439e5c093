//! TLS over this crate's sockets: round trips, goodbyes, and a handshake or a transfer that is cancelled in the middle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use asyncio::hyper::Io;
use asyncio::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use futures_rustls::pki_types::{PrivateKeyDer, ServerName};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector, client, server};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

const NAME: &str = "localhost";
/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);

/// A server's identity, and a client that trusts it.
fn new_pair() -> (TlsAcceptor, TlsConnector) {
    let identity = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    (client, listener.accept().await.unwrap().0)
}

async fn connected() -> (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
    let (acceptor, connector) = new_pair();
    let (client, server) = tcp_pair().await;
    let client = async { connector.connect(name(), client).await };
    let server = async { acceptor.accept(server).await };
    let (client, server) = futures_lite::future::zip(client, server).await;
    (client.unwrap(), server.unwrap())
}

#[asyncio::test(timeout = "20s")]
async fn a_megabyte_goes_there_and_back_and_both_say_goodbye() {
    let (client, mut server) = connected().await;
    let sent: Vec<u8> = (0..1_000_003_u32).map(|at| (at % 251) as u8).collect();
    let expected = sent.clone();
    let echo = asyncio::spawn(async move {
        let mut buffer = vec![0; 10_000];
        loop {
            match server.read(&mut buffer).await? {
                0 => return server.close().await,
                length => server.write_all(&buffer[..length]).await?,
            }
        }
    });
    let (mut from_server, mut to_server) = futures_lite::io::split(client);
    let sending = asyncio::spawn(async move {
        to_server.write_all(&sent).await?;
        to_server.close().await
    });
    let mut received = Vec::new();
    // It ends without an error only after the other side's goodbye.
    from_server.read_to_end(&mut received).await.unwrap();
    assert!(received == expected);
    sending.await.unwrap().unwrap();
    echo.await.unwrap().unwrap();
}

#[asyncio::test(timeout = "20s")]
async fn an_end_without_a_goodbye_is_told_from_one_with_it() {
    let (mut client, server) = connected().await;
    drop(server);
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

    let (mut client, mut server) = connected().await;
    server.close().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[asyncio::test(timeout = "20s")]
async fn a_certificate_that_nobody_trusts_ends_the_handshake_on_both_sides() {
    let (acceptor, _) = new_pair();
    let (_, stranger) = new_pair();
    let (client, server) = tcp_pair().await;
    let client = async { stranger.connect(name(), client).await.map(|_| ()) };
    let server = async { acceptor.accept(server).await.map(|_| ()) };
    let (client, server) = futures_lite::future::zip(client, server).await;
    assert_eq!(client.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(server.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[asyncio::test(timeout = "20s")]
async fn a_handshake_that_nobody_answers_times_out_and_closes_the_connection() {
    let (_, connector) = new_pair();
    let (client, mut server) = tcp_pair().await;
    let handshake = async { connector.connect(name(), client).await };
    assert!(asyncio::timeout(SHORT, handshake).await.is_err());
    let mut hello = Vec::new();
    server.read_to_end(&mut hello).await.unwrap();
    assert!(!hello.is_empty());
}

#[asyncio::test(timeout = "20s")]
async fn a_read_that_is_cancelled_loses_nothing() {
    let (mut client, mut server) = connected().await;
    let mut buffer = [0; 5];
    for _ in 0..3 {
        assert!(
            asyncio::timeout(SHORT, client.read(&mut buffer))
                .await
                .is_err()
        );
    }
    server.write_all(b"hello").await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"hello");
}

#[asyncio::test(timeout = "20s")]
async fn a_task_that_is_cancelled_can_still_say_goodbye() {
    let (mut client, mut server) = connected().await;
    let task = asyncio::spawn(async move {
        let mut byte = [0];
        let read = asyncio::catch_cancelled(server.read(&mut byte)).await;
        server.write_all(b"bye").await.unwrap();
        server.close().await.unwrap();
        match read {
            Ok(_) => unreachable!(),
            Err(cancelled) => cancelled.raise().await,
        }
    });
    asyncio::yield_now().await;
    task.cancel();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "bye");
    assert!(task.await.unwrap_err().is_cancelled());
}

#[asyncio::test(timeout = "20s")]
async fn http_goes_over_tls() {
    async fn hello(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
        Ok(Response::new(
            request.into_body().collect().await?.to_bytes().into(),
        ))
    }
    let (client, server) = connected().await;
    let mut http = hyper::server::conn::http1::Builder::new();
    http.writev(false);
    let serving = asyncio::spawn(http.serve_connection(Io::new(server), service_fn(hello)));
    let handshake = hyper::client::conn::http1::handshake(Io::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = asyncio::spawn(connection);
    for size in [1, 100_000] {
        let body = Bytes::from(vec![7; size]);
        let request = Request::post("/")
            .header("host", NAME)
            .body(Full::new(body.clone()));
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert!(response.into_body().collect().await.unwrap().to_bytes() == body);
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    serving.await.unwrap().unwrap();
}
