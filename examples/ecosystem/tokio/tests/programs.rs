//! The programs of this package as their users meet them: processes of their own, which are interrupted.
#![cfg(unix)]

#[path = "../../../../tests/support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use support::child::{Child, SIGINT, Setup};

/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);

fn fetch(urls: &[String]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fetch"));
    command.args(urls);
    Setup::new(command)
        .on_terminal()
        .deadline(PATIENCE * 2)
        .start()
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

/// Takes a connection, and reads the request.
fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream
}

#[test]
fn the_fetcher_says_what_came_and_what_did_not() {
    let ((good, good_url), (bad, bad_url)) = (listen(), listen());
    let mut child = fetch(&[good_url, bad_url]);
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    accept(&good).write_all(ok).unwrap();
    let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    accept(&bad).write_all(missing).unwrap();
    child.wait_for_line(": 5 bytes");
    child.wait_for_line("404 Not Found");
    assert_eq!(child.finish().status.code(), Some(1));
}

#[test]
fn ctrl_c_gives_up_a_request_that_is_under_way_and_the_program_dies_of_it() {
    let (silent, url) = listen();
    let mut child = fetch(std::slice::from_ref(&url));
    let mut connection = accept(&silent);
    child.press_ctrl_c();
    child.wait_for_line(&format!("done with {url}"));
    // The other side sees the end of the connection.
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
    let finished = child.finish();
    assert_eq!(finished.status.signal(), Some(SIGINT));
    finished.never_said("panicked");
}
