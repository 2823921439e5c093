//! WebSocket frames, written by hand as a strange client may write them, to an echo server on this crate's sockets: every
//! length's form, pieces of every size, control frames in between, what RFC 6455 forbids, and how connections end.
//!
//! The cases follow the chapters of Autobahn's test suite, which itself needs a Python of another age, and is not run here.

use std::io;
use std::net::SocketAddr;

use async_tungstenite::accept_async;
use async_tungstenite::tungstenite::Error;
use asyncio::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// The bit of a message's last frame.
const END: u8 = 0x80;
/// Written at once.
const WHOLE: usize = usize::MAX;

/// Frames of a client: a first byte of bits and an opcode, and what they carry.
type Frames<'a> = &'a [(u8, &'a [u8])];

/// A client's frame, masked as it must be.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        medium @ ..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    let masks = MASK.iter().cycle();
    bytes.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What a server's bytes say, frame by frame.
fn parsed(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (u64::from_be_bytes(*length) as usize, rest)
            }
            // A server masks nothing, so that the first bit is not set.
            short => (usize::from(*short), rest),
        };
        frames.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    frames
}

/// Sends each text and each binary message back, until the connection ends.
async fn echo(listener: TcpListener) -> Result<(), Error> {
    let (stream, _peer) = listener.accept().await?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// Shakes hands as a client, by hand.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    // Each piece is a segment of its own.
    stream.set_nodelay(true)?;
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    Ok(stream)
}

/// Everything that comes until the connection ends, also if it ends by a reset.
async fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        received.extend(&buffer[..length]);
    }
    received
}

/// Writes these bytes in pieces, and returns what the server sends and how it ends.
async fn exchange(bytes: &[u8], piece: usize) -> (Vec<(u8, Vec<u8>)>, Result<(), Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = asyncio::spawn(echo(listener));
    let client = connect(address).await.unwrap();
    let writing = async {
        for piece in bytes.chunks(piece.min(bytes.len())) {
            // The server has ended the connection in the middle, as it must with some of these.
            if (&client).write_all(piece).await.is_err() {
                break;
            }
            // Lets the server read it before there is more.
            asyncio::yield_now().await;
        }
    };
    let ((), received) = future::zip(writing, read_all(&client)).await;
    (parsed(&received), server.await.unwrap())
}

fn joined(frames: Frames<'_>) -> Vec<u8> {
    let masked = frames
        .iter()
        .map(|(first, payload)| masked(*first, payload));
    masked.collect::<Vec<_>>().concat()
}

/// A status code and a reason, as a closing frame carries them.
fn goodbye(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Sends these frames and a goodbye in pieces of several sizes; the server must send those and the same goodbye.
async fn assert_answered(frames: Frames<'_>, expected: Frames<'_>) {
    let goodbye = goodbye(1000, "");
    let mut sent = joined(frames);
    sent.extend(masked(END | CLOSE, &goodbye));
    let mut expected: Vec<_> = expected
        .iter()
        .map(|(first, payload)| (*first, payload.to_vec()))
        .collect();
    expected.push((END | CLOSE, goodbye));
    for piece in [WHOLE, 997, 3, 1] {
        // One byte at a time is for the small ones.
        if sent.len() / piece > 10_000 {
            continue;
        }
        let (received, end) = exchange(&sent, piece).await;
        assert!(end.is_ok(), "{end:?} in pieces of {piece}");
        assert!(received == expected, "in pieces of {piece}");
    }
}

/// Sends these bytes, whole and bytewise, to a server that must have none of it: it has sent no more than this, and is done.
async fn assert_refused(sent: &[u8], before: Frames<'_>) {
    for piece in [WHOLE, 1] {
        let (mut received, end) = exchange(sent, piece).await;
        assert!(
            matches!(end, Err(Error::Protocol(_) | Error::Utf8(_))),
            "{end:?} after {sent:x?} in pieces of {piece}"
        );
        // It may say why.
        received.retain(|(first, _)| *first != END | CLOSE);
        let before: Vec<_> = before
            .iter()
            .map(|(first, payload)| (*first, payload.to_vec()))
            .collect();
        assert!(received == before, "{received:x?} after {sent:x?}");
    }
}

#[asyncio::test(timeout = "60s")]
async fn messages_of_each_form_of_length_come_back() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_001] {
        let payload = vec![b'*'; length];
        for opcode in [TEXT, BINARY] {
            let frame: (u8, &[u8]) = (END | opcode, &payload);
            assert_answered(&[frame], &[frame]).await;
        }
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_message_of_a_megabyte_comes_back_from_one_frame_and_from_thousands() {
    let payload: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
    let whole: (u8, &[u8]) = (END | BINARY, &payload);
    assert_answered(&[whole], &[whole]).await;
    for size in [64, 4096] {
        let mut frames: Vec<(u8, &[u8])> = payload
            .chunks(size)
            .map(|chunk| (CONTINUATION, chunk))
            .collect();
        frames.first_mut().unwrap().0 |= BINARY;
        frames.last_mut().unwrap().0 |= END;
        assert_answered(&frames, &[whole]).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn pings_are_answered_with_what_they_carry_and_pongs_are_not() {
    for payload in [&b""[..], b"hello", &[0, 0xFF, 0xFE, 0xFD], &[0xFE; 125]] {
        assert_answered(&[(END | PING, payload)], &[(END | PONG, payload)]).await;
    }
    assert_answered(&[(END | PONG, b"unasked")], &[]).await;
    let pings: Vec<[u8; 1]> = (0..10).map(|number| [number]).collect();
    for number in &pings {
        let sent: Frames<'_> = &[(END | PONG, b""), (END | PING, number), (END | TEXT, b"a")];
        assert_answered(sent, &[(END | PONG, number), (END | TEXT, b"a")]).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn messages_in_fragments_come_back_whole_with_pings_answered_in_between() {
    let fragments: Frames<'_> = &[
        (TEXT, b"one "),
        (CONTINUATION, b""),
        (END | CONTINUATION, b"two"),
    ];
    assert_answered(fragments, &[(END | TEXT, b"one two")]).await;
    let with_pings: Frames<'_> = &[
        (BINARY, b"one "),
        (END | PING, b"first"),
        (CONTINUATION, b"two "),
        (END | PONG, b""),
        (END | PING, b"second"),
        (END | CONTINUATION, b"three"),
        (END | TEXT, b"next"),
    ];
    let answers: Frames<'_> = &[
        (END | PONG, b"first"),
        (END | PONG, b"second"),
        (END | BINARY, b"one two three"),
        (END | TEXT, b"next"),
    ];
    assert_answered(with_pings, answers).await;
    assert_answered(
        &[(TEXT, b""), (END | CONTINUATION, b"")],
        &[(END | TEXT, b"")],
    )
    .await;
}

#[asyncio::test(timeout = "60s")]
async fn fragments_that_are_out_of_order_end_the_connection() {
    for frames in [
        // One that continues nothing, at first, and after a whole message.
        &[(END | CONTINUATION, &b"b"[..])][..],
        &[(CONTINUATION, b"b"), (END | TEXT, b"a")],
        // A message within another one.
        &[(TEXT, b"a"), (END | TEXT, b"b")],
        &[(BINARY, b"a"), (BINARY, b"b"), (END | CONTINUATION, b"c")],
    ] {
        assert_refused(&joined(frames), &[]).await;
    }
    let after_a_message: Frames<'_> = &[(END | TEXT, b"a"), (END | CONTINUATION, b"b")];
    assert_refused(&joined(after_a_message), &[(END | TEXT, b"a")]).await;
}

#[asyncio::test(timeout = "60s")]
async fn bits_and_opcodes_that_mean_nothing_end_the_connection_after_what_came_before() {
    let reserved_bits = (1..8).map(|bits| END | bits << 4 | TEXT);
    let reserved_opcodes = (0x3..=0x7).chain(0xB..=0xF).map(|opcode| END | opcode);
    for first in reserved_bits.chain(reserved_opcodes) {
        let frames: Frames<'_> = &[
            (END | TEXT, b"before"),
            (first, b"*"),
            (END | PING, b"never"),
        ];
        assert_refused(&joined(frames), &[(END | TEXT, b"before")]).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn control_frames_that_are_long_or_in_fragments_end_the_connection() {
    for opcode in [PING, PONG, CLOSE] {
        assert_refused(&masked(END | opcode, &[0xFE; 126]), &[]).await;
        assert_refused(&joined(&[(opcode, b""), (END | CONTINUATION, b"")]), &[]).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_client_that_masks_nothing_is_refused() {
    assert_refused(&[END | TEXT, 1, b'a'], &[]).await;
}

#[asyncio::test(timeout = "60s")]
async fn text_may_be_split_within_a_character_but_must_be_utf_8() {
    let text = "κόσμε, \u{10FFFF} and €".as_bytes();
    for at in 0..=text.len() {
        let (first, second) = text.split_at(at);
        let fragments = [(TEXT, first), (END | CONTINUATION, second)];
        let (received, end) = exchange(
            &joined(&[fragments[0], fragments[1], (END | CLOSE, b"")]),
            WHOLE,
        )
        .await;
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(
            received,
            [(END | TEXT, text.to_vec()), (END | CLOSE, Vec::new())]
        );
    }
    for wrong in [
        &b"\xCE"[..],              // the end is missing
        b"\x80",                   // the beginning is missing
        b"\xC0\xAF",               // longer than need be
        b"\xED\xA0\x80",           // half of a pair of surrogates
        b"\xF4\x90\x80\x80",       // beyond the last character
        b"good \xCE\xBA \xFF bad", // no byte of UTF-8
    ] {
        assert_refused(&masked(END | TEXT, wrong), &[]).await;
        let (first, second) = wrong.split_at(wrong.len() / 2);
        assert_refused(&joined(&[(TEXT, first), (END | CONTINUATION, second)]), &[]).await;
        // No text, no rule.
        assert_answered(&[(END | BINARY, wrong)], &[(END | BINARY, wrong)]).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_goodbye_is_returned_with_its_code_and_nothing_after_it_is_answered() {
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    let mut goodbyes: Vec<Vec<u8>> = codes.iter().map(|code| goodbye(*code, "")).collect();
    goodbyes.extend([
        Vec::new(),
        goodbye(1000, "bye"),
        goodbye(1000, &"*".repeat(123)),
    ]);
    for goodbye in &goodbyes {
        let sent = joined(&[
            (END | CLOSE, goodbye),
            (END | TEXT, b"late"),
            (END | PING, b"late"),
        ]);
        let (received, end) = exchange(&sent, WHOLE).await;
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(received, [(END | CLOSE, goodbye.clone())]);
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_goodbye_that_is_malformed_is_refused() {
    for wrong in [&[3][..], &[3, 0xE8, 0xCE]] {
        assert_refused(&masked(END | CLOSE, wrong), &[]).await;
    }
}

#[asyncio::test(timeout = "60s")]
async fn a_connection_that_ends_within_a_frame_is_an_error_of_the_server() {
    let whole = masked(END | TEXT, b"hello");
    for length in 1..whole.len() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = asyncio::spawn(echo(listener));
        let mut client = connect(address).await.unwrap();
        client.write_all(&whole[..length]).await.unwrap();
        drop(client);
        assert!(server.await.unwrap().is_err());
    }
}
