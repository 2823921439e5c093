//! Each rule on small files that break it, and on ones that only look as if they did.

use super::source::code_of;
use super::*;

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn lines(findings: &[Finding]) -> Vec<(&str, usize)> {
    findings.iter().map(|f| (f.path.as_str(), f.line)).collect()
}

/// A project with the given files and a table of two levels.
fn rooms(files: &[(&str, &str)]) -> Vec<File> {
    let table = "## The levels\n\n| Level | Room | Never |\n|---|---|---|\n\
                 | 0 | `error.rs` | imports |\n| 1 | `pool/` | knows a loop |\n\n## More\n";
    let mut all = vec![
        file("docs/architecture.md", table),
        file(
            "runner-core/src/lib.rs",
            "//! Root.\nmod error;\nmod pool;\n",
        ),
    ];
    for (path, text) in files {
        all.push(file(&format!("runner-core/src/{path}"), text));
    }
    all
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let text = r####"a // b
/* c /* d */ e */ f "g \" h" 'i' '\'' 'j r#"k " l"# br"m" r#type"####;
    let code = code_of(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().next(), Some("a     "));
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "f", "'j", "r#type"]);
}

#[test]
fn a_lower_level_may_not_import_a_higher_one() {
    let files = rooms(&[
        ("error.rs", "//! E.\nuse crate::pool::Pool;\n"),
        (
            "pool/mod.rs",
            "//! P.\nuse crate::error::E;\nuse crate::pool::x;\n",
        ),
    ]);
    let findings = levels::check(&files);
    assert_eq!(lines(&findings), [("runner-core/src/error.rs", 2)]);
    assert!(
        findings[0]
            .message
            .contains("`error` (level 0) imports `pool` (level 1)")
    );
}

#[test]
fn groups_paths_and_climbing_are_seen() {
    let files = rooms(&[
        (
            "error.rs",
            "//! E.\nuse crate::{\n    error::{a, b}, pool::c};\nfn f() { crate::pool::g(); }\n",
        ),
        (
            "pool/mod.rs",
            "//! P.\nuse super::error::E;\nmod unix {\n    use super::error;\n}\n",
        ),
        (
            "pool/worker.rs",
            "//! W.\nuse super::Pool;\nuse super::super::error::E;\npub(super) fn f() {}\n",
        ),
    ]);
    let found = [
        ("runner-core/src/error.rs", 2),
        ("runner-core/src/error.rs", 4),
        ("runner-core/src/pool/mod.rs", 2),
        ("runner-core/src/pool/worker.rs", 3),
    ];
    assert_eq!(lines(&levels::check(&files)), found);
}

#[test]
fn docs_strings_tests_and_the_macros_of_users_may_name_anything() {
    let text = "//! See [`X`](crate::pool::X).\nconst S: &str = \"crate::pool::X\";\n\
                macro_rules! m { () => { $crate::pool::X } }\n\
                #[cfg(test)]\nmod tests {\n    use crate::pool::X;\n    use super::super::pool;\n}\n";
    let files = rooms(&[
        ("error.rs", text),
        ("pool/mod.rs", "//! P.\n"),
        ("error/tests.rs", "//! T.\nuse crate::pool::X;\n"),
    ]);
    assert_eq!(levels::check(&files), []);
}

#[test]
fn the_table_and_the_rooms_name_each_other() {
    let files = rooms(&[("pool/mod.rs", "//! P.\n"), ("timers.rs", "//! T.\n")]);
    let found = [
        ("runner-core/src/timers.rs", 1),
        ("docs/architecture.md", 5),
    ];
    assert_eq!(lines(&levels::check(&files)), found);
}

#[test]
fn a_name_of_the_crates_root_is_no_room() {
    let files = rooms(&[
        ("error.rs", "//! E.\n"),
        ("pool/mod.rs", "//! P.\nuse crate::EventLoop;\n"),
    ]);
    assert_eq!(
        lines(&levels::check(&files)),
        [("runner-core/src/pool/mod.rs", 2)]
    );
}

#[test]
fn every_file_says_what_it_is() {
    let files = [
        file("src/lib.rs", "//! Fine.\n"),
        file("examples/x.rs", "fn main() {}\n"),
        file("tests/ui/fail/x.rs", "fn main() {}\n"),
        file("docs/x.md", "# X\n"),
    ];
    assert_eq!(lines(&check_first_lines(&files)), [("examples/x.rs", 1)]);
}

/// A document that allows `unsafe` in one file, and the three crates that forbid it.
fn project_with_unsafe(path: &str, text: &str) -> Vec<File> {
    let picture =
        format!("{UNSAFE_HEADING}\n\n| File | Why |\n|---|---|\n| `raw.rs` | it must |\n");
    let mut files = vec![file(PICTURE, &picture), file(path, text)];
    files.extend(SAFE_CRATES.map(|path| file(path, "#![forbid(unsafe_code)]\n")));
    files
}

#[test]
fn unsafe_is_for_the_listed_files() {
    let allowed = "//! R.\n// SAFETY: a reason\nunsafe impl Send for X {}\n";
    let mut files = project_with_unsafe("raw.rs", allowed);
    assert_eq!(check_unsafe(&files), []);
    files.push(file(
        "other.rs",
        "//! O.\n// SAFETY: no excuse\nunsafe fn f() {}\n",
    ));
    assert_eq!(lines(&check_unsafe(&files)), [("other.rs", 3)]);
}

#[test]
fn unsafe_in_text_and_in_names_is_none() {
    let text = "//! Says unsafe { }.\n#![deny(unsafe_op_in_unsafe_fn)]\nlet s = \"unsafe {\";\nToken![unsafe];\n";
    let files = project_with_unsafe("other.rs", text);
    assert_eq!(lines(&check_unsafe(&files)), [(PICTURE, 1)]);
}

#[test]
fn unsafe_has_its_reason_above_the_statement() {
    let text = "//! R.
// SAFETY: for the whole statement,
// in two lines
let x = f(
    || unsafe { g() },
);
unsafe { h() }
// Not a reason.
unsafe { i() }
";
    let files = project_with_unsafe("raw.rs", text);
    assert_eq!(lines(&check_unsafe(&files)), [("raw.rs", 7), ("raw.rs", 9)]);
}

#[test]
fn safe_crates_forbid_it() {
    let mut files = project_with_unsafe("raw.rs", "// SAFETY: r\nunsafe {}\n");
    files.retain(|file| file.path != "src/lib.rs");
    assert_eq!(lines(&check_unsafe(&files)), [("src/lib.rs", 1)]);
}

#[test]
fn unfinished_code_is_found_and_talk_about_it_is_not() {
    let marker = concat!("FIX", "ME");
    let text = format!(
        "//! X.\n// todo! is a macro\nfn f() {{ todo!() }}\n#[ignore = \"slow\"]\n// {marker}: later\n"
    );
    let findings = check_unfinished(&[file("a.rs", &text)]);
    assert_eq!(lines(&findings), [("a.rs", 3), ("a.rs", 4), ("a.rs", 5)]);
}

#[test]
fn names_say_something() {
    let files = [
        file("src/utils.rs", ""),
        file("tests/common/x.rs", ""),
        file("src/uncommon.rs", ""),
    ];
    let found = [("src/utils.rs", 1), ("tests/common/x.rs", 1)];
    assert_eq!(lines(&check_names(&files)), found);
}

#[test]
fn the_changelog_has_its_head() {
    assert_eq!(check_changelog(&[]).len(), 1);
    assert_eq!(
        check_changelog(&[file("CHANGELOG.md", "# Changelog\n\n## Unreleased\n")]),
        []
    );
}

#[test]
fn paths_of_one_machine_are_found_and_relative_ones_are_not() {
    let folder = concat!("/ho", "me/");
    let text = format!("see {folder}x\nsee docs{folder}x\n");
    let findings = check_machine_words(&[file("a.md", &text)]);
    assert_eq!(lines(&findings), [("a.md", 1)]);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = "\
[package]
name = \"x\"

[dependencies]
# Because.
good = { version = \"1\", features = [
    \"a\",
] }
bad = \"1\"

# For tests.
[dev-dependencies.good]
version = \"1\"

[target.'cfg(unix)'.dependencies.bad]
version = \"1\"
";
    assert_eq!(dependencies_without_reason(manifest), [9, 15]);
}

#[test]
fn the_readme_names_the_rust_version_of_the_manifest() {
    let manifest = file(
        "Cargo.toml",
        "[workspace.package]\nrust-version = \"1.85\"\n",
    );
    let right = file("README.md", "Needs Rust 1.85.");
    let wrong = file("README.md", "Needs Rust 1.80.");
    assert_eq!(check_rust_version(&[right, manifest]), []);
    let manifest = file("Cargo.toml", "rust-version = \"1.85\"\n");
    assert_eq!(
        lines(&check_rust_version(&[manifest, wrong])),
        [("README.md", 1)]
    );
}
