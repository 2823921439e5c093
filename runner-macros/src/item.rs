//! The function under an attribute: its head is parsed, its body is not.
//!
//! The rule it keeps: the body is one token that nobody looks into. So a body that is half written still expands, rustc alone
//! complains about it, and its length costs nothing. Nothing here judges what was written.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{
    Attribute, Error, GenericParam, LitStr, Path, Signature, Token, Visibility, parse_quote, token,
};

use crate::options;

/// A function whose body is left as it is.
#[derive(Clone)]
pub(crate) struct Function {
    /// The attributes that come to sight: those below ours and the inert ones above.
    pub(crate) attrs: Vec<Attribute>,
    /// The visibility.
    pub(crate) vis: Visibility,
    /// All between visibility and body.
    pub(crate) sig: Signature,
    /// The body with its braces.
    pub(crate) body: Group,
}

/// What an attribute makes of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The program's `main`.
    Entry,
    /// A function that can be called without `await`.
    Function,
    /// A test.
    Test,
}

/// Why no function could be read.
pub(crate) enum Refusal {
    /// It is something else, in words for the user.
    NoFunction(Error),
    /// What stands before the body is beyond the parser. The compiler, which came first, has most likely complained already.
    Unreadable(Error),
}

impl Function {
    /// Reads a function, with a body if that is all it lacks, or says why this is none.
    pub(crate) fn parse(
        item: TokenStream,
        attribute: options::Attribute,
        mistakes: &mut Vec<Error>,
    ) -> Result<Function, Refusal> {
        let mut head: Vec<TokenTree> = item.into_iter().collect();
        let last = head.pop();
        if !is_function(&head) {
            return Err(Refusal::NoFunction(no_function(&head, attribute)));
        }
        let end = last.as_ref().map_or_else(Span::call_site, TokenTree::span);
        let has_semicolon = last.as_ref().is_some_and(is_semicolon);
        let body = last.and_then(into_body);
        if body.is_none() {
            let written = attribute.written();
            let remedy = format!("`{written}` needs a function with a body; add `{{ .. }}`");
            let error = Error::new(end, remedy);
            if !has_semicolon {
                return Err(Refusal::NoFunction(error));
            }
            mistakes.push(error);
        }
        let (mut attrs, vis, sig) = read_head
            .parse2(head.into_iter().collect())
            .map_err(Refusal::Unreadable)?;
        let body = body.unwrap_or_else(|| {
            // Outside of a trait the compiler would miss it as well.
            attrs.push(parse_quote!(#[allow(unused_variables)]));
            Group::new(Delimiter::Brace, quote!(loop {}))
        });
        Ok(Function {
            attrs,
            vis,
            sig,
            body,
        })
    }

    /// What `attribute` makes of this function.
    pub(crate) fn role(&self, attribute: options::Attribute) -> Role {
        match attribute {
            options::Attribute::Test => Role::Test,
            options::Attribute::Main
                if self.sig.ident.unraw() == "main" && self.sig.receiver().is_none() =>
            {
                Role::Entry
            }
            options::Attribute::Main => Role::Function,
        }
    }

    /// The first type or const parameter.
    pub(crate) fn type_or_const_param(&self) -> Option<&GenericParam> {
        self.sig
            .generics
            .params
            .iter()
            .find(|param| !matches!(param, GenericParam::Lifetime(_)))
    }

    /// Whether one parameter is a receiver or an argument.
    pub(crate) fn has_arguments(&self) -> bool {
        !self.sig.inputs.is_empty()
    }

    /// The attribute of that description that comes first.
    pub(crate) fn attribute(&self, is_meant: impl Fn(&Path) -> bool) -> Option<&Attribute> {
        self.attrs
            .iter()
            .find(|attribute| is_meant(attribute.path()))
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// Whether this is the standard test attribute, plain or by its full path.
pub(crate) fn is_std_test(path: &Path) -> bool {
    let names: Vec<String> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    matches!(names[..], ["test"] | ["core" | "std", "prelude", _, "test"])
}

/// Whether this is another runtime's attribute, or ours, that starts an event loop: `tokio::test`, `runner::main`.
pub(crate) fn is_starter(path: &Path) -> bool {
    let starts = path
        .segments
        .last()
        .is_some_and(|last| last.ident == "test" || last.ident == "main");
    starts && !is_std_test(path)
}

/// Whether this attribute makes several tests of one function, or is the helper of one that does.
pub(crate) fn is_case_generator(path: &Path) -> bool {
    const NAMES: &[&str] = &[
        "rstest",
        "apply",
        "case",
        "cases",
        "values",
        "test_case",
        "test_matrix",
        "test_context",
        "parameterized",
        "dir_cases",
    ];
    path.segments
        .last()
        .is_some_and(|last| NAMES.iter().any(|name| last.ident == name))
}

/// Whether this attribute belongs to one that makes several tests, and means nothing without it.
pub(crate) fn is_case_helper(path: &Path) -> bool {
    ["case", "cases", "values"]
        .iter()
        .any(|name| path.is_ident(name))
}

fn read_head(input: ParseStream<'_>) -> syn::Result<(Vec<Attribute>, Visibility, Signature)> {
    let attrs = input.call(Attribute::parse_outer)?;
    Ok((attrs, input.parse()?, input.parse()?))
}

/// Whether a word occurs anywhere in the tokens.
pub(crate) fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// A `$body:block` of `macro_rules` arrives inside of an invisible group.
fn into_body(token: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        Delimiter::None => only_token(group.stream()).and_then(into_body),
        Delimiter::Parenthesis | Delimiter::Bracket => None,
    }
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')
}

fn only_token(tokens: TokenStream) -> Option<TokenTree> {
    let mut tokens = tokens.into_iter();
    let first = tokens.next()?;
    tokens.next().is_none().then_some(first)
}

/// Whether `fn` is the word that counts: a constant or an alias may have one in its type.
fn is_function(head: &[TokenTree]) -> bool {
    let counts = |input: ParseStream<'_>| {
        let _attrs = input.call(Attribute::parse_outer)?;
        let _vis: Visibility = input.parse()?;
        // A `pub(..)` that is none.
        let _: Option<Group> = input
            .peek(token::Paren)
            .then(|| input.parse())
            .transpose()?;
        while !input.peek(Token![fn]) && (is_qualifier(input) || input.peek(LitStr)) {
            let _: TokenTree = input.parse()?;
        }
        let is_function = input.peek(Token![fn]);
        let _rest: TokenStream = input.parse()?;
        Ok(is_function)
    };
    counts
        .parse2(head.iter().cloned().collect())
        // What comes before it is unreadable, and reading it again will tell why.
        .unwrap_or_else(|_| head.iter().any(is_fn))
}

fn is_qualifier(input: ParseStream<'_>) -> bool {
    const WORDS: [&str; 7] = [
        "async", "const", "default", "extern", "gen", "safe", "unsafe",
    ];
    let word = input.fork().call(Ident::parse_any);
    word.is_ok_and(|word| WORDS.iter().any(|qualifier| word == qualifier))
}

fn is_fn(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == "fn")
}

fn no_function(head: &[TokenTree], attribute: options::Attribute) -> Error {
    let written = attribute.written();
    match keyword(head) {
        Some(keyword) => Error::new(
            keyword.span(),
            format!("`{written}` goes on an `async fn`, not on `{keyword}`"),
        ),
        None => Error::new(
            Span::call_site(),
            format!("`{written}` goes on an `async fn`"),
        ),
    }
}

/// The word that says what kind of item this is.
fn keyword(head: &[TokenTree]) -> Option<TokenTree> {
    let after_vis = |input: ParseStream<'_>| {
        let _attrs = input.call(Attribute::parse_outer)?;
        let _vis: Visibility = input.parse()?;
        let word: TokenTree = input.parse()?;
        let _rest: TokenStream = input.parse()?;
        Ok(word)
    };
    after_vis.parse2(head.iter().cloned().collect()).ok()
}
