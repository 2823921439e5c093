//! The programs of this package as their users meet them: processes of their own that are used, and then asked to stop.
#![cfg(unix)]

mod peers;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use async_tungstenite::tungstenite::{self, Message, WebSocket};
use peers::{PATIENCE, accept, as_json, ask, connect, listen, read_until, receive, send, start};
use serde_json::json;
use support::child::{Child, SIGINT, SIGTERM, Setup};

#[test]
fn the_json_server_keeps_notes() {
    let (child, address) = start(env!("CARGO_BIN_EXE_json_api"), &["127.0.0.1:0"]);
    let (status, body) = ask(&address, "POST /notes", r#"{"text":"buy milk"}"#);
    assert_eq!(
        (status, as_json(&body)),
        (201, json!({"id": 1, "text": "buy milk"}))
    );
    ask(&address, "POST /notes", r#"{"text":"drink it"}"#);
    let (status, body) = ask(&address, "PUT /notes/1", r#"{"text":"buy tea"}"#);
    assert_eq!(
        (status, as_json(&body)),
        (200, json!({"id": 1, "text": "buy tea"}))
    );
    let (_, body) = ask(&address, "GET /notes", "");
    let both = json!([{"id": 1, "text": "buy tea"}, {"id": 2, "text": "drink it"}]);
    assert_eq!(as_json(&body), both);
    assert_eq!(ask(&address, "DELETE /notes/1", "").0, 204);
    assert_eq!(ask(&address, "GET /notes/1", "").0, 404);
    assert_eq!(ask(&address, "POST /notes", r#"{"txt":1}"#).0, 422);
    assert_eq!(
        ask(&address, "GET /whoami", ""),
        (200, "127.0.0.1\n".to_owned())
    );
    child.signal(SIGTERM);
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

#[test]
fn the_json_server_answers_what_is_under_way_when_it_is_terminated() {
    let (mut child, address) = start(env!("CARGO_BIN_EXE_json_api"), &["127.0.0.1:0"]);
    let (mut slow, mut idle) = (connect(&address), connect(&address));
    send(&mut slow, "GET /slow", "");
    child.wait_for_line("a slow request has begun");
    child.signal(SIGTERM);
    // The idle connection ends first, without a byte.
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert_eq!(receive(slow), (200, "slow, but done\n".to_owned()));
    child.wait_for_line("every request was answered");
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
    let refused = TcpStream::connect(&address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn the_tls_server_echoes_and_says_goodbye_when_it_is_interrupted() {
    let certificate = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls_echo.pem");
    let certificate = certificate.to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_tls_echo");
    let (mut server, address) = start(program, &["serve", "127.0.0.1:0", certificate]);
    let mut command = Command::new(program);
    command.args(["ask", &address, certificate]);
    let mut client = Setup::new(command).on_terminal().deadline(PATIENCE).start();
    server.wait_for_line("a client has connected");
    client.type_bytes(b"hello\n");
    client.wait_for_line("hello");
    client.type_bytes(b"and again\n");
    client.wait_for_line("and again");
    server.press_ctrl_c();
    server.wait_for_line("said goodbye to a client");
    assert_eq!(server.finish().status.signal(), Some(SIGINT));
    // Without the goodbye the client would fail: the line could have been cut.
    assert_eq!(client.finish().status.code(), Some(0));
}

/// The next line that the chat shows.
fn heard(socket: &mut WebSocket<TcpStream>) -> String {
    match socket.read().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("no line: {other}"),
    }
}

fn enter_chat(address: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{address}/chat");
    let (socket, _response) = tungstenite::client(url, connect(address)).unwrap();
    socket
}

#[test]
fn the_chat_tells_everybody_everything_and_why_it_stops() {
    let (mut child, address) = start(env!("CARGO_BIN_EXE_chat"), &["127.0.0.1:0"]);
    let (status, page) = ask(&address, "GET /", "");
    assert!(status == 200 && page.contains("new WebSocket("), "{page}");
    assert_eq!(ask(&address, "GET /chat", "").0, 400);
    assert_eq!(ask(&address, "GET /nothing", "").0, 404);

    let mut first = enter_chat(&address);
    assert_eq!(heard(&mut first), "guest 1 has come");
    let mut second = enter_chat(&address);
    assert_eq!(heard(&mut first), "guest 2 has come");
    assert_eq!(heard(&mut second), "guest 2 has come");
    let mut third = enter_chat(&address);
    for socket in [&mut first, &mut second, &mut third] {
        assert_eq!(heard(socket), "guest 3 has come");
    }
    second.send(Message::text("hello")).unwrap();
    for socket in [&mut first, &mut second, &mut third] {
        assert_eq!(heard(socket), "guest 2: hello");
    }
    third.close(None).unwrap();
    assert_eq!(heard(&mut first), "guest 3 has gone");
    assert_eq!(heard(&mut second), "guest 3 has gone");

    child.signal(SIGTERM);
    for mut socket in [first, second] {
        let mut said = socket.read().unwrap();
        // One of them may be told first that the other one has gone.
        if said.is_text() {
            said = socket.read().unwrap();
        }
        let Message::Close(Some(frame)) = said else {
            panic!("no reason: {said}");
        };
        assert_eq!(frame.reason.as_str(), "The server stops.");
        let end = socket.read().unwrap_err();
        assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
    }
    child.wait_for_line("was told");
    child.wait_for_line("was told");
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
}

/// Starts the reverse proxy before these servers.
fn start_proxy(options: &[&str], servers: &[&TcpListener]) -> (Child, String) {
    let servers = servers.iter().map(|server| server.local_addr().unwrap());
    let servers: Vec<String> = servers.map(|address| address.to_string()).collect();
    let mut arguments = options.to_vec();
    arguments.push("127.0.0.1:0");
    arguments.extend(servers.iter().map(String::as_str));
    start(env!("CARGO_BIN_EXE_reverse_proxy"), &arguments)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";

#[test]
fn the_proxy_lets_servers_take_turns_and_passes_over_one_that_is_gone() {
    let (first, second) = (listen(), listen());
    let (mut child, address) = start_proxy(&[], &[&first, &second]);
    let exchange = |server: &TcpListener, name: &str| {
        let mut client = connect(&address);
        send(&mut client, "GET /notes?all", "");
        let (mut stream, head) = accept(server);
        assert!(head.starts_with("get /notes?all http/1.1\r\n"), "{head}");
        stream.write_all(format!("{OK}{name}").as_bytes()).unwrap();
        assert_eq!(receive(client), (200, name.to_owned()));
    };
    exchange(&first, "one 1");
    exchange(&second, "two 1");
    exchange(&first, "one 2");
    drop(second);
    exchange(&first, "one 3");
    child.wait_for_line("is passed over");
    drop(first);
    assert_eq!(ask(&address, "GET /", "").0, 502);
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
