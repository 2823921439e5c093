//! The table: medians with their spread, and how this project stands beside each of the others.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::alone;
use crate::contestants::{Contestant, Kind};
use crate::hello;
use crate::machine;
use crate::picture;
use crate::rounds::{self, Findings, Line, Plan};
use crate::workloads::{Figure, Unit};

/// Measures, and writes everything to where it is wanted.
pub(crate) fn measure_and_write(mut plan: Plan) -> Result<(), String> {
    let load_before = machine::load();
    alone::build(&plan.contestants)?;
    let absent = rounds::leave_out_absent(&mut plan);
    let mut findings = rounds::run(&plan);
    findings.problems.splice(0..0, absent);
    if plan.is_building {
        hello::measure(&plan, &mut findings);
    }
    let mut text = markdown(&plan, &findings, &load_before);
    print!("{text}");
    if let Some(path) = &plan.picture {
        let svg = picture::svg(&plan, &findings.lines).ok_or("a picture needs asyncio")?;
        fs::write(path, svg).map_err(|error| cannot("write", path, &error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let _ = write!(text, "\n![Costs in terms of asyncio's]({name})\n");
    }
    match &plan.text {
        Some(path) => replace_last_run(path, &text),
        None => Ok(()),
    }
}

/// Between these two lines of the text lies the last run.
const BEGIN: &str = "<!-- The last run, written by the benchmark, begins. -->\n";
const END: &str = "<!-- The last run ends. -->\n";

fn replace_last_run(path: &Path, run: &str) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or("the text does not say where the last run lies")?;
    let text = format!("{before}{BEGIN}\n{run}\n{END}{after}");
    fs::write(path, text).map_err(|error| cannot("write", path, &error))
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {verb} {}: {error}", path.display())
}

/// Returns everything that is printed, as Markdown.
fn markdown(plan: &Plan, findings: &Findings, load_before: &str) -> String {
    let mut text = String::new();
    let load_after = machine::load();
    let rounds = plan.rounds;
    // Writing to a `String` does not fail.
    let _ = writeln!(
        text,
        "{}.\n{rounds} {}, load average {load_before} before and {load_after} after.\n",
        machine::description(),
        if rounds == 1 { "round" } else { "rounds" },
    );
    if !machine::can_pin() {
        let _ = writeln!(
            text,
            "Rows with two threads ran on all processors, as there is no `taskset`.\n"
        );
    }
    for problem in &findings.problems {
        let _ = writeln!(text, "Missing: {problem}.\n");
    }
    for contestant in &plan.contestants {
        let _ = writeln!(
            text,
            "* **{}**: {}{}",
            contestant.name,
            contestant.about,
            versions(contestant)
        );
    }
    text.push('\n');
    table(&mut text, plan, &findings.lines);
    text
}

/// One line for each figure, one column for each contestant: its cost and, below, ours in terms of it.
fn table(text: &mut String, plan: &Plan, lines: &[Line]) {
    let _ = write!(text, "| workload |");
    for contestant in &plan.contestants {
        let _ = write!(text, " {} |", contestant.name);
    }
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(plan.contestants.len()));
    let is_ours = |known: &&Contestant| known.kind == Kind::Ours;
    let ours = plan
        .contestants
        .iter()
        .copied()
        .position(|known| is_ours(&known));
    for Line {
        name,
        figure,
        costs,
    } in lines
    {
        let _ = write!(text, "| {name}, {} |", heading(figure));
        for (index, other) in costs.iter().enumerate() {
            let _ = match ours {
                Some(ours) if ours != index => write!(
                    text,
                    " {}{} |",
                    cell(figure.unit, other),
                    ratio(&costs[ours], other)
                ),
                _ => write!(text, " {} |", cell(figure.unit, other)),
            };
        }
        text.push('\n');
    }
}

fn versions(contestant: &Contestant) -> String {
    let versions: Vec<String> = contestant
        .crates
        .iter()
        .map(|name| format!("{name} {}", machine::version_of(name)))
        .collect();
    match versions.is_empty() {
        true => String::new(),
        false => format!(" ({})", versions.join(", ")),
    }
}

pub(crate) fn heading(figure: &Figure) -> String {
    match figure.unit {
        Unit::Nanoseconds => format!("ns {}", figure.what),
        Unit::Microseconds => format!("µs {}", figure.what),
        Unit::PerSecond => format!("{} per second", figure.what),
        Unit::Bytes => format!("bytes {}", figure.what),
        Unit::Kibibytes => format!("KiB {}", figure.what),
        Unit::Milliseconds => format!("ms {}", figure.what),
        Unit::Seconds => format!("s {}", figure.what),
        Unit::Count => figure.what.to_owned(),
    }
}

/// The median, and in brackets the smallest and the largest.
fn cell(unit: Unit, costs: &[f64]) -> String {
    let mut shown: Vec<f64> = costs.iter().map(|cost| in_unit(unit, *cost)).collect();
    shown.sort_by(f64::total_cmp);
    match (shown.first(), shown.last()) {
        (Some(&least), Some(&most)) => {
            let median = digits(median(shown));
            format!("**{median}** [{}-{}]", digits(least), digits(most))
        }
        _ => "-".to_owned(),
    }
}

pub(crate) fn in_unit(unit: Unit, cost: f64) -> f64 {
    match unit {
        Unit::Nanoseconds | Unit::Bytes | Unit::Count => cost,
        Unit::Kibibytes => cost / 1024.0,
        Unit::Milliseconds => cost / 1e6,
        Unit::Seconds => cost / 1e9,
        Unit::Microseconds => cost / 1e3,
        Unit::PerSecond => 1e9 / cost,
    }
}

/// One's costs in terms of another's, in each round, in which both took their turn.
pub(crate) fn ratios(one: &[f64], other: &[f64]) -> Vec<f64> {
    let both = one.iter().zip(other);
    let each = both.map(|(one, other)| one / other);
    // A lateness may be nothing at all.
    each.filter(|ratio| ratio.is_finite()).collect()
}

/// The median of our costs in terms of another's. Below 1, ours is lower.
fn ratio(ours: &[f64], other: &[f64]) -> String {
    let ratios = ratios(ours, other);
    match ratios.is_empty() {
        true => String::new(),
        false => format!("<br>{:.2}", median(ratios)),
    }
}

/// Of two in the middle, the mean.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Three digits that count.
pub(crate) fn digits(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2}M", value / 1e6),
        10_000.0.. => format!("{:.1}k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
