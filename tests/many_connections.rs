//! Ten thousand connections held at once, between two processes because each end takes a descriptor.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use asyncio::TaskGroup;
use asyncio::net::{TcpListener, TcpStream};
use asyncio::process::{Command, Stdio};
use asyncio::timeout;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as the system lets one process have descriptors for.
const MOST: u32 = 10_000;
/// What a process needs beside its connections.
const SPARE: u64 = 100;
/// Connected at the same time; fewer than fit into the listener's queue.
const AT_ONCE: u32 = 500;
/// Ample: reached only by failing tests.
const LIMIT: Duration = Duration::from_secs(60);
/// Tells the other process where to connect to.
const ADDRESS: &str = "ASYNCIO_TEST_ADDRESS";
const NAME: &str = "ten_thousand_connections_are_held_and_served_at_once";

#[test]
fn ten_thousand_connections_are_held_and_served_at_once() {
    let count = raise_the_limit();
    let role = match std::env::var(ADDRESS) {
        Ok(address) => asyncio::run(connect(address.parse().unwrap(), count)),
        Err(_) => asyncio::run(serve(count)),
    };
    role.unwrap().unwrap();
}

/// Returns for how many connections there are descriptors.
fn raise_the_limit() -> u32 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let most = limit.maximum.unwrap_or(u64::MAX).saturating_sub(SPARE);
    u32::try_from(most).unwrap_or(MOST).min(MOST)
}

async fn serve(count: u32) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut clients = Command::new(std::env::current_exe()?)
        .args(["--exact", "--nocapture", NAME])
        .env(ADDRESS, listener.local_addr()?.to_string())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let held = Rc::new(Cell::new(0));
    let most = Rc::new(Cell::new(0));
    let sum = Rc::new(Cell::new(0));
    timeout(LIMIT, async {
        TaskGroup::scope(async |group| {
            for _ in 0..count {
                let (stream, _) = listener.accept().await?;
                held.set(held.get() + 1);
                most.set(most.get().max(held.get()));
                let (held, sum) = (held.clone(), sum.clone());
                group.spawn(async move {
                    let number = answer(stream).await;
                    held.set(held.get() - 1);
                    sum.set(sum.get() + u64::from(number?));
                    io::Result::Ok(())
                });
            }
            io::Result::Ok(())
        })
        .await
        .map_err(io::Error::other)
    })
    .await??;
    assert!(timeout(LIMIT, clients.wait()).await??.success());
    assert_eq!((most.get(), held.get()), (count, 0));
    assert_eq!(sum.get(), u64::from(count) * u64::from(count - 1) / 2);
    Ok(())
}

/// Sends the client's number back, and waits until it goes.
async fn answer(mut stream: TcpStream) -> io::Result<u32> {
    let mut number = [0; 4];
    stream.read_exact(&mut number).await?;
    stream.write_all(&number).await?;
    assert_eq!(stream.read(&mut [0; 4]).await?, 0);
    Ok(u32::from_le_bytes(number))
}

async fn connect(address: SocketAddr, count: u32) -> io::Result<()> {
    let mut held = Vec::new();
    while held.len() < count as usize {
        let first = held.len() as u32;
        let connects: Vec<_> = (first..count.min(first + AT_ONCE))
            .map(|number| asyncio::spawn(ask(address, number)))
            .collect();
        for connect in connects {
            held.push(timeout(LIMIT, connect).await???);
        }
    }
    // All of them are there, and all were answered.
    for stream in &mut held {
        stream.close().await?;
    }
    for stream in &mut held {
        assert_eq!(timeout(LIMIT, stream.read(&mut [0; 4])).await??, 0);
    }
    Ok(())
}

async fn ask(address: SocketAddr, number: u32) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&number.to_le_bytes()).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(u32::from_le_bytes(answer), number);
    // Thousands of numbers of ports would otherwise be kept back for a minute.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}
