//! Each `# Cancel safety` section that says what is left after a cancellation, taken at its word.
//!
//! The pattern: the event has happened, a request is pending as well, and the future is awaited. The request goes first;
//! what the event brought must still be there for whoever awaits next. Tasks, groups and the like have files of their own.

mod support;

use std::future::Future;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use asyncio::io::Async;
use asyncio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use asyncio::{catch_cancelled, current_task, sleep, timeout, to_thread};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::trace::Trace;

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(10);
const LOCALHOST: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Awaits `future` while a request is pending, which must win.
async fn interrupt<F: Future>(future: F) {
    current_task().unwrap().cancel();
    assert!(
        catch_cancelled(future).await.is_err(),
        "the request comes first"
    );
    current_task().unwrap().uncancel();
}

/// Two sockets, of which the second has one datagram waiting.
async fn datagram() -> io::Result<(UdpSocket, UdpSocket)> {
    let (sender, receiver) = (
        UdpSocket::bind(LOCALHOST).await?,
        UdpSocket::bind(LOCALHOST).await?,
    );
    sender.send_to(b"one", receiver.local_addr()?).await?;
    let mut buffer = [0; 8];
    timeout(LIMIT, receiver.peek_from(&mut buffer)).await??;
    Ok((sender, receiver))
}

async fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(LOCALHOST).await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    Ok((client, server))
}

// ----- datagrams -----

/// "No datagram is lost: it is either returned, or still in the socket."
#[asyncio::test]
async fn a_cancelled_recv_from_leaves_the_datagram_in_the_socket() -> io::Result<()> {
    let (_sender, receiver) = datagram().await?;
    let mut buffer = [0; 8];
    interrupt(receiver.recv_from(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, receiver.recv_from(&mut buffer)).await??.0, 3);
    Ok(())
}

#[asyncio::test]
async fn a_cancelled_recv_leaves_the_datagram_in_the_socket() -> io::Result<()> {
    let (sender, receiver) = datagram().await?;
    receiver.connect(sender.local_addr()?).await?;
    let mut buffer = [0; 8];
    interrupt(receiver.recv(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, receiver.recv(&mut buffer)).await??, 3);
    Ok(())
}

/// "Nothing is consumed in any case."
#[asyncio::test]
async fn a_cancelled_peek_from_consumes_nothing() -> io::Result<()> {
    let (_sender, receiver) = datagram().await?;
    let mut buffer = [0; 8];
    interrupt(receiver.peek_from(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, receiver.recv_from(&mut buffer)).await??.0, 3);
    Ok(())
}

/// "The datagram is sent or it is not": here it is not, as the one after it arrives first.
#[asyncio::test]
async fn a_cancelled_send_to_sends_nothing() -> io::Result<()> {
    let (sender, receiver) = (
        UdpSocket::bind(LOCALHOST).await?,
        UdpSocket::bind(LOCALHOST).await?,
    );
    let target = receiver.local_addr()?;
    interrupt(sender.send_to(b"never", target)).await;
    sender.send_to(b"sent", target).await?;
    let mut buffer = [0; 8];
    let (length, _) = timeout(LIMIT, receiver.recv_from(&mut buffer)).await??;
    assert_eq!(&buffer[..length], b"sent");
    Ok(())
}

#[asyncio::test]
async fn a_cancelled_send_sends_nothing() -> io::Result<()> {
    let (sender, receiver) = (
        UdpSocket::bind(LOCALHOST).await?,
        UdpSocket::bind(LOCALHOST).await?,
    );
    sender.connect(receiver.local_addr()?).await?;
    interrupt(sender.send(b"never")).await;
    sender.send(b"sent").await?;
    let mut buffer = [0; 8];
    let (length, _) = timeout(LIMIT, receiver.recv_from(&mut buffer)).await??;
    assert_eq!(&buffer[..length], b"sent");
    Ok(())
}

// ----- streams -----

/// "One read or write that is cancelled while it waits has done nothing."
#[asyncio::test]
async fn a_cancelled_write_has_written_nothing() -> io::Result<()> {
    let (mut client, mut server) = connection().await?;
    interrupt(client.write(b"never")).await;
    client.write_all(b"written").await?;
    client.close().await?;
    let mut seen = Vec::new();
    timeout(LIMIT, server.read_to_end(&mut seen)).await??;
    assert_eq!(seen, b"written");
    Ok(())
}

/// "Nothing is consumed in any case."
#[asyncio::test]
async fn a_cancelled_peek_consumes_nothing() -> io::Result<()> {
    let (mut client, mut server) = connection().await?;
    client.write_all(b"x").await?;
    let mut buffer = [0; 8];
    timeout(LIMIT, server.peek(&mut buffer)).await??;
    interrupt(server.peek(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, server.read(&mut buffer)).await??, 1);
    Ok(())
}

/// "As for `TcpStream`", also for the halves.
#[asyncio::test]
async fn a_cancelled_read_of_a_half_loses_no_byte() -> io::Result<()> {
    let (mut client, server) = connection().await?;
    let (mut reader, _writer) = server.into_split();
    client.write_all(b"x").await?;
    let mut buffer = [0; 8];
    timeout(LIMIT, reader.peek(&mut buffer)).await??;
    interrupt(reader.read(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, reader.read(&mut buffer)).await??, 1);
    Ok(())
}

/// "Nothing is consumed in any case."
#[asyncio::test]
async fn a_cancelled_peek_of_a_half_or_of_a_connected_socket_consumes_nothing() -> io::Result<()> {
    let (mut client, server) = connection().await?;
    let (mut reader, _writer) = server.into_split();
    client.write_all(b"x").await?;
    let mut buffer = [0; 8];
    timeout(LIMIT, reader.peek(&mut buffer)).await??;
    interrupt(reader.peek(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, reader.read(&mut buffer)).await??, 1);
    let (sender, receiver) = datagram().await?;
    receiver.connect(sender.local_addr()?).await?;
    interrupt(receiver.peek(&mut buffer)).await;
    assert_eq!(timeout(LIMIT, receiver.peek(&mut buffer)).await??, 3);
    assert_eq!(timeout(LIMIT, receiver.recv(&mut buffer)).await??, 3);
    Ok(())
}

/// "The socket is connected or it is not."
#[asyncio::test]
async fn a_cancelled_connect_of_a_datagram_socket_connects_nothing() -> io::Result<()> {
    let (one, other) = (
        UdpSocket::bind(LOCALHOST).await?,
        UdpSocket::bind(LOCALHOST).await?,
    );
    let name = format!("localhost:{}", other.local_addr()?.port());
    interrupt(one.connect(name)).await;
    let error = one.peer_addr().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    Ok(())
}

/// "The attempts are given up, and their sockets closed": also when there are several.
#[asyncio::test]
async fn a_cancelled_race_of_connections_leaves_none_open() -> io::Result<()> {
    let listener = TcpListener::bind(LOCALHOST).await?;
    let address = listener.local_addr()?;
    interrupt(TcpStream::connect(&[address, address, address][..])).await;
    let unconnected = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    interrupt(TcpStream::connect_std(unconnected.into(), address)).await;
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
    TcpStream::connect(&[address, address][..]).await?;
    timeout(LIMIT, listener.accept()).await??;
    Ok(())
}

/// "The attempt is given up, and its socket closed": the listener sees no connection, or one that ends at once.
#[asyncio::test]
async fn a_cancelled_connect_leaves_no_open_connection() -> io::Result<()> {
    let listener = TcpListener::bind(LOCALHOST).await?;
    let address = listener.local_addr()?;
    interrupt(TcpStream::connect(address)).await;
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"later").await?;
    client.close().await?;
    loop {
        let (mut accepted, _) = timeout(LIMIT, listener.accept()).await??;
        let mut seen = Vec::new();
        timeout(LIMIT, accepted.read_to_end(&mut seen)).await??;
        if seen == b"later" {
            return Ok(());
        }
        assert!(seen.is_empty());
    }
}

/// "Nothing stays behind": the address is free. (By name, as a look-up is the only thing that `bind` waits for.)
#[asyncio::test]
async fn a_cancelled_bind_leaves_the_address_free() -> io::Result<()> {
    let address = {
        let listener = TcpListener::bind(LOCALHOST).await?;
        listener.local_addr()?
    };
    let by_name = format!("localhost:{}", address.port());
    interrupt(TcpListener::bind(by_name.clone())).await;
    TcpListener::bind(by_name.clone()).await?;
    interrupt(TcpListener::bind_shared(by_name.clone())).await;
    // Alone: one that had stayed behind would refuse it.
    TcpListener::bind(by_name.clone()).await?;
    interrupt(UdpSocket::bind(by_name.clone())).await;
    UdpSocket::bind(by_name).await?;
    Ok(())
}

/// "A look-up that has begun goes on in its thread, and its result is dropped."
#[asyncio::test]
async fn a_cancelled_look_up_does_no_harm_to_the_next() -> io::Result<()> {
    interrupt(lookup_host("localhost:80")).await;
    let found: Vec<SocketAddr> = timeout(LIMIT, lookup_host("localhost:80"))
        .await??
        .collect();
    assert!(!found.is_empty());
    Ok(())
}

// ----- any descriptor -----

/// "Nothing is consumed."
#[asyncio::test]
async fn a_cancelled_wait_for_readiness_consumes_nothing() -> io::Result<()> {
    let (mut writer, reader) = std::os::unix::net::UnixStream::pair()?;
    let reader = Async::new(reader)?;
    writer.write_all(b"x")?;
    interrupt(reader.readable()).await;
    timeout(LIMIT, reader.readable()).await??;
    interrupt(reader.writable()).await;
    timeout(LIMIT, reader.writable()).await??;
    Ok(())
}

/// "Either the operation was run and its result is returned, or it was not run."
#[asyncio::test]
async fn a_cancelled_operation_was_not_run() -> io::Result<()> {
    let (mut writer, reader) = std::os::unix::net::UnixStream::pair()?;
    let reader = Async::new(reader)?;
    writer.write_all(b"x")?;
    let runs = std::cell::Cell::new(0);
    let read = || {
        reader.read_with(|mut inner| {
            runs.set(runs.get() + 1);
            io::Read::read(&mut inner, &mut [0; 8])
        })
    };
    interrupt(read()).await;
    assert_eq!(runs.get(), 0);
    assert_eq!(timeout(LIMIT, read()).await??, 1);
    let write = || {
        reader.write_with(|mut inner| {
            runs.set(runs.get() + 1);
            inner.write(b"y")
        })
    };
    runs.set(0);
    interrupt(write()).await;
    assert_eq!(runs.get(), 0);
    assert_eq!(timeout(LIMIT, write()).await??, 1);
    Ok(())
}

// ----- the executor -----

/// "A job that has not begun is dropped": `to_thread` begins when it is first awaited.
#[asyncio::test]
async fn a_cancelled_to_thread_that_has_not_begun_never_does() {
    let trace = Trace::new();
    interrupt(to_thread(trace.noter("ran"))).await;
    to_thread(|| ()).await.unwrap();
    assert!(trace.take().is_empty());
}

/// "The shutdown goes on in the background."
#[asyncio::test]
async fn a_cancelled_executor_shutdown_has_begun() {
    let event_loop = asyncio::running_loop();
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let job = event_loop.run_in_executor(move || {
        begin.send(()).unwrap();
        released.recv()
    });
    begun.recv_timeout(LIMIT).unwrap();
    let shutdown = timeout(MS, event_loop.shutdown_default_executor(None));
    assert!(shutdown.await.is_err());
    assert!(to_thread(|| ()).await.unwrap_err().is_executor_shutdown());
    release.send(()).unwrap();
    assert!(job.await.unwrap().is_ok());
}

// ----- generators -----

/// "Dropped, it leaves the body where it waits; the next call goes on from there."
#[asyncio::test(virtual_time)]
async fn a_dropped_next_leaves_the_generator_where_it_is() {
    let mut generator = asyncio::generator(async |y| {
        sleep(2 * MS).await;
        y.emit(1).await;
        y.emit(2).await;
    });
    {
        let next = std::pin::pin!(generator.next());
        let other = std::pin::pin!(sleep(MS));
        futures_util::future::select(next, other).await;
    }
    assert_eq!(generator.next().await, Some(1));
    assert_eq!(generator.next().await, Some(2));
}

/// "A value that was emitted and not received yet is dropped then."
#[asyncio::test]
async fn closing_drops_no_value_that_was_received() {
    let trace = Trace::new();
    let notes = trace.clone();
    let mut generator = asyncio::generator(async move |y| {
        y.emit(notes.on_drop("first")).await;
        notes.note("unreachable");
        y.emit(notes.on_drop("second")).await;
    });
    let first = generator.next().await.unwrap();
    generator.aclose().await;
    assert!(trace.take().is_empty());
    drop(first);
    assert_eq!(trace.take(), ["first"]);
}

/// "Generators that were not closed yet stay as they are": another shutdown closes them.
#[asyncio::test(virtual_time)]
async fn a_cancelled_shutdown_of_generators_can_be_repeated() {
    let trace = Trace::new();
    let notes = trace.clone();
    let mut generator = asyncio::generator(async move |y| {
        asyncio::finally(y.emit(1), async || notes.note("closed")).await;
    });
    assert_eq!(generator.next().await, Some(1));
    let event_loop = asyncio::running_loop();
    interrupt(event_loop.shutdown_asyncgens()).await;
    event_loop.shutdown_asyncgens().await;
    assert_eq!(trace.take(), ["closed"]);
}

// ----- time -----

/// "Cancelled or dropped, it leaves nothing behind": virtual time does not go to where the timer was.
#[asyncio::test(virtual_time)]
async fn a_cancelled_sleep_leaves_no_timer_behind() {
    let event_loop = asyncio::running_loop();
    let started = event_loop.time();
    interrupt(sleep(MS)).await;
    let task = asyncio::spawn(sleep(Duration::from_secs(3600)));
    asyncio::yield_now().await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    to_thread(|| ()).await.unwrap();
    assert_eq!(event_loop.time(), started);
}
