//! asyncio beside other runtimes. One command runs everything and prints a table; `docs/performance.md` explains it.
//!
//! A contestant is one file below `contestants/`, and a workload one function in each of them. Every figure comes from
//! a process of its own, of a program that this one builds for the contestant alone; the contestants take turns.

#![forbid(unsafe_code)]
// The workloads below `same/` are compiled once for each contestant, against its own functions: as fast as if they had been
// written for it, and without a common trait, which could not ask for `Send` where one runtime does and another does not.
#![allow(clippy::duplicate_mod)]
// A contestant alone does not need all that the others share.
#![cfg_attr(not(feature = "all"), allow(dead_code))]

mod alone;
mod contestants;
mod hello;
mod machine;
mod picture;
mod report;
mod rounds;
#[cfg(any(feature = "asyncio", feature = "smol", feature = "glommio"))]
mod same_futures_io;
mod same_work;
mod tcp_clients;
mod workloads;

use std::process::ExitCode;

use crate::rounds::Plan;

const USAGE: &str = "\
usage: peers [--rounds N] [--only CONTESTANT,..] [--build] [--write TEXT | --svg PICTURE] [FILTER..]

A FILTER is a part of a workload's name; without one, all workloads run. The table goes to the standard output. --build also
builds a small program with each contestant, which takes minutes. --write replaces the last run in the TEXT, and puts the
picture beside it; --svg only draws the PICTURE.
`alone/CONTESTANT --one WORKLOAD CONTESTANT [OPERATIONS]` runs one workload once, for a profiler.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--sample", workload, contestant] => rounds::sample(workload, contestant),
        ["--one", workload, contestant, operations @ ..] => {
            rounds::one(workload, contestant, operations.first().copied())
        }
        words => Plan::read(words).and_then(report::measure_and_write),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}
