//! The example server as its users meet it: a process of its own that is asked, loaded and interrupted.
//!
//! What "lost" means: a request was sent in full on a connection whose end the server had not yet announced, and no full
//! answer came. A connection that ends while no request of it is under way loses nothing.
#![cfg(unix)]

mod support;

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use support::child::{Child, SIGINT, Setup, example};

const CONNECTIONS: u32 = 100;
const THREADS: u32 = 4;

/// A running server, and where it is.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let mut command = Command::new(example("web_server"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = Setup::new(command)
            .deadline(Duration::from_secs(60))
            .start();
        let line = child.wait_for_line("listening on http://");
        let (_, address) = line.split_once("http://").unwrap();
        Server {
            address: address.parse().unwrap(),
            child,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

/// One connection, used the way a plain client does.
struct Client {
    stream: TcpStream,
    /// What was read and belongs to the next answer.
    rest: Vec<u8>,
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn has_line(&self, line: &str) -> bool {
        self.head.lines().any(|found| found == line)
    }

    #[track_caller]
    fn assert_ok(&self) {
        assert!(self.has_line("HTTP/1.1 200 OK"), "{}", self.head);
    }

    fn is_last(&self) -> bool {
        self.has_line("connection: close")
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    fn connect(address: SocketAddr) -> Client {
        Client {
            stream: TcpStream::connect(address).unwrap(),
            rest: Vec::new(),
        }
    }

    fn send(&mut self, target: &str) -> io::Result<()> {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes())
    }

    /// Reads one answer; `None` if the connection ends before its first byte.
    fn receive(&mut self) -> io::Result<Option<Answer>> {
        let head_end = loop {
            if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                break end + 4;
            }
            if self.read_more()? == 0 {
                assert!(self.rest.is_empty(), "an answer was cut off in its head");
                return Ok(None);
            }
        };
        let head = String::from_utf8(self.rest.drain(..head_end).collect()).unwrap();
        let length = content_length(&head);
        while self.rest.len() < length {
            assert!(self.read_more()? > 0, "an answer was cut off in its body");
        }
        let body = self.rest.drain(..length).collect();
        Ok(Some(Answer { head, body }))
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let length = self.stream.read(&mut buffer)?;
        self.rest.extend_from_slice(&buffer[..length]);
        Ok(length)
    }

    #[track_caller]
    fn ask(&mut self, target: &str) -> Answer {
        self.send(target).unwrap();
        self.receive().unwrap().expect("an answer")
    }

    /// Looks, without waiting, whether the server has ended the connection, or sent what nobody asked for.
    fn is_ended(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

fn content_length(head: &str) -> usize {
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    length.expect("a content length").parse().unwrap()
}

/// What one client saw of its connection.
#[derive(Default)]
struct Seen {
    answered: u32,
    lost: u32,
}

/// Sends requests one after another, `limit` at most, until the server ends the connection.
struct Asker {
    client: Client,
    number: u32,
    seen: Seen,
    is_done: bool,
}

impl Asker {
    fn new(address: SocketAddr, number: u32) -> Asker {
        Asker {
            client: Client::connect(address),
            number,
            seen: Seen::default(),
            is_done: false,
        }
    }

    /// Sends the next request, which tells the log whose it is, and which of theirs.
    fn send(&mut self, limit: u32) {
        if self.is_done || self.seen.answered == limit || self.client.is_ended() {
            self.is_done = true;
            return;
        }
        let target = format!("/?{}.{}.", self.number, self.seen.answered);
        if self.client.send(&target).is_err() {
            self.lose();
        }
    }

    fn receive(&mut self) {
        if self.is_done {
            return;
        }
        match self.client.receive() {
            Ok(Some(answer)) => {
                answer.assert_ok();
                assert_eq!(answer.text(), "Hello from asyncio.\n");
                self.seen.answered += 1;
                self.is_done = answer.is_last();
            }
            Ok(None) | Err(_) => self.lose(),
        }
    }

    fn lose(&mut self) {
        self.seen.lost += 1;
        self.is_done = true;
    }
}

/// Has `CONNECTIONS` clients, on a few threads, send `limit` requests each; calls `on_answer` with the answers so far.
fn load(address: SocketAddr, limit: u32, on_answer: impl Fn(u32) + Sync) -> Vec<Seen> {
    let total = AtomicU32::new(0);
    let on_answer = &on_answer;
    let total = &total;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let numbers = (0..CONNECTIONS).filter(move |number| number % THREADS == thread);
                let mut askers: Vec<Asker> =
                    numbers.map(|number| Asker::new(address, number)).collect();
                scope.spawn(move || {
                    while !askers.iter().all(|asker| asker.is_done) {
                        askers.iter_mut().for_each(|asker| asker.send(limit));
                        for asker in &mut askers {
                            let before = asker.seen.answered;
                            asker.receive();
                            let new = asker.seen.answered - before;
                            on_answer(total.fetch_add(new, Ordering::Relaxed) + new);
                        }
                    }
                    askers.into_iter().map(|asker| (asker.number, asker.seen))
                })
            })
            .collect();
        let mut seen: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        seen.sort_by_key(|(number, _)| *number);
        seen.into_iter().map(|(_, seen)| seen).collect()
    })
}

/// A file's name that no other test uses.
fn log_path(name: &str) -> PathBuf {
    let name = format!("asyncio-{name}-{}.log", std::process::id());
    let path = env::temp_dir().join(name);
    let _ = fs::remove_file(&path);
    path
}

/// Asserts that the log has a line for each answer and no other, and those of each connection in their order.
#[track_caller]
fn assert_log_is_complete(path: &Path, seen: &[Seen]) {
    let log = fs::read_to_string(path).unwrap();
    let answered: u32 = seen.iter().map(|seen| seen.answered).sum();
    assert_eq!(log.lines().count(), answered as usize);
    for (number, seen) in seen.iter().enumerate() {
        let own = format!("\"GET /?{number}.");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&own)).collect();
        assert_eq!(lines.len(), seen.answered as usize);
        for (position, line) in lines.iter().enumerate() {
            let request = format!("\"GET /?{number}.{position}. HTTP/1.1\" 200 ");
            assert!(line.contains(&request), "{position}: {line}");
        }
    }
    fs::remove_file(path).unwrap();
}

/// Ten thousand requests take a second or two of an unoptimised build.
#[test]
fn ten_thousand_requests_over_a_hundred_connections_are_served() {
    let path = log_path("load");
    let mut server = Server::start(&["--access-log", path.to_str().unwrap()]);
    let seen = load(server.address, 10_000 / CONNECTIONS, |_| ());
    assert!(
        seen.iter()
            .all(|seen| seen.answered == 100 && seen.lost == 0)
    );
    server.child.press_ctrl_c();
    let finished = server.child.finish();
    finished.died_of(SIGINT).said("served 10000 requests");
    assert_log_is_complete(&path, &seen);
}

/// Takes as long as the load before the interrupt, and the tenth of a second for which the server listens after it.
#[test]
fn an_interrupt_in_the_middle_of_the_load_loses_no_request() {
    let path = log_path("interrupt");
    let mut server = Server::start(&["--access-log", path.to_str().unwrap()]);
    let address = server.address;
    let (tell, told) = mpsc::channel();
    let load = thread::spawn(move || {
        load(address, u32::MAX, |total| {
            if total == 3000 {
                tell.send(()).unwrap();
            }
        })
    });
    told.recv().unwrap();
    server.child.press_ctrl_c();
    let seen = load.join().unwrap();
    let lost: u32 = seen.iter().map(|seen| seen.lost).sum();
    let answered: u32 = seen.iter().map(|seen| seen.answered).sum();
    assert_eq!(lost, 0, "of {}", answered + lost);
    let finished = server.child.finish();
    finished
        .died_of(SIGINT)
        .said(&format!("served {answered} requests"));
    assert_log_is_complete(&path, &seen);
}

#[test]
fn requests_that_have_arrived_before_the_interrupt_are_answered() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("/").unwrap();
    }
    server.child.press_ctrl_c();
    for client in &mut clients {
        client.receive().unwrap().expect("an answer").assert_ok();
    }
    let finished = server.child.finish();
    finished.died_of(SIGINT).said("served 50 requests");
}

/// Has a slow request under way: asks for the statistics until they show it. Returns how often.
fn wait_until_in_flight(watcher: &mut Client) -> u32 {
    for asked in 1.. {
        // The question itself is the other one.
        if watcher.ask("/stats").text().contains(r#""in_flight":2,"#) {
            return asked;
        }
    }
    unreachable!("no one asks that often")
}

/// Takes as long as the slow request.
#[test]
fn a_slow_request_is_finished_while_idle_connections_end() {
    let mut server = Server::start(&[]);
    let (mut slow, mut idle) = (server.connect(), server.connect());
    slow.send("/slow?ms=2000").unwrap();
    let asked = wait_until_in_flight(&mut idle);
    server.child.press_ctrl_c();
    assert!(idle.receive().unwrap().is_none());
    assert!(!slow.is_ended(), "an answer or an end, and too early");
    let answer = slow.receive().unwrap().expect("an answer");
    answer.assert_ok();
    assert!(answer.is_last(), "{}", answer.head);
    assert_eq!(answer.text(), "That took 2000 ms.\n");
    assert!(slow.receive().unwrap().is_none());
    let finished = server.child.finish();
    finished
        .died_of(SIGINT)
        .said(&format!("served {} requests", asked + 1));
}

/// Takes as long as the limit.
#[test]
fn a_request_that_takes_too_long_is_cut_off_at_the_limit() {
    let mut server = Server::start(&["--grace", "300"]);
    let (mut slow, mut idle) = (server.connect(), server.connect());
    slow.send("/slow?ms=60000").unwrap();
    let asked = wait_until_in_flight(&mut idle);
    let pressed = Instant::now();
    server.child.press_ctrl_c();
    assert!(matches!(slow.receive(), Ok(None) | Err(_)));
    let taken = pressed.elapsed();
    assert!(taken >= Duration::from_millis(300), "{taken:?}");
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    let finished = server.child.finish();
    finished
        .died_of(SIGINT)
        .said(&format!("served {asked} requests"));
}

#[test]
fn a_large_body_comes_back_unchanged() {
    const LENGTH: usize = 10 << 20;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut state = 1u32;
    let body: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(LENGTH)
    .collect();
    let head =
        format!("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: {LENGTH}\r\n\r\n");
    let mut writer = client.stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(head.as_bytes()).unwrap();
            writer.write_all(&body).unwrap();
        });
        let answer = client.receive().unwrap().expect("an answer");
        answer.assert_ok();
        assert!(answer.body == body);
    });
    // The connection is as good as new.
    client.ask("/").assert_ok();
}

#[test]
fn every_route_answers_as_documented() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.ask("/").assert_ok();
    client.ask("/slow?ms=1").assert_ok();
    let stats = client.ask("/stats");
    // The main task and this connection's.
    assert_eq!(stats.text(), "{\"served\":2,\"in_flight\":1,\"tasks\":2}\n");
    assert!(stats.has_line("content-type: application/json"));
    assert!(client.ask("/slow").has_line("HTTP/1.1 400 Bad Request"));
    assert!(client.ask("/nowhere").has_line("HTTP/1.1 404 Not Found"));
}

#[test]
fn wrong_arguments_are_refused_with_status_2() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(example("web_server"));
        command.args(arguments);
        Child::start(command).finish()
    };
    run(&["--nonsense"])
        .exited_with(2)
        .said("unknown argument `--nonsense`")
        .said("Usage:");
    run(&["--listen"])
        .exited_with(2)
        .said("`--listen` needs a value");
    run(&["--grace", "soon"]).exited_with(2).said("`soon`");
    run(&["--listen", "nowhere"])
        .exited_with(1)
        .said("cannot listen on nowhere");
    run(&["--help"]).exited_with(0).said("Usage:");
}
