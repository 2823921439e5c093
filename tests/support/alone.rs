//! Tests that need a process for themselves: who counts descriptors, lowers limits or relies on numbers being used again
//! cannot have other tests beside it.

#![allow(dead_code)]

use std::process::Command;

/// Says that this process is the child.
const ALONE: &str = "ASYNCIO_TEST_ALONE";

/// Runs `test` in a process of its own: this same binary once more, told to run nothing but the test called `name`.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", name])
        .env(ALONE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("1 passed"),
        "no test is called {name}: {said}"
    );
}
