//! A socket by which the same user sees from outside what the program is doing; `asyncio-ps` is its other end.
//!
//! `ASYNCIO_INSPECT=1` opens it, for as long as there is a runner that is initialised. Threads serve it, and ask each loop in its
//! turn; one that does not answer in time is told about with what it has published of itself. The protocol is described in
//! `docs/debugging.md`.
//!
//! The other side is not trusted. Only the same user can connect; a request is a short line; there are few connections at
//! once; a loop has one question before it at most, and answers about a bounded number of tasks.

mod answer;
mod folder;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use self::answer::{Asked, Request, process_line};
use crate::event_loop::EventLoop;
use crate::fork::ForkGuard;
use crate::json::object;
use crate::logging::{Level, say};
use crate::threads::start_thread;

/// Of the thread that waits for those who ask, and of one for each of them.
const THREAD_NAME: &str = "asyncio-inspect";
/// At once; more are turned away.
const MAX_CONNECTIONS: usize = 8;
/// In bytes, with the line's end.
const MAX_REQUEST: u64 = 64;
/// A connection that asks nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// Whoever does not read for so long is given up.
const UNREAD: Duration = Duration::from_secs(5);

static SERVER: Mutex<Server> = Mutex::new(Server {
    loops: Vec::new(),
    socket: None,
    next_loop: 1,
});
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
/// Connections that want to know how long tasks run.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// What this process shows.
struct Server {
    loops: Vec<Arc<Asked>>,
    socket: Option<Socket>,
    next_loop: u64,
}

/// No user code runs under the lock, so a poisoned one is still whole.
fn server() -> MutexGuard<'static, Server> {
    SERVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop that can be seen from outside, while this lives.
pub(super) struct Inspection {
    event_loop: EventLoop,
    asked: Arc<Asked>,
}

impl Inspection {
    /// Shows the loop, or says why it cannot be shown.
    pub(super) fn begin_or_say(event_loop: &EventLoop) -> Option<Inspection> {
        match Inspection::begin(event_loop) {
            Ok(inspection) => Some(inspection),
            Err(error) => {
                let why = format_args!("The program cannot be inspected: {error}");
                say(Level::Warning, why);
                None
            }
        }
    }

    fn begin(event_loop: &EventLoop) -> io::Result<Inspection> {
        let mut server = server();
        // A forked child has its parent's list and socket, and nobody who serves it.
        if server.socket.as_ref().is_some_and(|it| it.fork.is_forked()) {
            server.loops.clear();
            server.socket = None;
        }
        if server.socket.is_none() {
            server.socket = Some(Socket::open()?);
        }
        let number = server.next_loop;
        server.next_loop += 1;
        let beat = event_loop.core().begin_inspection();
        let asked = Arc::new(Asked::new(number, event_loop.handle(), beat));
        server.loops.push(asked.clone());
        Ok(Inspection {
            event_loop: event_loop.clone(),
            asked,
        })
    }
}

impl Drop for Inspection {
    fn drop(&mut self) {
        self.event_loop.core().end_inspection();
        let mut server = server();
        server.loops.retain(|it| !Arc::ptr_eq(it, &self.asked));
        if server.loops.is_empty() {
            server.socket = None;
        }
    }
}

/// The open socket; gone from the file system with this.
struct Socket {
    path: PathBuf,
    is_closed: Arc<AtomicBool>,
    fork: ForkGuard,
}

impl Socket {
    fn open() -> io::Result<Socket> {
        let path = folder::prepare()?.join(format!("{}.sock", std::process::id()));
        // Left by an earlier process of that number: the folder is ours alone.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let socket = Socket {
            path,
            is_closed: is_closed.clone(),
            fork: ForkGuard::new(),
        };
        let main = move || accept(&listener, &is_closed);
        start_thread(THREAD_NAME.into(), Box::new(main))?;
        Ok(socket)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.fork.is_forked() {
            return;
        }
        self.is_closed.store(true, Ordering::Relaxed);
        // Ends the wait in `accept`.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, is_closed: &AtomicBool) {
    loop {
        let accepted = listener.accept();
        if is_closed.load(Ordering::Relaxed) {
            return;
        }
        match accepted {
            Ok((stream, _)) => take_connection(stream),
            // Out of descriptors, perhaps: it gets better with time.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Serves a connection in a thread of its own, or turns it away.
fn take_connection(stream: UnixStream) {
    if !folder::is_same_user(&stream) {
        return;
    }
    let Some(connection) = Connection::admit(stream) else {
        return;
    };
    // Without a thread the connection is closed with the closure.
    let _ = start_thread(THREAD_NAME.into(), Box::new(move || connection.serve()));
}

/// One of few.
struct Connection {
    stream: UnixStream,
    /// It has asked how long tasks run.
    is_watching: bool,
}

impl Connection {
    fn admit(mut stream: UnixStream) -> Option<Connection> {
        stream.set_read_timeout(Some(IDLE)).ok()?;
        stream.set_write_timeout(Some(UNREAD)).ok()?;
        if CONNECTIONS.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
            let _ = stream.write_all(error("too many connections").as_bytes());
            return None;
        }
        Some(Connection {
            stream,
            is_watching: false,
        })
    }

    /// Answers until the other side goes, says nothing for long, or says something that is too long.
    fn serve(mut self) {
        let Ok(stream) = self.stream.try_clone() else {
            return;
        };
        let mut requests = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match requests
                .by_ref()
                .take(MAX_REQUEST)
                .read_until(b'\n', &mut line)
            {
                Ok(1..) if line.ends_with(b"\n") => {}
                Ok(1..) => {
                    let _ = self.stream.write_all(error("not a request").as_bytes());
                    return;
                }
                _ => return,
            }
            let answer = self.answer(&line);
            if self.stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// JSON lines, and an empty one.
    fn answer(&mut self, line: &[u8]) -> String {
        let Some(request) = Request::read(line) else {
            return error("no such request; there are ps, tree, metrics and top");
        };
        if request == Request::Top && !self.is_watching {
            self.is_watching = true;
            WATCHERS.fetch_add(1, Ordering::Relaxed);
        }
        let loops = server().loops.clone();
        let mut text = process_line(loops.len());
        for asked in loops {
            text += &asked.ask(request);
        }
        text + "\n"
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        if self.is_watching && WATCHERS.fetch_sub(1, Ordering::Relaxed) == 1 {
            let loops = server().loops.clone();
            let nobody_watches = || WATCHERS.load(Ordering::Relaxed) == 0;
            loops
                .iter()
                .for_each(|asked| asked.stop_times(nobody_watches));
        }
    }
}

/// An answer that is none.
fn error(what: &str) -> String {
    let mut text = String::new();
    object(&mut text, |it| {
        it.text("error", what);
    });
    text + "\n\n"
}
