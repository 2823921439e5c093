//! The smallest program of each contestant: how long a clean build takes, how large the program is, how long a process lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::contestants::{Contestant, Hello};
use crate::machine;
use crate::rounds::{Findings, Line, Plan};
use crate::workloads::{Figure, Unit, figure};

/// What a build states, in this order.
const BUILD: [Figure; 3] = [
    figure(Unit::Seconds, "clean, in release mode"),
    figure(Unit::Count, "crates"),
    figure(Unit::Kibibytes, "stripped"),
];
const LIFE: Figure = figure(Unit::Milliseconds, "per process");
/// Processes of each contestant in a round.
const PROCESSES: usize = 20;

/// Builds each contestant's program and lets it run, and adds lines to the findings.
pub(crate) fn measure(plan: &Plan, findings: &mut Findings) {
    let place = std::env::temp_dir().join(format!("peers-hello-{}", std::process::id()));
    let mut builds: Vec<Line> = BUILD
        .iter()
        .map(|figure| line("build", figure, plan))
        .collect();
    let mut life = line("hello", &LIFE, plan);
    let mut programs = Vec::new();
    for (index, contestant) in plan.contestants.iter().enumerate() {
        match program(contestant, &place) {
            Ok(None) => {}
            Ok(Some(program)) => {
                for (line, cost) in builds.iter_mut().zip(&program.costs) {
                    line.costs[index].push(*cost);
                }
                programs.push((index, program));
            }
            Err(problem) => {
                let name = contestant.name;
                findings
                    .problems
                    .push(format!("{name} failed in build: {problem}"));
            }
        }
    }
    for _ in 0..plan.rounds {
        for (index, program) in &programs {
            match program.life() {
                Ok(cost) => life.costs[*index].push(cost),
                Err(problem) => findings.problems.push(problem),
            }
        }
    }
    findings.lines.push(life);
    findings.lines.extend(builds);
    // What is left lies among other temporary files.
    let _ = fs::remove_dir_all(place);
}

fn line(name: &'static str, figure: &'static Figure, plan: &Plan) -> Line {
    Line {
        name,
        figure,
        costs: vec![Vec::new(); plan.contestants.len()],
    }
}

/// A program that says hello.
struct Program {
    command: PathBuf,
    arguments: Vec<&'static str>,
    /// Of its build; nothing if it was not built.
    costs: Vec<f64>,
}

impl Program {
    /// How long a process lives, from its start until it was waited for.
    fn life(&self) -> Result<f64, String> {
        let started = Instant::now();
        for _ in 0..PROCESSES {
            let mut command = Command::new(&self.command);
            said(command.args(&self.arguments))?;
        }
        Ok(started.elapsed().as_nanos() as f64 / PROCESSES as f64)
    }
}

fn program(contestant: &Contestant, place: &Path) -> Result<Option<Program>, String> {
    match contestant.hello {
        Hello::None => Ok(None),
        Hello::Python(program) => Ok(Some(Program {
            command: "python3".into(),
            arguments: vec!["-c", program],
            costs: Vec::new(),
        })),
        Hello::Package { dependencies, main } => {
            eprintln!("build {}", contestant.name);
            let package = place.join(contestant.name);
            build(&package, &manifest(dependencies), main).map(Some)
        }
    }
}

/// Writes a package and builds it. Whatever has to be downloaded is there before the clock is read.
fn build(package: &Path, manifest: &str, main: &str) -> Result<Program, String> {
    let lost = |error: std::io::Error| error.to_string();
    fs::create_dir_all(package.join("src")).map_err(lost)?;
    fs::write(package.join("Cargo.toml"), manifest).map_err(lost)?;
    fs::write(package.join("src/main.rs"), main).map_err(lost)?;
    let target = package.join("target");
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        let command = command.args(arguments).current_dir(package);
        said(command.env("CARGO_TARGET_DIR", &target))
    };
    cargo(&["fetch"])?;
    let started = Instant::now();
    let output = cargo(&["build", "--release", "--offline"])?;
    let duration = started.elapsed();
    let progress = String::from_utf8_lossy(&output.stderr);
    let is_crate = |line: &&str| line.trim_start().starts_with("Compiling");
    let crates = progress.lines().filter(is_crate).count();
    let command = target.join("release/hello");
    let size = fs::metadata(&command).map_err(lost)?.len();
    Ok(Program {
        command,
        arguments: Vec::new(),
        costs: vec![duration.as_nanos() as f64, crates as f64, size as f64],
    })
}

/// Runs a command to its end.
fn said(command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn manifest(dependencies: &[(&str, &str)]) -> String {
    let mut text =
        "[workspace]\n[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [profile.release]\nstrip = true\n[dependencies]\n"
            .to_owned();
    for (name, features) in dependencies {
        text += &match *name {
            "asyncio" => {
                format!(
                    "asyncio.path = {:?}\n",
                    concat!(env!("CARGO_MANIFEST_DIR"), "/../..")
                )
            }
            name => format!(
                "{name} = {{ version = \"={}\", default-features = false, features = {features} }}\n",
                machine::version_of(name)
            ),
        };
    }
    text
}
