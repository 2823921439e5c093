//! The options between an attribute's parentheses, with their spans.
//!
//! The rule it keeps: reading never gives up. What cannot be read becomes an error on its own token, and reading goes on at
//! the next thing that looks like an option. It does not know which options exist.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::discouraged::Speculative as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Error, Expr, Path, Token};

/// What the user wrote between the parentheses.
#[derive(Default)]
pub(crate) struct Args {
    /// The options in source order, also those that do not exist.
    pub(crate) list: Vec<Arg>,
    /// What could not be read.
    pub(crate) errors: Vec<Error>,
}

/// One option as written.
pub(crate) struct Arg {
    /// The name, with the user's span.
    pub(crate) name: Ident,
    /// What follows the name.
    pub(crate) value: Value,
}

/// What follows an option's name.
pub(crate) enum Value {
    /// Nothing: `debug`.
    Absent,
    /// `= expression`.
    Given(Box<Expr>),
    /// Something unreadable. An option that does not exist has worse to be told of.
    Broken(Error),
}

/// The options that can be used, ready to be written into an expansion.
#[derive(Default)]
pub(crate) struct Settings {
    /// Where the `asyncio` crate is, if the user says so.
    pub(crate) crate_path: Option<Path>,
    /// The crate's name otherwise.
    pub(crate) crate_name: String,
    /// Whether nothing of that name can be found, so that the expansion must not use it.
    pub(crate) is_crate_missing: bool,
    /// The builder's calls, in source order.
    pub(crate) setters: Vec<Setter>,
}

/// One call on the runner's builder.
pub(crate) struct Setter {
    /// The method, with the span of the option's name.
    pub(crate) method: Ident,
    /// Its argument, with the user's spans.
    pub(crate) value: TokenStream,
    /// The function in `private` that the argument has to pass through.
    pub(crate) through: Option<&'static str>,
}

impl Settings {
    /// Whether a test is run more than once.
    pub(crate) fn has_seeds(&self) -> bool {
        self.setters.iter().any(|setter| setter.method == "seeds")
    }
}

impl Args {
    /// Reads all that can be read.
    pub(crate) fn parse(tokens: TokenStream) -> Args {
        read_all.parse2(tokens).unwrap_or_else(|error| Args {
            list: Vec::new(),
            errors: vec![error],
        })
    }
}

fn read_all(input: ParseStream<'_>) -> syn::Result<Args> {
    let mut args = Args::default();
    while !input.is_empty() {
        read_one(input, &mut args);
        if !input.is_empty() && input.parse::<Token![,]>().is_err() {
            args.errors
                .push(input.error("expected `,` between two options"));
            skip_to(input, looks_like_option);
        }
    }
    Ok(args)
}

fn read_one(input: ParseStream<'_>, args: &mut Args) {
    let Ok(name) = input.call(Ident::parse_any) else {
        args.errors
            .push(input.error("expected the name of an option, such as `debug`"));
        return skip_to(input, |input| input.peek(Token![,]));
    };
    let value = read_value(input, &name).unwrap_or_else(|error| {
        skip_to(input, ends_option);
        Value::Broken(error)
    });
    args.list.push(Arg { name, value });
}

fn read_value(input: ParseStream<'_>, name: &Ident) -> syn::Result<Value> {
    if input.is_empty() || input.peek(Token![,]) || looks_like_option(input) {
        return Ok(Value::Absent);
    }
    if !input.peek(Token![=]) {
        return Err(input.error(format!("expected `{name}` or `{name} = value`")));
    }
    let equals: Token![=] = input.parse()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new(
            equals.span,
            format!("expected a value after `{name} =`"),
        ));
    }
    let ahead = input.fork();
    let value = ahead.parse()?;
    input.advance_to(&ahead);
    Ok(Value::Given(Box::new(value)))
}

fn skip_to(input: ParseStream<'_>, is_there: impl Fn(ParseStream<'_>) -> bool) {
    while !input.is_empty() && !is_there(input) {
        // Fails only at the end, where the loop stops.
        let _: syn::Result<TokenTree> = input.parse();
    }
}

/// A comma may also belong to the unreadable value itself: `|a, b| ..`.
fn ends_option(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.parse::<Token![,]>().is_ok() && (ahead.is_empty() || looks_like_option(&ahead))
}

fn looks_like_option(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.call(Ident::parse_any).is_ok()
        && (ahead.is_empty() || ahead.peek(Token![,]) || is_equals(&ahead))
}

fn is_equals(input: ParseStream<'_>) -> bool {
    input.peek(Token![=]) && !input.peek(Token![==]) && !input.peek(Token![=>])
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens as _, quote};

    use super::*;

    fn written(args: &Args) -> Vec<String> {
        let one = |arg: &Arg| match &arg.value {
            Value::Absent => arg.name.to_string(),
            Value::Given(value) => format!("{} = {}", arg.name, value.to_token_stream()),
            Value::Broken(_) => format!("{} ?", arg.name),
        };
        args.list.iter().map(one).collect()
    }

    #[test]
    fn flags_and_values_keep_their_order() {
        let args = Args::parse(quote!(
            terminate,
            debug = 1 < 2,
            loop_factory = |a, b| f::<A, B>(a, b),
            crate = ::a::b,
        ));
        assert!(args.errors.is_empty());
        let expected = [
            "terminate",
            "debug = 1 < 2",
            "loop_factory = | a , b | f :: < A , B > (a , b)",
            "crate = :: a :: b",
        ];
        assert_eq!(written(&args), expected);
    }

    #[test]
    fn reading_goes_on_behind_what_is_unreadable() {
        let args = Args::parse(
            quote!("x", debug(true), loop_factory = |a, b| let, timeout =, seeds = 3 leftovers, crate),
        );
        let expected = [
            "debug ?",
            "loop_factory ?",
            "timeout ?",
            "seeds = 3",
            "leftovers",
            "crate",
        ];
        assert_eq!(written(&args), expected);
        assert_eq!(args.errors.len(), 2);
    }
}
