//! Every message, and every accepted signature, as far as tokens can tell; `tests/ui` has the same with a compiler.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use proc_macro2::{Span, TokenStream, TokenTree};

use super::reference::assert_documented;
use super::{crate_ident, main, test};

fn tokens(text: &str) -> TokenStream {
    TokenStream::from_str(text).expect("test input is made of tokens")
}

/// The text of tokens without any space, as the spaces depend on where the tokens come from.
pub(super) fn normalized(text: &str) -> String {
    squeezed(&tokens(text))
}

fn squeezed(tokens: &TokenStream) -> String {
    tokens.to_string().replace(char::is_whitespace, "")
}

pub(super) fn expanded_main(args: &str, item: &str) -> String {
    squeezed(&main(tokens(args), tokens(item)))
}

pub(super) fn expanded_test(args: &str, item: &str) -> String {
    squeezed(&test(tokens(args), tokens(item)))
}

/// The texts of all `compile_error!`s.
fn messages(expansion: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = expansion.into_iter().collect();
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_error = matches!(token, TokenTree::Ident(ident) if ident == "compile_error");
        if let (true, Some(TokenTree::Group(text))) = (is_error, tokens.get(index + 2)) {
            let text = syn::parse2::<syn::LitStr>(text.stream()).expect("a message is one string");
            found.push(text.value());
        }
    }
    found
}

fn assert_messages(expansion: TokenStream, expected: &[&str], input: &str) {
    let found = messages(expansion);
    assert_eq!(found.len(), expected.len(), "{input}: {found:#?}");
    for (message, fragment) in found.iter().zip(expected) {
        assert_documented(message);
        assert!(
            message.contains(fragment),
            "{input}: {message}\nlacks {fragment}"
        );
        assert!(
            !message.starts_with(|first: char| first.is_uppercase()),
            "{message}"
        );
        assert!(
            !message.ends_with('.') && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn main_keeps_the_async_fn_inside() {
    let expansion = expanded_main(
        "debug, shutdown_timeout = \"250ms\"",
        "/// Doc.\n#[allow(x)] pub async fn main() -> R { body. }",
    );
    let expected = normalized(
        "/// Doc.\n#[allow(x)] pub fn main() -> R {
            #[allow(clippy::unused_async)]
            async fn main() -> R { body. }
            {
                use ::asyncio::private::{Carry as _, Keep as _, Report as _};
                (&&::asyncio::private::main(
                    ::asyncio::private::runner().debug(true).shutdown_timeout(::core::time::Duration::new(0u64, 250000000u32)),
                    main()
                )).finish_run()
            }
        }",
    );
    assert_eq!(expansion, expected);
}

#[test]
fn a_test_is_marked_last_and_pinned() {
    let expansion = expanded_test(
        "leftovers = \"error\", crate = a::b",
        "#[should_panic] async fn case() { x }",
    );
    let expected = normalized(
        "#[should_panic] #[::core::prelude::v1::test] fn case() {
            #[allow(clippy::unused_async)]
            async fn case() { x }
            a::b::private::Report::finish_run(&a::b::private::test(
                a::b::private::test_options().leftovers_error(true),
                ::core::pin::pin!(case())
            ))
        }",
    );
    assert_eq!(expansion, expected);
}

#[test]
fn a_test_with_seeds_can_be_started_again() {
    let expansion = expanded_test("seeds = 3", "async fn case() -> R { x }");
    let expected = normalized(
        "#[::core::prelude::v1::test] fn case() -> R {
            #[allow(clippy::unused_async)]
            async fn case() -> R { x }
            {
                use ::asyncio::private::{Carry as _, Keep as _, Report as _};
                (&&::asyncio::private::test_seeds(
                    ::asyncio::private::test_options().seeds(3),
                    &mut |run| run(::core::pin::pin!(case()))
                )).finish_run()
            }
        }",
    );
    assert_eq!(expansion, expected);
}

#[test]
fn any_other_function_becomes_a_block_with_a_pinned_output() {
    let expansion = expanded_main(
        "debug = a",
        "async fn go(&self, a: u8, (b, _): (u8, u8), _: u8) -> Result<impl Sized, E> { b }",
    );
    let expected = normalized(
        "#[track_caller] fn go(&self, a: u8, arg2: (u8, u8), arg3: u8) -> Result<impl Sized, E> {
            {
                use ::asyncio::private::{Carry as _, Keep as _, Report as _};
                (&&::asyncio::private::function(::asyncio::private::runner().debug(a), async move {
                    if false { return (|| -> Result<_, E> { ::core::unreachable!() })(); }
                    #[allow(clippy::no_effect_underscore_binding, clippy::redundant_locals)] let a = a;
                    #[allow(clippy::no_effect_underscore_binding, clippy::redundant_locals)] let (b, _) = arg2;
                    #[allow(clippy::no_effect_underscore_binding, clippy::redundant_locals)] let _unused = arg3;
                    match () { () => { b } }
                })).finish_run()
            }
        }",
    );
    assert_eq!(expansion, expected);
}

#[test]
fn every_signature_is_accepted() {
    let signatures = [
        "async fn go() {}",
        "pub(crate) async fn go() -> u8 { 1 }",
        "async fn go(mut a: u8, ref b: u8, [c, ..]: [u8; 2], _: u8, d @ 1..: u8) {}",
        "async fn go(a: impl Display, b: &impl Debug) -> impl Display { a }",
        "async fn go<'a, T: 'a, const N: usize>(a: &'a [T; N]) -> &'a T where T: Clone { &a[0] }",
        "async fn go() -> ! { loop {} }",
        "async unsafe fn go() {}",
        "async extern \"C\" fn go(a: u8) {}",
        "async fn go(self: Box<Self>) -> Self { *self }",
        "async fn go(&'a mut self) {}",
        "async fn main(&self) {}",
        "async fn r#async() {}",
        "async fn go(#[cfg(unix)] a: u8) {}",
        "async fn go() { #![allow(unused)] #![deny(x)] a }",
        "async fn go() { let x = ; s. }",
        "async fn go() -> (impl A, Option<&impl B>, [u8; { 3 }]) {}",
        "async fn go() -> Box<dyn Fn(impl A)> {}",
    ];
    for signature in signatures {
        assert_messages(
            main(tokens("debug = x + 1"), tokens(signature)),
            &[],
            signature,
        );
    }
    for signature in [
        "async fn main() {}",
        "pub async fn main() -> impl Termination {}",
        "async fn main() -> ! { x }",
    ] {
        assert_messages(main(tokens("terminate"), tokens(signature)), &[], signature);
    }
    for signature in [
        "async fn t() {}",
        "async fn t() -> Result<(), E> {}",
        "async fn t<'a>() {}",
        "async fn t() -> ! {}",
    ] {
        assert_messages(
            test(tokens("virtual_time"), tokens(signature)),
            &[],
            signature,
        );
    }
}

#[test]
fn a_body_of_ten_thousand_lines_expands_in_five_milliseconds() {
    let line = "let total = total + if total > 3 { 1 } else { f(2) };";
    let item = tokens(&format!("async fn main() {{ {} }}", line.repeat(10_000)));
    let expansion_time = |_| {
        let item = item.clone();
        let start = Instant::now();
        let expansion = main(TokenStream::new(), item);
        let time = start.elapsed();
        assert!(!expansion.is_empty());
        time
    };
    // The shortest of several: a busy machine makes some longer, and none shorter.
    let time = (0..20).map(expansion_time).min().expect("a time");
    assert!(time < Duration::from_millis(5), "{time:?}");
}

#[test]
fn inner_attributes_of_a_block_go_above_the_function() {
    let expansion = expanded_main("", "async fn go(a: u8) { #![allow(unused)] a }");
    assert!(
        expansion.starts_with(&normalized("#[allow(unused)] #[track_caller] fn go(a: u8)")),
        "{expansion}"
    );
}

#[test]
fn a_place_that_cannot_be_passed_on_is_not_tracked() {
    assert!(!expanded_main("", "async extern \"C\" fn go() {}").contains("track_caller"));
    assert_eq!(
        expanded_main("", "#[track_caller] async fn go() {}")
            .matches("track_caller")
            .count(),
        1
    );
}

#[test]
fn values_keep_their_expressions() {
    let cases = [
        ("debug = cfg!(x)", ".debug(cfg!(x))"),
        ("terminate = (false)", ".terminate((false))"),
        (
            "loop_factory = |a, b| c",
            ".loop_factory(::asyncio::private::factory(|a, b| c))",
        ),
        (
            "shutdown_timeout = Duration::MAX",
            ".shutdown_timeout(Duration::MAX)",
        ),
        (
            "shutdown_timeout = \"1h 30min\"",
            ".shutdown_timeout(::core::time::Duration::new(5400u64, 0u32))",
        ),
        ("crate = \"my::rt\"", "my::rt::private::runner()"),
        ("crate = ::my::rt", "::my::rt::private::runner()"),
        ("terminate, debug = false", ".terminate(true).debug(false)"),
    ];
    for (args, fragment) in cases {
        let expansion = expanded_main(args, "async fn main() {}");
        assert!(
            expansion.contains(&normalized(fragment)),
            "{args}: {expansion}"
        );
    }
    let cancel = expanded_test("leftovers = \"cancel\"", "async fn t() {}");
    assert!(cancel.contains(&normalized(".leftovers_error(false)")));
}

#[test]
fn every_wrong_option_has_a_message() {
    let cases: &[(&str, &[&str])] = &[
        (
            "verbose",
            &["unknown option `verbose`; `#[asyncio::main]` has `debug`, `loop_factory`"],
        ),
        ("debgu", &["did you mean `debug`?"]),
        ("loopfactory = x", &["did you mean `loop_factory`?"]),
        (
            "virtual_time",
            &["is an option of `#[asyncio::test]`, not of `#[asyncio::main]`"],
        ),
        ("debug, debug", &["`debug` is set twice"]),
        ("crate = a, crate = b", &["`crate` is set twice"]),
        ("\"debug\"", &["expected the name of an option"]),
        ("debug(true)", &["expected `debug` or `debug = value`"]),
        ("a::b", &["unknown option `a`"]),
        ("with_proactor(capacity(8))", &["write `loop_factory = ..`"]),
        ("debug(true), debug", &["expected `debug`", "set twice"]),
        ("debug = true terminate", &["expected `,`"]),
        ("debug = true; terminate", &["expected `,`"]),
        (
            "loop_factory",
            &["`loop_factory` needs a value: `loop_factory = EventLoop::new`"],
        ),
        ("debug =", &["expected a value after `debug =`"]),
        (
            "debug = 1 +, terminate = 1",
            &["expected an expression", "`terminate` expects"],
        ),
        (
            "debug = 3",
            &["`debug` expects `true`, `false` or a `bool` expression"],
        ),
        ("terminate = \"yes\"", &["`terminate` expects"]),
        (
            "loop_factory = 3",
            &["`loop_factory` expects a path or a closure"],
        ),
        (
            "shutdown_timeout = 5",
            &["`shutdown_timeout` needs a unit: `shutdown_timeout = \"5s\"`"],
        ),
        ("shutdown_timeout = 0.5", &["needs a unit"]),
        ("shutdown_timeout = \"5\"", &["`5` has no unit"]),
        (
            "shutdown_timeout = true",
            &["`shutdown_timeout` expects a `Duration`"],
        ),
        ("crate = 5", &["`crate` expects the path"]),
        ("crate = \"not a path\"", &["`crate` expects the path"]),
        ("crate = f()", &["`crate` expects the path"]),
        ("crate", &["`crate` needs a value"]),
        (
            "flavor = \"local\"",
            &["no option `flavor`: the event loop always runs on the calling thread"],
        ),
        (
            "worker_threads = 4, core_threads = 4",
            &["size the pool", "write `workers = ..`"],
        ),
        ("workers = 0", &["leaves nobody to run main"]),
        ("workers = \"4\"", &["`workers` expects a number from 1"]),
        ("start_paused = true", &["`virtual_time` is for tests"]),
        ("unhandled_panic = \"ignore\"", &["set_exception_handler"]),
        ("system = \"a::B\"", &["write `loop_factory = ..`"]),
        ("timer = true", &["always there"]),
        ("name = \"x\"", &["tasks have"]),
        ("seed = 3", &["one certain schedule"]),
        (
            "debgu, flavor = 1, seeds = 3, shutdown_timeout = 5",
            &["did you mean", "flavor", "seeds", "needs a unit"],
        ),
    ];
    for (args, expected) in cases {
        let expansion = main(tokens(args), tokens("async fn main() { body }"));
        let text = squeezed(&expansion);
        assert_messages(expansion, expected, args);
        assert!(
            text.contains(&normalized("async fn main() { body }")),
            "{args}: {text}"
        );
    }
}

#[test]
fn every_wrong_option_of_a_test_has_a_message() {
    let cases: &[(&str, &[&str])] = &[
        ("terminate", &["is an option of `#[asyncio::main]`"]),
        ("virtualtime", &["did you mean `virtual_time`?"]),
        ("seeds = 0", &["would run nothing"]),
        ("seeds = \"many\"", &["`seeds` expects a number"]),
        ("seeds", &["`seeds` needs a value"]),
        (
            "leftovers = \"keep\"",
            &["either `\"error\"` or `\"cancel\"`"],
        ),
        (
            "leftovers = strict",
            &["either `\"error\"` or `\"cancel\"`"],
        ),
        ("timeout = 5", &["`timeout` needs a unit"]),
        ("timeout = \"5m\"", &["two meanings"]),
        ("start_paused = true", &["write `virtual_time`"]),
        ("iterations = 3", &["write `seeds"]),
        ("leaks = \"fail\"", &["write `leftovers = \"error\"`"]),
    ];
    for (args, expected) in cases {
        assert_messages(
            test(tokens(args), tokens("async fn t() {}")),
            expected,
            args,
        );
    }
}

#[test]
fn every_wrong_function_has_a_message() {
    let cases: &[(&str, &[&str])] = &[
        ("fn main() {}", &["missing `async`; write `async fn main`"]),
        ("fn go(a: u8) -> u8 { a }", &["missing `async`"]),
        ("const async fn go() {}", &["remove `const`"]),
        ("const fn go() {}", &["remove `const`", "missing `async`"]),
        (
            "async unsafe extern \"C\" fn go(a: u8, ...) {}",
            &["C-variadic"],
        ),
        ("async fn main(a: u8) {}", &["`main` takes no arguments"]),
        ("async fn main(ex: &Executor<'_>) {}", &["`asyncio::spawn`"]),
        (
            "async fn main(ex: Rc<LocalExecutor<'_>>) {}",
            &["`asyncio::spawn`"],
        ),
        (
            "async fn main<T>() where T: Copy {}",
            &["cannot be generic", "cannot have a `where` clause"],
        ),
        (
            "async unsafe extern \"C\" fn main() {}",
            &["cannot be `unsafe`", "cannot be `extern`"],
        ),
        (
            "#[asyncio::main] async fn main() {}",
            &["would each start an event loop"],
        ),
        (
            "#[tokio::test] async fn go() {}",
            &["would each start an event loop"],
        ),
        ("struct S;", &["goes on an `async fn`, not on `struct`"]),
        ("pub(crate) enum E {}", &["not on `enum`"]),
        ("#[derive(Debug)] pub struct S {}", &["not on `struct`"]),
        ("mod m { fn f() {} }", &["not on `mod`"]),
        ("impl S { fn f() {} }", &["not on `impl`"]),
        ("impl T<fn()> for S {}", &["not on `impl`"]),
        ("type F = fn() -> u8;", &["not on `type`"]),
        ("const F: fn() = go;", &["not on `const`"]),
        ("pub static F: fn() = { go };", &["not on `static`"]),
        ("extern \"C\" { fn f(); }", &["not on `extern`"]),
        (
            "macro_rules! m { () => { fn f() {} } }",
            &["not on `macro_rules`"],
        ),
        (
            "pub const unsafe extern \"C\" fn go();",
            &["remove `const`", "missing `async`", "with a body"],
        ),
        ("async fn main();", &["needs a function with a body"]),
        ("async fn go()", &["needs a function with a body"]),
        ("async fn go();", &["needs a function with a body"]),
        ("", &["goes on an `async fn`"]),
    ];
    for (item, expected) in cases {
        assert_messages(main(TokenStream::new(), tokens(item)), expected, item);
    }
}

/// The compiler reads it before, and has complained already; if not, it comes to a lint that is refused.
#[test]
fn an_unreadable_signature_comes_back_without_a_message_but_with_a_lint() {
    for item in [
        "async fn go(verbose) { x }",
        "pub(everyone) async fn go() { x }",
        "async fn { x }",
        "async gen fn go() { x }",
        "async async fn go() { x }",
        "async fn go() => u8 { x }",
    ] {
        let expansion = main(TokenStream::new(), tokens(item));
        assert_messages(expansion, &[], item);
        let expanded = expanded_main("", item);
        let end = normalized("#[deny(unused_must_use)] { unreadable_signature(); } { x }") + "}";
        assert!(expanded.ends_with(&end), "{expanded}");
        assert!(expanded.contains("cannotreadthissignature:"));
        assert_messages(main(tokens("debgu"), tokens(item)), &["debgu"], item);
    }
}

#[test]
fn every_wrong_test_has_a_message() {
    let cases: &[(&str, &[&str])] = &[
        ("fn t() {}", &["missing `async`"]),
        ("async fn t(a: u8) {}", &["a test takes no arguments"]),
        (
            "async fn t(ex: Arc<Executor<'_>>) {}",
            &["`asyncio::spawn`"],
        ),
        ("async fn t(&self) {}", &["a test is a free function"]),
        ("async fn t<T>() {}", &["a test cannot be generic"]),
        ("async unsafe fn t() {}", &["a test cannot be `unsafe`"]),
        ("#[test] async fn t() {}", &["second test attribute"]),
        ("#[test] fn t() {}", &["second test attribute"]),
        (
            "#[::core::prelude::v1::test] async fn t() {}",
            &["second test attribute"],
        ),
        (
            "#[std::prelude::rust_2021::test] async fn t() {}",
            &["second test attribute"],
        ),
        (
            "#[asyncio::test] async fn t() {}",
            &["second test attribute: `#[asyncio::test]`"],
        ),
        (
            "#[tokio::test(flavor = 1)] async fn t() {}",
            &["second test attribute: `#[tokio::test]`"],
        ),
        (
            "#[asyncio::main] async fn t() {}",
            &["would each start an event loop"],
        ),
        (
            "#[rstest] #[case(1)] async fn t(#[case] a: u8) {}",
            &["wrong order: put `#[rstest]` and its helpers above"],
        ),
        (
            "#[case(1)] async fn t(#[case] a: u8) {}",
            &["wrong order: put `#[rstest]` and its helpers above"],
        ),
        (
            "#[test_case(1)] #[test_case(2)] async fn t(a: u8) {}",
            &["wrong order: put `#[test_case]` above `#[asyncio::test]`"],
        ),
        (
            "#[test_context(C)] async fn t(a: &mut C) {}",
            &["wrong order: put `#[test_context]` above"],
        ),
    ];
    for (item, expected) in cases {
        assert_messages(test(TokenStream::new(), tokens(item)), expected, item);
    }
}

#[test]
fn a_renamed_crate_is_called_by_its_name() {
    let ident = |name| crate_ident(name, Span::call_site()).to_string();
    assert_eq!(ident("aio"), "aio");
    assert_eq!(ident("async"), "r#async");
    for name in ["self", "crate", "", "3", "a b"] {
        assert_eq!(ident(name), "asyncio");
    }
}

#[test]
fn a_mistake_leaves_the_good_options_in_force() {
    let expansion = expanded_main(
        "debgu, terminate, shutdown_timeout = 5",
        "async fn main() {}",
    );
    assert!(
        expansion.contains(&normalized("runner().terminate(true), main()")),
        "{expansion}"
    );
}

#[test]
fn a_function_that_lacks_async_gets_it() {
    let expansion = expanded_main("", "fn main() { f().await }");
    assert!(
        expansion.contains(&normalized("async fn main() { f().await }")),
        "{expansion}"
    );
}

#[test]
fn an_item_that_is_no_function_comes_back_unchanged() {
    let expansion = expanded_main("", "#[derive(Debug)] struct S { a: u8 }");
    assert!(
        expansion.starts_with(&normalized("#[derive(Debug)] struct S { a: u8 }")),
        "{expansion}"
    );
}

#[test]
fn a_case_without_a_generator_is_a_function() {
    let expansion = expanded_test("", "#[case(1)] async fn t(#[case] a: u8) { a }");
    let expected = normalized("#[allow(dead_code)] #[track_caller] fn t(a: u8)");
    assert!(expansion.starts_with(&expected), "{expansion}");
}

#[test]
fn the_case_generator_still_gets_its_test() {
    let expansion = expanded_test("", "#[test_case(1)] async fn t(a: u8) { a }");
    let expected = normalized("#[test_case(1)] #[::asyncio::test(@moved)] async fn t(a: u8) { a }");
    assert!(expansion.starts_with(&expected), "{expansion}");
    // The generator is known, and gone when it comes to ours again; or else it is unknown.
    let case = expanded_test("@moved", "async fn t() { a }");
    assert_eq!(case, expanded_test("", "async fn t() { a }"));
    let item = "#[test_case(1)] async fn t(a: u8) { a }";
    assert_eq!(expanded_test("@moved", item), normalized(item));
}
