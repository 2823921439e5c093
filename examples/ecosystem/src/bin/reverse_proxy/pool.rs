//! Connections to servers that wait for another request: not too many of them, and not for too long.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio::hyper::Io;
use asyncio::io::{AsyncRead, AsyncWrite};
use asyncio::net::TcpStream;
use asyncio::sync::{Event, Queue, QueueShutDown};
use asyncio::{TaskGroup, TaskGroupError, running_loop, sleep_until};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};

/// What is sent to servers: what a client sends, or nothing.
pub(crate) type Outgoing = Either<Incoming, Empty<Bytes>>;
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The connections to all servers. Those in use belong to whoever uses them; here are the others.
pub(crate) struct Pool {
    /// How many may wait.
    most: usize,
    /// How long each may wait.
    keep: Duration,
    /// The oldest one first.
    waiting: RefCell<VecDeque<Waiting>>,
    /// Set when there is one.
    has_waiting: Event,
    /// What is to be run for connections, on its way to the group of [`Pool::run`].
    work: Queue<Work>,
}

struct Waiting {
    connection: Connection,
    until: Instant,
}

impl Pool {
    pub(crate) fn new(most: usize, keep: Duration) -> Pool {
        Pool {
            most,
            keep,
            waiting: RefCell::default(),
            has_waiting: Event::new(),
            work: Queue::unbounded(),
        }
    }

    /// Runs the connections until it is cancelled, which ends them all.
    pub(crate) async fn run(self: Rc<Self>) -> Result<Infallible, TaskGroupError> {
        TaskGroup::scope(async |group| {
            let pool = self.clone();
            group.spawn(async move { pool.end_those_too_old().await });
            loop {
                match self.work.get().await {
                    Ok(work) => drop(group.spawn(work)),
                    // Nobody does that.
                    Err(shut_down) => return Err::<Infallible, QueueShutDown>(shut_down),
                }
            }
        })
        .await
    }

    /// Makes a connection of a stream to the server of that number.
    pub(crate) async fn connect(
        &self,
        server: usize,
        stream: TcpStream,
    ) -> hyper::Result<Connection> {
        let has_answered = Rc::new(Cell::new(false));
        let stream = Noticing {
            stream,
            has_read: has_answered.clone(),
        };
        let (sender, connection) = handshake(Io::new(stream)).await?;
        self.start(async {
            // Whoever waits for the answer, or reads its body, learns of an error.
            let _ = connection.await;
        });
        Ok(Connection {
            server,
            sender,
            has_answered,
        })
    }

    /// Takes the newest one to that server. It may be stale all the same: nobody knows before it is used.
    pub(crate) fn take(&self, server: usize) -> Option<Connection> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|waiting| !waiting.connection.sender.is_closed());
        let is_to_it = |waiting: &Waiting| waiting.connection.server == server;
        let index = waiting.iter().rposition(is_to_it)?;
        waiting.remove(index).map(|waiting| waiting.connection)
    }

    /// Keeps one for another request, once the answer that it carries has been read to its end.
    pub(crate) fn give_back(self: &Rc<Self>, mut connection: Connection) {
        let pool = self.clone();
        self.start(async move {
            // It fails if one of the sides ends the connection with this answer, or earlier.
            if connection.sender.ready().await.is_ok() {
                pool.keep(connection);
            }
        });
    }

    fn keep(&self, connection: Connection) {
        let until = running_loop().time() + self.keep;
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back(Waiting { connection, until });
        if waiting.len() > self.most {
            waiting.pop_front();
        }
        self.has_waiting.set();
    }

    async fn end_those_too_old(&self) {
        loop {
            let oldest = self.waiting.borrow().front().map(|waiting| waiting.until);
            match oldest {
                Some(until) => sleep_until(until).await,
                None => {
                    self.has_waiting.clear();
                    self.has_waiting.wait().await;
                }
            }
            let now = running_loop().time();
            self.waiting
                .borrow_mut()
                .retain(|waiting| waiting.until > now);
        }
    }

    fn start(&self, work: impl Future<Output = ()> + 'static) {
        let _ = self.work.put_nowait(Box::pin(work));
    }
}

/// A connection to a server. It ends when this is dropped.
pub(crate) struct Connection {
    server: usize,
    sender: SendRequest<Outgoing>,
    /// A byte has come since the last request.
    has_answered: Rc<Cell<bool>>,
}

impl Connection {
    /// Sends a request, and returns when the head of the answer is there.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> hyper::Result<Response<Incoming>> {
        self.has_answered.set(false);
        self.sender.send_request(request).await
    }

    /// Whether anything has come back, be it half a head.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered.get()
    }
}

/// A stream that notices when something is read.
struct Noticing {
    stream: TcpStream,
    has_read: Rc<Cell<bool>>,
}

impl AsyncRead for Noticing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(1..)) = read {
            self.has_read.set(true);
        }
        read
    }
}

impl AsyncWrite for Noticing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
