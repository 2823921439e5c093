//! An echo server that uses all processors: one event loop per core, each of which accepts for itself.
//!
//! Run it with `cargo run --release --example echo_on_all_cores -- 127.0.0.1:7777 4`, both arguments being optional. Ctrl-C lets
//! the connections that are open end: each loop closes its own.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{finally, spawn, spawn_on, timeout, worker, workers};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a connection may go on when the server ends.
const FAREWELL: Duration = Duration::from_secs(1);

#[asyncio::main(workers = wanted_workers(), terminate, shutdown_timeout = "10s")]
async fn main() -> io::Result<()> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7777".into());
    // Where the port is left to the system, all share the one that the first listener got.
    let first = TcpListener::bind_shared(address).await?;
    let address = first.local_addr()?;
    let mut listening = Vec::new();
    for each in workers().into_iter().skip(1) {
        listening.push(spawn_on(each, move || listen(address)));
    }
    for each in listening {
        each.await.map_err(io::Error::other)??;
    }
    println!("{} loops listen on {address}", workers().len());
    serve(first).await
}

fn wanted_workers() -> usize {
    let wanted = env::args().nth(2).and_then(|text| text.parse().ok());
    wanted.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Begins to serve on this loop, and says when it is ready.
async fn listen(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind_shared(address).await?;
    drop(spawn(serve(listener)));
    Ok(())
}

/// Takes connections for ever; each has a task of its own, on the loop that accepted it.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _peer) = listener.accept().await?;
        drop(spawn(async move {
            // A connection that breaks is its peer's business.
            let _ = greet_and_echo(stream).await;
        }));
    }
}

async fn greet_and_echo(mut stream: TcpStream) -> io::Result<()> {
    let greeting = format!("worker {}\n", worker().index());
    stream.write_all(greeting.as_bytes()).await?;
    let echo = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = (&stream).read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            (&stream).write_all(&buffer[..length]).await?;
        }
    };
    // Also when the server ends.
    let farewell = async || {
        let _ = timeout(FAREWELL, (&stream).write_all(b"goodbye\n")).await;
    };
    finally(echo, farewell).await
}
