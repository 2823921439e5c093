//! The example server on several loops, as its users meet it: each loop has connections, and Ctrl-C ends them all.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use support::child::{SIGINT, Setup, example};

const LOOPS: usize = 3;
const CONNECTIONS: usize = 100;

#[test]
fn each_loop_serves_and_says_goodbye_at_ctrl_c() {
    let mut command = Command::new(example("echo_on_all_cores"));
    command.args(["127.0.0.1:0", &LOOPS.to_string()]);
    let mut child = Setup::new(command).start();
    let line = child.wait_for_line("loops listen on");
    let (_, address) = line.split_once(" on ").unwrap();
    let mut open = Vec::new();
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..CONNECTIONS {
        let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
        let mut greeting = String::new();
        stream.read_line(&mut greeting).unwrap();
        *served.entry(greeting).or_default() += 1;
        stream.get_mut().write_all(b"hello\n").unwrap();
        let mut echo = String::new();
        stream.read_line(&mut echo).unwrap();
        assert_eq!(echo, "hello\n");
        open.push(stream);
    }
    let names: Vec<&str> = served.keys().map(|name| name.trim()).collect();
    assert_eq!(names, ["worker 0", "worker 1", "worker 2"], "{served:?}");
    child.signal(SIGINT);
    for mut stream in open {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "goodbye\n");
    }
    child.finish().died_of(SIGINT);
}
