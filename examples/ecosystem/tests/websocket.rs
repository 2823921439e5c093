//! WebSockets over this crate's sockets: messages, pings, the closing handshake from either side, and cancellation.

use std::time::Duration;

use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::{WebSocketStream, accept_async, client_async};
use asyncio::net::{TcpListener, TcpStream};
use futures_lite::StreamExt as _;

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);

type Socket = WebSocketStream<TcpStream>;

/// A client and a server who have shaken hands.
async fn connected() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (stream, _peer) = listener.accept().await.unwrap();
        accept_async(stream).await.unwrap()
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _response) = client_async("ws://localhost/", stream).await.unwrap();
        socket
    };
    futures_lite::future::zip(client, server).await
}

#[asyncio::test(timeout = "20s")]
async fn messages_of_every_kind_and_size_come_back() {
    let (mut client, mut server) = connected().await;
    let echo = asyncio::spawn(async move {
        while let Some(message) = server.next().await {
            let message = message?;
            if message.is_text() || message.is_binary() {
                server.send(message).await?;
            }
        }
        Ok::<_, Error>(())
    });
    let long: Vec<u8> = (0..300_007_u32).map(|at| (at % 251) as u8).collect();
    for message in [
        Message::text("hello"),
        Message::text(""),
        Message::binary(long),
    ] {
        client.send(message.clone()).await.unwrap();
        assert!(client.next().await.unwrap().unwrap() == message);
    }
    client
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    let pong = client.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("are you there".into()));
    client.close(None).await.unwrap();
    assert!(client.next().await.unwrap().unwrap().is_close());
    assert!(client.next().await.is_none());
    echo.await.unwrap().unwrap();
}

#[asyncio::test(timeout = "20s")]
async fn the_side_that_closes_is_answered_and_both_learn_why() {
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason: "going home".into(),
    };
    let (mut client, mut server) = connected().await;
    server.close(Some(frame.clone())).await.unwrap();
    let told = client.next().await.unwrap().unwrap();
    assert_eq!(told, Message::Close(Some(frame.clone())));
    // The answer goes out when the client looks for more, and its wait ends when the server lets go of the connection.
    let server = async move {
        let answer = server.next().await.unwrap().unwrap();
        assert!(server.next().await.is_none());
        answer
    };
    let (end, answer) = futures_lite::future::zip(client.next(), server).await;
    assert!(end.is_none());
    assert_eq!(answer, Message::Close(Some(frame)));
}

#[asyncio::test(timeout = "20s")]
async fn an_end_without_a_handshake_is_an_error() {
    let (mut client, server) = connected().await;
    drop(server);
    assert!(client.next().await.unwrap().is_err());
}

#[asyncio::test(timeout = "20s")]
async fn a_wait_that_is_cancelled_loses_no_message() {
    let (mut client, mut server) = connected().await;
    for number in 0..3 {
        assert!(asyncio::timeout(SHORT, client.next()).await.is_err());
        let message = Message::text(number.to_string());
        server.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
}

#[asyncio::test(timeout = "20s")]
async fn a_task_that_is_cancelled_can_still_close_by_the_handshake() {
    let (mut client, mut server) = connected().await;
    let serving = asyncio::spawn(async move {
        let cancelled = asyncio::catch_cancelled(server.next()).await.unwrap_err();
        server.close(None).await.unwrap();
        assert!(server.next().await.unwrap().unwrap().is_close());
        cancelled.raise().await;
    });
    asyncio::yield_now().await;
    serving.cancel();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Close(None));
    assert!(client.next().await.is_none());
    assert!(serving.await.unwrap_err().is_cancelled());
}
