//! The inner attributes at the start of a body, `#![..]`, which a block that is no function's body may not have.
//!
//! The rule it keeps: a long body is not taken apart here. It takes the compiler tens of milliseconds to hand over a hundred
//! thousand tokens and to take them back, so where the body's text is enough, the tokens stay where they are.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote};
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::{AttrStyle, Attribute, Meta, Token};

/// A body, and where its inner attributes are to go.
pub(crate) enum Body {
    /// There are none.
    Plain(Group),
    /// They were taken out, to stand above the function.
    Lifted(Vec<Attribute>, Group),
    /// They set levels of lints, which they may do in a block at the end of another. For the function's head and its parameters
    /// there are copies, to stand above it.
    Kept(Vec<Attribute>, Group),
    /// They are for the compiler to take out, which is faster with a long body: an expression that does it. Copies, which have no
    /// better place than the start of the body, are to stand above the function.
    Long(Vec<Attribute>, TokenStream),
}

/// The length of a text from which on the body behind it is left to the compiler: some 200 lines, or two milliseconds.
const LONG: usize = 10_000;

/// Looks at the start of a body.
pub(crate) fn read(body: &Group) -> Body {
    match body.span().source_text() {
        Some(text) => read_text(body, &text),
        None => lifted(body),
    }
}

fn read_text(body: &Group, text: &str) -> Body {
    match start(text) {
        Start::Other => Body::Plain(body.clone()),
        Start::Levels(attrs) => Body::Kept(attrs, body.clone()),
        Start::Mixed(attrs) if text.len() > LONG => long(attrs, body),
        Start::Mixed(_) | Start::Unclear => lifted(body),
    }
}

/// What the text of a body says about its start.
enum Start {
    /// No attribute.
    Other,
    /// Attributes that set levels of lints, and no others.
    Levels(Vec<Attribute>),
    /// Attributes of any kind.
    Mixed(Vec<Attribute>),
    /// Something that only tokens can tell.
    Unclear,
}

fn start(text: &str) -> Start {
    // What comes out of `macro_rules` has the text of the macro, or none that has to do with the tokens.
    let Some(mut rest) = text.strip_prefix('{').map(without_comments) else {
        return Start::Unclear;
    };
    let mut above = String::new();
    let mut are_levels = true;
    while let Some(end) = any_attribute(rest) {
        are_levels &= level(rest).is_some();
        above.extend([&as_outer(&rest[..end]), "\n"]);
        rest = without_comments(&rest[end..]);
    }
    let is_hash = rest.starts_with('#') && !rest.starts_with("#[");
    if is_hash || ["/*", "$"].iter().any(|it| rest.starts_with(it)) {
        return Start::Unclear;
    }
    if above.is_empty() {
        return Start::Other;
    }
    let levels = are_levels.then(|| known_levels(&above)).flatten();
    levels.map(Start::Levels).unwrap_or_else(|| {
        let attrs = Attribute::parse_outer.parse_str(&above);
        attrs.map_or(Start::Unclear, Start::Mixed)
    })
}

/// An inner attribute as it is written above a function.
fn as_outer(text: &str) -> String {
    let doc = match text.strip_prefix("//!") {
        Some(line) => Some(line.trim_end_matches('\r')),
        None => text
            .strip_prefix("/*!")
            .and_then(|it| it.strip_suffix("*/")),
    };
    match doc {
        Some(text) => format!("#[doc = {text:?}]"),
        None => text.replacen("#!", "#", 1),
    }
}

/// The attributes without places, so that the compiler complains about an unknown lint once, where the user wrote it.
fn known_levels(text: &str) -> Option<Vec<Attribute>> {
    let attrs = Attribute::parse_outer.parse_str(text).ok()?;
    attrs.iter().all(has_known_lints).then_some(attrs)
}

/// Whether the compiler will not mind to read this attribute twice.
fn has_known_lints(attribute: &Attribute) -> bool {
    let list = Punctuated::<Meta, Token![,]>::parse_terminated;
    let is_known = |meta: &Meta| match meta {
        Meta::Path(path) => path.get_ident().is_some() || path.segments[0].ident == "clippy",
        Meta::NameValue(reason) => reason.path.is_ident("reason"),
        Meta::List(_) => false,
    };
    attribute
        .parse_args_with(list)
        .is_ok_and(|list| list.iter().all(is_known))
}

/// The text behind white space and ordinary comments.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(end) = comment(rest) {
        rest = rest[end..].trim_start();
    }
    rest
}

fn comment(text: &str) -> Option<usize> {
    match text.get(..3)? {
        "//!" | "/*!" => None,
        start if start.starts_with("//") => Some(line(text)),
        start if start.starts_with("/*") => block(text),
        _ => None,
    }
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The length of `/* .. */`, if there is no other one in it.
fn block(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("/*")?;
    let end = inside.find("*/")?;
    (!inside[..end].contains("/*")).then_some(end + "/**/".len())
}

/// The length of `#![allow(a, b::c, reason = "d")]` at the start of a text. Not of `expect`: of two, only one would be fulfilled.
fn level(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("#![")?;
    let mut rest = ["allow(", "warn(", "deny(", "forbid("]
        .iter()
        .find_map(|level| inside.strip_prefix(level))?;
    loop {
        rest = rest.trim_start_matches(is_of_names);
        if let Some(behind) = rest.strip_prefix(")]") {
            return Some(text.len() - behind.len());
        }
        rest = behind_reason(rest)?;
    }
}

/// The length of any attribute at the start of a text, unless only tokens can tell where it ends.
fn any_attribute(text: &str) -> Option<usize> {
    match text.get(..3)? {
        "//!" => return Some(line(text)),
        "/*!" => return block(text),
        _ => {}
    }
    let mut rest = text.strip_prefix("#![")?;
    let mut open = 1;
    while open > 0 {
        rest = rest.trim_start_matches(|c| is_of_names(c) || matches!(c, '(' | ')' | '.' | '-'));
        let before = &text[..text.len() - rest.len()];
        rest = match rest.get(..1)? {
            "[" => {
                open += 1;
                &rest[1..]
            }
            "]" => {
                open -= 1;
                &rest[1..]
            }
            // Of `r`, `br` or `cr`. With another letter before it, it is none of today's strings.
            _ if before.ends_with('r') => behind_raw_string(rest)?,
            _ if before.ends_with(|c: char| c.is_alphanumeric()) => return None,
            _ => behind_reason(rest)?,
        };
    }
    Some(text.len() - rest.len())
}

/// The text behind a raw string, from the first `#` or quote on.
fn behind_raw_string(text: &str) -> Option<&str> {
    let inside = text.trim_start_matches('#');
    let hashes = &text[..text.len() - inside.len()];
    let inside = inside.strip_prefix('"')?;
    let end = format!("\"{hashes}");
    Some(&inside[inside.find(&end)? + end.len()..])
}

fn is_of_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_whitespace() || matches!(c, '_' | ':' | ',' | '=')
}

/// The text behind a string that is no raw one.
fn behind_reason(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('"')?;
    loop {
        rest = &rest[rest.find(['"', '\\'])?..];
        match rest.strip_prefix('"') {
            Some(behind) => return Some(behind),
            // What is escaped does not end the string.
            None => rest = rest.get(2..)?,
        }
    }
}

/// Has the compiler take the attributes out. It evaluates `cfg` and `cfg_attr` before anything else, so there may be fewer of them
/// than the text has, or more.
fn long(attrs: Vec<Attribute>, body: &Group) -> Body {
    let most = attrs.iter().map(most_of).sum();
    let mut rest = Group::new(Delimiter::Brace, quote!($($rest)*));
    // Where the compiler misses what should stand at the end.
    rest.set_span(body.span_close());
    let arms = (0..=most).rev().map(|count| {
        let inside = (0..count).map(|index| {
            let name = format_ident!("attribute_{index}");
            quote!(#![$($#name:tt)*])
        });
        quote!(({ #(#inside)* $($rest:tt)* }) => { match () { () => #rest } };)
    });
    let tail = quote! {
        match () {
            () => {
                macro_rules! without_attributes { #(#arms)* }
                without_attributes!(#body)
            }
        }
    };
    let attrs = attrs.into_iter().map(|it| placed(it, body.span_open()));
    Body::Long(attrs.collect(), tail)
}

/// How many attributes there may be in the place of one.
fn most_of(attribute: &Attribute) -> usize {
    if attribute.path().is_ident("cfg_attr") {
        let tokens = attribute.meta.to_token_stream();
        tokens.to_string().matches(',').count()
    } else {
        1
    }
}

/// The attribute at a place of the user's, since a lint that complains about generated tokens is not heard.
fn placed(mut attribute: Attribute, span: Span) -> Attribute {
    let tokens = attribute.meta.to_token_stream();
    if let Ok(meta) = syn::parse2(respanned(tokens, span)) {
        attribute.meta = meta;
    }
    attribute.pound_token.span = span;
    attribute.bracket_token = syn::token::Bracket(span);
    attribute
}

fn respanned(tokens: TokenStream, span: Span) -> TokenStream {
    let one = |mut token| {
        if let TokenTree::Group(group) = &mut token {
            *group = Group::new(group.delimiter(), respanned(group.stream(), span));
        }
        token.set_span(span);
        token
    };
    tokens.into_iter().map(one).collect()
}

/// Takes the attributes out, at the price of all tokens between the braces.
fn lifted(body: &Group) -> Body {
    let mut head: Vec<TokenTree> = body.stream().into_iter().collect();
    let count = head.chunks_exact(3).take_while(is_inner).count();
    let rest = head.split_off(count * 3);
    // What cannot be parsed stays, for the compiler to say so.
    match Attribute::parse_inner.parse2(head.into_iter().collect()) {
        Ok(mut attrs) if count > 0 => {
            for attribute in &mut attrs {
                attribute.style = AttrStyle::Outer;
            }
            let mut shortened = Group::new(Delimiter::Brace, rest.into_iter().collect());
            // What is missing at the end is then told once: the compiler has read it before, and forgets what it repeats.
            shortened.set_span(body.span_close());
            Body::Lifted(attrs, shortened)
        }
        _ => Body::Plain(body.clone()),
    }
}

/// Whether these tokens are `#![..]`.
fn is_inner(tokens: &&[TokenTree]) -> bool {
    let is =
        |token: &TokenTree, char| matches!(token, TokenTree::Punct(it) if it.as_char() == char);
    let is_list = |token: &TokenTree| matches!(token, TokenTree::Group(it) if it.delimiter() == Delimiter::Bracket);
    matches!(tokens, [hash, bang, list] if is(hash, '#') && is(bang, '!') && is_list(list))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn described(text: &str) -> String {
        match start(text) {
            Start::Other => "other".to_owned(),
            Start::Unclear => "unclear".to_owned(),
            Start::Levels(attrs) => written(&attrs),
            Start::Mixed(attrs) => format!("mixed {}", written(&attrs)),
        }
    }

    fn written(attrs: &[Attribute]) -> String {
        let one = |it: &Attribute| it.to_token_stream().to_string().replace(' ', "");
        attrs.iter().map(one).collect()
    }

    #[test]
    fn most_bodies_start_with_no_attribute() {
        for text in [
            "{}",
            "{ a }",
            "{ // #![a]\n b }",
            "{ #[a] b }",
            "{ // b",
            "{ //// b\n c }",
            "{ /* #![a] */ /**/ b }",
        ] {
            assert_eq!(described(text), "other", "{text}");
        }
    }

    #[test]
    fn levels_of_lints_are_read_from_the_text() {
        for (text, expected) in [
            ("{ #![allow(a)] b }", "#[allow(a)]"),
            (
                "{\n // c\n #![deny(a, clippy::b,)]\n // c\n #![warn(a)] b }",
                "#[deny(a,clippy::b,)]#[warn(a)]",
            ),
            ("{#![forbid(\n a,\n b)]#[c] d", "#[forbid(a,b)]"),
            (
                "{ #![allow(a, reason = \"b)] #![c]\")] d }",
                "#[allow(a,reason=\"b)]#![c]\")]",
            ),
            (
                "{ /* b */ #![allow(a, reason = \"c\\\"\")] d }",
                "#[allow(a,reason=\"c\\\"\")]",
            ),
        ] {
            assert_eq!(described(text), expected, "{text}");
        }
    }

    #[test]
    fn most_other_attributes_are_read_from_the_text() {
        for (text, expected) in [
            ("{ #![inline] }", "#[inline]"),
            ("{ #![allow(a)] #![inline] b }", "#[allow(a)]#[inline]"),
            (
                "{ #![expect(a, reason = \"]\")] }",
                "#[expect(a,reason=\"]\")]",
            ),
            (
                "{ #![cfg_attr(all(), inline(never))] // c\n #![allow(d)] e",
                "#[cfg_attr(all(),inline(never))]#[allow(d)]",
            ),
            (
                "{ #![allow(a)] /* b */ #![inline] }",
                "#[allow(a)]#[inline]",
            ),
            ("{ /* a */ /*! b */ c }", "#[doc=\"b\"]"),
            ("{ #![a = \"]\\\"]\"] c }", "#[a=\"]\\\"]\"]"),
            ("{ #![a = r\"b\\\"] c \"]\" }", "#[a=r\"b\\\"]"),
            ("{ #![a = br##\"]\"#]\"##] }", "#[a=br##\"]\"#]\"##]"),
            ("{ #![a[b, [\"]\"]]] c[0] }", "#[a[b,[\"]\"]]]"),
            ("{ #![allow(a = b)] }", "#[allow(a=b)]"),
            ("{ #![allow(tool::a)] }", "#[allow(tool::a)]"),
            (
                "{ //! a\r\n //!/ \"b\"\n #![c] d",
                "#[doc=\"a\"]#[doc=\"/\\\"b\\\"\"]#[c]",
            ),
        ] {
            assert_eq!(described(text), format!("mixed {expected}"), "{text}");
        }
    }

    #[test]
    fn whatever_else_may_be_an_attribute_is_left_to_the_tokens() {
        for text in [
            "{ /* /* a */ */ #![b] }",
            "{ /*! /* a */ */ }",
            "{ #![a = \"\\",
            "{ #![a['b']] }",
            "{ #![a /* b */] }",
            "{ #![3] }",
            "{ # ![allow(a)] }",
            "{ #\n![allow(a)] }",
            "{ #! [allow(a)] }",
            "{ $($body)* }",
            "#[a]",
            "",
        ] {
            assert_eq!(described(text), "unclear", "{text}");
        }
    }

    /// What a compiler would make of it is tried in `tests/macros.rs`.
    #[test]
    fn a_body_of_ten_thousand_lines_is_not_taken_apart() {
        let line = "total = total + if total > 3 { 1 } else { f(2) };\n";
        let body = Group::new(Delimiter::Brace, quote!(#![a] b));
        for attribute in [
            "#![inline]",
            "#![expect(a)]",
            "#![cfg_attr(b, c)]",
            "//! d\n",
        ] {
            let text = format!("{{ {attribute} {} }}", line.repeat(10_000));
            let start = Instant::now();
            let read = read_text(&body, &text);
            let time = start.elapsed();
            let Body::Long(attrs, tail) = read else {
                panic!("{attribute} costs more than its own tokens");
            };
            assert_eq!(attrs.len(), 1);
            let passed_on = format!("without_attributes ! ({body})");
            assert!(tail.to_string().contains(&passed_on), "{tail}");
            assert!(time < Duration::from_millis(5), "{time:?}");
        }
    }

    #[test]
    fn tokens_are_split_behind_the_last_inner_attribute() {
        let split = |tokens: TokenStream| match read(&Group::new(Delimiter::Brace, tokens)) {
            Body::Lifted(attrs, rest) => quote!(#(#attrs)* #rest).to_string(),
            Body::Plain(_) => "plain".to_owned(),
            Body::Kept(..) | Body::Long(..) => "not split".to_owned(),
        };
        let expected = quote!(
            #[a]
            #[b(c)]
            {
                #[d]
                let e;
            }
        )
        .to_string();
        assert_eq!(split(quote!(#![a] #![b(c)] #[d] let e;)), expected);
        for plain in [quote!(), quote!(#[d] let e;), quote!(#!), quote!(#![])] {
            assert_eq!(split(plain), "plain");
        }
    }
}
