//! Crates that depend on this one in their own ways (`tests/crates`), and each accepted signature (`tests/ui/pass`) under the
//! strictest lints, which only clippy knows.
//!
//! Both are handed to cargo, which finds most of what it needs in the target directory of this very test.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The compiler whose words are in `tests/ui/elsewhere/rustc_*`.
const WORDS_OF: &str = "rustc 1.95.";

#[test]
fn a_crate_that_renames_inherits_reexports_or_has_no_features_is_free_of_warnings_and_its_tests_pass()
 {
    let crates = Path::new(ROOT).join("tests/crates");
    share_lock_file(&crates);
    cargo(&crates, &["clippy", "--all-targets"]);
    let output = cargo(&crates, &["test", "--no-fail-fast"]);
    let passed = output.matches(" ... ok\n").count();
    let written = tests_below(&crates);
    assert!(written > 0);
    assert_eq!(passed, written, "{output}");
}

#[test]
fn each_accepted_signature_is_free_of_clippys_warnings() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signatures");
    fs::create_dir_all(&folder).unwrap();
    let mut manifest = format!(
        "[package]\nname = \"signatures\"\nedition = \"2024\"\nautobins = false\n[workspace]\n\
         [dependencies]\nasyncio = {{ path = {ROOT:?} }}\n"
    );
    for case in files_in(&Path::new(ROOT).join("tests/ui/pass")) {
        // Without this line the lints would not be as strict as promised.
        let text = fs::read_to_string(&case).unwrap();
        let strict = "#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]";
        assert!(text.contains(strict), "{}", case.display());
        let name = case.file_stem().unwrap();
        write!(manifest, "[[bin]]\nname = {name:?}\npath = {case:?}\n").unwrap();
    }
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    share_lock_file(&folder);
    cargo(&folder, &["clippy", "--all-targets"]);
}

/// What `cargo nextest` does: it asks a program for its tests, and starts it again for each of them.
#[test]
fn each_test_passes_or_fails_alone_in_a_process_of_its_own() {
    let crates = Path::new(ROOT).join("tests/crates");
    share_lock_file(&crates);
    let build = "test --no-run --lib --message-format=json -p one_process_each";
    let built = cargo(&crates, &build.split(' ').collect::<Vec<_>>());
    let program = built
        .split("\"executable\":\"")
        .skip(1)
        .find_map(|rest| rest.split('"').next())
        .expect("a program");
    let run = |arguments: &[&str]| Command::new(program).args(arguments).output().unwrap();
    let list = run(&["--list", "--format", "terse"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let tests: Vec<&str> = list
        .lines()
        .map(|line| line.strip_suffix(": test").expect("a test"))
        .collect();
    assert_eq!(tests.len(), tests_below(&crates.join("one_process_each")));
    let ignored = run(&["--list", "--format", "terse", "--ignored"]);
    assert!(ignored.status.success() && ignored.stdout.is_empty());
    for test in &tests {
        let output = run(&["--exact", test, "--nocapture"]);
        let text = text_of(&output);
        assert!(output.status.success(), "{test}: {text}");
        assert!(text.contains("1 passed; 0 failed"), "{test}: {text}");
    }
    let failing = tests.iter().find(|test| test.contains("fails_if")).unwrap();
    let output = Command::new(program)
        .args(["--exact", failing, "--nocapture"])
        .env("FAIL", "1")
        .output()
        .unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("told to"), "{text}");
    assert!(text.contains("cleaned up"), "{text}");
    all_but_one_pass_beside_each_other(program, tests.len());
}

/// A test that fails while a task of its own goes on takes nothing from those that the same process runs after it.
fn all_but_one_pass_beside_each_other(program: &str, count: usize) {
    let output = Command::new(program)
        .args(["--test-threads=1", "--nocapture"])
        .env("FAIL", "1")
        .output()
        .unwrap();
    let text = text_of(&output);
    let expected = format!("{} passed; 1 failed", count - 1);
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("cleaned up"), "{text}");
}

/// Mistakes that take a package which does not name the crate, or one that is compiled with its tests.
#[test]
fn each_mistake_of_a_package_has_one_message_on_its_own_token() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere");
    fs::create_dir_all(&folder).unwrap();
    let reexporting = Path::new(ROOT).join("tests/crates/reexporting");
    let mut manifest = format!(
        "[package]\nname = \"elsewhere\"\nedition = \"2024\"\nautobins = false\n[workspace]\n\
         [workspace.package]\nversion = \"0.0.0\"\npublish = false\n\
         [dependencies]\nreexporting = {{ path = {reexporting:?} }}\n\
         rstest = {{ version = \"0.26\", default-features = false }}\n"
    );
    let mut cases = files_in(&Path::new(ROOT).join("tests/ui/elsewhere"));
    cases.retain(|case| case.extension().is_some_and(|it| it == "rs"));
    for case in &cases {
        let name = case.file_stem().unwrap();
        write!(manifest, "[[bin]]\nname = {name:?}\npath = {case:?}\n").unwrap();
    }
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    share_lock_file(&folder);
    let is_readable = compiler().starts_with(WORDS_OF);
    cases.retain(|case| is_readable || !has_words_of_compiler(case));
    for case in &cases {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let output = run_cargo(&folder, &["check", "--profile", "test", "--bin", name]);
        let text = text_of(&output).replace(&format!("{ROOT}/"), "");
        assert!(!output.status.success(), "{text}");
        let expected = fs::read_to_string(case.with_extension("stderr")).unwrap();
        let errors = |text: &str| text.matches("error").count();
        assert!(text.contains(expected.trim_end()), "{text}");
        // Cargo's own line: `error: could not compile .. due to 2 previous errors`.
        assert_eq!(errors(&text), errors(&expected) + 2, "{text}");
    }
}

/// Whether the compiler answers the mistake, whose words change from version to version.
fn has_words_of_compiler(case: &Path) -> bool {
    let name = case.file_name().unwrap().to_str().unwrap();
    name.starts_with("rustc_")
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().unwrap();
    text_of(&output)
}

/// Cargo finds the versions there that this test was built with, and so needs no network.
fn share_lock_file(folder: &Path) {
    fs::copy(
        Path::new(ROOT).join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )
    .unwrap();
}

/// Runs cargo to its success, and returns all that was printed.
#[track_caller]
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let output = run_cargo(folder, arguments);
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");
    text
}

fn run_cargo(folder: &Path, arguments: &[&str]) -> Output {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo)
        .args(arguments)
        .args(["--offline", "--target-dir"])
        .arg(target)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text_of(output: &Output) -> String {
    (String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout)).into_owned()
}

/// The number of `#[.. ::test]` functions, so that a test which silently vanishes is missed.
fn tests_below(folder: &Path) -> usize {
    let count = |path: PathBuf| {
        if path.is_dir() {
            return tests_below(&path);
        }
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let text = is_source.then(|| fs::read_to_string(path).unwrap());
        let is_test = |line: &&str| line.trim_start().starts_with("#[") && line.contains("::test");
        text.map_or(0, |text| text.lines().filter(is_test).count())
    };
    files_in(folder).into_iter().map(count).sum()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
