//! The client of the echo workloads: one plain thread with blocking sockets, the same for all contestants.
//!
//! In each round it sends one message on every connection and then reads every answer, so that all connections have one
//! request under way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What is sent and comes back.
const MESSAGE: [u8; 64] = *b"sixty-four bytes go to the server and come back, byte for byte.\n";
/// What a server reads at once.
pub(crate) const SERVER_BUFFER: usize = 16 * 1024;
/// An answer takes microseconds; a server that never answers must not keep the benchmark waiting forever.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client at work.
pub(crate) struct EchoClient {
    thread: JoinHandle<Duration>,
}

impl EchoClient {
    /// Connects so many times, sends so many requests, and closes the connections.
    pub(crate) fn start(server: SocketAddr, connections: usize, requests: usize) -> EchoClient {
        let thread = thread::spawn(move || {
            let mut streams: Vec<TcpStream> = (0..connections).map(|_| connect(server)).collect();
            // The server has accepted all of them when it has answered all of them.
            exchange(&mut streams);
            let started = Instant::now();
            for _ in 0..requests / connections {
                exchange(&mut streams);
            }
            started.elapsed()
        });
        EchoClient { thread }
    }

    /// How long the requests took. The thread is at its end when the server sees the last connection closed.
    pub(crate) fn elapsed(self) -> Duration {
        self.thread.join().expect("the client panicked")
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("cannot connect to the echo server");
    let set = stream
        .set_nodelay(true)
        .and(stream.set_read_timeout(Some(PATIENCE)));
    set.expect("cannot set up a connection");
    stream
}

fn exchange(streams: &mut [TcpStream]) {
    for stream in &mut *streams {
        stream.write_all(&MESSAGE).expect("cannot send");
    }
    for stream in streams {
        let mut answer = [0; MESSAGE.len()];
        stream.read_exact(&mut answer).expect("no answer");
        assert_eq!(answer, MESSAGE);
    }
}
