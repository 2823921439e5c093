//! The other side of the programs: clients and servers of HTTP by hand, which wait, but not for ever.

// Each test file that includes this one uses a part of it.
#![allow(dead_code)]

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::child::{Child, Setup};

/// How long a server that is silent is waited for. Reached only by failing tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a server, and returns it with its address.
pub(crate) fn start(program: &str, arguments: &[&str]) -> (Child, String) {
    let mut command = Command::new(program);
    command.args(arguments);
    let mut child = Setup::new(command).deadline(PATIENCE * 2).start();
    let line = child.wait_for_line("listening on ");
    let (_, address) = line.split_once("listening on ").unwrap();
    let address = address.trim_start_matches("http://").to_owned();
    (child, address)
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks on a connection of its own; returns the status and the body.
pub(crate) fn ask(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = connect(address);
    send(&mut stream, head, body);
    receive(stream)
}

pub(crate) fn send(stream: &mut TcpStream, head: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
}

pub(crate) fn receive(mut stream: TcpStream) -> (u16, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

pub(crate) fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Waits for a client, but not for ever.
pub(crate) fn accept_soon(listener: &TcpListener) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    listener.set_nonblocking(true).unwrap();
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "nobody has connected");
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("cannot accept: {error}"),
        }
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Takes a request as a server does; returns its head as well.
pub(crate) fn accept(server: &TcpListener) -> (TcpStream, String) {
    let mut stream = accept_soon(server);
    let head = read_until(&mut stream, "\r\n\r\n");
    (stream, head.to_lowercase())
}

/// Reads no byte more than up to `end`.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}
