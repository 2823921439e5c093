//! Whether the compiler that runs the attribute can find a crate, as far as its command line and the crate's root tell.
//!
//! The rule it keeps: only what is certain is said. An editor's server, a build without a file, a list of arguments in a file or a
//! macro that may write items into the root leave the answer to the compiler, which has the last word anyway.

use std::env;
use std::fs;
use std::sync::OnceLock;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// The arguments of this process, which never change. There are none that are not text, or there is no answer.
static ARGUMENTS: OnceLock<Option<Vec<String>>> = OnceLock::new();

/// Whether no crate of that name can be meant by `::name`.
pub(crate) fn is_certainly_missing(name: &str) -> bool {
    let text = || env::args_os().map(|it| it.into_string().ok()).collect();
    let arguments = ARGUMENTS.get_or_init(text);
    let read = |path: &str| fs::read_to_string(path).ok();
    // As it is written: `#[rt::main(debug)]`.
    let written = Span::call_site().source_text().unwrap_or_default();
    arguments
        .as_ref()
        .is_some_and(|arguments| is_missing(arguments, name, &written, read))
}

fn is_missing(
    arguments: &[String],
    name: &str,
    written: &str,
    read: impl Fn(&str) -> Option<String>,
) -> bool {
    let is_compiler = arguments.iter().any(|it| it.starts_with("--crate-name"));
    let is_all = !arguments.iter().any(|it| it.starts_with('@'));
    if !is_compiler || !is_all || is_linked(arguments, name) {
        return false;
    }
    let mut roots = arguments
        .iter()
        .filter(|it| it.ends_with(".rs") && !it.starts_with('-'));
    match (roots.next(), roots.next()) {
        (Some(root), None) => read(root).is_some_and(|text| {
            !may_name(&text, name) && !Root::new(written).may_be_added_to(&text)
        }),
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

/// What is known about the items of a crate's root.
struct Root {
    /// The path of our own attribute up to its last word, which is `main` or `test`; nothing if it cannot be told.
    ours: Option<String>,
}

impl Root {
    fn new(written: &str) -> Root {
        let path = written.trim_start_matches("#[").split(['(', ']']).next();
        let ours = path.and_then(|path| without_last(&path.replace(char::is_whitespace, "")));
        Root { ours }
    }

    /// Whether a macro may write an `extern crate` into the root. In the modules below it the item would not count.
    fn may_be_added_to(&self, text: &str) -> bool {
        // A text with a first line for the shell is not for the lexer.
        let is_script = text.starts_with("#!") && !text.starts_with("#![");
        match text.parse::<TokenStream>() {
            Ok(tokens) if !is_script => self.may_add(&tokens.into_iter().collect::<Vec<_>>()),
            _ => true,
        }
    }

    fn may_add(&self, mut tokens: &[TokenTree]) -> bool {
        let mut is_start = true;
        while let [first, rest @ ..] = tokens {
            if let Some((attribute, behind)) = attribute(tokens) {
                if !self.is_harmless(attribute) {
                    return true;
                }
                tokens = behind;
                continue;
            }
            if is_start && calls_macro(tokens) {
                return true;
            }
            is_start = ends_item(first);
            tokens = rest;
        }
        false
    }

    /// Whether an attribute is one of the language's, or ours, so that nothing comes out of it but the item it is on.
    fn is_harmless(&self, attribute: TokenStream) -> bool {
        let tokens: Vec<TokenTree> = attribute.into_iter().collect();
        let end = tokens
            .iter()
            .position(|it| matches!(it, TokenTree::Group(_)) || is_punct(it, '='));
        let (path, rest) = tokens.split_at(end.unwrap_or(tokens.len()));
        let path: String = path.iter().map(TokenTree::to_string).collect();
        match (path.as_str(), rest) {
            ("derive", [TokenTree::Group(list)]) => items(list.stream())
                .all(|name| STANDARD_DERIVES.contains(&name.to_string().as_str())),
            // The first item is the condition.
            ("cfg_attr", [TokenTree::Group(list)]) => items(list.stream())
                .skip(1)
                .all(|attribute| self.is_harmless(attribute)),
            _ => is_of_language(&path) || self.is_ours(&path),
        }
    }

    fn is_ours(&self, path: &str) -> bool {
        self.ours.is_some() && without_last(path) == self.ours
    }
}

/// `rt::` of `rt::main`.
fn without_last(path: &str) -> Option<String> {
    ["main", "test"]
        .iter()
        .find_map(|name| path.strip_suffix(name))
        .filter(|start| start.is_empty() || start.ends_with("::"))
        .map(str::to_owned)
}

const STANDARD_DERIVES: [&str; 9] = [
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Eq",
    "Hash",
    "Ord",
    "PartialEq",
    "PartialOrd",
];

/// Not all of them are listed: one that is missing leaves the answer to the compiler.
fn is_of_language(path: &str) -> bool {
    const NAMES: [&str; 30] = [
        "allow",
        "cfg",
        "cold",
        "crate_name",
        "crate_type",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "export_name",
        "feature",
        "forbid",
        "global_allocator",
        "ignore",
        "inline",
        "link",
        "macro_export",
        "macro_use",
        "must_use",
        "no_mangle",
        "no_std",
        "non_exhaustive",
        "path",
        "recursion_limit",
        "repr",
        "should_panic",
        "track_caller",
        "unsafe",
        "warn",
        "windows_subsystem",
    ];
    let is_tool = |tool: &&str| path.starts_with(tool);
    NAMES.contains(&path)
        || ["clippy::", "diagnostic::", "rustfmt::"]
            .iter()
            .any(is_tool)
}

/// The inside of the attribute at the start, and what comes behind it.
fn attribute(tokens: &[TokenTree]) -> Option<(TokenStream, &[TokenTree])> {
    match tokens {
        [hash, TokenTree::Group(list), rest @ ..] if is_punct(hash, '#') => {
            Some((list.stream(), rest))
        }
        [hash, bang, TokenTree::Group(list), rest @ ..]
            if is_punct(hash, '#') && is_punct(bang, '!') =>
        {
            Some((list.stream(), rest))
        }
        _ => None,
    }
}

/// Whether an item is `path::to::name! ..`. The definition of a macro is none.
fn calls_macro(item: &[TokenTree]) -> bool {
    let is_path = |it: &&TokenTree| matches!(it, TokenTree::Ident(_)) || is_punct(it, ':');
    let path: Vec<String> = item
        .iter()
        .take_while(is_path)
        .map(TokenTree::to_string)
        .collect();
    let is_call = item.get(path.len()).is_some_and(|it| is_punct(it, '!'));
    is_call && path != ["macro_rules"]
}

/// Whether an item may end here.
fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(other, ';'),
    }
}

/// What stands between commas.
fn items(list: TokenStream) -> impl Iterator<Item = TokenStream> {
    let tokens: Vec<TokenTree> = list.into_iter().collect();
    let items: Vec<TokenStream> = tokens
        .split(|it| is_punct(it, ','))
        .filter(|item| !item.is_empty())
        .map(|item| item.iter().cloned().collect())
        .collect();
    items.into_iter()
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_missing_in(arguments: &str, root: &str) -> bool {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        is_missing(&arguments, "asyncio", "#[rt::main(debug)]", |path| {
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
    fn a_crate_that_no_macro_can_name_is_missing() {
        for root in [
            "#![allow(dead_code)]\n//! Doc.\nuse rt::prelude::*; mod a; const B: bool = C != D;",
            "#[derive(Clone, PartialEq,)] struct S { a: u8 }",
            "macro_rules! m { () => {} } fn f() -> ! { m!() }",
            "mod a { m!(); #[b] fn c() {} }",
            "#[rt::main] async fn main() {} #[rt :: test(seeds = 3)] async fn case() {}",
            "#![cfg_attr(a, allow(b), cfg_attr(c, feature(d)))]\n#[unsafe(no_mangle)] fn f() {}",
            "#[rustfmt::skip] const A: &str = concat!(\"m!{}\", 'b');",
        ] {
            let arguments = "rustc --crate-name app src/main.rs";
            assert!(is_missing_in(arguments, root), "{root}");
        }
    }

    #[test]
    fn a_crate_that_a_macro_may_name_is_not_missing() {
        for root in [
            "setup!();",
            "fn f() {} rt::setup! {}",
            "use a; ::rt::setup![];",
            "#[allow(a)] setup!();",
            "#[cfg(b)] include!(\"crates.rs\");",
            "#[setup] mod a {}",
            "#[derive(Clone, Setup)] struct S;",
            "#[cfg_attr(a, allow(b), setup)] struct S;",
            "#[other::main] fn main() {}",
            "#[main] fn main() {}",
            "#!/usr/bin/env -S cargo -Zscript\nfn main() {}",
            "fn main() {",
        ] {
            let arguments = "rustc --crate-name app src/main.rs";
            assert!(!is_missing_in(arguments, root), "{root}");
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
