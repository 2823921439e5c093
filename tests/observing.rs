//! A program that is looked at while it runs: blocked loops are reported, and signals ask what the tasks wait for.

mod support;

use std::process::ExitCode;
fn main() -> ExitCode {
    support::child::run_programs(&[], Vec::new())
}
