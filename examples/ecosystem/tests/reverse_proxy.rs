//! The reverse proxy as its users meet it: a process between clients and servers that are played by hand.
#![cfg(unix)]

mod peers;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use peers::{accept, accept_soon, ask, connect, listen, read_until, receive, send, start};
use support::child::{Child, SIGINT, SIGTERM};

/// Starts the reverse proxy before these servers.
fn start_proxy(options: &[&str], servers: &[&TcpListener]) -> (Child, String) {
    let servers = servers.iter().map(|server| server.local_addr().unwrap());
    let servers: Vec<String> = servers.map(|address| address.to_string()).collect();
    start_proxy_before(options, &servers)
}

fn start_proxy_before(options: &[&str], servers: &[String]) -> (Child, String) {
    let mut arguments = options.to_vec();
    arguments.push("127.0.0.1:0");
    arguments.extend(servers.iter().map(String::as_str));
    start(env!("CARGO_BIN_EXE_reverse_proxy"), &arguments)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";

#[test]
fn the_proxy_lets_servers_take_turns_and_passes_over_one_that_is_gone() {
    let (first, last) = (listen(), listen());
    // One that was dropped here could live on for a moment, in a child that another test is just starting.
    let gone = "127.0.0.1:1".to_owned();
    let servers = [&first, &last].map(|server| server.local_addr().unwrap().to_string());
    let [one, three] = servers;
    let (mut child, address) = start_proxy_before(&[], &[one, gone, three]);
    let exchange = |server: &TcpListener, name: &str| {
        let mut client = connect(&address);
        send(&mut client, "GET /notes?all", "");
        let (mut stream, head) = accept(server);
        assert!(head.starts_with("get /notes?all http/1.1\r\n"), "{head}");
        stream.write_all(format!("{OK}{name}").as_bytes()).unwrap();
        assert_eq!(receive(client), (200, name.to_owned()));
    };
    exchange(&first, "one 1");
    exchange(&last, "two 1");
    child.wait_for_line("127.0.0.1:1 is passed over");
    exchange(&last, "two 2");
    exchange(&first, "one 2");
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_says_so_if_no_server_can_be_connected() {
    let (mut child, address) = start_proxy_before(&[], &["127.0.0.1:1".to_owned()]);
    assert_eq!(ask(&address, "GET /", "").0, 502);
    child.wait_for_line("no server can be connected");
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_adds_who_asks_and_removes_what_concerns_the_connection() {
    let server = listen();
    let (child, address) = start_proxy(&[], &[&server]);
    let mut client = connect(&address);
    let request = "GET /a HTTP/1.1\r\nhost: example.org\r\nconnection: close, x-hop\r\nx-hop: 1\r\nte: gzip\r\n\
                   x-forwarded-for: 192.0.2.1\r\nx-end: 1\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let (mut stream, head) = accept(&server);
    for line in [
        "host: example.org\r\n",
        "x-forwarded-for: 192.0.2.1, 127.0.0.1\r\n",
        "x-end: 1\r\n",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    for name in ["connection:", "x-hop:", "te:"] {
        assert!(!head.contains(name), "{name} is in {head}");
    }
    let answer = "HTTP/1.1 200 OK\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=5\r\nx-outer: 1\r\n\
                  content-length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).unwrap();
    let head = read_until(&mut client, "\r\n\r\n").to_lowercase();
    assert!(head.contains("x-outer: 1"), "{head}");
    assert!(
        !head.contains("x-inner") && !head.contains("keep-alive"),
        "{head}"
    );
    child.signal(SIGINT);
    assert_eq!(child.finish().status.signal(), Some(SIGINT));
}

#[test]
fn the_proxy_hands_each_piece_on_before_the_next_one_is_there() {
    const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n";
    let server = listen();
    let (child, address) = start_proxy(&[], &[&server]);
    let mut client = connect(&address);
    let head = format!("POST / HTTP/1.1\r\nhost: me\r\nconnection: close\r\n{CHUNKED}");
    client.write_all(head.as_bytes()).unwrap();
    let (mut stream, head) = accept(&server);
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    for word in ["one", "two"] {
        let piece = format!("3\r\n{word}\r\n");
        client.write_all(piece.as_bytes()).unwrap();
        assert_eq!(read_until(&mut stream, &piece), piece);
    }
    client.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut stream, "0\r\n\r\n");
    let head = format!("HTTP/1.1 200 OK\r\n{CHUNKED}");
    stream.write_all(head.as_bytes()).unwrap();
    read_until(&mut client, "\r\n\r\n");
    for word in ["six", "ten"] {
        let piece = format!("3\r\n{word}\r\n");
        stream.write_all(piece.as_bytes()).unwrap();
        assert_eq!(read_until(&mut client, &piece), piece);
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut client, "0\r\n\r\n"), "0\r\n\r\n");
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_answers_for_a_server_that_is_silent_or_talks_nonsense() {
    let server = listen();
    let (mut child, address) = start_proxy(&["--limit", "200"], &[&server]);
    let begin = || {
        let mut client = connect(&address);
        send(&mut client, "GET /", "");
        (client, accept(&server).0)
    };
    let (client, mut silent) = begin();
    assert_eq!(receive(client).0, 504);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);

    let (client, mut mad) = begin();
    mad.write_all(b"How do you do?\r\n\r\n").unwrap();
    assert_eq!(receive(client).0, 502);

    let (client, mut stuck) = begin();
    stuck.write_all(format!("{OK}hal").as_bytes()).unwrap();
    // The head has gone out already: all that is left to do is to end the connection early.
    assert_eq!(receive(client), (200, "hal".to_owned()));
    child.wait_for_line("in the middle of its answer");
    assert_eq!(stuck.read(&mut [0]).unwrap(), 0);

    let (client, mut unwanted) = begin();
    drop(client);
    assert_eq!(unwanted.read(&mut [0]).unwrap(), 0);
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_lets_requests_come_to_their_end_when_it_is_terminated() {
    let server = listen();
    let (mut child, address) = start_proxy(&[], &[&server]);
    let (mut busy, mut idle) = (connect(&address), connect(&address));
    send(&mut busy, "GET /", "");
    let (mut stream, _) = accept(&server);
    child.signal(SIGTERM);
    // The idle connection ends first, without a byte.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    let refused = TcpStream::connect(&address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    stream.write_all(format!("{OK}hello").as_bytes()).unwrap();
    assert_eq!(receive(busy), (200, "hello".to_owned()));
    child.wait_for_line("all connections have ended");
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_cuts_requests_that_take_too_long_when_it_is_interrupted() {
    let server = listen();
    let (mut child, address) = start_proxy(&["--grace", "100"], &[&server]);
    let mut client = connect(&address);
    send(&mut client, "GET /", "");
    let (mut stream, _) = accept(&server);
    child.signal(SIGINT);
    child.wait_for_line("was cut");
    child.wait_for_line("all connections have ended");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(child.finish().status.signal(), Some(SIGINT));
}

/// Reads the next request of a connection to a server.
fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, "\r\n\r\n").to_lowercase()
}

/// Nobody else has connected.
fn assert_no_other(server: &TcpListener) {
    server.set_nonblocking(true).unwrap();
    let error = server.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

/// Answers a request of a new client, which is read by then; returns the client's connection.
fn answer(stream: &mut TcpStream, client: TcpStream, body: &str) {
    stream.write_all(format!("{OK}{body}").as_bytes()).unwrap();
    assert_eq!(receive(client), (200, body.to_owned()));
}

/// A client that has asked.
fn asking(address: &str, head: &str) -> TcpStream {
    let mut client = connect(address);
    send(&mut client, head, "");
    client
}

#[test]
fn the_proxy_asks_for_all_clients_over_one_connection_that_it_keeps() {
    let server = listen();
    let (child, address) = start_proxy(&[], &[&server]);
    let client = asking(&address, "GET /1");
    let (mut stream, _) = accept(&server);
    answer(&mut stream, client, "first");
    for (head, body) in [("HEAD /2", ""), ("GET /3", "third"), ("DELETE /4", "other")] {
        let client = asking(&address, head);
        assert!(
            read_head(&mut stream).starts_with(&format!("{} http/1.1\r\n", head.to_lowercase()))
        );
        answer(&mut stream, client, body);
    }
    assert_no_other(&server);
    child.signal(SIGTERM);
    // It keeps none beyond its own end.
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_sends_what_cannot_be_asked_twice_over_a_new_connection() {
    let server = listen();
    let (child, address) = start_proxy(&[], &[&server]);
    let client = asking(&address, "GET /");
    let (mut kept, _) = accept(&server);
    answer(&mut kept, client, "first");
    // It may do harm; and a body is read only once.
    for (head, body) in [("POST /", ""), ("PUT /", "{}")] {
        let mut client = connect(&address);
        send(&mut client, head, body);
        let (mut fresh, head) = accept(&server);
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        read_until(&mut fresh, body);
        // Not to be kept.
        let last = OK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\nother");
        fresh.write_all(last.as_bytes()).unwrap();
        assert_eq!(receive(client), (200, "other".to_owned()));
        assert_eq!(fresh.read(&mut [0]).unwrap(), 0);
    }
    let client = asking(&address, "GET /");
    read_head(&mut kept);
    answer(&mut kept, client, "again");
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_asks_again_if_a_kept_connection_ends_without_a_byte_of_an_answer() {
    let server = listen();
    let (mut child, address) = start_proxy(&[], &[&server]);
    let client = asking(&address, "GET /");
    let (mut stream, _) = accept(&server);
    answer(&mut stream, client, "first");
    // The server gives up the connection just when it is used.
    let client = asking(&address, "GET /again");
    read_head(&mut stream);
    drop(stream);
    let (mut stream, head) = accept(&server);
    assert!(head.starts_with("get /again http/1.1\r\n"), "{head}");
    child.wait_for_line("is asked again");
    answer(&mut stream, client, "again");
    // Once, and not a new one: that is no stale one.
    let client = asking(&address, "GET /");
    read_head(&mut stream);
    drop(stream);
    let (stream, _) = accept(&server);
    drop(stream);
    assert_eq!(receive(client).0, 502);
    assert_no_other(&server);
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_does_not_ask_again_after_the_first_byte_of_an_answer() {
    let server = listen();
    let (child, address) = start_proxy(&[], &[&server]);
    let client = asking(&address, "GET /");
    let (mut stream, _) = accept(&server);
    answer(&mut stream, client, "first");
    let client = asking(&address, "GET /");
    read_head(&mut stream);
    stream.write_all(b"H").unwrap();
    drop(stream);
    assert_eq!(receive(client).0, 502);
    assert_no_other(&server);
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_proxy_keeps_no_more_connections_than_it_may() {
    let server = listen();
    let (child, address) = start_proxy(&["--keep-most", "1"], &[&server]);
    let first = asking(&address, "GET /first");
    let (mut older, _) = accept(&server);
    let second = asking(&address, "GET /second");
    let (mut newer, _) = accept(&server);
    answer(&mut older, first, "first");
    answer(&mut newer, second, "other");
    assert_eq!(older.read(&mut [0]).unwrap(), 0);
    let client = asking(&address, "GET /third");
    assert!(read_head(&mut newer).starts_with("get /third "));
    answer(&mut newer, client, "third");
    child.signal(SIGINT);
    assert_eq!(child.finish().status.signal(), Some(SIGINT));
}

#[test]
fn the_proxy_keeps_a_connection_for_so_long() {
    let server = listen();
    let (child, address) = start_proxy(&["--keep", "100"], &[&server]);
    for _ in 0..2 {
        let client = asking(&address, "GET /");
        let (mut stream, _) = accept(&server);
        let answering = Instant::now();
        answer(&mut stream, client, "hello");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert!(answering.elapsed() >= Duration::from_millis(100));
    }
    child.signal(SIGINT);
    assert_eq!(child.finish().status.signal(), Some(SIGINT));
}

#[test]
fn the_proxy_keeps_no_connection_whose_answer_nobody_reads_to_its_end() {
    let server = listen();
    let (child, address) = start_proxy(&[], &[&server]);
    let mut client = asking(&address, "GET /");
    let (mut stream, _) = accept(&server);
    stream.write_all(format!("{OK}hal").as_bytes()).unwrap();
    read_until(&mut client, "hal");
    drop(client);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let client = asking(&address, "GET /");
    let mut stream = accept_soon(&server);
    read_head(&mut stream);
    answer(&mut stream, client, "fresh");
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}
