//! The example of the transaction as its users meet it: stopped by its own deadline, by Ctrl-C, by both.
#![cfg(unix)]

mod support;

use std::process::Command;

use support::child::{SIGINT, Setup, example};

const BALANCED: &str = "sum 2000 of 2000, journal left behind: false";

fn bank(arguments: &[&str]) -> Setup {
    let mut command = Command::new(example("graceful_transaction"));
    command.args(arguments);
    Setup::new(command)
}

#[test]
fn a_deadline_rolls_the_transaction_back() {
    let finished = bank(&["20"]).start().finish();
    finished.exited_with(0).said("rolling back").said(BALANCED);
}

#[test]
fn ctrl_c_rolls_the_transaction_back_and_is_what_the_process_dies_of() {
    let mut child = bank(&[]).on_terminal().start();
    child.wait_for_line("open");
    child.press_ctrl_c();
    child.finish().died_of(SIGINT).said(BALANCED);
}
