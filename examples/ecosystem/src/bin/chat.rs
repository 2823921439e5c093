//! A chat over WebSockets: hyper serves the page and the upgrade, tungstenite speaks the protocol.
//!
//! What you learn here: how a connection changes from HTTP to something else inside of one task; how that task waits for the room
//! and for its client at once; how everybody is told why, when the server is stopped.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/Cargo.toml --bin chat -- 127.0.0.1:8081
//! ```
//!
//! Open the address in two windows of a browser, and stop the server with Ctrl-C.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::handshake::server::create_response_with_body;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use asyncio::TaskGroup;
use asyncio::hyper::{Io, OnThread, Timer};
use asyncio::net::{TcpListener, TcpStream};
use asyncio::sync::Queue;
use futures_lite::{StreamExt as _, future};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};

/// How long a client may take for a head, and for our goodbye.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many lines may wait for one client before it is too slow for this room.
const BACKLOG: usize = 100;

type Socket = WebSocketStream<Io<Upgraded>>;

#[asyncio::main(terminate)]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:8081");
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let room = Rc::new(Room::default());
    TaskGroup::scope(async |group| -> io::Result<()> {
        loop {
            let (stream, _peer) = listener.accept().await?;
            let room = room.clone();
            group.spawn(async move {
                // A client that talks nonsense, or is gone, is no failure of the server.
                if let Err(error) = serve(&room, stream).await {
                    eprintln!("chat: {error}");
                }
            });
        }
    })
    .await?;
    Ok(())
}

/// Speaks HTTP until the client wants to chat, and then chats.
async fn serve(room: &Room, stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let upgrade = Rc::new(Cell::new(None));
    let service = service_fn(|request| {
        let response = answer(request, &upgrade);
        async { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(Timer::new()).header_read_timeout(PATIENCE);
    let stream = Io::new(OnThread::new(stream));
    http.serve_connection(stream, service)
        .with_upgrades()
        .await?;
    if let Some(upgrade) = upgrade.take() {
        let upgraded = Io::new(upgrade.await?);
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        chat(room, socket).await?;
    }
    Ok(())
}

fn answer(mut request: Request<Incoming>, upgrade: &Cell<Option<OnUpgrade>>) -> Response<String> {
    match request.uri().path() {
        "/" => {
            let mut page = Response::new(include_str!("chat.html").to_owned());
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            page.headers_mut().insert(CONTENT_TYPE, kind);
            page
        }
        "/chat" => match create_response_with_body(&request, String::new) {
            Ok(response) => {
                upgrade.set(Some(hyper::upgrade::on(&mut request)));
                response
            }
            Err(error) => failed(StatusCode::BAD_REQUEST, error.to_string()),
        },
        _ => failed(StatusCode::NOT_FOUND, "There is nothing here.".to_owned()),
    }
}

fn failed(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text + "\n");
    *response.status_mut() = status;
    response
}

/// Everybody who is here, with what they have not been told yet. The loop has one thread, so plain cells do.
#[derive(Default)]
struct Room {
    members: RefCell<HashMap<u64, Rc<Queue<Rc<str>>>>>,
    count: Cell<u64>,
}

impl Room {
    fn enter(&self) -> Member<'_> {
        self.count.set(self.count.get() + 1);
        let number = self.count.get();
        let lines = Rc::new(Queue::bounded(BACKLOG));
        self.members.borrow_mut().insert(number, lines.clone());
        self.say(format!("guest {number} has come"));
        Member {
            room: self,
            number,
            lines,
        }
    }

    /// Tells everybody. Whoever is too slow misses it.
    fn say(&self, line: String) {
        let line: Rc<str> = line.into();
        for lines in self.members.borrow().values() {
            let _ = lines.put_nowait(line.clone());
        }
    }
}

/// Somebody who is in the room until this is dropped.
struct Member<'a> {
    room: &'a Room,
    number: u64,
    lines: Rc<Queue<Rc<str>>>,
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.room.members.borrow_mut().remove(&self.number);
        self.room.say(format!("guest {} has gone", self.number));
    }
}

/// What a member waits for.
enum News {
    FromRoom(Rc<str>),
    FromClient(Option<Result<Message, async_tungstenite::tungstenite::Error>>),
}

async fn chat(room: &Room, mut socket: Socket) -> Result<(), Box<dyn Error>> {
    let member = room.enter();
    let talk = async {
        loop {
            // Whichever is dropped has taken nothing.
            let from_room =
                async { News::FromRoom(member.lines.get().await.expect("an open queue")) };
            let from_client = async { News::FromClient(socket.next().await) };
            match future::race(from_room, from_client).await {
                News::FromRoom(line) => socket.send(Message::text(&*line)).await?,
                News::FromClient(Some(Ok(Message::Text(text)))) => {
                    room.say(format!("guest {}: {text}", member.number));
                }
                // Pings are answered, and the closing handshake is done, by the next calls.
                News::FromClient(Some(Ok(_))) => {}
                News::FromClient(Some(Err(error))) => return Err(error.into()),
                News::FromClient(None) => return Ok(()),
            }
        }
    };
    match asyncio::catch_cancelled(talk).await {
        Ok(result) => result,
        Err(cancelled) => {
            let _ = asyncio::timeout(PATIENCE, say_goodbye(&mut socket)).await;
            println!("guest {} was told", member.number);
            cancelled.raise().await
        }
    }
}

/// Says why, and waits until the client has said goodbye as well.
async fn say_goodbye(socket: &mut Socket) -> Result<(), Box<dyn Error>> {
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason: "The server stops.".into(),
    };
    socket.close(Some(frame)).await?;
    while socket.next().await.transpose()?.is_some() {}
    Ok(())
}
