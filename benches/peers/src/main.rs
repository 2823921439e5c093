//! asyncio beside other runtimes. One command runs everything and prints a table; `docs/performance.md` explains it.
//!
//! A contestant is one file below `contestants/`, and a workload one function in each of them. Every figure comes from
//! a process of its own, which this program starts from itself; the contestants take turns.

#![forbid(unsafe_code)]

mod contestants;
mod echo_client;
mod machine;
mod report;
mod rounds;
mod same_work;
mod workloads;

use std::process::ExitCode;

use crate::rounds::Plan;

const USAGE: &str = "\
usage: peers [--rounds N] [--only CONTESTANT,..] [FILTER..]

A FILTER is a part of a workload's name; without one, all workloads run. The table goes to the standard output.
`peers --one WORKLOAD CONTESTANT [OPERATIONS]` runs one workload once, for a profiler.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--sample", workload, contestant] => rounds::sample(workload, contestant),
        ["--one", workload, contestant, operations @ ..] => {
            rounds::one(workload, contestant, operations.first().copied())
        }
        words => Plan::read(words).and_then(|plan| {
            let before = machine::load();
            let results = rounds::run(&plan)?;
            print!("{}", report::markdown(&plan, &results, &before));
            Ok(())
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}
