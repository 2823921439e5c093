//! What short reads must not be taken for.

use std::io::Write as _;
use std::net::TcpStream as StdStream;
use std::time::Duration;

use futures_lite::AsyncReadExt as _;
use rustix::net::{SendFlags, send};

use super::TcpListener;
use crate::{run, spawn, timeout, yield_now};

/// A read stops at the urgent mark: the bytes behind it were there all the time, and nothing else announces them.
#[test]
fn bytes_behind_an_urgent_one_are_read_without_anything_more_arriving() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let reader = spawn(async move {
            let mut bytes = Vec::new();
            while bytes.len() < 6 {
                let mut buffer = [0; 64];
                let length = stream.read(&mut buffer).await.unwrap();
                bytes.extend_from_slice(&buffer[..length]);
            }
            bytes
        });
        yield_now().await;
        peer.write_all(b"abc").unwrap();
        assert_eq!(send(&peer, b"!", SendFlags::OOB).unwrap(), 1);
        peer.write_all(b"def").unwrap();
        let bytes = timeout(Duration::from_secs(10), reader)
            .await
            .expect("the reader waits for more");
        assert_eq!(bytes.unwrap(), b"abcdef");
    })
    .unwrap();
}
