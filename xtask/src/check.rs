//! `cargo xtask check`: one step after the other, the quick ones first; the first that fails ends it, with its status.
//!
//! The debug tests are last, so that the output ends with the test runner's own summary. This file knows what is run, and
//! nothing of what is found.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use crate::tidy;

/// One thing to check.
struct Step {
    /// Printed before the step runs.
    name: &'static str,
    /// What cargo is called with; nothing for tidy, which is run in this process.
    arguments: &'static [&'static str],
    /// Set for this step only.
    environment: Option<(&'static str, &'static str)>,
}

impl Step {
    const fn cargo(name: &'static str, arguments: &'static [&'static str]) -> Step {
        Step {
            name,
            arguments,
            environment: None,
        }
    }

    const fn with_env(self, name: &'static str, value: &'static str) -> Step {
        Step {
            environment: Some((name, value)),
            ..self
        }
    }
}

/// A workspace of its own, which builds libraries that nobody else needs here.
const ECOSYSTEM: &str = "examples/ecosystem/Cargo.toml";
/// What its feature `console` wants to be compiled with.
const CONSOLE: &str = "examples/ecosystem/console.toml";

/// In this order. Everything is tested in the debug build, and some of it in the release build as well.
const STEPS: &[Step] = &[
    Step::cargo("fmt", &["fmt", "--all", "--check"]),
    // Formatting builds nothing, so the benchmark's peers stay unbuilt.
    Step::cargo(
        "fmt, benchmark",
        &[
            "fmt",
            "--manifest-path",
            "benches/peers/Cargo.toml",
            "--check",
        ],
    ),
    Step::cargo(
        "fmt, ecosystem",
        &["fmt", "--manifest-path", ECOSYSTEM, "--all", "--check"],
    ),
    Step::cargo("tidy", &[]),
    Step::cargo(
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step::cargo(
        "clippy, all features",
        &[
            "clippy",
            "-p",
            "runner-core",
            "-p",
            "runner-interop",
            "-p",
            "asyncio",
            "--lib",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step::cargo(
        "clippy, ecosystem",
        &[
            "clippy",
            "--manifest-path",
            ECOSYSTEM,
            "--config",
            CONSOLE,
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step::cargo(
        "doc",
        &["doc", "--workspace", "--no-deps", "--all-features"],
    )
    .with_env("RUSTDOCFLAGS", "-D warnings"),
    Step::cargo(
        "examples, release",
        &["build", "--workspace", "--release", "--examples"],
    ),
    // What depends on how fast things are, or on how the optimiser orders them; linking all tests twice takes too long.
    Step::cargo(
        "tests, release",
        &[
            "test",
            "--release",
            "-p",
            "runner-core",
            "-p",
            "asyncio",
            "--lib",
            "--test",
            "cancellation_model",
            "--test",
            "closing",
            "--test",
            "runner",
            "--test",
            "sigint",
            "--test",
            "soak",
            "--test",
            "sub_executor_programs",
            "--test",
            "sync",
            "--test",
            "threads",
        ],
    ),
    // Says so and passes where there is no valgrind.
    Step::cargo("instructions", &["bench", "--bench", "instructions"]),
    // What stands behind features that are off by default: once by itself, and once by programs that use it.
    Step::cargo(
        "tests, other libraries",
        &["test", "-p", "runner-interop", "--all-features"],
    ),
    Step::cargo(
        "tests, what tokio-console and serde are told, and backtraces",
        &[
            "test",
            "-p",
            "runner-core",
            "--features",
            "console,serde,backtrace",
            "--lib",
            "--",
            "console",
            "debug::data",
            "inspection",
            "watchdog",
        ],
    ),
    // With the same words to the compiler as for clippy above, or all of it is built twice.
    Step::cargo(
        "tests, ecosystem",
        &[
            "test",
            "--manifest-path",
            ECOSYSTEM,
            "--config",
            CONSOLE,
            "--workspace",
            "--all-features",
        ],
    ),
    Step::cargo("tests, debug", &["test", "--workspace"]),
];

/// Goes through all steps.
pub(crate) fn run(root: &Path) -> ExitCode {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target").into());
    let started = Instant::now();
    for (index, step) in STEPS.iter().enumerate() {
        let seconds = started.elapsed().as_secs();
        let (number, count) = (index + 1, STEPS.len());
        eprintln!("[{number}/{count}] {} (after {seconds} s)", step.name);
        if let Err(status) = run_step(step, &cargo, &target, root) {
            eprintln!("[{number}/{count}] {} failed", step.name);
            return status;
        }
    }
    ExitCode::SUCCESS
}

fn run_step(step: &Step, cargo: &OsStr, target: &OsStr, root: &Path) -> Result<(), ExitCode> {
    if step.arguments.is_empty() {
        return tidy::check(root);
    }
    let status = Command::new(cargo)
        .args(step.arguments)
        // One for all workspaces, so that nothing is built twice.
        .env("CARGO_TARGET_DIR", target)
        // What speeds up a later build of the same package was 17 GB of 29 after some checks, and here hardly anything is
        // built twice.
        .env("CARGO_INCREMENTAL", "0")
        .envs(step.environment)
        .current_dir(root)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(exit_code(status)),
        Err(error) => {
            eprintln!("cannot run {}: {error}", Path::new(cargo).display());
            Err(ExitCode::FAILURE)
        }
    }
}

/// The step's own status where there is one; a step that died of a signal has none.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
