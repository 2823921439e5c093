//! A forwarder for DNS over UDP: it hands questions on to another server, and answers back.
//!
//! Each question is a task with a socket of its own, connected to the server: answers of anybody else do not reach it, and its
//! port, which nobody can guess, keeps forged ones out. Who is asked to stop takes no more questions, and still answers those
//! that are under way.
//!
//! What you learn here: a task per datagram, and a limit on their number; a time limit with a second try; a group that is
//! cancelled, and lets its children come to their end.
//!
//! ```text
//! cargo run --example dns_forwarder -- 127.0.0.1:5300 9.9.9.9:53
//! dig @127.0.0.1 -p 5300 example.org
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use asyncio::net::UdpSocket;
use asyncio::sync::Semaphore;
use asyncio::{TaskGroup, TaskGroupError, catch_cancelled, timeout};

/// More than this is not sent over UDP, whatever a question asks for.
const LONGEST: usize = 4096;
/// The bytes of a message before the first question; the first two are its number.
const HEADER: usize = 12;
/// How long the server may take, the first time and the second.
const PATIENCE: [Duration; 2] = [Duration::from_millis(700), Duration::from_millis(1300)];
/// How many questions may be under way; who asks beyond that waits in the socket's buffer.
const MOST: usize = 1000;
/// Bits of the header, and a value of them, as RFC 1035 names them (4.1.1).
const IS_ANSWER: u8 = 0x80;
const RESPONSE_CODE: u8 = 0x0f;
const SERVER_FAILURE: u8 = 2;

#[asyncio::main(terminate)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(server)) = (arguments.next(), arguments.next()) else {
        return Err("usage: dns_forwarder ADDRESS SERVER".into());
    };
    let forwarder = Forwarder {
        socket: UdpSocket::bind(address).await?,
        server: server.parse()?,
        places: Semaphore::new(MOST),
    };
    println!("forwarding from {}", forwarder.socket.local_addr()?);
    Rc::new(forwarder).run().await?;
    Ok(())
}

struct Forwarder {
    socket: UdpSocket,
    server: SocketAddr,
    places: Semaphore,
}

impl Forwarder {
    async fn run(self: Rc<Self>) -> Result<(), TaskGroupError> {
        let cancelled = TaskGroup::scope(async |group| {
            match catch_cancelled(self.take_questions(group)).await {
                Ok(error) => Err(error),
                // The group waits for its children: what was asked is answered.
                Err(cancelled) => Ok(cancelled),
            }
        })
        .await?;
        println!("all is answered");
        cancelled.raise().await
    }

    /// Returns only if the socket fails.
    async fn take_questions(self: &Rc<Self>, group: &TaskGroup) -> io::Error {
        let mut buffer = [0; LONGEST];
        loop {
            self.places.acquire().await.forget();
            let (length, client) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => return error,
            };
            let (forwarder, question) = (self.clone(), buffer[..length].to_vec());
            group.spawn(async move {
                forwarder.answer(question, client).await;
                forwarder.places.release();
            });
        }
    }

    async fn answer(&self, question: Vec<u8>, client: SocketAddr) {
        if question.len() < HEADER {
            return;
        }
        let answer = self.ask_server(&question).await.unwrap_or_else(|error| {
            println!("no answer from {}: {error}", self.server);
            failure(question)
        });
        if let Err(error) = self.socket.send_to(&answer, client).await {
            println!("{client} cannot be answered: {error}");
        }
    }

    async fn ask_server(&self, question: &[u8]) -> io::Result<Vec<u8>> {
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.server).await?;
        for patience in PATIENCE {
            socket.send(question).await?;
            if let Ok(answer) = timeout(patience, receive_answer(&socket, question)).await {
                return answer;
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// An answer has the number of its question.
async fn receive_answer(socket: &UdpSocket, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut buffer = [0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if length >= HEADER && buffer[..2] == question[..2] {
            return Ok(buffer[..length].to_vec());
        }
    }
}

/// The same message as an answer without content.
fn failure(mut question: Vec<u8>) -> Vec<u8> {
    question[2] |= IS_ANSWER;
    question[3] = question[3] & !RESPONSE_CODE | SERVER_FAILURE;
    question
}
