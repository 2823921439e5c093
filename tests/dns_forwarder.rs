//! The example of the DNS forwarder as its users meet it, between a client and a server that this test plays.
#![cfg(unix)]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use support::child::{Child, SIGINT, SIGTERM, Setup, example};

/// Reached only by failing tests.
const DEADLINE: Duration = Duration::from_secs(20);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// A forwarder to this server, and a client of it.
fn start(server: &UdpSocket) -> (Child, UdpSocket) {
    let mut command = Command::new(example("dns_forwarder"));
    command.args(["127.0.0.1:0", &server.local_addr().unwrap().to_string()]);
    let mut child = Setup::new(command).on_terminal().start();
    let line = child.wait_for_line("forwarding from ");
    let address = line.trim().rsplit(' ').next().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let client = socket();
    client.connect(address).unwrap();
    (child, client)
}

/// A message with this number, whose rest tells it from others.
fn message(number: u16, rest: &str) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend([0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(rest.as_bytes());
    message
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).expect("a message");
    (buffer[..length].to_vec(), from)
}

#[test]
fn each_answer_goes_to_whoever_has_asked_also_out_of_turn() {
    let server = socket();
    let (mut child, client) = start(&server);
    for number in 0..50 {
        client.send(&message(number, "question")).unwrap();
    }
    let mut asked: Vec<_> = (0..50).map(|_| receive(&server)).collect();
    asked.reverse();
    for (question, forwarder) in &asked {
        // Somebody else's answer is not taken.
        server.send_to(&message(999, "forged"), forwarder).unwrap();
        let number = u16::from_be_bytes([question[0], question[1]]);
        let answer = message(number, &format!("answer to {number}"));
        server.send_to(&answer, forwarder).unwrap();
    }
    let mut answers: Vec<_> = (0..50).map(|_| receive(&client).0).collect();
    answers.sort();
    let expected = (0..50).map(|number| message(number, &format!("answer to {number}")));
    assert_eq!(answers, expected.collect::<Vec<_>>());
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
}

#[test]
fn a_question_is_sent_a_second_time_and_then_the_failure_is_told() {
    let server = socket();
    let (child, client) = start(&server);
    client.send(&message(7, "question")).unwrap();
    for _ in 0..2 {
        assert_eq!(receive(&server).0, message(7, "question"));
    }
    let (answer, _) = receive(&client);
    assert_eq!(answer[..4], [0, 7, 0x81, 0x22], "{answer:?}");
    child.signal(SIGTERM);
    child.finish().died_of(SIGTERM).said("no answer from");
}

#[test]
fn what_was_asked_before_ctrl_c_is_answered_after_it() {
    let server = socket();
    let (mut child, client) = start(&server);
    client.send(&message(7, "question")).unwrap();
    let (_, forwarder) = receive(&server);
    child.press_ctrl_c();
    server.send_to(&message(7, "answer"), forwarder).unwrap();
    assert_eq!(receive(&client).0, message(7, "answer"));
    child.finish().died_of(SIGINT).said("all is answered");
}
