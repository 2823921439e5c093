//! The table: medians with their spread, and how this project stands beside each of the others.

use std::fmt::Write;

use crate::contestants::{Contestant, Kind};
use crate::machine;
use crate::rounds::{Plan, Results};
use crate::workloads::Unit;

/// Returns everything that is printed, as Markdown.
pub(crate) fn markdown(plan: &Plan, results: &[Results], load_before: &str) -> String {
    let mut text = String::new();
    let load_after = machine::load();
    let rounds = plan.rounds;
    // Writing to a `String` does not fail.
    let _ = writeln!(
        text,
        "{}.\n{rounds} rounds, load average {load_before} before and {load_after} after them.\n",
        machine::description(),
    );
    if !machine::can_pin() {
        let _ = writeln!(
            text,
            "Rows with two threads ran on all processors, as there is no `taskset`.\n"
        );
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
    let _ = write!(text, "\n| workload |");
    for contestant in &plan.contestants {
        let _ = write!(text, " {} |", contestant.name);
    }
    let ours = plan
        .contestants
        .iter()
        .position(|known| known.kind == Kind::Ours);
    let others: Vec<usize> = (0..plan.contestants.len())
        .filter(|index| Some(*index) != ours)
        .collect();
    if ours.is_some() {
        for &other in &others {
            let _ = write!(text, " to {} |", plan.contestants[other].name);
        }
    }
    let ratios = if ours.is_some() { others.len() } else { 0 };
    let _ = writeln!(
        text,
        "\n|---|{}",
        "--:|".repeat(plan.contestants.len() + ratios)
    );
    for Results { row, costs } in results {
        let _ = write!(
            text,
            "| {}, {} |",
            row.name,
            heading(row.unit, row.operation)
        );
        for costs in costs {
            let _ = write!(text, " {} |", cell(row.unit, costs));
        }
        if let Some(ours) = ours {
            for &other in &others {
                let _ = write!(text, " {} |", ratio(&costs[ours], &costs[other]));
            }
        }
        text.push('\n');
    }
    text
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

fn heading(unit: Unit, operation: &str) -> String {
    match unit {
        Unit::Nanoseconds => format!("ns per {operation}"),
        Unit::Microseconds => format!("µs per {operation}"),
        Unit::PerSecond => format!("{operation} per second"),
        Unit::Bytes => format!("bytes per {operation}"),
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

fn in_unit(unit: Unit, cost: f64) -> f64 {
    match unit {
        Unit::Nanoseconds | Unit::Bytes => cost,
        Unit::Microseconds => cost / 1e3,
        Unit::PerSecond => 1e9 / cost,
    }
}

/// Our cost in terms of another's: the median over the rounds, in each of which both took their turn. Below 1, ours is
/// lower.
fn ratio(ours: &[f64], other: &[f64]) -> String {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(other)
        .map(|(ours, other)| ours / other)
        .collect();
    match ratios.is_empty() {
        true => "-".to_owned(),
        false => format!("{:.2}", median(ratios)),
    }
}

/// Of two in the middle, the mean.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        10_000.0.. => format!("{:.1}k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
