//! The soak program of the examples, for a second: nothing is missing and nothing is left in the end.

mod support;

use std::process::Command;
use std::time::Duration;

use support::child::{Setup, example};

#[test]
fn a_second_of_connections_that_misbehave_leaves_nothing_behind() {
    let mut command = Command::new(example("soak"));
    command.arg("1");
    let child = Setup::new(command)
        .deadline(Duration::from_secs(60))
        .start();
    child
        .finish()
        .exited_with(0)
        .said("nothing is missing, and nothing is left");
}
