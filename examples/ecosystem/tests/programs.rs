//! The programs of this package as their users meet them: processes of their own that are used, and then asked to stop.
#![cfg(unix)]

mod peers;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use async_tungstenite::tungstenite::{self, Message, WebSocket};
use peers::{PATIENCE, as_json, ask, connect, receive, send, start};
use serde_json::json;
use support::child::{SIGINT, SIGTERM, Setup};

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
