//! Every rule of the two attributes.
//!
//! The rule it keeps: all mistakes are found in one go, each on its own token and with a remedy, and one mistake is never told
//! twice. What is right comes out as [`Settings`] all the same. It writes no code.

use std::collections::HashSet as Set;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Error, Expr, ExprLit, FnArg, Lit, LitBool, LitStr, Path, Safety};

use crate::args::{Arg, Args, Setter, Settings, Value};
use crate::cases;
use crate::duration;
use crate::item::{self, Function, Role};
use crate::linked;
use crate::manifest;
use crate::options::{self, Attribute, Spec, Wants};

/// All that is wrong with one use of an attribute.
#[derive(Default)]
pub(crate) struct Mistakes(Vec<Error>);

impl Mistakes {
    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&mut self, span: Span, message: impl ToString) {
        self.0.push(Error::new(span, message.to_string()));
    }

    fn on(&mut self, tokens: impl ToTokens, message: impl ToString) {
        self.0.push(Error::new_spanned(tokens, message.to_string()));
    }

    /// Adds what was found elsewhere.
    pub(crate) fn extend(&mut self, errors: impl IntoIterator<Item = Error>) {
        self.0.extend(errors);
    }
}

impl ToTokens for Mistakes {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.0.iter().map(Error::to_compile_error));
    }
}

/// Judges the options.
pub(crate) fn options(attribute: Attribute, args: Args, mistakes: &mut Mistakes) -> Settings {
    mistakes.extend(args.errors);
    let mut settings = Settings {
        crate_name: manifest::crate_name(),
        ..Settings::default()
    };
    let mut seen = Set::new();
    for arg in &args.list {
        let name = arg.name.unraw().to_string();
        let Some(spec) = known(attribute, &name, arg, mistakes) else {
            continue;
        };
        if !seen.insert(spec.name) {
            mistakes.at(
                arg.name.span(),
                format!("`{name}` is set twice; remove one of the two"),
            );
            continue;
        }
        if spec.needs_feature && !options::HAS_FEATURE {
            mistakes.at(arg.name.span(), without_feature(spec));
            continue;
        }
        set(spec, arg, &mut settings, mistakes);
    }
    if !seen.contains("crate") && linked::is_certainly_missing(&settings.crate_name) {
        settings.is_crate_missing = true;
        let name = &settings.crate_name;
        mistakes.at(
            Span::call_site(),
            format!("cannot find the crate `{name}`; add it to `[dependencies]`, or say where it is: `crate = path::to::asyncio`"),
        );
    }
    settings
}

/// Judges the function.
pub(crate) fn function(attribute: Attribute, function: &Function, mistakes: &mut Mistakes) {
    let role = function.role(attribute);
    let sees_async_fn = other_attributes(attribute, function, mistakes);
    if !sees_async_fn {
        return;
    }
    qualifiers(function, mistakes);
    match role {
        Role::Entry => entry(function, mistakes),
        Role::Test => test(function, mistakes),
        Role::Function => {}
    }
}

fn known(
    attribute: Attribute,
    name: &str,
    arg: &Arg,
    mistakes: &mut Mistakes,
) -> Option<&'static Spec> {
    match options::find(name) {
        Some(spec) if spec.on.contains(&attribute) => Some(spec),
        Some(spec) => {
            let owner = spec.on.first().copied().unwrap_or(attribute).written();
            mistakes.at(
                arg.name.span(),
                format!(
                    "`{name}` is an option of `{owner}`, not of `{}`; {}",
                    attribute.written(),
                    list(attribute)
                ),
            );
            None
        }
        None => {
            mistakes.at(arg.name.span(), unknown(attribute, name));
            None
        }
    }
}

fn unknown(attribute: Attribute, name: &str) -> String {
    let written = attribute.written();
    if let Some(instead) = options::instead_of(name, attribute) {
        return format!("`{written}` has no option `{name}`: {instead}");
    }
    match options::nearest(name, attribute) {
        Some(nearest) => format!(
            "unknown option `{name}`, did you mean `{nearest}`? {}",
            list(attribute)
        ),
        None => format!("unknown option `{name}`; {}", list(attribute)),
    }
}

fn without_feature(spec: &Spec) -> String {
    let name = spec.name;
    format!(
        "the option `{name}` needs the feature of that name; in `Cargo.toml`, add `features = [\"{name}\"]` to `asyncio`"
    )
}

fn list(attribute: Attribute) -> String {
    let names: Vec<String> = options::names(attribute)
        .map(|name| format!("`{name}`"))
        .collect();
    format!("`{}` has {}", attribute.written(), names.join(", "))
}

/// Adds one option to the settings, or says what is wrong with its value.
fn set(spec: &Spec, arg: &Arg, settings: &mut Settings, mistakes: &mut Mistakes) {
    let value = match (&arg.value, spec.wants) {
        (Value::Broken(error), _) => return mistakes.extend([error.clone()]),
        (Value::Absent, Wants::Flag) => LitBool::new(true, arg.name.span()).into_token_stream(),
        (Value::Absent, wants) => {
            let remedy = format!(
                "`{}` needs a value: `{} = {}`",
                spec.name,
                spec.name,
                wants.example()
            );
            return mistakes.at(arg.name.span(), remedy);
        }
        (Value::Given(value), Wants::CratePath) => match crate_path(value) {
            Ok(path) => return settings.crate_path = Some(path),
            Err(error) => return mistakes.extend([error]),
        },
        (Value::Given(value), wants) => match judged(spec.name, wants, value) {
            Ok(value) => value,
            Err(error) => return mistakes.extend([error]),
        },
    };
    settings.setters.push(Setter {
        method: method(spec, arg.name.span()),
        value,
        through: spec.through(),
    });
}

fn method(spec: &Spec, span: Span) -> Ident {
    match spec.wants {
        Wants::Leftovers => Ident::new("leftovers_error", span),
        _ if spec.needs_feature => Ident::new("loop_setup", span),
        _ => Ident::new(spec.name, span),
    }
}

/// The argument for the builder's method. Only literals are judged; any other expression is left to the type checker.
fn judged(name: &str, wants: Wants, value: &Expr) -> syn::Result<TokenStream> {
    let refuse = |expected: &str| {
        Err(Error::new_spanned(
            value,
            format!(
                "`{name}` expects {expected}: `{name} = {}`",
                wants.example()
            ),
        ))
    };
    match (wants, literal(value)) {
        (Wants::Leftovers, Some(Lit::Str(text))) if text.value() == "error" => {
            Ok(bool_at(true, text.span()))
        }
        (Wants::Leftovers, Some(Lit::Str(text))) if text.value() == "cancel" => {
            Ok(bool_at(false, text.span()))
        }
        (Wants::Leftovers, _) => Err(Error::new_spanned(
            value,
            "`leftovers` is either `\"error\"` or `\"cancel\"`",
        )),
        (Wants::Duration, Some(Lit::Str(text))) => duration_of(text),
        (Wants::Duration, Some(number @ (Lit::Int(_) | Lit::Float(_)))) => {
            let number = number.to_token_stream();
            Err(Error::new_spanned(
                value,
                format!(
                    "`{name}` needs a unit: `{name} = \"{number}s\"`, or `\"{number}ms\"`, or a `Duration`"
                ),
            ))
        }
        (Wants::Count, Some(Lit::Int(number)))
            if number.base10_parse::<u64>().is_ok_and(|number| number == 0) =>
        {
            Err(Error::new_spanned(
                value,
                format!(
                    "`{name} = 0` would run nothing; write a number from 1, or remove the option"
                ),
            ))
        }
        (Wants::Workers, Some(Lit::Int(number)))
            if number.base10_parse::<u64>().is_ok_and(|number| number == 0) =>
        {
            Err(Error::new_spanned(
                value,
                format!("`{name} = 0` leaves nobody to run main; `{name} = 1` is the least"),
            ))
        }
        (Wants::Flag, Some(Lit::Bool(_)))
        | (Wants::Count | Wants::Workers, Some(Lit::Int(_)))
        | (_, None) => Ok(value.to_token_stream()),
        (Wants::Flag, Some(_)) => refuse("`true`, `false` or a `bool` expression"),
        (Wants::Count | Wants::Workers, Some(_)) => refuse("a number from 1"),
        (Wants::Duration, Some(_)) => refuse("a `Duration`, or text with a unit"),
        (Wants::DetachedPanic, Some(_)) => refuse("a `DetachedPanic`"),
        (Wants::Factory | Wants::CratePath, Some(_)) => {
            refuse("a path or a closure that makes the event loop")
        }
    }
}

fn bool_at(value: bool, span: Span) -> TokenStream {
    LitBool::new(value, span).into_token_stream()
}

fn duration_of(text: &LitStr) -> syn::Result<TokenStream> {
    let duration =
        duration::parse(&text.value()).map_err(|message| Error::new(text.span(), message))?;
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    Ok(quote_spanned!(text.span()=> ::core::time::Duration::new(#seconds, #nanos)))
}

fn crate_path(value: &Expr) -> syn::Result<Path> {
    let refuse = || {
        Error::new_spanned(
            value,
            "`crate` expects the path of the `asyncio` crate: `crate = path::to::asyncio`",
        )
    };
    match (literal(value), ungrouped(value)) {
        (Some(Lit::Str(text)), _) => text.parse_with(Path::parse_mod_style).map_err(|_| refuse()),
        (None, Expr::Path(path)) if path.qself.is_none() => Ok(path.path.clone()),
        _ => Err(refuse()),
    }
}

fn literal(value: &Expr) -> Option<&Lit> {
    match ungrouped(value) {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

/// Without parentheses and without the invisible groups around a `macro_rules` fragment.
fn ungrouped(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => ungrouped(&group.expr),
        Expr::Paren(paren) => ungrouped(&paren.expr),
        other => other,
    }
}

/// Judges the attributes beside ours. They may have taken the `async` away already, or be about to replace the function; then
/// the answer is no, and nothing can be said about the rest.
fn other_attributes(attribute: Attribute, function: &Function, mistakes: &mut Mistakes) -> bool {
    let written = attribute.written();
    if attribute == Attribute::Test {
        if let Some(generator) = function.attribute(item::is_case_generator) {
            let remedy = match spelled(generator.path()).as_str() {
                "rstest" | "case" | "values" => "`#[rstest]` and its helpers".to_owned(),
                other => format!("`#[{other}]`"),
            };
            mistakes.on(generator.path(), format!("wrong order: put {remedy} above `{written}`, so that every case becomes a test of its own"));
            return false;
        }
        if let Some(second) = function.attribute(item::is_std_test) {
            mistakes.on(
                second.path(),
                format!("second test attribute; remove it, `{written}` makes the function a test"),
            );
            return function.sig.asyncness.is_some();
        }
    }
    if attribute == Attribute::Test && cases::are_below(function) {
        mistakes.at(
            Span::call_site(),
            format!("wrong order: put `{written}` below the last `#[case(..)]`; between two it belongs to the second alone, and the others never run"),
        );
    }
    if let Some(second) = function.attribute(item::is_starter) {
        let path = spelled(second.path());
        let what = if attribute == Attribute::Test && path.ends_with("test") {
            "second test attribute: "
        } else {
            ""
        };
        mistakes.on(second.path(), format!("{what}`#[{path}]` and `{written}` would each start an event loop; remove one of the two"));
        return false;
    }
    true
}

fn spelled(path: &Path) -> String {
    path.to_token_stream().to_string().replace(' ', "")
}

fn qualifiers(function: &Function, mistakes: &mut Mistakes) {
    let sig = &function.sig;
    if let Some(constness) = &sig.constness {
        mistakes.on(
            constness,
            "an event loop cannot run at compile time; remove `const`",
        );
    }
    if sig.asyncness.is_none() {
        mistakes.on(
            sig.fn_token,
            format!("missing `async`; write `async fn {}`", sig.ident),
        );
    }
    if let Some(variadic) = &sig.variadic {
        mistakes.on(
            variadic.dots,
            "an `async fn` cannot be C-variadic; remove `...`, or take a slice",
        );
    }
}

/// In smol's and embassy's macros the first parameter's type says on what the function runs.
fn executor_remedy(function: &Function) -> Option<&'static str> {
    let Some(FnArg::Typed(first)) = function.sig.inputs.first() else {
        return None;
    };
    let is_executor = ["Executor", "LocalExecutor", "Spawner"]
        .iter()
        .any(|name| item::mentions(first.ty.to_token_stream(), name));
    is_executor.then_some(
        "there is no executor to be passed; remove the argument, and start tasks with `asyncio::spawn`",
    )
}

fn entry(function: &Function, mistakes: &mut Mistakes) {
    let sig = &function.sig;
    if function.has_arguments() {
        let remedy = executor_remedy(function)
            .unwrap_or("`main` takes no arguments; read the command line with `std::env::args()`");
        mistakes.on(&sig.inputs, remedy);
    }
    if !sig.generics.params.is_empty() {
        mistakes.on(
            &sig.generics.params,
            "`main` cannot be generic; move the code to a function that `main` calls",
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        mistakes.on(clause, "`main` cannot have a `where` clause; remove it");
    }
    if let Safety::Unsafe(token) = &sig.safety {
        mistakes.on(
            token,
            "`main` cannot be `unsafe`; remove `unsafe`, and use `unsafe { .. }` blocks inside",
        );
    }
    if let Some(abi) = &sig.abi {
        mistakes.on(abi, "`main` cannot be `extern`; remove it");
    }
}

fn test(function: &Function, mistakes: &mut Mistakes) {
    let sig = &function.sig;
    if let Some(receiver) = sig.receiver() {
        mistakes.on(
            receiver,
            "a test is a free function; move it out of the `impl` and remove `self`",
        );
    } else if function.has_arguments() {
        let remedy = executor_remedy(function).unwrap_or(
            "a test takes no arguments; remove them, or put `#[rstest]` or `#[test_case(..)]` above `#[asyncio::test]`",
        );
        mistakes.on(&sig.inputs, remedy);
    }
    if let Some(param) = function.type_or_const_param() {
        mistakes.on(
            param,
            "a test cannot be generic; call a generic function from a test for each type",
        );
    }
    if let Safety::Unsafe(token) = &sig.safety {
        mistakes.on(
            token,
            "a test cannot be `unsafe`; remove `unsafe`, and use `unsafe { .. }` blocks inside",
        );
    }
}
