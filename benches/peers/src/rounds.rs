//! How figures are taken: rounds in which the contestants take turns, each figure in a process of its own.
//!
//! In a process of its own no contestant finds the memory, the threads or the thread's state that another has left. In
//! it the workload runs once to warm up and then a few times; the middle one is the round's figure. Where two threads talk
//! to each other, both run on one processor: between two, the time that a sleeping processor takes to notice is many times
//! that of all the software, and depends on what else the machine does.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::alone;
use crate::contestants::{self, Contestant};
use crate::machine;
use crate::workloads::{self, Figure, ROWS, Row, Workload};

/// Timed runs in one process, after the one that warms up.
const RUNS: usize = 3;
/// Unless the command line says otherwise.
const ROUNDS: usize = 5;
/// A figure takes a second or so. A contestant that hangs must not keep the others waiting for long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a running process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What the command line asks for.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) contestants: Vec<&'static Contestant>,
    /// Also builds a small program with each contestant.
    pub(crate) is_building: bool,
    /// The text whose last run is replaced, and beside which the picture goes.
    pub(crate) text: Option<PathBuf>,
    /// Where the picture goes.
    pub(crate) picture: Option<PathBuf>,
}

impl Plan {
    pub(crate) fn read(words: &[&str]) -> Result<Plan, String> {
        let mut plan = Plan {
            rounds: ROUNDS,
            rows: Vec::new(),
            contestants: contestants::ALL.to_vec(),
            is_building: false,
            text: None,
            picture: None,
        };
        let mut filters = Vec::new();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word {
                "--rounds" => plan.rounds = number(value()?)?,
                "--only" => {
                    let chosen = value()?.split(',').map(contestant);
                    plan.contestants = chosen.collect::<Result<_, _>>()?;
                }
                "--build" => plan.is_building = true,
                "--write" => {
                    let text = PathBuf::from(value()?);
                    plan.picture = Some(text.with_extension("svg"));
                    plan.text = Some(text);
                }
                "--svg" => plan.picture = Some(PathBuf::from(value()?)),
                option if option.starts_with('-') => return Err(format!("unknown: {option}")),
                filter => filters.push(filter),
            }
        }
        let is_asked_for = |row: &&Row| {
            filters.is_empty() || filters.iter().any(|filter| row.name.contains(filter))
        };
        plan.rows = ROWS.iter().filter(is_asked_for).collect();
        if plan.rows.is_empty() && !plan.is_building {
            return Err("no workload has such a name".to_owned());
        }
        if plan.contestants.is_empty() {
            return Err("this program was built without contestants".to_owned());
        }
        Ok(plan)
    }
}

fn number(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{word} is no number above zero")),
    }
}

fn contestant(name: &str) -> Result<&'static Contestant, String> {
    contestants::named(name).ok_or_else(|| format!("no contestant is called {name}"))
}

fn row(name: &str) -> Result<&'static Row, String> {
    workloads::named(name).ok_or_else(|| format!("no workload is called {name}"))
}

/// A line of the table.
pub(crate) struct Line {
    /// The row's name.
    pub(crate) name: &'static str,
    pub(crate) figure: &'static Figure,
    /// For each contestant of the plan its cost in each round; empty if it cannot do this.
    pub(crate) costs: Vec<Vec<f64>>,
}

/// What came out.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) lines: Vec<Line>,
    /// Who could not run, or not to the end, and why.
    pub(crate) problems: Vec<String>,
}

/// Takes those out of the plan that cannot run here at all, and says why.
pub(crate) fn leave_out_absent(plan: &mut Plan) -> Vec<String> {
    let mut problems = Vec::new();
    plan.contestants
        .retain(|contestant| match try_out(contestant) {
            Ok(()) => true,
            Err(problem) => {
                problems.push(problem);
                false
            }
        });
    problems
}

/// Has a new process make this runtime once, if it is one.
fn try_out(contestant: &Contestant) -> Result<(), String> {
    if (contestant.run)(Workload::Cycle).is_none() {
        return Ok(());
    }
    let arguments = ["--one", "cycle", contestant.name, "1"];
    let command = new_process(contestant, &arguments, false)?;
    match output_of(command) {
        Ok(_) => Ok(()),
        Err(problem) => Err(format!("{} cannot run here: {problem}", contestant.name)),
    }
}

/// Measures everything that the plan asks for.
pub(crate) fn run(plan: &Plan) -> Findings {
    let mut findings = Findings::default();
    let mut rows: Vec<Vec<Line>> = plan.rows.iter().map(|row| lines(row, plan)).collect();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for (row, lines) in plan.rows.iter().zip(&mut rows) {
            for turn in 0..plan.contestants.len() {
                // Another one begins in each round.
                let index = (turn + round) % plan.contestants.len();
                let contestant = plan.contestants[index];
                let has_failed = round > 0 && lines[0].costs[index].is_empty();
                if has_failed || (contestant.run)(row.workload).is_none() {
                    continue;
                }
                match measure(row, contestant) {
                    Ok(figures) => record(lines, index, &figures),
                    Err(problem) => {
                        eprintln!("{problem}");
                        findings.problems.push(problem);
                        lines.iter_mut().for_each(|line| line.costs[index].clear());
                    }
                }
            }
        }
    }
    findings.lines = rows.into_iter().flatten().collect();
    findings
}

fn lines(row: &'static Row, plan: &Plan) -> Vec<Line> {
    let line = |figure| Line {
        name: row.name,
        figure,
        costs: vec![Vec::new(); plan.contestants.len()],
    };
    row.figures.iter().map(line).collect()
}

fn record(lines: &mut [Line], contestant: usize, figures: &[f64]) {
    for (line, figure) in lines.iter_mut().zip(figures) {
        line.costs[contestant].push(*figure);
    }
}

/// Has a new process take one row's figures.
fn measure(row: &Row, contestant: &Contestant) -> Result<Vec<f64>, String> {
    let arguments = ["--sample", row.name, contestant.name];
    let is_pinned = row.workload.wants_one_processor() && machine::can_pin();
    let printed = new_process(contestant, &arguments, is_pinned).and_then(output_of);
    let figures = printed.and_then(|printed| {
        let words = printed.split_whitespace().map(str::parse);
        let figures: Result<Vec<f64>, _> = words.collect();
        match figures {
            Ok(figures) if figures.len() == row.figures.len() => Ok(figures),
            _ => Err(format!("it printed {printed}")),
        }
    });
    figures.map_err(|problem| format!("{} failed in {}: {problem}", contestant.name, row.name))
}

/// The contestant's own program, with these arguments.
fn new_process(
    contestant: &Contestant,
    arguments: &[&str],
    is_pinned: bool,
) -> Result<Command, String> {
    let program = alone::program(contestant)?;
    let mut command = match is_pinned {
        true => {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    command.args(arguments);
    Ok(command)
}

/// Runs it, and returns what it prints. That is little, so that it never waits for a reader.
fn output_of(mut command: Command) -> Result<String, String> {
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = pipes.spawn().map_err(|error| error.to_string())?;
    let started = Instant::now();
    let status = loop {
        match process.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if started.elapsed() < PATIENCE => thread::sleep(LOOK),
            None => {
                let ended = process.kill().and_then(|()| process.wait());
                ended.map_err(|error| error.to_string())?;
                return Err(format!("not done after {} s", PATIENCE.as_secs()));
            }
        }
    };
    let (mut printed, mut said) = (String::new(), String::new());
    let pipes = process.stdout.take().zip(process.stderr.take());
    let (mut stdout, mut stderr) = pipes.ok_or("it has no pipes")?;
    let read = stdout.read_to_string(&mut printed);
    let read = read.and_then(|_| stderr.read_to_string(&mut said));
    read.map_err(|error| error.to_string())?;
    match status.success() {
        true => Ok(printed),
        false => Err(format!("{status}: {}", last_words(&said))),
    }
}

/// What a process said about its end: what it panicked with, or else its last line.
fn last_words(said: &str) -> &str {
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let after_panic = lines
        .clone()
        .skip_while(|line| !line.contains("panicked at"));
    let words = after_panic.clone().nth(1).or_else(|| lines.next_back());
    words.unwrap_or("it said nothing").trim()
}

/// In the process that was started for it: takes the row's figures and prints them.
pub(crate) fn sample(workload: &str, name: &str) -> Result<(), String> {
    let (row, contestant) = (row(workload)?, contestant(name)?);
    let run = (contestant.run)(row.workload).ok_or("this contestant cannot do that")?;
    machine::allow_many_descriptors();
    (contestant.prepare)();
    let slowness = (contestant.slowness)(row.workload);
    let operations = row.operations / slowness;
    let is_run_once = row.workload.runs_once() || slowness > 1;
    if !is_run_once {
        run(operations);
    }
    let runs: Vec<Vec<f64>> = (0..if is_run_once { 1 } else { RUNS })
        .map(|_| run(operations).figures(operations))
        .collect();
    for figure in 0..row.figures.len() {
        let mut costs: Vec<f64> = runs.iter().map(|figures| figures[figure]).collect();
        costs.sort_by(f64::total_cmp);
        println!("{}", costs[costs.len() / 2]);
    }
    Ok(())
}

/// Runs a workload once, with so many operations: for a profiler, where the difference of two sizes is what counts.
pub(crate) fn one(workload: &str, name: &str, operations: Option<&str>) -> Result<(), String> {
    let (row, contestant) = (row(workload)?, contestant(name)?);
    let run = (contestant.run)(row.workload).ok_or("this contestant cannot do that")?;
    let operations = operations.map_or(Ok(row.operations), number)?;
    machine::allow_many_descriptors();
    (contestant.prepare)();
    let figures = run(operations).figures(operations);
    let printed: Vec<String> = figures
        .iter()
        .map(|figure| format!("{figure:.1}"))
        .collect();
    println!("{}", printed.join(" "));
    Ok(())
}
