//! Unix sockets: what a path, a name and a full queue mean, and that nothing is lost on the way.

use std::io;
use std::net::Shutdown;
use std::path::PathBuf;
use std::time::Duration;

use asyncio::net::{UnixDatagram, UnixListener, UnixStream};
use asyncio::{catch_cancelled, current_task, timeout};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

const LIMIT: Duration = Duration::from_secs(10);

/// A directory that goes when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("asyncio-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Lets everything run that can, until the tasks have nothing to do but to wait.
async fn settle() {
    for _ in 0..10 {
        asyncio::yield_now().await;
    }
}

/// Awaits `future` while a request is pending, which must win.
async fn interrupt<F: Future>(future: F) {
    current_task().unwrap().cancel();
    assert!(catch_cancelled(future).await.is_err());
    current_task().unwrap().uncancel();
}

#[asyncio::test]
async fn a_connection_by_path_carries_bytes_both_ways_and_its_end() -> io::Result<()> {
    let directory = Directory::new("both-ways");
    let path = directory.file("socket");
    let listener = UnixListener::bind(&path)?;
    assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    let echo = asyncio::spawn(async move {
        let (mut reader, mut writer) = listener.accept().await?.0.into_split();
        futures_lite::io::copy(&mut reader, &mut writer).await
    });
    let mut client = UnixStream::connect(&path).await?;
    assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
    let bytes: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
    let (mut reader, mut writer) = client.into_split();
    let sent = bytes.clone();
    let sending = asyncio::spawn(async move {
        writer.write_all(&sent).await?;
        io::Result::Ok(writer)
    });
    let mut received = vec![0; bytes.len()];
    timeout(LIMIT, reader.read_exact(&mut received)).await??;
    assert_eq!(received, bytes);
    client = reader.reunite(sending.await??).unwrap();
    client.close().await?;
    assert_eq!(client.read(&mut [0]).await?, 0);
    assert_eq!(echo.await??, 1_000_000);
    Ok(())
}

#[cfg(target_os = "linux")]
#[asyncio::test]
async fn an_abstract_name_needs_no_file() -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;
    let name = format!("asyncio-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name)?;
    let listener = UnixListener::bind_addr(&address)?;
    let mut client = UnixStream::connect_addr(&address).await?;
    let (mut server, _) = listener.accept().await?;
    client.write_all(b"x").await?;
    assert_eq!(server.read(&mut [0; 4]).await?, 1);
    let taken = UnixListener::bind_addr(&address).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    let datagrams = SocketAddr::from_abstract_name(name + "-datagrams")?;
    let receiver = UnixDatagram::bind_addr(&datagrams)?;
    let sender = UnixDatagram::unbound()?;
    sender.send_to_addr(b"there", &datagrams).await?;
    assert_eq!(receiver.recv(&mut [0; 16]).await?, 5);
    Ok(())
}

#[asyncio::test]
async fn what_is_in_the_way_of_a_path_stays_and_is_told() -> io::Result<()> {
    let directory = Directory::new("in-the-way");
    let path = directory.file("socket");
    std::fs::write(&path, b"precious")?;
    let in_use = UnixListener::bind(&path).unwrap_err();
    assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path)?, b"precious");
    let refused = UnixStream::connect(&path).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let missing = UnixStream::connect(directory.file("none"))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    let too_long = UnixListener::bind(directory.file(&"x".repeat(200))).unwrap_err();
    assert_eq!(too_long.kind(), io::ErrorKind::InvalidInput);
    let no_name = UnixStream::pair()?.0.local_addr()?;
    let unnamed = UnixStream::connect_addr(&no_name).await.unwrap_err();
    assert_eq!(unnamed.kind(), io::ErrorKind::InvalidInput);
    Ok(())
}

#[asyncio::test]
async fn a_connect_to_a_full_queue_waits_for_room() -> io::Result<()> {
    let directory = Directory::new("full-queue");
    let path = directory.file("socket");
    let std_listener = std::os::unix::net::UnixListener::bind(&path)?;
    // As `listen` may be called again, with a queue for one.
    socket2::SockRef::from(&std_listener).listen(0)?;
    let listener = UnixListener::from_std(std_listener)?;
    let mut waiting = Vec::new();
    let late = loop {
        let path = path.clone();
        let connect = asyncio::spawn(async move { UnixStream::connect(path).await });
        settle().await;
        if !connect.is_finished() {
            break connect;
        }
        waiting.push(connect.await??);
        assert!(waiting.len() < 100, "the queue is never full");
    };
    for _ in 0..=waiting.len() {
        timeout(LIMIT, listener.accept()).await??;
    }
    timeout(LIMIT, late).await???;
    Ok(())
}

#[asyncio::test]
async fn a_cancelled_accept_leaves_the_connection_in_the_queue() -> io::Result<()> {
    let directory = Directory::new("accept");
    let path = directory.file("socket");
    let listener = UnixListener::bind(&path)?;
    let _client = std::os::unix::net::UnixStream::connect(&path)?;
    interrupt(listener.accept()).await;
    timeout(LIMIT, listener.accept()).await??;
    Ok(())
}

#[asyncio::test]
async fn a_cancelled_connect_reaches_nobody() -> io::Result<()> {
    let directory = Directory::new("connect");
    let path = directory.file("socket");
    let listener = UnixListener::bind(&path)?;
    interrupt(UnixStream::connect(&path)).await;
    let nobody = timeout(Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err());
    Ok(())
}

#[asyncio::test]
async fn cancelled_reads_and_peeks_leave_every_byte() -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.write_all(b"still here").await?;
    let mut buffer = [0; 16];
    interrupt(theirs.peek(&mut buffer)).await;
    interrupt((&theirs).read(&mut buffer)).await;
    assert_eq!(theirs.peek(&mut buffer).await?, 10);
    assert_eq!((&theirs).read(&mut buffer).await?, 10);
    assert_eq!(&buffer[..10], b"still here");
    Ok(())
}

#[asyncio::test]
async fn ending_a_direction_wakes_its_reader() -> io::Result<()> {
    let (ours, _theirs) = UnixStream::pair()?;
    let (mut reader, writer) = ours.into_split();
    let read = asyncio::spawn(async move { reader.read(&mut [0]).await });
    settle().await;
    writer.as_ref().shutdown(Shutdown::Both)?;
    assert_eq!(timeout(LIMIT, read).await???, 0);
    Ok(())
}

#[asyncio::test]
async fn halves_of_two_streams_do_not_become_one() -> io::Result<()> {
    let (one, other) = UnixStream::pair()?;
    let (reader, writer) = one.into_split();
    let (other_reader, other_writer) = other.into_split();
    let error = reader.reunite(other_writer).unwrap_err();
    // Nothing was ended on the way.
    let (mut reader, mut other_writer) = (error.0, error.1);
    other_writer.write_all(b"!").await?;
    assert_eq!(reader.read(&mut [0; 4]).await?, 1);
    drop((writer, other_reader));
    Ok(())
}

#[asyncio::test]
async fn datagrams_by_path_keep_their_bounds_and_their_sender() -> io::Result<()> {
    let directory = Directory::new("datagrams");
    let (here, there) = (directory.file("here"), directory.file("there"));
    let (ours, theirs) = (UnixDatagram::bind(&here)?, UnixDatagram::bind(&there)?);
    ours.send_to(b"one", &there).await?;
    ours.connect(&there)?;
    ours.send(b"second").await?;
    let mut buffer = [0; 16];
    interrupt(theirs.recv_from(&mut buffer)).await;
    let (length, sender) = theirs.recv_from(&mut buffer).await?;
    assert_eq!((length, sender.as_pathname()), (3, Some(&*here)));
    interrupt(theirs.recv(&mut buffer)).await;
    assert_eq!(theirs.recv(&mut buffer).await?, 6);
    Ok(())
}

/// Datagrams between two processes of one machine are not thrown away when the receiver is slow.
#[asyncio::test]
async fn a_sender_waits_while_the_receivers_queue_is_full() -> io::Result<()> {
    const COUNT: u32 = 500;
    let directory = Directory::new("slow-receiver");
    let path = directory.file("socket");
    let receiver = UnixDatagram::bind(&path)?;
    let by_name = asyncio::spawn({
        let path = path.clone();
        async move {
            let sender = UnixDatagram::unbound()?;
            for number in 0..COUNT {
                sender.send_to(&number.to_le_bytes(), &path).await?;
            }
            io::Result::Ok(())
        }
    });
    let connected = asyncio::spawn(async move {
        let sender = UnixDatagram::unbound()?;
        sender.connect(&path)?;
        for number in 0..COUNT {
            sender.send(&number.to_le_bytes()).await?;
        }
        io::Result::Ok(())
    });
    settle().await;
    assert!(!by_name.is_finished() && !connected.is_finished());
    let mut sum = 0;
    for _ in 0..2 * COUNT {
        let mut number = [0; 4];
        timeout(LIMIT, receiver.recv(&mut number)).await??;
        sum += u32::from_le_bytes(number);
    }
    assert_eq!(sum, COUNT * (COUNT - 1));
    by_name.await??;
    connected.await??;
    Ok(())
}

#[asyncio::test]
async fn sockets_change_hands_with_the_standard_library() -> io::Result<()> {
    let (one, other) = UnixStream::pair()?;
    let mut one = UnixStream::from_std(one.into_std())?;
    let mut other = UnixStream::from_std(other.into_std())?;
    one.write_all(b"x").await?;
    assert_eq!(other.read(&mut [0; 8]).await?, 1);
    let (one, other) = UnixDatagram::pair()?;
    let one = UnixDatagram::from_std(one.into_std())?;
    one.send(b"x").await?;
    assert_eq!(other.recv(&mut [0; 8]).await?, 1);
    Ok(())
}
