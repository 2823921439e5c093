//! The picture: for each line of the table a bar for each of the others, from what our cost is to what theirs is.

use std::fmt::Write;

use crate::contestants::Kind;
use crate::report::{heading, in_unit, median, ratios};
use crate::rounds::{Line, Plan};

/// In the order of the contestants; each stands out from black and from white.
const COLORS: [&str; 14] = [
    "#888888", "#d9822b", "#e8b04a", "#3f9c5a", "#4a80d9", "#7fb0f0", "#a05ad0", "#c79ae8",
    "#d04a6a", "#8a6a3a", "#b09a6a", "#2aa0a8", "#70b8a0", "#888888",
];
/// Of all text: legible on black and on white.
const GREY: &str = "#808080";

const WIDTH: f64 = 900.0;
/// Where the lines' names end and the bars begin.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 7.0;
const GAP: f64 = 12.0;
const HEAD: f64 = 60.0;
/// A bar ends there at the latest; its number says how far it would go.
const LEAST: f64 = 0.1;
const MOST: f64 = 100.0;

/// Where a ratio lies on the logarithmic axis.
fn x(ratio: f64) -> f64 {
    let part = (ratio.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

/// Returns the picture as SVG, or nothing if we do not take part.
pub(crate) fn svg(plan: &Plan, lines: &[Line]) -> Option<String> {
    let ours = plan
        .contestants
        .iter()
        .position(|known| known.kind == Kind::Ours)?;
    let mut body = String::new();
    let mut y = HEAD;
    for line in lines {
        y += bars(&mut body, plan, line, ours, y);
    }
    let height = y + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"{GREY}\">\n"
    );
    legend(&mut svg, plan, ours);
    for ratio in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0] {
        let width = if ratio == 1.0 { 1.5 } else { 0.3 };
        let x = x(ratio);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {HEAD}V{height}\" stroke=\"{GREY}\" stroke-width=\"{width}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{ratio}</text>",
            HEAD - 6.0
        );
    }
    svg += &body;
    svg += "</svg>\n";
    Some(svg)
}

/// What the colors mean.
fn legend(svg: &mut String, plan: &Plan, ours: usize) {
    let _ = writeln!(
        svg,
        "<text x=\"8\" y=\"16\">cost in terms of {}'s; to the right of 1 it is higher</text>",
        plan.contestants[ours].name
    );
    let others = plan.contestants.iter().enumerate();
    for (place, (index, other)) in others.filter(|(index, _)| *index != ours).enumerate() {
        let (column, row) = ((place % 6) as f64, (place / 6) as f64);
        let (x, y) = (LEFT + column * 95.0, 8.0 + row * 15.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"9\" height=\"9\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            color(index),
            x + 13.0,
            y + 9.0,
            other.name
        );
    }
}

fn color(contestant: usize) -> &'static str {
    COLORS[contestant % COLORS.len()]
}

/// Draws one line's bars, and returns how much room they take.
fn bars(svg: &mut String, plan: &Plan, line: &Line, ours: usize, y: f64) -> f64 {
    let mut room = GAP;
    for index in 0..plan.contestants.len() {
        // The other way round than in the table: a longer bar is a higher cost of theirs.
        let ratios = ratios(&line.costs[index], &line.costs[ours]);
        if index == ours || ratios.is_empty() {
            continue;
        }
        let ratio = median(ratios);
        let (from, to) = (x(ratio.min(1.0)), x(ratio.max(1.0)));
        let top = y + room;
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{}\" font-size=\"7\">{ratio:.2}</text>",
            (to - from).max(1.0),
            BAR - 1.0,
            color(index),
            to + 3.0,
            top + BAR - 1.0
        );
        room += BAR;
    }
    let own = line.costs[ours].clone();
    if own.is_empty() || room == GAP {
        return 0.0;
    }
    let own = in_unit(line.figure.unit, median(own));
    let _ = writeln!(
        svg,
        "<text x=\"8\" y=\"{}\">{}, {}: {}</text>",
        y + GAP + (room - GAP) / 2.0 + 4.0,
        line.name,
        heading(line.figure),
        crate::report::digits(own)
    );
    room
}
