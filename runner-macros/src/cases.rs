//! Whether a test is one of `rstest`'s cases whose values stand below our attribute.
//!
//! `rstest` gives an attribute between two cases to the second alone, and the others silently are no tests. What it writes for a
//! case keeps the places of the user's tokens, so the one case that we see tells where the attribute is. The rule it keeps:
//! where places cannot be compared, there is no answer.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

use crate::item::Function;

/// Whether the attribute stands above the values of the case that this function is.
pub(crate) fn are_below(function: &Function) -> bool {
    let name = &function.sig.ident;
    if !is_generated(name) {
        return false;
    }
    let (Some(attribute), Some(name)) = (position(Span::call_site()), position(name.span())) else {
        return false;
    };
    let is_between = |span| position(span).is_some_and(|it| attribute < it && it < name);
    let tokens: Vec<TokenTree> = function.body.stream().into_iter().collect();
    tokens
        .split(|token| is_punct(token, ';'))
        .filter_map(value)
        .any(|value| any_span(value.iter().cloned().collect(), &is_between))
}

/// `case_1`, at the place of the user's function, which has another name.
fn is_generated(name: &Ident) -> bool {
    let text = name.to_string();
    let written = name.span().source_text();
    text.starts_with("case_") && written.is_some_and(|written| written != text)
}

/// What stands behind `let name =`.
fn value(statement: &[TokenTree]) -> Option<&[TokenTree]> {
    match statement {
        [
            TokenTree::Ident(word),
            TokenTree::Ident(_),
            equals,
            value @ ..,
        ] if word == "let" && is_punct(equals, '=') => Some(value),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn any_span(tokens: TokenStream, is_meant: &impl Fn(Span) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => is_meant(group.span()) || any_span(group.stream(), is_meant),
        other => is_meant(other.span()),
    })
}

/// How far into the compiler's sources a place is. Only newer compilers than the oldest we support tell it in a better way than in
/// the text for debugging: `#0 bytes(12..34)`.
fn position(span: Span) -> Option<u64> {
    let text = format!("{span:?}");
    let (_, bytes) = text.split_once("bytes(")?;
    let (start, _) = bytes.split_once("..")?;
    start.parse().ok()
}
