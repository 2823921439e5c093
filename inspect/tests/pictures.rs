//! The pictures of docs/debugging.md: each is drawn from what a program under examples/debugging really does and says.
//!
//! With `ASYNCIO_WRITE_PICTURES=1` in the environment they are written to docs/pictures; else it is only seen that they can be
//! drawn, and show what the page says of them.
#![cfg(unix)]

#[path = "../../tests/support/child.rs"]
mod child;
mod window;

#[path = "../../examples/debugging/busy_program.rs"]
mod busy_program;
#[path = "../../examples/debugging/slow_program.rs"]
mod slow_program;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use child::{Child, Entry, Program, SIGINT, Test, run_programs, scenario};
use serde_json::Value;
use vt100::Screen;
use window::{Window, lines};

const TESTS: &[Entry] = &[
    ("the tree of a busy program is drawn", the_tree_is_drawn),
    (
        "the live view of a busy program is drawn",
        the_live_view_is_drawn,
    ),
    (
        "the time line of a slow program is drawn",
        the_time_line_is_drawn,
    ),
];

const PROGRAMS: &[Program] = &[
    ("busy_program", || {
        let _: () = busy_program::main();
        ExitCode::SUCCESS
    }),
    ("slow_program", || {
        let _: () = slow_program::main();
        ExitCode::SUCCESS
    }),
];

fn main() -> ExitCode {
    let tests = TESTS.iter().map(|&(name, test)| Test::new(name, test));
    run_programs(PROGRAMS, tests.collect())
}

/// Where the socket or the trace of one test lies.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = format!("asyncio-pictures-{}-{name}", std::process::id());
        let folder = env::temp_dir().join(folder);
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    /// Starts the busy program, and returns it with its number.
    fn start(&self) -> (Child, String) {
        let mut command = scenario("busy_program");
        command.env("XDG_RUNTIME_DIR", &self.0);
        command.env("ASYNCIO_INSPECT", "1");
        let mut child = Child::start(command);
        let line = child.wait_for_line("process ");
        let pid = line.split(' ').nth(1).unwrap().to_owned();
        (child, pid)
    }

    fn ps(&self, request: &str, pid: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asyncio-ps"));
        command.env("XDG_RUNTIME_DIR", &self.0).args([request, pid]);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn interrupt(mut child: Child) {
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
}

fn keep(name: &str, svg: &str) {
    if env::var_os("ASYNCIO_WRITE_PICTURES").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), svg).unwrap();
    }
}

// ----- terminals -----

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;")
}

/// How this test names the files of the programs.
const PREFIX: &str = "inspect/tests/../../";

/// A line without what is left of such a name where the screen ends.
fn without_rest(line: &str) -> &str {
    let rest = line.rfind(" (").map(|place| line.split_at(place));
    match rest {
        Some((line, rest)) if PREFIX.starts_with(&rest[2..]) => line,
        _ => line.trim_end(),
    }
}

/// A terminal that shows `text`, without a trace of how the program got into this test.
fn terminal(command: &str, text: &str) -> String {
    let this = env::current_exe().unwrap();
    let this = this.file_name().unwrap().to_string_lossy();
    let text = text.replace(PREFIX, "").replace(&*this, "busy_program");
    let lines: Vec<&str> = text.lines().map(without_rest).collect();
    let columns = lines.iter().map(|line| line.chars().count()).max();
    let (width, height) = (8 * columns.unwrap_or(0) + 24, 18 * (lines.len() + 1) + 24);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"monospace\" font-size=\"13\" fill=\"#d8d8d8\">\n<rect width=\"{width}\" height=\"{height}\" rx=\"6\" \
         fill=\"#202428\"/>\n<text x=\"12\" y=\"24\" fill=\"#7fb0f0\">$ {command}</text>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let (y, length) = (42 + 18 * row, 8 * line.chars().count());
        let line = escaped(line);
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"{y}\" textLength=\"{length}\" xml:space=\"preserve\">{line}</text>"
        );
    }
    svg + "</svg>\n"
}

fn the_tree_is_drawn() {
    let folder = Folder::new("tree");
    let (child, pid) = folder.start();
    let output = folder.ps("pstree", &pid).output().unwrap();
    interrupt(child);
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("\n    connection 2 waits for "), "{tree}");
    keep("pstree.svg", &terminal("asyncio-ps pstree PID", &tree));
}

fn the_live_view_is_drawn() {
    let folder = Folder::new("live");
    let (child, pid) = folder.start();
    let mut top = Window::open(folder.ps("top", &pid), 88, 24);
    let busiest = |screen: &Screen| lines(screen).get(2).cloned().unwrap_or_default();
    // The first picture is of a quarter of a second, the second one of a whole one.
    let first = top.wait_for(|screen| busiest(screen).contains("  poller  "));
    let first = busiest(first);
    let second =
        top.wait_for(|screen| busiest(screen).contains("  poller  ") && busiest(screen) != first);
    let shown = lines(second);
    top.type_bytes(b"q");
    top.finish().0.exited_with(0);
    interrupt(child);
    assert!(
        shown.iter().any(|line| line.contains("  connection 1  ")),
        "{shown:?}"
    );
    keep(
        "top.svg",
        &terminal("asyncio-ps top PID", &shown.join("\n")),
    );
}

// ----- the time line -----

/// One row of bars.
struct Row {
    name: String,
    color: &'static str,
    /// Begin and length, in microseconds.
    bars: Vec<(f64, f64)>,
}

/// Events with a begin and an end, by what they are of, in the order in which each first began.
fn rows(events: &[Value]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut spans: Vec<&Value> = events.iter().filter(|it| it["ph"] == "X").collect();
    let begin = |event: &Value| event["ts"].as_f64().unwrap();
    spans.sort_by(|one, other| begin(one).total_cmp(&begin(other)));
    for event in spans {
        let (category, name) = (
            event["cat"].as_str().unwrap(),
            event["name"].as_str().unwrap(),
        );
        let (name, color) = match category {
            "poll" => (name.to_owned(), "#4a80d9"),
            "callback" => (name.to_owned(), "#a05ad0"),
            "shutdown" => (format!("shutdown: {name}"), "#d04a6a"),
            "loop" => (format!("loop: {name}"), "#888888"),
            _ => (format!("{category}: {name}"), "#3f9c5a"),
        };
        let bar = (begin(event), event["dur"].as_f64().unwrap());
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.bars.push(bar),
            None => rows.push(Row {
                name,
                color,
                bars: vec![bar],
            }),
        }
    }
    rows
}

fn chart(rows: &[Row]) -> String {
    const LEFT: f64 = 225.0;
    const WIDTH: f64 = 900.0;
    let bars = || rows.iter().flat_map(|row| &row.bars);
    let first = bars().map(|bar| bar.0).fold(f64::MAX, f64::min);
    let last = bars().map(|bar| bar.0 + bar.1).fold(first, f64::max);
    let x = |time: f64| LEFT + (time - first) / (last - first) * (WIDTH - LEFT - 20.0);
    let height = 22 * rows.len() + 40;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#808080\">\n"
    );
    for tick in 0.. {
        let time = first + 50_000.0 * f64::from(tick);
        if time > last {
            break;
        }
        let (x, label) = (x(time), 50 * tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} 24V{height}\" stroke=\"#808080\" stroke-width=\"0.3\"/>\
             <text x=\"{x:.1}\" y=\"16\" text-anchor=\"middle\">{label} ms</text>"
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let (y, name, color) = (30 + 22 * index, escaped(&row.name), row.color);
        let _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{name}</text>", y + 12);
        for (begin, length) in &row.bars {
            // One that is too thin to be seen is drawn as a line.
            let width = (x(begin + length) - x(*begin)).max(1.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{color}\"/>",
                x(*begin)
            );
        }
    }
    svg + "</svg>\n"
}

fn the_time_line_is_drawn() {
    let folder = Folder::new("line");
    let trace = folder.0.join("trace.json");
    let mut command = scenario("slow_program");
    command.env("ASYNCIO_TRACE", &trace);
    Child::start(command).finish().exited_with(0);
    let events: Vec<Value> = serde_json::from_str(&fs::read_to_string(trace).unwrap()).unwrap();
    let rows = rows(&events);
    let longest = |row: &Row| row.bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
    let report = rows.iter().find(|row| row.name == "report").unwrap();
    assert!(longest(report) >= 300_000.0);
    keep("time_line.svg", &chart(&rows));
}
