//! The inner attributes at the start of a body, `#![..]`, which a block that is no function's body may not have.
//!
//! The rule it keeps: a long body is not taken apart. It takes the compiler tens of milliseconds to hand over a hundred thousand
//! tokens and to take them back, so where the body's text is enough, the tokens stay where they are.

use proc_macro2::{Delimiter, Group, TokenTree};
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
}

/// Looks at the start of a body.
pub(crate) fn read(body: &Group) -> Body {
    match body.span().source_text().as_deref().map(start) {
        Some(Start::Other) => Body::Plain(body.clone()),
        Some(Start::Levels(attrs)) => Body::Kept(attrs, body.clone()),
        Some(Start::Unclear) | None => lifted(body),
    }
}

/// What the text of a body says about its start.
enum Start {
    /// No attribute.
    Other,
    /// Attributes that set levels of lints, and no others.
    Levels(Vec<Attribute>),
    /// Something that only tokens can tell.
    Unclear,
}

fn start(text: &str) -> Start {
    // What comes out of `macro_rules` has the text of the macro, or none that has to do with the tokens.
    let Some(mut rest) = text.strip_prefix('{').map(without_comments) else {
        return Start::Unclear;
    };
    let mut levels = String::new();
    while let Some(end) = level(rest) {
        // As it is written above a function.
        levels.extend(["#", &rest["#!".len()..end], "\n"]);
        rest = without_comments(&rest[end..]);
    }
    let is_hash = rest.starts_with('#') && !rest.starts_with("#[");
    if is_hash || ["//!", "/*", "$"].iter().any(|it| rest.starts_with(it)) {
        return Start::Unclear;
    }
    if levels.is_empty() {
        return Start::Other;
    }
    known_levels(&levels).map_or(Start::Unclear, Start::Levels)
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

/// The text behind white space and ordinary comments of one line.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with("//") && !rest.starts_with("//!") {
        let below = rest.split_once('\n').map_or("", |(_, below)| below);
        rest = below.trim_start();
    }
    rest
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

fn is_of_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_whitespace() || matches!(c, '_' | ':' | ',' | '=')
}

/// The text behind a string of the plainest kind.
fn behind_reason(text: &str) -> Option<&str> {
    let (reason, behind) = text.strip_prefix('"')?.split_once('"')?;
    (!reason.contains('\\')).then_some(behind)
}

/// Takes the attributes out, at the price of all tokens between the braces.
fn lifted(body: &Group) -> Body {
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let count = tokens.chunks_exact(3).take_while(is_inner).count();
    let (head, rest) = tokens.split_at(count * 3);
    // What cannot be parsed stays, for the compiler to say so.
    match Attribute::parse_inner.parse2(head.iter().cloned().collect()) {
        Ok(mut attrs) if count > 0 => {
            for attribute in &mut attrs {
                attribute.style = AttrStyle::Outer;
            }
            let mut shortened = Group::new(Delimiter::Brace, rest.iter().cloned().collect());
            shortened.set_span(body.span());
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
    use proc_macro2::TokenStream;
    use quote::{ToTokens as _, quote};

    use super::*;

    fn described(text: &str) -> String {
        match start(text) {
            Start::Other => "other".to_owned(),
            Start::Unclear => "unclear".to_owned(),
            Start::Levels(attrs) => attrs
                .iter()
                .map(|it| it.to_token_stream().to_string().replace(' ', ""))
                .collect(),
        }
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
        ] {
            assert_eq!(described(text), expected, "{text}");
        }
    }

    #[test]
    fn whatever_else_may_be_an_attribute_is_left_to_the_tokens() {
        for text in [
            "{ #![inline] }",
            "{ #![allow(a)] #![inline] }",
            "{ #![expect(a)] }",
            "{ #![allow(a, reason = \"b\\\"\")] }",
            "{ #![allow(a, why = \"b\")] }",
            "{ #![allow(a = b)] }",
            "{ #![allow(3)] }",
            "{ #![allow(tool::a)] }",
            "{ # ![allow(a)] }",
            "{ #\n![allow(a)] }",
            "{ #! [allow(a)] }",
            "{ //! a\n }",
            "{ /* b */ #![allow(a)] }",
            "{ #![allow(a)] /* b */ #![inline] }",
            "{ $($body)* }",
            "#[a]",
            "",
        ] {
            assert_eq!(described(text), "unclear", "{text}");
        }
    }

    #[test]
    fn tokens_are_split_behind_the_last_inner_attribute() {
        let split = |tokens: TokenStream| match read(&Group::new(Delimiter::Brace, tokens)) {
            Body::Lifted(attrs, rest) => quote!(#(#attrs)* #rest).to_string(),
            Body::Plain(_) => "plain".to_owned(),
            Body::Kept(..) => "kept".to_owned(),
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
