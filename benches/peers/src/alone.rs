//! A program for each contestant, built with its own feature of this package and nothing else.
//!
//! In one program of all, cargo would give each crate every feature that any contestant asks for: beside smol a task of
//! `async-task` is eight bytes larger than it is in a program that has no smol.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::contestants::{self, Contestant};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
/// A target folder, and beside what cargo puts there the programs, each called as its feature is.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/alone");

/// Builds the programs of these contestants. All come from one manifest, hence from one profile, and from one lock file.
pub(crate) fn build(contestants: &[&Contestant]) -> Result<(), String> {
    let chosen = contestants.iter().filter(|known| !is_alone_here(known));
    let features: BTreeSet<&str> = chosen.map(|known| known.feature).collect();
    features.into_iter().try_for_each(build_with)
}

/// The program that measures this contestant.
pub(crate) fn program(contestant: &Contestant) -> Result<PathBuf, String> {
    match is_alone_here(contestant) {
        true => env::current_exe().map_err(|error| format!("where is this program? {error}")),
        false => Ok(Path::new(PLACE).join(contestant.feature)),
    }
}

/// This program was built for this contestant alone, so that it can measure it itself, wherever it was copied to.
fn is_alone_here(contestant: &Contestant) -> bool {
    let mut all = contestants::ALL.iter();
    all.all(|known| known.feature == contestant.feature)
}

fn build_with(feature: &str) -> Result<(), String> {
    eprintln!("build with {feature} alone");
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "--quiet"]);
    command.args(["--no-default-features", "--features", feature]);
    command.args(["--manifest-path", MANIFEST, "--target-dir", PLACE]);
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cannot build with {feature} alone"));
    }
    // The next feature's program takes this one's name.
    let place = Path::new(PLACE);
    let copied = fs::copy(place.join("release/peers"), place.join(feature));
    copied.map_err(|error| format!("cannot keep the program of {feature}: {error}"))?;
    Ok(())
}
