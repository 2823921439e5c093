//! Sockets over the loopback: nothing is lost, nothing is left behind, and nobody starves.

mod support;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use futures_lite::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

async fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Both ends of one connection.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let (listener, address) = listener().await?;
    let ours = TcpStream::connect(address).await?;
    let (theirs, peer) = listener.accept().await?;
    assert_eq!(peer, ours.local_addr()?);
    Ok((ours, theirs))
}

/// Lets everything run that can, until the task has nothing to do but to wait.
async fn settle() {
    for _ in 0..10 {
        asyncio::yield_now().await;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

async fn ask(address: SocketAddr, rounds: u32) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    for round in 0..rounds {
        let question = [round as u8; 64];
        let mut answer = [0; 64];
        stream.write_all(&question).await?;
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, question);
    }
    Ok(())
}

#[asyncio::test]
async fn a_hundred_connections_are_echoed_at_once() -> io::Result<()> {
    let (listener, address) = listener().await?;
    let server = asyncio::spawn(async move {
        let mut connections = Vec::new();
        for _ in 0..100 {
            connections.push(asyncio::spawn(echo(listener.accept().await?.0)));
        }
        for connection in connections {
            connection.await??;
        }
        io::Result::Ok(())
    });
    let clients: Vec<_> = (0..100).map(|_| asyncio::spawn(ask(address, 20))).collect();
    for client in clients {
        client.await??;
    }
    server.await?
}

#[asyncio::test]
async fn a_cancelled_accept_leaves_the_connection_to_the_next() -> io::Result<()> {
    let (listener, address) = listener().await?;
    let listener = Rc::new(listener);
    let accepting = listener.clone();
    let accept = asyncio::spawn(async move { accepting.accept().await.map(drop) });
    settle().await;
    let client = std::net::TcpStream::connect(address)?;
    // The connection is there and the task is about to be told so, but the cancellation comes first.
    accept.cancel();
    assert!(accept.await.unwrap_err().is_cancelled());
    let (_stream, peer) = listener.accept().await?;
    assert_eq!(peer, client.local_addr()?);
    Ok(())
}

#[asyncio::test]
async fn a_timed_out_accept_leaves_the_connection_to_the_next() -> io::Result<()> {
    let (listener, address) = listener().await?;
    let accepted = asyncio::timeout(Duration::ZERO, listener.accept()).await;
    assert!(accepted.is_err());
    let client = std::net::TcpStream::connect(address)?;
    assert_eq!(listener.accept().await?.1, client.local_addr()?);
    Ok(())
}

#[asyncio::test]
async fn a_cancelled_read_loses_no_byte() -> io::Result<()> {
    let (ours, mut theirs) = pair().await?;
    let ours = Rc::new(ours);
    let mut received = Vec::new();
    for round in 0..100u8 {
        let reading = ours.clone();
        let read = asyncio::spawn(async move {
            let mut byte = [0];
            (&*reading).read_exact(&mut byte).await.map(|()| byte[0])
        });
        // In every other round the byte is there before the reader has begun.
        if round % 2 == 0 {
            settle().await;
        }
        theirs.write_all(&[round]).await?;
        read.cancel();
        if let Ok(byte) = read.await {
            received.push(byte?);
        }
        while received.len() <= usize::from(round) {
            let mut byte = [0];
            (&*ours).read_exact(&mut byte).await?;
            received.push(byte[0]);
        }
    }
    assert_eq!(received, (0..100).collect::<Vec<u8>>());
    Ok(())
}

#[asyncio::test]
async fn a_half_closed_connection_still_answers() -> io::Result<()> {
    let (mut ours, mut theirs) = pair().await?;
    ours.write_all(b"last words").await?;
    ours.close().await?;
    let mut heard = String::new();
    theirs.read_to_string(&mut heard).await?;
    assert_eq!(heard, "last words");
    theirs.write_all(b"noted").await?;
    drop(theirs);
    heard.clear();
    ours.read_to_string(&mut heard).await?;
    assert_eq!(heard, "noted");
    Ok(())
}

#[asyncio::test]
async fn dropping_the_writing_half_ends_only_that_direction() -> io::Result<()> {
    let (ours, mut theirs) = pair().await?;
    let (mut reader, writer) = ours.into_split();
    drop(writer);
    assert_eq!(theirs.read(&mut [0; 8]).await?, 0);
    theirs.write_all(b"still here").await?;
    drop(theirs);
    let mut heard = String::new();
    reader.read_to_string(&mut heard).await?;
    assert_eq!(heard, "still here");
    Ok(())
}

/// Bytes that do not repeat soon, and a sum of them in which order counts.
struct Noise {
    state: u64,
    sum: u64,
}

impl Noise {
    fn new(seed: u64) -> Noise {
        Noise {
            state: seed,
            sum: 0,
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005) + 1;
            *byte = (self.state >> 56) as u8;
            self.sum = self.sum.rotate_left(5) ^ u64::from(*byte);
        }
    }
}

async fn send_noise(
    mut writer: impl AsyncWrite + Unpin,
    seed: u64,
    length: usize,
) -> io::Result<u64> {
    let mut noise = Noise::new(seed);
    let mut buffer = vec![0; 60_000];
    let mut left = length;
    while left > 0 {
        let piece = left.min(buffer.len());
        noise.fill(&mut buffer[..piece]);
        writer.write_all(&buffer[..piece]).await?;
        left -= piece;
    }
    writer.close().await?;
    Ok(noise.sum)
}

async fn sum_up(mut reader: impl AsyncRead + Unpin) -> io::Result<(usize, u64)> {
    let (mut length, mut sum) = (0, 0u64);
    let mut buffer = vec![0; 70_000];
    loop {
        let read = reader.read(&mut buffer).await?;
        if read == 0 {
            return Ok((length, sum));
        }
        for &byte in &buffer[..read] {
            sum = sum.rotate_left(5) ^ u64::from(byte);
        }
        length += read;
    }
}

/// 16 MiB each way take a second of an unoptimised build.
#[asyncio::test]
async fn large_transfers_in_both_directions_at_once_arrive_unchanged() -> io::Result<()> {
    const LENGTH: usize = 16 << 20;
    let (ours, theirs) = pair().await?;
    let (our_reader, our_writer) = ours.into_split();
    let (their_reader, their_writer) = theirs.into_split();
    let there = asyncio::spawn(send_noise(our_writer, 1, LENGTH));
    let back = asyncio::spawn(send_noise(their_writer, 2, LENGTH));
    let arrived_there = asyncio::spawn(sum_up(their_reader));
    let arrived_back = asyncio::spawn(sum_up(our_reader));
    assert_eq!((LENGTH, there.await??), arrived_there.await??);
    assert_eq!((LENGTH, back.await??), arrived_back.await??);
    Ok(())
}

#[asyncio::test]
async fn vectored_reads_and_writes_keep_the_order() -> io::Result<()> {
    use std::io::{IoSlice, IoSliceMut};
    let (mut ours, mut theirs) = pair().await?;
    let written = ours
        .write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two")])
        .await?;
    assert_eq!(written, 7);
    let (mut first, mut second) = ([0; 4], [0; 16]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(theirs.read_vectored(&mut buffers).await?, 7);
    assert_eq!((&first, &second[..3]), (b"one ", &b"two"[..]));
    Ok(())
}

#[asyncio::test]
async fn peeking_leaves_the_bytes() -> io::Result<()> {
    let (mut ours, mut theirs) = pair().await?;
    ours.write_all(b"look").await?;
    let mut buffer = [0; 8];
    for _ in 0..2 {
        assert_eq!(theirs.peek(&mut buffer).await?, 4);
    }
    assert_eq!(theirs.read(&mut buffer).await?, 4);
    assert_eq!(&buffer[..4], b"look");
    Ok(())
}

#[asyncio::test]
async fn connecting_to_a_closed_port_is_refused() -> io::Result<()> {
    let (listener, address) = listener().await?;
    drop(listener);
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    Ok(())
}

#[asyncio::test]
async fn the_first_address_that_answers_is_taken() -> io::Result<()> {
    let (closed, nobody) = listener().await?;
    drop(closed);
    let (listener, somebody) = listener().await?;
    let stream = TcpStream::connect(&[nobody, somebody][..]).await?;
    assert_eq!(stream.peer_addr()?, somebody);
    drop(listener);
    Ok(())
}

#[asyncio::test]
async fn a_name_is_looked_up_in_the_executor() -> io::Result<()> {
    let (_listener, address) = listener().await?;
    let event_loop = asyncio::running_loop();
    event_loop.set_default_executor(asyncio::ThreadPoolExecutor::with_max_workers(1));
    let (release, released) = std::sync::mpsc::channel();
    let occupied = event_loop.run_in_executor(move || released.recv());
    // Were the name looked up on this thread, it would be found while the only worker is busy.
    let lookup = asyncio::spawn(lookup_host(("localhost", address.port())));
    settle().await;
    assert!(!lookup.is_finished());
    release.send(()).map_err(io::Error::other)?;
    assert!(lookup.await??.all(|found| found.ip().is_loopback()));
    assert_eq!(occupied.await?, Ok(()));
    TcpStream::connect(("localhost", address.port())).await?;
    Ok(())
}

#[asyncio::test]
async fn shutting_down_wakes_a_reader_of_the_same_stream() -> io::Result<()> {
    let (ours, _theirs) = pair().await?;
    let (mut reader, writer) = ours.into_split();
    let read = asyncio::spawn(async move { reader.read(&mut [0; 8]).await });
    settle().await;
    writer.as_ref().shutdown(Shutdown::Both)?;
    assert_eq!(read.await??, 0);
    Ok(())
}

#[asyncio::test]
async fn the_peers_end_wakes_a_reader_once_and_for_all() -> io::Result<()> {
    let (mut ours, theirs) = pair().await?;
    let read = asyncio::spawn(async move {
        let first = ours.read(&mut [0; 8]).await?;
        let second = ours.read(&mut [0; 8]).await?;
        io::Result::Ok((first, second))
    });
    settle().await;
    drop(theirs);
    assert_eq!(read.await??, (0, 0));
    Ok(())
}

/// Bytes and the end arrive in one event: the read that empties the socket must not wait for another one.
#[asyncio::test]
async fn an_end_right_behind_the_bytes_is_seen() -> io::Result<()> {
    for _ in 0..200 {
        let (mut ours, mut theirs) = pair().await?;
        let read = asyncio::spawn(async move {
            let mut heard = Vec::new();
            ours.read_to_end(&mut heard).await.map(|_| heard)
        });
        settle().await;
        theirs.write_all(b"bye").await?;
        drop(theirs);
        assert_eq!(read.await??, b"bye");
    }
    Ok(())
}

#[asyncio::test]
async fn two_readers_of_one_stream_are_both_served() -> io::Result<()> {
    let (ours, mut theirs) = pair().await?;
    let ours = Rc::new(ours);
    let reads: Vec<_> = (0..2)
        .map(|_| {
            let ours = ours.clone();
            asyncio::spawn(async move { (&*ours).read(&mut [0; 1]).await })
        })
        .collect();
    settle().await;
    theirs.write_all(b"ab").await?;
    for read in reads {
        assert_eq!(read.await??, 1);
    }
    Ok(())
}

#[asyncio::test]
async fn datagrams_go_there_and_back() -> io::Result<()> {
    let server = UdpSocket::bind("127.0.0.1:0").await?;
    let client = UdpSocket::bind("127.0.0.1:0").await?;
    let address = server.local_addr()?;
    let answer = asyncio::spawn(async move {
        let mut buffer = [0; 64];
        let (peeked, _) = server.peek_from(&mut buffer).await?;
        let (length, sender) = server.recv_from(&mut buffer).await?;
        assert_eq!(peeked, length);
        server.send_to(&buffer[..length], sender).await
    });
    settle().await;
    client.connect(address).await?;
    assert_eq!(client.peer_addr()?, address);
    client.send(b"datagram").await?;
    let mut buffer = [0; 64];
    let length = client.recv(&mut buffer).await?;
    assert_eq!(&buffer[..length], b"datagram");
    assert_eq!(answer.await??, 8);
    Ok(())
}

#[asyncio::test]
async fn a_group_hears_what_is_sent_to_it_until_it_is_left() -> io::Result<()> {
    let group = Ipv4Addr::new(239, 255, 77, 1);
    let member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    member.join_multicast_v4(group, Ipv4Addr::LOCALHOST)?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket2::SockRef::from(&sender).set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    sender.set_multicast_loop_v4(true)?;
    sender
        .send_to(b"to all", (group, member.local_addr()?.port()))
        .await?;
    let mut buffer = [0; 16];
    let (length, from) = member.recv_from(&mut buffer).await?;
    assert_eq!(
        (&buffer[..length], from),
        (&b"to all"[..], sender.local_addr()?)
    );
    member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST)?;
    let twice = member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST);
    assert_eq!(twice.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    Ok(())
}

#[asyncio::test]
async fn a_socket_that_was_bound_elsewhere_is_connected_from_there() -> io::Result<()> {
    use socket2::{Domain, Socket, Type};
    let (listener, address) = listener().await?;
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&from.into())?;
    let client = TcpStream::connect_std(socket.into(), address).await?;
    let (_server, peer) = listener.accept().await?;
    assert_eq!((peer, peer.ip()), (client.local_addr()?, from.ip()));
    drop(listener);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let refused = TcpStream::connect_std(socket.into(), address).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    Ok(())
}

#[asyncio::test]
async fn options_keep_what_they_are_set_to() -> io::Result<()> {
    let (ours, _theirs) = pair().await?;
    ours.set_nodelay(true)?;
    ours.set_ttl(7)?;
    assert_eq!((ours.nodelay()?, ours.ttl()?), (true, 7));
    assert!(ours.take_error()?.is_none());
    let (listener, _) = listener().await?;
    listener.set_ttl(8)?;
    assert_eq!(listener.ttl()?, 8);
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.set_broadcast(true)?;
    socket.set_ttl(9)?;
    socket.set_multicast_ttl_v4(10)?;
    assert_eq!((socket.broadcast()?, socket.ttl()?), (true, 9));
    assert_eq!(socket.multicast_ttl_v4()?, 10);
    assert!(socket.multicast_loop_v4()?);
    Ok(())
}

#[asyncio::test]
async fn streams_change_hands_with_the_standard_library() -> io::Result<()> {
    let (ours, theirs) = pair().await?;
    let mut ours = TcpStream::from_std(ours.into_std())?;
    let mut theirs = TcpStream::from_std(theirs.into_std())?;
    ours.write_all(b"x").await?;
    assert_eq!(theirs.read(&mut [0; 8]).await?, 1);
    Ok(())
}

/// A socket that always has something must not keep the loop from its timers.
#[asyncio::test]
async fn an_always_ready_socket_does_not_starve_a_timer() -> io::Result<()> {
    let (mut ours, theirs) = pair().await?;
    ours.write_all(b"!").await?;
    let rounds = Rc::new(Cell::new(0u64));
    let count = rounds.clone();
    let busy = asyncio::spawn(async move {
        while theirs.peek(&mut [0]).await? > 0 {
            count.set(count.get() + 1);
        }
        io::Result::Ok(())
    });
    let started = Instant::now();
    asyncio::sleep(Duration::from_millis(5)).await;
    // Ample: the point is that it comes at all.
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(rounds.get() > 0);
    busy.cancel();
    assert!(busy.await.unwrap_err().is_cancelled());
    Ok(())
}

#[asyncio::test]
async fn a_waiting_read_that_is_dropped_takes_its_registration_along() -> io::Result<()> {
    let (ours, _theirs) = pair().await?;
    let mut read = Box::pin(async move {
        let mut stream = ours;
        stream.read(&mut [0]).await
    });
    let is_pending =
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut read).poll(cx).is_pending())).await;
    assert!(is_pending);
    // The loop must not care when the descriptor closes under its registration.
    drop(read);
    settle().await;
    Ok(())
}

#[cfg(target_os = "linux")]
mod descriptors {
    use super::support::alone::alone;
    use super::*;

    fn open() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    /// Alone in a child process, where nobody else opens descriptors; see `alone`.
    fn a_thousand_connections() -> io::Result<()> {
        asyncio::run(async {
            let (listener, address) = listener().await?;
            let mut before = 0;
            for round in 0..1000 {
                let mut ours = TcpStream::connect(address).await?;
                let (theirs, _) = listener.accept().await?;
                let read = asyncio::spawn(async move { ours.read(&mut [0; 1]).await });
                asyncio::yield_now().await;
                drop(theirs);
                assert_eq!(read.await??, 0);
                // The first round opens what stays: the poller and its two companions.
                if round == 0 {
                    before = open();
                }
            }
            assert_eq!(open(), before);
            Ok(())
        })
        .unwrap()
    }

    /// Lowers the limit, so it must not share the process either.
    fn accepting_at_the_limit() -> io::Result<()> {
        asyncio::run(async {
            let (listener, address) = listener().await?;
            let clients = [
                std::net::TcpStream::connect(address)?,
                std::net::TcpStream::connect(address)?,
            ];
            let (first, _) = listener.accept().await?;
            let _filling = take_all_descriptors();
            let started = Instant::now();
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert!(started.elapsed() >= Duration::from_millis(100));
            drop(first);
            // One is free again, and the connection is still in the queue.
            assert_eq!(listener.accept().await?.1, clients[1].local_addr()?);
            Ok(())
        })
        .unwrap()
    }

    fn take_all_descriptors() -> Vec<std::fs::File> {
        let limit = libc::rlimit {
            rlim_cur: 64,
            rlim_max: 64,
        };
        // SAFETY: the structure lives for the call, which only reads it.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
    }

    #[test]
    fn a_thousand_connections_leave_no_descriptor_behind() {
        alone(
            "descriptors::a_thousand_connections_leave_no_descriptor_behind",
            || a_thousand_connections().unwrap(),
        );
    }

    #[test]
    fn accepting_without_a_free_descriptor_fails_after_a_pause_and_recovers() {
        alone(
            "descriptors::accepting_without_a_free_descriptor_fails_after_a_pause_and_recovers",
            || accepting_at_the_limit().unwrap(),
        );
    }
}
