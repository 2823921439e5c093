//! The file of counts: one line per workload, below the compiler and the C library that they hold for.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides about the instructions, beside the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Toolchain(String);

impl Toolchain {
    pub(crate) fn here() -> Toolchain {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let parts = [
            first_line(Command::new(rustc).arg("--version")),
            first_line(Command::new("getconf").arg("GNU_LIBC_VERSION")),
            std::env::consts::ARCH.to_owned(),
        ];
        Toolchain(parts.join(", "))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().ok();
    let output = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let line = output.as_deref().and_then(|output| output.lines().next());
    line.unwrap_or("unknown").to_owned()
}

/// Instructions per operation, by workload.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) toolchain: Toolchain,
    counts: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn new(toolchain: Toolchain) -> Counts {
        Counts {
            toolchain,
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/counts.txt")
    }

    /// What is written; nothing if there is no file.
    pub(crate) fn read() -> Counts {
        let text = fs::read_to_string(Counts::path()).unwrap_or_default();
        let mut lines = text.lines();
        let toolchain = lines.next().unwrap_or_default().to_owned();
        let counts = lines
            .filter_map(|line| {
                let (name, count) = line.split_once(' ')?;
                Some((name.to_owned(), count.trim().parse().ok()?))
            })
            .collect();
        Counts {
            toolchain: Toolchain(toolchain),
            counts,
        }
    }

    pub(crate) fn write(&self) {
        let mut text = format!("{}\n", self.toolchain);
        for (name, count) in &self.counts {
            text.push_str(&format!("{name} {count}\n"));
        }
        fs::write(Counts::path(), text).expect("the counts cannot be written");
    }

    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.counts.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, count: u64) {
        self.counts.insert(name.to_owned(), count);
    }
}
