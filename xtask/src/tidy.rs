//! The house rules that no compiler checks, each a small function over all files, every finding reported at once.
//!
//! The rules: levels (see `levels.rs`); every file says in its first line what it is; `unsafe` only where
//! `docs/architecture.md` allows it, and with its reason; nothing unfinished; a changelog with a head; no path or host that
//! only some machine knows; a reason above each dependency; one home for the version of Rust. This file knows no level and
//! no allowed file by itself: both stand in the document.

mod levels;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use source::{code_of, line_of, words};

/// A file of the project.
struct File {
    /// From the workspace's root, with `/` on every system.
    path: String,
    text: String,
}

/// One rule that is not kept.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

fn finding(path: &str, line: usize, message: impl Into<String>) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        message: message.into(),
    }
}

/// Runs tidy as a command of its own.
pub(crate) fn run(root: &Path) -> ExitCode {
    match check(root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => status,
    }
}

/// Prints everything that is found.
///
/// # Errors
///
/// The status to exit with, if there is anything to say.
pub(crate) fn check(root: &Path) -> Result<(), ExitCode> {
    let files = match read_files(root) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("cannot read the project's files: {error}");
            return Err(ExitCode::FAILURE);
        }
    };
    let findings = all_findings(&files);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        return Ok(());
    }
    eprintln!("tidy: {} findings", findings.len());
    Err(ExitCode::FAILURE)
}

/// Looks at all files, and says what is not as it should be.
type Rule = fn(&[File]) -> Vec<Finding>;

fn all_findings(files: &[File]) -> Vec<Finding> {
    let rules: [Rule; 9] = [
        levels::check,
        check_first_lines,
        check_unsafe,
        check_unfinished,
        check_names,
        check_changelog,
        check_machine_words,
        check_dependencies,
        check_rust_version,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(files)).collect();
    findings.sort();
    findings
}

// ----- the files -----

/// Reads every text file that belongs to the project.
fn read_files(root: &Path) -> io::Result<Vec<File>> {
    let paths = match listed_by_git(root) {
        Some(paths) => paths,
        None => found_by_walking(root)?,
    };
    let mut files = Vec::new();
    for path in paths {
        match fs::read_to_string(root.join(&path)) {
            Ok(text) => files.push(File { path, text }),
            // Deleted and not committed yet, or no text.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// Tracked files and new ones, without what is ignored; `None` where there is no git or no repository.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()?;
    let listed = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = listed
        .split_terminator('\0')
        .map(str::to_owned)
        .filter(|path| !root.join(path).is_dir())
        .collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// An unpacked archive: everything but what cargo writes.
fn found_by_walking(root: &Path) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}{name}");
            match entry.file_type()?.is_dir() {
                true if matches!(name.as_str(), "target" | ".git") => {}
                true => folders.push(path + "/"),
                false if name == "Cargo.lock" => {}
                false => paths.push(path),
            }
        }
    }
    Ok(paths)
}

/// The Rust files that the rules are for. The cases under `tests/ui` show mistakes on purpose.
fn rust_files(files: &[File]) -> impl Iterator<Item = &File> {
    files
        .iter()
        .filter(|file| file.path.ends_with(".rs") && !file.path.starts_with("tests/ui/"))
}

fn text_of<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    let file = files.iter().find(|file| file.path == path)?;
    Some(&file.text)
}

// ----- the rules -----

fn check_first_lines(files: &[File]) -> Vec<Finding> {
    rust_files(files)
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| finding(&file.path, 1, "the first line says in a `//!` what this is"))
        .collect()
}

/// Where the files with `unsafe` are listed.
const PICTURE: &str = "docs/architecture.md";
/// The heading above the list.
const UNSAFE_HEADING: &str = "## Where `unsafe` is allowed, and why";
/// The roots of the crates that do without.
const SAFE_CRATES: [&str; 3] = [
    "src/lib.rs",
    "runner-macros/src/lib.rs",
    "xtask/src/main.rs",
];

fn check_unsafe(files: &[File]) -> Vec<Finding> {
    let picture = text_of(files, PICTURE).unwrap_or_default();
    let allowed = files_with_unsafe(picture);
    let mut findings = Vec::new();
    for file in rust_files(files) {
        let code = code_of(&file.text);
        let is_allowed = allowed.iter().any(|path| *path == file.path);
        for position in uses_of_unsafe(&code) {
            let line = line_of(&code, position);
            if !is_allowed {
                let message = format!("`unsafe` is not allowed here; see {PICTURE}");
                findings.push(finding(&file.path, line, message));
            }
            if needs_reason(&code[position..]) && !has_reason(&file.text, line) {
                let message = "a `// SAFETY:` comment belongs above this `unsafe`";
                findings.push(finding(&file.path, line, message));
            }
        }
    }
    findings.extend(stale_permissions(&allowed, files));
    findings.extend(crates_without_forbid(files));
    findings
}

/// The first cell of each row below the heading.
fn files_with_unsafe(picture: &str) -> Vec<&str> {
    picture
        .lines()
        .skip_while(|line| *line != UNSAFE_HEADING)
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split('`').next())
        .collect()
}

/// Where `unsafe` opens something, and is not just a token that a macro names.
fn uses_of_unsafe(code: &str) -> impl Iterator<Item = usize> {
    words(code, "unsafe").filter(|position| {
        let rest = code[position + "unsafe".len()..].trim_start();
        ["{", "impl", "fn", "extern", "trait"]
            .iter()
            .any(|opener| rest.starts_with(opener))
    })
}

fn needs_reason(code: &str) -> bool {
    let rest = code.trim_start_matches("unsafe").trim_start();
    rest.starts_with('{') || rest.starts_with("impl")
}

/// Looks for the comment above the statement that line `line` belongs to.
fn has_reason(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut above = lines[..line - 1].iter().rev();
    let statement_ends = |line: &&str| line.is_empty() || line.ends_with([';', '}']);
    while let Some(line) = above.next() {
        if line.starts_with("//") {
            let mut comment = std::iter::once(line).chain(above);
            return comment
                .by_ref()
                .take_while(|line| line.starts_with("//"))
                .any(|line| line.starts_with("// SAFETY:"));
        }
        if statement_ends(line) {
            return false;
        }
    }
    false
}

fn stale_permissions(allowed: &[&str], files: &[File]) -> Vec<Finding> {
    allowed
        .iter()
        .filter(|path| {
            let text = text_of(files, path).unwrap_or_default();
            uses_of_unsafe(&code_of(text)).next().is_none()
        })
        .map(|path| {
            let message = format!("`{path}` is missing or has no `unsafe`: take the row away");
            finding(PICTURE, 1, message)
        })
        .collect()
}

fn crates_without_forbid(files: &[File]) -> Vec<Finding> {
    SAFE_CRATES
        .iter()
        .filter(|path| {
            let text = text_of(files, path).unwrap_or_default();
            !text.contains("#![forbid(unsafe_code)]")
        })
        .map(|path| finding(path, 1, "`#![forbid(unsafe_code)]` belongs into this crate"))
        .collect()
}

fn check_unfinished(files: &[File]) -> Vec<Finding> {
    let in_code = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
    // Written in two halves, or this file would find itself.
    let anywhere = [concat!("FIX", "ME"), concat!("XX", "X")];
    let mut findings = Vec::new();
    for file in rust_files(files) {
        let code = code_of(&file.text);
        for word in in_code {
            findings.extend(occurrences(file, &code, word, "is not for finished code"));
        }
        for word in anywhere {
            let places = words(&file.text, word).map(|position| {
                let line = line_of(&file.text, position);
                finding(
                    &file.path,
                    line,
                    format!("`{word}` belongs into an issue, not here"),
                )
            });
            findings.extend(places);
        }
    }
    findings
}

/// Reports each place where `word` stands in `text`, which has the lines of `file`.
fn occurrences(file: &File, text: &str, word: &str, objection: &str) -> Vec<Finding> {
    text.match_indices(word)
        .filter(|(position, _)| !follows_path_byte(text, *position))
        .map(|(position, _)| {
            let message = format!("`{word}` {objection}");
            finding(&file.path, line_of(text, position), message)
        })
        .collect()
}

/// Returns `true` if what stands before `position` belongs to the same word or path.
fn follows_path_byte(text: &str, position: usize) -> bool {
    let before = text[..position].bytes().next_back();
    before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

fn check_names(files: &[File]) -> Vec<Finding> {
    let empty_names = ["utils", "util", "common", "misc", "helpers"];
    files
        .iter()
        .filter(|file| {
            let mut parts = file.path.split('/');
            let is_empty = |part: &str| empty_names.contains(&part.trim_end_matches(".rs"));
            file.path.ends_with(".rs") && parts.any(is_empty)
        })
        .map(|file| finding(&file.path, 1, "a name that says nothing: say what is in it"))
        .collect()
}

fn check_changelog(files: &[File]) -> Vec<Finding> {
    let path = "CHANGELOG.md";
    let text = text_of(files, path).unwrap_or_default();
    match text.lines().any(|line| line == "## Unreleased") {
        true => Vec::new(),
        false => vec![finding(path, 1, "the head `## Unreleased` is missing")],
    }
}

fn check_machine_words(files: &[File]) -> Vec<Finding> {
    // In halves for the same reason as above.
    let folders = ["ho", "ro", "wo", "Us"]
        .iter()
        .zip(["me", "ot", "rk", "ers"])
        .map(|(first, second)| format!("/{first}{second}/"));
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".org"),
    ];
    let words: Vec<String> = folders.chain(hosts.map(str::to_owned)).collect();
    let mut findings = Vec::new();
    for file in files {
        for word in &words {
            let objection = "is for one machine only, or somebody's server";
            findings.extend(occurrences(file, &file.text, word, objection));
        }
    }
    findings
}

fn check_dependencies(files: &[File]) -> Vec<Finding> {
    let manifests = files.iter().filter(|file| {
        let name = file.path.rsplit('/').next();
        name == Some("Cargo.toml") && !file.path.starts_with("tests/ui/")
    });
    manifests
        .flat_map(|manifest| {
            dependencies_without_reason(&manifest.text)
                .into_iter()
                .map(|line| finding(&manifest.path, line, "say above why this is needed"))
        })
        .collect()
}

/// The lines of a manifest that name a dependency and have no comment above.
fn dependencies_without_reason(manifest: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    let mut open_brackets = 0_isize;
    let mut previous = "";
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        let has_reason = previous.starts_with('#');
        previous = line;
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if open_brackets == 0 && line.starts_with('[') {
            let table = line.trim_matches(['[', ']']);
            in_dependencies = table.ends_with("dependencies");
            // `[dependencies.name]`: the head itself names one.
            if table.contains("dependencies.") && !has_reason {
                found.push(index + 1);
            }
            continue;
        }
        if in_dependencies && open_brackets == 0 && !has_reason {
            found.push(index + 1);
        }
        open_brackets += bracket_balance(line);
    }
    found
}

fn bracket_balance(line: &str) -> isize {
    line.bytes().fold(0, |balance, byte| match byte {
        b'[' | b'{' => balance + 1,
        b']' | b'}' => balance - 1,
        _ => balance,
    })
}

/// The oldest Rust that works stands in the manifest; the README repeats it for readers, and must not differ.
fn check_rust_version(files: &[File]) -> Vec<Finding> {
    let manifest = text_of(files, "Cargo.toml").unwrap_or_default();
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .map(|value| value.trim_matches('"'));
    let Some(version) = version else {
        return vec![finding("Cargo.toml", 1, "`rust-version` is missing")];
    };
    let expected = format!("Rust {version}");
    match text_of(files, "README.md").is_some_and(|readme| readme.contains(&expected)) {
        true => Vec::new(),
        false => vec![finding(
            "README.md",
            1,
            format!("does not say `{expected}`"),
        )],
    }
}
