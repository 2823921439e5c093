//! How figures are taken: rounds in which the contestants take turns, each figure in a process of its own.
//!
//! In a process of its own no contestant finds the memory, the threads or the thread's state that another has left. In
//! it the workload runs once to warm up and then a few times; the middle one is the round's figure. Where two threads talk
//! to each other, both run on one processor: between two, the time that a sleeping processor takes to notice is many times
//! that of all the software, and depends on what else the machine does.

use std::env;
use std::process::Command;

use crate::contestants::{self, Contestant};
use crate::machine;
use crate::workloads::{self, ROWS, Row};

/// Timed runs in one process, after the one that warms up.
const RUNS: usize = 3;
/// Unless the command line says otherwise.
const ROUNDS: usize = 7;

/// What the command line asks for.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) contestants: Vec<&'static Contestant>,
}

impl Plan {
    pub(crate) fn read(words: &[&str]) -> Result<Plan, String> {
        let mut plan = Plan {
            rounds: ROUNDS,
            rows: Vec::new(),
            contestants: contestants::ALL.to_vec(),
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
                option if option.starts_with('-') => return Err(format!("unknown: {option}")),
                filter => filters.push(filter),
            }
        }
        let is_asked_for = |row: &&Row| {
            filters.is_empty() || filters.iter().any(|filter| row.name.contains(filter))
        };
        plan.rows = ROWS.iter().filter(is_asked_for).collect();
        if plan.rows.is_empty() {
            return Err("no workload has such a name".to_owned());
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

/// The figures of one row.
pub(crate) struct Results {
    pub(crate) row: &'static Row,
    /// For each contestant of the plan its cost per operation in each round; empty if it cannot do this.
    pub(crate) costs: Vec<Vec<f64>>,
}

/// Measures everything that the plan asks for.
pub(crate) fn run(plan: &Plan) -> Result<Vec<Results>, String> {
    let mut results: Vec<Results> = plan
        .rows
        .iter()
        .map(|row| Results {
            row,
            costs: vec![Vec::new(); plan.contestants.len()],
        })
        .collect();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for Results { row, costs } in &mut results {
            for turn in 0..plan.contestants.len() {
                // Another one begins in each round.
                let index = (turn + round) % plan.contestants.len();
                let contestant = plan.contestants[index];
                if (contestant.run)(row.workload).is_some() {
                    costs[index].push(measure(row, contestant)?);
                }
            }
        }
    }
    Ok(results)
}

/// Has a new process take one figure.
fn measure(row: &Row, contestant: &Contestant) -> Result<f64, String> {
    let what = format!("{} by {}", row.name, contestant.name);
    let program = env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    let mut command = match row.workload.has_other_threads() && machine::can_pin() {
        true => {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    let output = command
        .args(["--sample", row.name, contestant.name])
        .output()
        .map_err(|error| format!("cannot start {what}: {error}"))?;
    let problem = || {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{what} failed ({}): {said}", output.status)
    };
    if !output.status.success() {
        return Err(problem());
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| problem())
}

/// In the process that was started for it: takes the figure and prints it.
pub(crate) fn sample(workload: &str, name: &str) -> Result<(), String> {
    let row = row(workload)?;
    let run = (contestant(name)?.run)(row.workload).ok_or("this contestant cannot do that")?;
    // What is measured is memory that was not there before: a first run would leave it to the second.
    let is_memory = matches!(row.unit, workloads::Unit::Bytes);
    let runs = if is_memory { 1 } else { RUNS };
    if !is_memory {
        run(row.operations);
    }
    let mut costs: Vec<f64> = (0..runs)
        .map(|_| run(row.operations).per_operation(row.operations))
        .collect();
    costs.sort_by(f64::total_cmp);
    println!("{}", costs[costs.len() / 2]);
    Ok(())
}

/// Runs a workload once, with so many operations: for a profiler, where the difference of two sizes is what counts.
pub(crate) fn one(workload: &str, name: &str, operations: Option<&str>) -> Result<(), String> {
    let row = row(workload)?;
    let run = (contestant(name)?.run)(row.workload).ok_or("this contestant cannot do that")?;
    let operations = operations.map_or(Ok(row.operations), number)?;
    println!("{:.1}", run(operations).per_operation(operations));
    Ok(())
}
