//! `asyncio-ps`: what the tasks of running asyncio programs are doing, seen from outside.
//!
//! The programs have to be started with `ASYNCIO_INSPECT=1`. This is only the other end of their socket: it asks and prints.

#![forbid(unsafe_code)]

mod client;
mod live;
mod print;
mod view;

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

use client::Client;

/// What is printed for anything that is not a command.
const USAGE: &str = "\
usage: asyncio-ps [COMMAND]

Programs that were started with ASYNCIO_INSPECT=1, and their tasks:

  list          the programs (without a command, too)
  ps PID        a program's tasks, oldest first
  pstree PID    the same as a tree: below each task those whose end it waits for
  metrics PID   a program's event loops in numbers
  top PID       a live view, busiest first; arrows scroll, q ends it
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] | ["list"] => list(),
        ["ps", pid] => show(pid, "ps", print::table),
        ["pstree" | "tree", pid] => show(pid, "tree", print::tree),
        ["metrics", pid] => show(pid, "metrics", print::metrics),
        ["top", pid] => connect(pid).and_then(|client| live::run(client, pid)),
        ["help" | "--help" | "-h"] => say(USAGE),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has gone: `asyncio-ps ps 1 | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("asyncio-ps: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

fn connect(pid: &str) -> io::Result<Client> {
    let pid = pid
        .parse::<u32>()
        .map_err(|_| io::Error::other(format!("`{pid}` is not the number of a process")))?;
    Client::connect(pid)
}

fn show(pid: &str, request: &str, print: fn(&[serde_json::Value]) -> String) -> io::Result<()> {
    let answer = connect(pid)?.ask(request)?;
    say(&print(&answer))
}

fn list() -> io::Result<()> {
    let mut programs = Vec::new();
    for pid in client::processes()? {
        // One that has just ended, or does not answer, is not worth a word.
        if let Ok(answer) = Client::connect(pid).and_then(|mut it| it.ask("metrics")) {
            programs.push(answer);
        }
    }
    say(&print::programs(&programs))
}
