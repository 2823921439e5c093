//! The levels of `runner-core`: the table in `docs/architecture.md`, compared with what the code imports.
//!
//! A room is a file or folder directly below `runner-core/src`. A room may import rooms of lower levels, and itself.
//! Test code may import anything. This file knows no level by itself: the table is their only home.

use std::collections::BTreeMap;

use super::source::{code_of, inline_modules, is_name_byte, line_of, words};
use super::{File, Finding, finding};

/// Where the table stands.
const PICTURE: &str = "docs/architecture.md";
/// The heading above it.
const HEADING: &str = "## The levels";
/// What the table is about.
const SOURCE: &str = "runner-core/src/";

/// One row of the table.
struct Row {
    level: u32,
    /// Line of the table.
    line: usize,
}

/// By the room's name.
type Table = BTreeMap<String, Row>;

/// Compares the table with the code.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let Some(picture) = files.iter().find(|file| file.path == PICTURE) else {
        return vec![finding(PICTURE, 1, "is missing: it holds the levels")];
    };
    let (table, mut findings) = read_table(&picture.text);
    for file in files {
        match room_of(&file.path) {
            Some(room) => findings.extend(check_file(file, room, &table)),
            None => continue,
        }
    }
    findings.extend(stale_rows(&table, files));
    findings
}

/// The room that a file of `runner-core` belongs to; the crate's root, which only names them, belongs to none.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(SOURCE)?;
    let room = inside.split('/').next()?;
    let room = room.strip_suffix(".rs").unwrap_or(room);
    (room != "lib" && inside.ends_with(".rs")).then_some(room)
}

/// Reads the rows `| level | `room` | what it never does |`.
fn read_table(text: &str) -> (Table, Vec<Finding>) {
    let mut table = Table::new();
    let mut findings = Vec::new();
    let lines = text.lines().enumerate();
    let section = lines
        .skip_while(|(_, line)| *line != HEADING)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("## "));
    for (index, line) in section.filter(|(_, line)| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [level, room, invariant] = cells[..] else {
            findings.push(finding(PICTURE, index + 1, "a row has three cells"));
            continue;
        };
        let Ok(level) = level.parse() else {
            // The head, and the line below it.
            continue;
        };
        if invariant.is_empty() {
            findings.push(finding(PICTURE, index + 1, "say what the room never does"));
        }
        let room = room
            .trim_matches('`')
            .trim_end_matches('/')
            .trim_end_matches(".rs");
        let line = index + 1;
        if table.insert(room.to_owned(), Row { level, line }).is_some() {
            findings.push(finding(PICTURE, line, "the room has two rows"));
        }
    }
    if table.is_empty() {
        let message = format!("has no table of levels below `{HEADING}`");
        findings.push(finding(PICTURE, 1, message));
    }
    (table, findings)
}

fn check_file(file: &File, room: &str, table: &Table) -> Vec<Finding> {
    let Some(row) = table.get(room) else {
        let message = format!("the room `{room}` is missing in the levels of {PICTURE}");
        return vec![finding(&file.path, 1, message)];
    };
    if is_test_file(&file.path) {
        return Vec::new();
    }
    let code = without_inline_tests(&code_of(&file.text));
    let mut findings: Vec<Finding> = imports(&code)
        .into_iter()
        .filter_map(|(position, other)| {
            let message = objection(room, row.level, &other, table)?;
            Some(finding(&file.path, line_of(&file.text, position), message))
        })
        .collect();
    findings.extend(ways_around(file, &code));
    findings
}

/// Why `room` may not import `other`, if it may not.
fn objection(room: &str, level: u32, other: &str, table: &Table) -> Option<String> {
    if room == other {
        return None;
    }
    match table.get(other) {
        Some(row) if row.level < level => None,
        Some(row) => {
            let theirs = row.level;
            Some(format!(
                "`{room}` (level {level}) imports `{other}` (level {theirs}): only lower levels may be imported"
            ))
        }
        None => Some(format!(
            "`crate::{other}` names no room of {PICTURE}: import through the module that defines it"
        )),
    }
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Blanks the inline `mod tests { .. }`.
fn without_inline_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for module in inline_modules(code) {
        if module.name == "tests" {
            bytes[module.body].fill(b' ');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns every room named by `crate::room`, alone or in a group. `$crate::` is the user's view of the crate.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for position in words(code, "crate") {
        let Some(path) = code[position + "crate".len()..].strip_prefix("::") else {
            continue;
        };
        if !code[..position].ends_with('$') {
            let rooms = first_names(path);
            found.extend(rooms.into_iter().map(|room| (position, room)));
        }
    }
    found
}

/// The first name of a path, or of each path of a group.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![first_name(path)];
    };
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (position, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(first_name(&group[start..position]));
                start = position + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(path: &str) -> String {
    let path = path.trim_start().as_bytes();
    let name = path.iter().take_while(|&&byte| is_name_byte(byte));
    name.map(|&byte| char::from(byte)).collect()
}

/// `super::` must not leave the room: it would import another one that is not seen here.
fn ways_around(file: &File, code: &str) -> Vec<Finding> {
    let modules = inline_modules(code);
    let depth_of_file = file.path[SOURCE.len()..]
        .trim_end_matches("/mod.rs")
        .split('/')
        .count();
    words(code, "super")
        .filter(|&position| !code[..position].ends_with("super::"))
        .filter_map(|position| {
            let inline = modules.iter().filter(|m| m.body.contains(&position));
            let depth = depth_of_file + inline.count();
            let climbed = climbs(&code[position..]);
            (climbed >= depth).then(|| {
                let line = line_of(&file.text, position);
                finding(
                    &file.path,
                    line,
                    "`super::` leaves the room: write `crate::`",
                )
            })
        })
        .collect()
}

/// How many `super::` follow each other; `pub(super)` climbs nowhere.
fn climbs(mut code: &str) -> usize {
    let mut count = 0;
    while let Some(rest) = code.strip_prefix("super::") {
        code = rest;
        count += 1;
    }
    count
}

fn stale_rows(table: &Table, files: &[File]) -> Vec<Finding> {
    table
        .iter()
        .filter(|(room, _)| !files.iter().any(|f| room_of(&f.path) == Some(room)))
        .map(|(room, row)| {
            let message = format!("the room `{room}` does not exist");
            finding(PICTURE, row.line, message)
        })
        .collect()
}
