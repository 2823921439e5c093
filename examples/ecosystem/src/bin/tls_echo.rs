//! An echo server over TLS, with a certificate that it makes at start, and a client for it.
//!
//! What you learn here: that rustls needs nothing but the sockets' own traits; how a connection says goodbye in TLS's words when
//! it is cancelled; how a group ends every connection before the program ends.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/Cargo.toml --bin tls_echo -- serve 127.0.0.1:8443 cert.pem
//! echo hello | cargo run --manifest-path examples/ecosystem/Cargo.toml --bin tls_echo -- ask 127.0.0.1:8443 cert.pem
//! ```

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use asyncio::TaskGroup;
use asyncio::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use futures_rustls::pki_types::pem::PemObject as _;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};

/// How long a client may take for the handshake, and for our goodbye.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name that the certificate is for.
const NAME: &str = "localhost";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[asyncio::main(terminate)]
async fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", address, certificate] => serve(address, certificate).await,
        ["ask", address, certificate] => ask(address, certificate).await,
        _ => Err("usage: tls_echo serve|ask ADDRESS CERTIFICATE".into()),
    }
}

/// Writes the certificate, for clients to trust, and serves until it is cancelled.
async fn serve(address: &str, certificate: &str) -> Outcome {
    let (acceptor, pem) = new_identity()?;
    fs::write(certificate, pem)?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    TaskGroup::scope(async |group| -> io::Result<()> {
        loop {
            let (stream, peer) = listener.accept().await?;
            let acceptor = acceptor.clone();
            group.spawn(async move {
                if let Err(error) = serve_connection(&acceptor, stream).await {
                    eprintln!("tls_echo: {peer}: {error}");
                }
                io::Result::Ok(())
            });
        }
    })
    .await?;
    Ok(())
}

async fn serve_connection(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let mut stream = asyncio::timeout(PATIENCE, acceptor.accept(stream)).await??;
    println!("a client has connected");
    let mut buffer = vec![0; 16 * 1024];
    let echoed = asyncio::catch_cancelled(async {
        loop {
            match stream.read(&mut buffer).await? {
                0 => return io::Result::Ok(()),
                length => stream.write_all(&buffer[..length]).await?,
            }
            stream.flush().await?;
        }
    })
    .await;
    // Whoever closes without these words looks like somebody who cut the line.
    let goodbye = asyncio::timeout(PATIENCE, stream.close()).await;
    match echoed {
        Ok(result) => result.and(goodbye?),
        Err(cancelled) => {
            println!("said goodbye to a client");
            cancelled.raise().await
        }
    }
}

/// A key, and a certificate for it that the key has signed itself; also as text for clients.
fn new_identity() -> Outcome<(TlsAcceptor, String)> {
    let identity = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), identity.cert.pem()))
}

/// Sends what comes from stdin, and prints what comes back, until the server says goodbye.
async fn ask(address: &str, certificate: &str) -> Outcome {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(ServerName::try_from(NAME)?, stream)
        .await?;
    let (mut from_server, mut to_server) = futures_lite::io::split(stream);
    TaskGroup::scope(async |group| {
        let typing = group.spawn(async move {
            let mut line = vec![0; 1024];
            let mut stdin = asyncio::io::stdin();
            loop {
                match stdin.read(&mut line).await? {
                    0 => return to_server.close().await,
                    length => to_server.write_all(&line[..length]).await?,
                }
                to_server.flush().await?;
            }
        });
        let mut stdout = asyncio::io::stdout();
        let printed = futures_lite::io::copy(&mut from_server, &mut stdout).await;
        stdout.flush().await?;
        // The server is gone; whatever is still typed has nobody to go to.
        typing.cancel();
        printed
    })
    .await?;
    Ok(())
}
