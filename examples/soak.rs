//! A server and its clients who misbehave, for as long as you like; in the end nothing may be missing.
//!
//! Connections are made and dropped, cut off in the middle, reset and half closed, over TCP and Unix sockets; reads are given
//! up and begun again; bytes go through child processes that may be killed. Whatever is not cut off on purpose is summed up on
//! both ends. When the time is over no task, no descriptor and no zombie may be left.
//!
//!     cargo run --release --example soak -- 60       # seconds; 2 unless told
//!
//! The figures at the end are for people; the exit status is for scripts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio::io::{AsyncRead, AsyncWrite};
use asyncio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use asyncio::process::{Command, Stdio};
use asyncio::{TaskGroup, sleep, timeout};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

/// Clients at the same time.
const CLIENTS: u64 = 64;
/// The most bytes that one conversation sends.
const MOST_BYTES: u64 = 200_000;
/// Nothing that is not cut off on purpose may take longer.
const LIMIT: Duration = Duration::from_secs(30);

type Anything = Box<dyn std::error::Error>;

#[asyncio::main(shutdown_timeout = "5s")]
async fn main() -> Result<(), Anything> {
    let argument = std::env::args().nth(1);
    let seconds = argument.map_or(Ok(2), |it| it.parse())?;
    let directory = std::env::temp_dir().join(format!("asyncio-soak-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let outcome = soak(Duration::from_secs(seconds), directory.join("socket")).await;
    std::fs::remove_dir_all(&directory)?;
    outcome
}

async fn soak(time: Duration, path: PathBuf) -> Result<(), Anything> {
    // What is opened once and stays, as the poller, is open before the descriptors are counted.
    work(Duration::from_millis(200), &path, &Ledger::default()).await?;
    let (descriptors, memory) = (open_descriptors()?, memory_in_use()?);
    let ledger = Ledger::default();
    let started = Instant::now();
    work(time, &path, &ledger).await?;
    let seconds = started.elapsed().as_secs_f64();
    ledger.print(seconds);
    println!(
        "memory: {memory} KiB before, {} KiB after",
        memory_in_use()?
    );
    settle(descriptors).await?;
    println!("nothing is missing, and nothing is left: {descriptors} descriptors as before");
    Ok(())
}

/// Everything must be as it was before: this task alone, the same descriptors, no child.
async fn settle(descriptors: usize) -> Result<(), Anything> {
    let started = Instant::now();
    loop {
        let tasks = asyncio::all_tasks().len();
        let left = (tasks, open_descriptors()?, children()?);
        if left == (1, descriptors, 0) {
            return Ok(());
        }
        if started.elapsed() > LIMIT {
            let (tasks, open, children) = left;
            let text = format!(
                "left over: {tasks} tasks instead of 1, {open} descriptors instead of {descriptors}, {children} children"
            );
            return Err(text.into());
        }
        // Killed children take a moment to end.
        sleep(Duration::from_millis(10)).await;
    }
}

/// Serves and talks until the time is over.
async fn work(time: Duration, path: &Path, ledger: &Ledger) -> Result<(), Anything> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let unix = UnixListener::bind(path)?;
    let end = Instant::now() + time;
    let address = tcp.local_addr()?;
    let tcp = asyncio::spawn(serve(async move || Ok(tcp.accept().await?.0)));
    let unix = asyncio::spawn(serve(async move || Ok(unix.accept().await?.0)));
    TaskGroup::scope(async |group| {
        for seed in 1..=CLIENTS {
            let client = Client {
                address,
                path: path.to_owned(),
                dice: Dice(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
                ledger: ledger.clone(),
            };
            group.spawn(client.talk_until(end));
        }
    })
    .await?;
    for server in [tcp, unix] {
        server.cancel();
        let stopped = server.await.unwrap_err();
        assert!(stopped.is_cancelled(), "{stopped}");
    }
    std::fs::remove_file(path)?;
    Ok(())
}

// ----- the server -----

/// Takes connections, and answers each of them in a task of its own, for as long as it lives.
async fn serve<S>(accept: impl AsyncFn() -> io::Result<S>) -> Result<(), asyncio::TaskGroupError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    TaskGroup::scope(async |group| -> io::Result<()> {
        loop {
            let stream = accept().await?;
            // Clients who cut the connection off make it fail; that is what they are for.
            group.spawn(async move { drop(answer(stream).await) });
        }
    })
    .await
}

/// The first byte says what the client wants: its own bytes back, or their sum once all are there.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut wish = [0];
    stream.read_exact(&mut wish).await?;
    let mut sum = Sum::default();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        sum.add(&buffer[..length]);
        if wish == *b"e" {
            stream.write_all(&buffer[..length]).await?;
        }
    }
    if wish == *b"s" {
        stream.write_all(&sum.to_bytes()).await?;
    }
    stream.close().await
}

// ----- the clients -----

struct Client {
    address: SocketAddr,
    path: PathBuf,
    dice: Dice,
    ledger: Ledger,
}

impl Client {
    async fn talk_until(self, end: Instant) -> io::Result<()> {
        while Instant::now() < end {
            match self.dice.below(100) {
                0..10 => self.talk(UnixStream::connect(&self.path).await?).await?,
                10 => self.talk_to_a_child().await?,
                _ => {
                    let stream = timeout(LIMIT, TcpStream::connect(self.address)).await??;
                    // Ports would run out: those of connections that ended in order are kept back for a while.
                    set_reset(&stream)?;
                    self.talk(stream).await?;
                }
            }
        }
        Ok(())
    }

    /// One conversation, in one of many ways.
    async fn talk<S>(&self, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + AsFd + Unpin,
    {
        match self.dice.below(6) {
            0 => self.echo(stream).await,
            1 => self.sum_up(stream).await,
            2 => self.read_in_fits(stream).await,
            3 => self.give_up(stream).await,
            4 => self.reset(stream).await,
            _ => {
                drop(stream);
                self.ledger.count("connected and dropped", 0);
                Ok(())
            }
        }
    }

    /// Sends and receives at the same time, ends the writing direction, and compares.
    async fn echo(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        stream.write_all(b"e").await?;
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let both = futures_lite::future::try_zip(self.send(&mut writer), sum_of(&mut reader));
        let (sent, received) = timeout(LIMIT, both).await??;
        assert_eq!(sent, received, "the echo");
        self.ledger.count("echoed", 2 * sent.length);
        Ok(())
    }

    /// Sends everything, ends the writing direction, and only then reads.
    async fn sum_up(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        stream.write_all(b"s").await?;
        let sent = timeout(LIMIT, self.send(&mut stream)).await??;
        let mut answer = [0; 16];
        timeout(LIMIT, stream.read_exact(&mut answer)).await??;
        assert_eq!(answer, sent.to_bytes(), "the sum");
        assert_eq!(timeout(LIMIT, stream.read(&mut [0])).await??, 0);
        self.ledger.count("half closed and summed up", sent.length);
        Ok(())
    }

    /// Gives every read up that has to wait for longer than a moment, and begins it anew.
    async fn read_in_fits(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<()> {
        stream.write_all(b"e").await?;
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let receive = async {
            let (mut sum, mut buffer) = (Sum::default(), [0; 4096]);
            loop {
                let patience = Duration::from_micros(self.dice.below(200));
                match timeout(patience, reader.read(&mut buffer)).await {
                    Ok(read) => match read? {
                        0 => return Ok(sum),
                        length => sum.add(&buffer[..length]),
                    },
                    Err(_) => self.ledger.count("reads given up", 0),
                }
            }
        };
        let both = futures_lite::future::try_zip(self.send(&mut writer), receive);
        let (sent, received) = timeout(LIMIT, both).await??;
        assert_eq!(sent, received, "the echo, read in fits");
        self.ledger.count("read in fits", 2 * sent.length);
        Ok(())
    }

    /// Is cancelled somewhere in the middle.
    async fn give_up(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let patience = Duration::from_micros(self.dice.below(2_000));
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let both = async {
            writer.write_all(b"e").await?;
            futures_lite::future::try_zip(self.send(&mut writer), sum_of(&mut reader)).await
        };
        let outcome = match timeout(patience, both).await {
            Ok(both) => {
                let (sent, received) = both?;
                assert_eq!(sent, received, "the echo that was in time");
                "in time"
            }
            Err(_) => "cancelled",
        };
        self.ledger.count(outcome, 0);
        Ok(())
    }

    /// Sends a while and is gone, with a reset where there are any.
    async fn reset(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + AsFd + Unpin,
    ) -> io::Result<()> {
        stream.write_all(b"e").await?;
        let mut buffer = [0; 4096];
        for _ in 0..self.dice.below(20) {
            self.dice.fill(&mut buffer);
            // Nobody reads the answers: at some point neither side takes any more.
            let write = timeout(Duration::from_millis(1), stream.write(&buffer));
            if write.await.is_err() {
                break;
            }
        }
        drop(stream);
        self.ledger.count("reset", 0);
        Ok(())
    }

    /// The same through a process; one in four is killed before its end.
    async fn talk_to_a_child(&self) -> io::Result<()> {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if self.dice.below(4) == 0 {
            self.ledger.count("children killed", 0);
            return Ok(());
        }
        let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the child has no pipes"));
        };
        let both = futures_lite::future::try_zip(self.send(&mut input), sum_of(&mut output));
        let (sent, received) = timeout(LIMIT, both).await??;
        assert_eq!(sent, received, "through the child");
        assert!(timeout(LIMIT, child.wait()).await??.success());
        self.ledger.count("through children", 2 * sent.length);
        Ok(())
    }

    /// Sends some bytes in pieces of all sizes, and ends the writing direction.
    async fn send(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<Sum> {
        let mut sum = Sum::default();
        let mut left = self.dice.below(MOST_BYTES);
        let mut buffer = [0; 10_000];
        while left > 0 {
            let piece = left.min(1 + self.dice.below(buffer.len() as u64));
            let piece = &mut buffer[..piece as usize];
            self.dice.fill(piece);
            sum.add(piece);
            writer.write_all(piece).await?;
            left -= piece.len() as u64;
        }
        writer.close().await?;
        Ok(sum)
    }
}

async fn sum_of(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Sum> {
    let (mut sum, mut buffer) = (Sum::default(), [0; 8192]);
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(sum),
            length => sum.add(&buffer[..length]),
        }
    }
}

/// Closing it will reset the connection, unless it has ended in order.
fn set_reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

// ----- books -----

/// A number for bytes in their order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    length: u64,
    hash: u64,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        for &byte in bytes {
            self.hash = self.hash.rotate_left(5).wrapping_mul(0x100_0000_01b3) ^ u64::from(byte);
        }
    }

    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..].copy_from_slice(&self.hash.to_le_bytes());
        bytes
    }
}

/// What was done, by kind: how often, and how many bytes were compared.
#[derive(Debug, Default, Clone)]
struct Ledger(Rc<RefCell<BTreeMap<&'static str, (u64, u64)>>>);

impl Ledger {
    fn count(&self, kind: &'static str, bytes: u64) {
        let mut kinds = self.0.borrow_mut();
        let (times, sum) = kinds.entry(kind).or_default();
        *times += 1;
        *sum += bytes;
    }

    fn print(&self, seconds: f64) {
        let (mut all, mut bytes) = (0, 0);
        for (kind, (times, sum)) in &*self.0.borrow() {
            println!("{times:>9} {kind}, {} MiB compared", sum >> 20);
            all += times;
            bytes += sum;
        }
        let (rate, throughput) = (all as f64 / seconds, bytes as f64 / seconds / 1e6);
        println!("{all:>9} in {seconds:.1} s: {rate:.0} and {throughput:.0} MB a second");
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(Cell<u64>);

impl Dice {
    fn next(&self) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state
    }

    fn below(&self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    fn fill(&self, buffer: &mut [u8]) {
        for piece in buffer.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }
}

// ----- what the system says -----

fn open_descriptors() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Zombies are children as well.
fn children() -> io::Result<usize> {
    let mut count = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let list = std::fs::read_to_string(thread?.path().join("children"))?;
        count += list.split_whitespace().count();
    }
    Ok(count)
}

/// In KiB.
fn memory_in_use() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let figure = line.and_then(|it| it.split_whitespace().next()?.parse().ok());
    figure.ok_or_else(|| io::Error::other("the system does not tell"))
}
