//! The project's commands: `cargo xtask check` is everything that CI runs, `cargo xtask tidy` the house rules alone.
//!
//! They need what a stable toolchain brings, and no network of their own. Nothing here depends on the crates it checks.

#![forbid(unsafe_code)]

mod check;
mod tidy;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is printed for anything that is not a command.
const USAGE: &str = "\
usage: cargo xtask <command>

  check   fmt, tidy, clippy, docs, examples, all tests, instruction counts: what CI runs
  tidy    the house rules alone: levels, unsafe, comments, names (see xtask/src/tidy.rs)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(root) = workspace_root() else {
        eprintln!("run this through cargo: `cargo xtask check`");
        return ExitCode::FAILURE;
    };
    match arguments[..] {
        ["check"] => check::run(&root),
        ["tidy"] => tidy::run(&root),
        _ => {
            eprint!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

/// The folder above this package's, as cargo names it now: a binary may have been built elsewhere.
fn workspace_root() -> Option<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR")?;
    Path::new(&package).parent().map(Path::to_owned)
}
