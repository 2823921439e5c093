//! hyper on this loop: streams of bytes, time and tasks, for clients and servers of HTTP/1 and HTTP/2.
//!
//! hyper asks for three things. [`Io`] carries bytes, over whatever has the traits of `futures-io`; [`Timer`] tells the time
//! and waits for it, on the loop's clock; [`Executor`] spawns, which only HTTP/2 needs. None of what is spawned need be `Send`.
//!
//! Cancellation needs nothing of its own. A connection is a future: awaited in a task, it is dropped when that task is
//! cancelled, and with it the request that was under way. To let that request end first, keep the connection outside of the
//! scope that is cancelled, and call hyper's `graceful_shutdown`; `asyncio::axum::serve` does so.
//!
//! # Small messages
//!
//! Call `set_nodelay(true)` on the sockets, above all for HTTP/2. It begins with several small messages from both sides, and
//! without that the system can hold an answer back until the other side has confirmed what came before: 40 ms on Linux.
//!
//! # Upgrades
//!
//! hyper's `with_upgrades` asks for a stream that is `Send`, which a stream of this loop is not. `Io::new(OnThread::new(stream))`
//! is: the stream stays where it is, and what is handed around is a key to it.
//!
//! # Examples
//!
//! ```
//! # mod asyncio { pub use runner_core::*; pub use runner_interop::hyper; }
//! use asyncio::hyper::{Io, Timer};
//! use asyncio::net::{TcpListener, TcpStream};
//! use http_body_util::{BodyExt as _, Empty};
//! use hyper::body::{Bytes, Incoming};
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//! use std::time::Duration;
//!
//! async fn echo(request: Request<Incoming>) -> hyper::Result<Response<String>> {
//!     Ok(Response::new(request.uri().path().to_owned()))
//! }
//!
//! asyncio::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     asyncio::spawn(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         let mut server = hyper::server::conn::http1::Builder::new();
//!         server.timer(Timer::new()).header_read_timeout(Duration::from_secs(10));
//!         server.serve_connection(Io::new(stream), service_fn(echo)).await?;
//!         Ok::<_, Box<dyn std::error::Error>>(())
//!     });
//!     let stream = Io::new(TcpStream::connect(address).await?);
//!     let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
//!     asyncio::spawn(connection);
//!     let request = Request::get("/hello").body(Empty::<Bytes>::new())?;
//!     let body = client.send_request(request).await?.into_body().collect().await?;
//!     assert_eq!(body.to_bytes(), "/hello");
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })
//! .unwrap()
//! .unwrap();
//! ```

mod executor;
mod io;
mod timer;

pub use self::executor::Executor;
pub use self::io::Io;
pub use self::timer::Timer;
pub use crate::on_thread::OnThread;
