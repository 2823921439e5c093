//! The clients of the TCP workloads: one plain thread with blocking sockets, the same for all contestants.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::workloads::Cost;

/// What is sent and comes back.
const MESSAGE: [u8; 64] = *b"sixty-four bytes go to the server and come back, byte for byte.\n";
/// The length of one message.
pub(crate) const MESSAGE_LENGTH: usize = MESSAGE.len();
/// What an echo server reads at once.
pub(crate) const SERVER_BUFFER: usize = 16 * 1024;
/// What is read and written at once where much is to be moved, by client and server.
pub(crate) const BULK_BUFFER: usize = 64 * 1024;
/// An answer takes microseconds; a server that never answers must not keep the benchmark waiting forever.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client at work.
pub(crate) struct Client {
    thread: JoinHandle<Cost>,
}

impl Client {
    /// Connects so many times, sends so many requests, and closes the connections. In each round it sends `depth` requests
    /// on every connection and then reads every answer, so that every connection has so many requests under way.
    pub(crate) fn echo(
        server: SocketAddr,
        connections: usize,
        depth: usize,
        requests: usize,
    ) -> Client {
        Client::start(move || {
            let mut streams: Vec<TcpStream> = (0..connections).map(|_| connect(server)).collect();
            // The server has accepted all of them when it has answered all of them.
            exchange(&mut streams, depth);
            let started = Instant::now();
            for _ in 0..requests / connections / depth {
                exchange(&mut streams, depth);
            }
            Cost::since(started)
        })
    }

    /// Sends so many requests over one connection, one after the other, and times each answer.
    pub(crate) fn timed_echo(server: SocketAddr, requests: usize) -> Client {
        Client::start(move || {
            let mut streams = [connect(server)];
            exchange(&mut streams, 1);
            let timed = |_| {
                let started = Instant::now();
                exchange(&mut streams, 1);
                started.elapsed()
            };
            Cost::Each((0..requests).map(timed).collect())
        })
    }

    /// Connects so many times, one after the other; each time sends one request and reads until the server closes.
    pub(crate) fn connecting(server: SocketAddr, times: usize) -> Client {
        Client::start(move || {
            let started = Instant::now();
            for _ in 0..times {
                let mut stream = connect(server);
                exchange(std::slice::from_mut(&mut stream), 1);
                let end = stream.read(&mut [0]).expect("the server did not close");
                assert_eq!(end, 0);
            }
            Cost::since(started)
        })
    }

    /// Sends so many mebibytes, and waits until the server has read all and closes.
    pub(crate) fn sending(server: SocketAddr, mebibytes: usize) -> Client {
        Client::start(move || {
            let mut stream = connect(server);
            let chunk = vec![7; BULK_BUFFER];
            let started = Instant::now();
            for _ in 0..(mebibytes << 20) / BULK_BUFFER {
                stream.write_all(&chunk).expect("cannot send");
            }
            stream
                .shutdown(std::net::Shutdown::Write)
                .expect("cannot end");
            let end = stream.read(&mut [0]).expect("the server did not close");
            assert_eq!(end, 0);
            Cost::since(started)
        })
    }

    /// Reads until the server closes, which has to be after so many mebibytes.
    pub(crate) fn receiving(server: SocketAddr, mebibytes: usize) -> Client {
        Client::start(move || {
            let mut stream = connect(server);
            let mut buffer = vec![0; BULK_BUFFER];
            let started = Instant::now();
            let mut total = 0;
            loop {
                match stream.read(&mut buffer).expect("cannot receive") {
                    0 => break,
                    length => total += length,
                }
            }
            assert_eq!(total, mebibytes << 20);
            Cost::since(started)
        })
    }

    fn start(work: impl FnOnce() -> Cost + Send + 'static) -> Client {
        Client {
            thread: thread::spawn(work),
        }
    }

    /// What the client found. It is at its end when the server has seen the last connection closed.
    pub(crate) fn cost(self) -> Cost {
        self.thread.join().expect("the client panicked")
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let set_up = || -> io::Result<TcpStream> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    set_up().expect("cannot connect to the server")
}

fn exchange(streams: &mut [TcpStream], depth: usize) {
    let request = &[MESSAGE; 16].as_flattened()[..depth * MESSAGE.len()];
    for stream in &mut *streams {
        stream.write_all(request).expect("cannot send");
    }
    let mut answer = [0; 16 * MESSAGE.len()];
    let answer = &mut answer[..request.len()];
    for stream in streams {
        stream.read_exact(answer).expect("no answer");
        assert_eq!(answer, request);
    }
}
