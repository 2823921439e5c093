//! The way to a program: where its socket lies, one request, one answer.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// A program answers within a fraction of a second for each of its loops.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a program.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the program with that number.
    pub(crate) fn connect(pid: u32) -> io::Result<Client> {
        let path = folder().join(format!("{pid}.sock"));
        let stream = UnixStream::connect(&path).map_err(|error| {
            let hint = "was it started with ASYNCIO_INSPECT=1, by the same user?";
            io::Error::new(
                error.kind(),
                format!("process {pid} cannot be asked: {error}; {hint}"),
            )
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request, and returns the lines of the answer.
    pub(crate) fn ask(&mut self, request: &str) -> io::Result<Vec<Value>> {
        let request = format!("{request}\n");
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).map_err(ended)?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).map_err(ended)? == 0 {
                return Err(ended(io::ErrorKind::UnexpectedEof.into()));
            }
            if line == "\n" {
                return Ok(lines);
            }
            let line: Value = serde_json::from_str(&line)?;
            if let Some(error) = line["error"].as_str() {
                return Err(io::Error::other(error.to_owned()));
            }
            lines.push(line);
        }
    }
}

/// The same error, unless it is what the end of the other side looks like.
fn ended(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the program has ended")
        }
        _ => error,
    }
}

/// Returns `true` for the error of a program that has ended.
pub(crate) fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// The programs that have a socket, also one that was killed and could not take it away.
pub(crate) fn processes() -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let pid = |name: &str| name.strip_suffix(".sock")?.parse().ok();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| pid(entry.ok()?.file_name().to_str()?))
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Where the programs put their sockets; see `docs/debugging.md`.
fn folder() -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join("asyncio"),
        None => PathBuf::from(format!(
            "/tmp/asyncio-{}",
            rustix::process::geteuid().as_raw()
        )),
    }
}
