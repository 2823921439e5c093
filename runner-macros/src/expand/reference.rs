//! `docs/macros.md` says what the code says: every option, every expansion and every error, no more and no less.

use std::fs;
use std::path::{Path, PathBuf};

use super::tests::{expanded_main, expanded_test, normalized};
use crate::options::{Attribute, FOREIGN, OPTIONS, Wants};

/// Stands in the page's errors for what differs.
const ANYTHING: char = '…';

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/macros.md")).expect("the page")
}

/// The lines below a heading, up to the next of its kind.
fn section<'a>(page: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let mut lines = page.lines().skip_while(move |line| *line != heading);
    assert!(lines.next().is_some(), "{heading}");
    lines.take_while(|line| !line.starts_with("## "))
}

/// The rows of a section's table, without its head.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| {
        let row = row.trim_matches('|').replace("\\|", "\u{0}");
        let cells = row.split('|').map(|cell| cell.trim().replace('\u{0}', "|"));
        cells.collect()
    };
    section(page, heading)
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(cells)
        .collect()
}

fn on(attributes: &[Attribute]) -> &'static str {
    match attributes {
        [Attribute::Main] => "main",
        [Attribute::Test] => "test",
        _ => "both",
    }
}

fn kind(wants: Wants) -> &'static str {
    match wants {
        Wants::Flag => "nothing, or a `bool`",
        Wants::Factory => "a path or a closure that makes the event loop",
        Wants::Duration => "a `Duration`, or text with a unit",
        Wants::Count | Wants::Workers => "a number from 1",
        Wants::Leftovers => "`\"error\"` or `\"cancel\"`",
        Wants::DetachedPanic => "a `DetachedPanic`",
        Wants::CratePath => "the path of the `asyncio` crate",
    }
}

#[test]
fn the_page_has_every_option() {
    let rows = rows(&page(), "## Options");
    assert_eq!(rows.len(), OPTIONS.len());
    for (row, spec) in rows.iter().zip(OPTIONS) {
        let example = match spec.wants {
            Wants::Flag => spec.name.to_owned(),
            wants => format!("{} = {}", spec.name, wants.example()),
        };
        let expansion = row[3].trim_matches('`');
        let expected = [&format!("`{example}`"), on(spec.on), kind(spec.wants)];
        assert_eq!(row[..3], expected);
        for attribute in spec.on {
            let expanded = match attribute {
                Attribute::Main => expanded_main(&example, "async fn main() {}"),
                Attribute::Test => expanded_test(&example, "async fn case() {}"),
            };
            let expected = expansion.replace(' ', "");
            assert!(expanded.contains(&expected), "{expanded}");
        }
    }
}

#[test]
fn the_page_explains_every_option() {
    let page = page();
    let explained: Vec<&str> = section(&page, "## Options")
        .filter_map(|line| line.strip_prefix("* `"))
        .filter_map(|line| line.split(['`', ' ']).next())
        .collect();
    let names: Vec<&str> = OPTIONS.iter().map(|spec| spec.name).collect();
    assert_eq!(explained, names);
}

#[test]
fn the_page_has_every_option_of_others() {
    let row = |foreign: &crate::options::Foreign| {
        let names: Vec<String> = foreign.names.iter().map(|it| format!("`{it}`")).collect();
        vec![
            names.join(", "),
            on(foreign.on).to_owned(),
            foreign.instead.to_owned(),
        ]
    };
    let expected: Vec<Vec<String>> = FOREIGN.iter().map(row).collect();
    assert_eq!(rows(&page(), "## Options of other runtimes"), expected);
}

#[test]
fn the_page_has_real_expansions() {
    let page = page();
    let blocks: Vec<&str> = page
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.strip_prefix("rust\n").expect("Rust"))
        .collect();
    assert!(blocks.len() >= 10 && blocks.len() % 2 == 0);
    for pair in blocks.chunks(2) {
        let (head, item) = pair[0].split_once('\n').expect("two lines");
        let args = head.split_once('(').map_or("", |(_, args)| args);
        let args = args.trim_end_matches(")]");
        let expanded = match head.starts_with("#[asyncio::main") {
            true => expanded_main(args, item),
            false => expanded_test(args, item),
        };
        assert_eq!(normalized(pair[1]), expanded);
    }
}

/// Every message of our own, as the page has it.
fn documented(page: &str) -> Vec<&str> {
    section(page, "## Errors")
        .take_while(|line| *line != "### From the compiler")
        .filter_map(|line| line.strip_prefix("* `` "))
        .filter_map(|line| line.split(" ``").next())
        .collect()
}

fn is_meant(documented: &str, message: &str) -> bool {
    let mut parts = documented.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = message.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let found = match parts.peek() {
            Some(_) => rest.find(part),
            None => rest.ends_with(part).then(|| rest.len() - part.len()),
        };
        let Some(start) = found else { return false };
        rest = &rest[start + part.len()..];
    }
    rest.is_empty()
}

/// Called by all tests that look at messages.
pub(super) fn assert_documented(message: &str) {
    let page = page();
    let is_known = documented(&page)
        .iter()
        .any(|documented| is_meant(documented, message));
    assert!(is_known, "docs/macros.md lacks: {message}");
}

/// Each message has a case of its own, and so a look of its own in a terminal.
#[test]
fn the_page_has_every_error_and_no_other() {
    let page = page();
    let mut never_seen = documented(&page);
    assert!(never_seen.len() > 40);
    let cases = ["fail", "elsewhere"].map(|folder| root().join("tests/ui").join(folder));
    let cases = cases.map(|folder| fs::read_dir(folder).expect("the cases"));
    for case in cases.into_iter().flatten() {
        let path = case.expect("a case").path();
        let name = path.file_name().and_then(|it| it.to_str()).expect("text");
        // What the compiler says in our place is in its own words.
        if !name.ends_with(".stderr") || name.starts_with("rustc_") {
            continue;
        }
        let text = fs::read_to_string(path).expect("what the compiler says");
        for message in text.lines().filter_map(|line| line.strip_prefix("error: ")) {
            assert_documented(message);
            never_seen.retain(|documented| !is_meant(documented, message));
        }
    }
    assert_eq!(never_seen, [""; 0], "no case in tests/ui has these");
}

/// What stands between the parentheses of each of one attribute's uses in a folder of cases.
fn accepted(attribute: Attribute, folder: &str) -> Vec<String> {
    let name = match attribute {
        Attribute::Main => "::main(",
        Attribute::Test => "::test(",
    };
    let cases = fs::read_dir(root().join(folder)).expect("the cases");
    let mut found = Vec::new();
    for case in cases {
        let path = case.expect("a case").path();
        if path.is_dir() {
            // What several cases share.
            continue;
        }
        let text = fs::read_to_string(path).expect("Rust");
        let uses = text
            .split("#[")
            .skip(1)
            .filter_map(|it| it.split_once(name));
        let uses = uses.filter(|(path, _)| path.chars().all(|c| c.is_alphanumeric() || c == ':'));
        found.extend(uses.filter_map(|(_, behind)| Some(behind.split_once(")]")?.0.to_owned())));
    }
    found
}

#[test]
fn every_option_has_a_case_that_is_compiled() {
    for spec in OPTIONS {
        // Behind a feature with other people's libraries: where those are used.
        let folder = match spec.needs_feature {
            true => "examples/ecosystem/tokio/tests",
            false => "tests/ui/pass",
        };
        for &attribute in spec.on {
            let is_used = accepted(attribute, folder).iter().any(|options| {
                let mut words = options.split(|c: char| !(c.is_alphanumeric() || c == '_'));
                words.any(|word| word == spec.name)
            });
            assert!(
                is_used,
                "no case in {folder} has {} on {attribute:?}",
                spec.name
            );
        }
    }
}

#[test]
fn a_message_matches_from_end_to_end() {
    assert!(is_meant("a `…` b", "a `x` b"));
    assert!(is_meant("`…`; … has …", "`x`; y has z, z"));
    for message in ["a `x` b.", "the a `x` b", "a `x b", ""] {
        assert!(!is_meant("a `…` b", message), "{message}");
    }
    assert!(!is_meant("a", "ab"));
}
