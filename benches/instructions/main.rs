//! Counts the instructions of the inner loop with valgrind, and compares them with `counts.txt` beside this file.
//!
//! `cargo bench --bench instructions` fails if an operation has become dearer than is written there by more than
//! [`TOLERANCE`]; `-- --accept` writes what was counted. Counts are the same to the digit as long as compiler and C library
//! are; with others than those of the file the comparison is printed, and nothing fails.

mod counts;
mod workloads;

use std::env;
use std::process::{Command, ExitCode};

use counts::{Counts, Toolchain};
use workloads::WORKLOADS;

/// What an operation may cost more than is written, in percent.
const TOLERANCE: f64 = 2.0;

/// Operations of the smaller run. The larger one does twice as many: the difference is free of what is done once.
const OPERATIONS: usize = 2_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => report(false),
        ["--accept"] => report(true),
        ["--one", name, operations] => match (workloads::find(name), operations.parse()) {
            (Some(workload), Ok(operations)) => {
                (workload.run)(operations);
                ExitCode::SUCCESS
            }
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: cargo bench --bench instructions [-- --accept | --one WORKLOAD OPERATIONS]");
    ExitCode::FAILURE
}

fn report(accept: bool) -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: no instructions were counted");
        return ExitCode::SUCCESS;
    }
    let written = Counts::read();
    let here = Toolchain::here();
    let mut counted = Counts::new(here.clone());
    let mut grown = Vec::new();
    for workload in WORKLOADS {
        let count = count(workload.name);
        counted.set(workload.name, count);
        let before = written.get(workload.name);
        println!(
            "{:<16} {count:>6}  {}",
            workload.name,
            change(before, count)
        );
        if before.is_none_or(|before| has_grown(before, count)) {
            grown.push(workload.name);
        }
    }
    if accept {
        counted.write();
        println!("written to {}", Counts::path().display());
        return ExitCode::SUCCESS;
    }
    if here != written.toolchain {
        println!(
            "not judged: the counts were taken with {}",
            written.toolchain
        );
        println!("and this is {here}");
        return ExitCode::SUCCESS;
    }
    if grown.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "dearer by more than {TOLERANCE} %, or not written yet: {}",
        grown.join(", ")
    );
    eprintln!(
        "make it cheaper, or accept it with `cargo bench --bench instructions -- --accept` and say why in the commit"
    );
    ExitCode::FAILURE
}

fn has_grown(before: u64, now: u64) -> bool {
    now as f64 > before as f64 * (1.0 + TOLERANCE / 100.0)
}

fn change(before: Option<u64>, now: u64) -> String {
    match before {
        None => "new".to_owned(),
        Some(before) if before == now => "as before".to_owned(),
        Some(before) => {
            let percent = (now as f64 / before as f64 - 1.0) * 100.0;
            format!("{percent:+.1} % ({before} before)")
        }
    }
}

/// The instructions of one operation.
fn count(name: &str) -> u64 {
    let [few, many] = [OPERATIONS, 2 * OPERATIONS].map(|operations| count_run(name, operations));
    (many - few) / OPERATIONS as u64
}

/// The instructions of a process that runs the workload.
fn count_run(name: &str, operations: usize) -> u64 {
    let this = env::current_exe().expect("the benchmark does not know its own path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--one", name, &operations.to_string()])
        .output()
        .expect("valgrind did not start");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {stderr}");
    stderr
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .unwrap_or_else(|| panic!("valgrind counted nothing: {stderr}"))
}
