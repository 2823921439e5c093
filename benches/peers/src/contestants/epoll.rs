//! No runtime: an echo server over epoll, written by hand. What any runtime over epoll can reach at best.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{Contestant, Hello, Kind};
use crate::tcp_clients::{Client, SERVER_BUFFER};
use crate::workloads::{Cost, Run, Workload};

pub(super) const CONTESTANT: Contestant = Contestant {
    name: "epoll",
    about: "an echo server over edge-triggered epoll, by hand: a limit, no runtime",
    crates: &["rustix"],
    feature: "epoll",
    kind: Kind::Limit,
    slowness: |_| 1,
    prepare: || {},
    hello: Hello::None,
    run,
};

fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::EchoOne => |requests| echo(1, 1, requests),
        Workload::EchoHundred => |requests| echo(100, 1, requests),
        Workload::EchoThousand => |requests| echo(1000, 1, requests),
        Workload::EchoPipelined => |requests| echo(100, 16, requests),
        _ => return None,
    };
    Some(run)
}

/// What one wait may bring.
const EVENTS: usize = 1024;

fn echo(connections: usize, depth: usize, requests: usize) -> Cost {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no listener");
    let address = listener.local_addr().expect("no address");
    let client = Client::echo(address, connections, depth, requests);
    let poller = epoll::create(CreateFlags::CLOEXEC).expect("no epoll");
    let mut streams: Vec<TcpStream> = Vec::new();
    for number in 0..connections {
        let (stream, _) = listener.accept().expect("cannot accept");
        let set = stream.set_nodelay(true).and(stream.set_nonblocking(true));
        set.expect("cannot set up a connection");
        let flags = EventFlags::IN | EventFlags::ET;
        let data = EventData::new_u64(number as u64);
        epoll::add(&poller, &stream, data, flags).expect("cannot register");
        streams.push(stream);
    }
    let mut buffer = vec![0; SERVER_BUFFER];
    let mut events = Vec::with_capacity(EVENTS);
    let mut open = connections;
    while open > 0 {
        events.clear();
        epoll::wait(&poller, spare_capacity(&mut events), None).expect("cannot wait");
        for event in &events {
            open -= usize::from(has_ended(&streams[event.data.u64() as usize], &mut buffer));
        }
    }
    client.cost()
}

/// Sends back what has come, and returns `true` at the end. A read that does not fill the buffer has read all.
fn has_ended(mut stream: &TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        let length = match stream.read(buffer) {
            Ok(0) => return true,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("cannot read: {error}"),
        };
        // An answer is small enough to be taken at once.
        stream.write_all(&buffer[..length]).expect("cannot write");
        if length < buffer.len() {
            return false;
        }
    }
}
