//! Whether the compiler that runs the attribute can find a crate, as far as its command line and the crate's root tell.
//!
//! The rule it keeps: only what is certain is said. An editor's server, a build without a file or a list of arguments in a file
//! leave the answer to the compiler, which has the last word anyway.

use std::env;
use std::fs;
use std::sync::OnceLock;

/// The arguments of this process, which never change. There are none that are not text, or there is no answer.
static ARGUMENTS: OnceLock<Option<Vec<String>>> = OnceLock::new();

/// Whether no crate of that name can be meant by `::name`.
pub(crate) fn is_certainly_missing(name: &str) -> bool {
    let text = || env::args_os().map(|it| it.into_string().ok()).collect();
    let arguments = ARGUMENTS.get_or_init(text);
    let read = |path: &str| fs::read_to_string(path).ok();
    arguments
        .as_ref()
        .is_some_and(|arguments| is_missing(arguments, name, read))
}

fn is_missing(arguments: &[String], name: &str, read: impl Fn(&str) -> Option<String>) -> bool {
    let is_compiler = arguments.iter().any(|it| it.starts_with("--crate-name"));
    let is_all = !arguments.iter().any(|it| it.starts_with('@'));
    if !is_compiler || !is_all || is_linked(arguments, name) {
        return false;
    }
    let mut roots = arguments
        .iter()
        .filter(|it| it.ends_with(".rs") && !it.starts_with('-'));
    match (roots.next(), roots.next()) {
        (Some(root), None) => read(root).is_some_and(|text| !may_name(&text, name)),
        _ => false,
    }
}

/// `--extern name=path`, also without a path, with `--extern=`, or with options: `priv,noprelude:name=path`.
fn is_linked(arguments: &[String], name: &str) -> bool {
    let names_it = |value: &str| {
        let crate_name = value.split('=').next().unwrap_or_default();
        crate_name.rsplit(':').next() == Some(name)
    };
    let after = arguments
        .windows(2)
        .filter(|pair| pair[0] == "--extern")
        .map(|pair| pair[1].as_str());
    let inside = arguments
        .iter()
        .filter_map(|it| it.strip_prefix("--extern="));
    after.chain(inside).any(names_it)
}

/// Whether the root may have an `extern crate name` or `extern crate other as name`. Words are enough: in doubt it has.
fn may_name(text: &str, name: &str) -> bool {
    let mut words = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty());
    while words.any(|word| word == "extern") {
        // `extern crate other as r#name`, with room for a comment.
        if words.clone().take(16).any(|word| word == name) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_missing_in(arguments: &str, root: &str) -> bool {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        is_missing(&arguments, "asyncio", |path| {
            (path == "src/main.rs").then(|| root.to_owned())
        })
    }

    const ROOT: &str = "extern crate alloc; fn main() {}";

    #[test]
    fn a_crate_that_nothing_names_is_missing() {
        for arguments in [
            "rustc --crate-name app src/main.rs",
            "rustc --crate-name app src/main.rs --extern other=libother.rlib",
            "/bin/clippy-driver rustc --crate-name=app src/main.rs --extern=asyncio2",
        ] {
            assert!(is_missing_in(arguments, ROOT), "{arguments}");
        }
    }

    #[test]
    fn a_linked_crate_is_not_missing() {
        for external in [
            "--extern asyncio=libasyncio.rlib",
            "--extern other=libasyncio.rlib --extern asyncio",
            "--extern=asyncio=libfork.rlib",
            "--extern priv,noprelude:asyncio=libasyncio.rlib",
        ] {
            let arguments = format!("rustc --crate-name app src/main.rs {external}");
            assert!(!is_missing_in(&arguments, ROOT), "{arguments}");
        }
    }

    #[test]
    fn a_crate_that_the_root_names_is_not_missing() {
        for root in [
            "extern crate asyncio;",
            "#[macro_use] extern crate other as asyncio;",
            "extern crate self as r#asyncio;",
            "macro_rules! m { ($a:ident) => { extern /* a */\ncrate $a as asyncio; } }",
        ] {
            assert!(
                !is_missing_in("rustc --crate-name app src/main.rs", root),
                "{root}"
            );
        }
    }

    #[test]
    fn in_doubt_no_crate_is_missing() {
        for arguments in [
            "",
            "rust-analyzer proc-macro src/main.rs",
            "rustc --crate-name app -",
            "rustc --crate-name app @arguments src/main.rs",
            "rustc --crate-name app src/lib.rs",
            "rustc --crate-name app src/main.rs other.rs",
        ] {
            assert!(!is_missing_in(arguments, ROOT), "{arguments}");
        }
    }
}
