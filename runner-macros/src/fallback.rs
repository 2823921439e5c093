//! The best that can be made of a function with mistakes.
//!
//! Everything the user wrote comes back, in a form that compiles if the mistake is taken away: the rest of the file still type
//! checks, an editor still completes, and no second error hides the first. It writes no messages.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::{Error, FnArg, Path, Safety, Signature, Token};

use crate::args::Settings;
use crate::expand;
use crate::item::{self, Function, Role};
use crate::options::Attribute;

/// Expands a function with mistakes, as far as they let.
pub(crate) fn function(
    attribute: Attribute,
    settings: &Settings,
    function: Function,
) -> TokenStream {
    if settings.is_crate_missing {
        return without_crate(function.role(attribute), function);
    }
    if attribute == Attribute::Test && function.attribute(item::is_case_generator).is_some() {
        return match without_helpers(function) {
            Ok(function) => self::function(attribute, settings, function),
            Err(function) => in_right_order(settings, *function),
        };
    }
    if function.attribute(item::is_starter).is_some() {
        // The other attribute makes of it what this one would have made.
        return function.into_token_stream();
    }
    let role = function.role(attribute);
    let function = repaired(role, function);
    match role {
        Role::Entry if function.has_arguments() || is_generic(&function.sig) => unstarted(function),
        Role::Test if function.has_arguments() || function.type_or_const_param().is_some() => {
            // No test, but still a function; the options for tests would not fit it.
            let settings = Settings {
                crate_path: settings.crate_path.clone(),
                crate_name: settings.crate_name.clone(),
                is_crate_missing: false,
                setters: Vec::new(),
            };
            let function = expand::good(Role::Function, &settings, &function);
            quote!(#[allow(dead_code)] #function)
        }
        _ => expand::good(role, settings, &function),
    }
}

/// A function whose signature could not be read comes back as it is, without a word: if the compiler cannot read it either, it
/// has said so before, and better. If it can, since it is of a later edition, the function would silently start no loop; against that
/// there is a lint, which the compiler only comes to when there are no errors.
///
/// A `main` goes inside of a block, since at the top the compiler would complain about its `async` as well.
pub(crate) fn unreadable(attribute: Attribute, item: TokenStream, error: &Error) -> TokenStream {
    let words: Vec<String> = item
        .clone()
        .into_iter()
        .map(|token| token.to_string())
        .collect();
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if let Some(TokenTree::Group(body)) = tokens.last_mut() {
        *body = with_lint(attribute, body, error);
    }
    let item: TokenStream = tokens.into_iter().collect();
    let is_main = |pair: &[String]| pair[0] == "fn" && is_read_as_main(&pair[1]);
    if !words.windows(2).any(is_main) {
        return item;
    }
    quote! {
        fn main() {}
        #[allow(dead_code)]
        const _: () = {
            #item
        };
    }
}

/// The compiler goes on with what stands behind the digits of `3main`, once it has complained.
fn is_read_as_main(word: &str) -> bool {
    word.trim_start_matches(|c: char| c.is_ascii_digit()) == "main"
}

/// The body, behind a statement that the compiler refuses.
fn with_lint(attribute: Attribute, body: &Group, error: &Error) -> Group {
    let written = attribute.written();
    let remedy = format!("`{written}` cannot read this signature: {error}");
    let name = Ident::new("unreadable_signature", error.span());
    let mut longer = Group::new(
        Delimiter::Brace,
        quote! {
            #[must_use = #remedy]
            const fn #name() -> bool { true }
            #[deny(unused_must_use)]
            { #name(); }
            #body
        },
    );
    longer.set_span(body.span());
    longer
}

/// What our attribute is given where it was moved to. If it finds itself above again, nobody knows the one that makes cases.
pub(crate) const MOVED: &str = "@moved";

/// The function with our attribute below the one that makes cases of it, which is where it should have been.
fn in_right_order(settings: &Settings, function: Function) -> TokenStream {
    let krate = expand::crate_path(settings);
    let attrs = &function.attrs;
    let bare = Function {
        attrs: Vec::new(),
        ..function.clone()
    };
    let moved: TokenStream = MOVED.parse().unwrap_or_default();
    quote!(#(#attrs)* #[#krate::test(#moved)] #bare)
}

/// The function without the helpers of an attribute that is not there, or all of it if it is.
fn without_helpers(mut function: Function) -> Result<Function, Box<Function>> {
    let makes_cases = |path: &Path| item::is_case_generator(path) && !item::is_case_helper(path);
    if function.attribute(makes_cases).is_some() {
        return Err(Box::new(function));
    }
    let is_kept = |attribute: &syn::Attribute| !item::is_case_helper(attribute.path());
    function.attrs.retain(is_kept);
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(typed) = input {
            typed.attrs.retain(is_kept);
        }
    }
    Ok(function)
}

/// The function without anything that this crate would have to be found for.
fn without_crate(role: Role, function: Function) -> TokenStream {
    let function = repaired(role, function);
    match role {
        Role::Entry => unstarted(function),
        // Not called by anybody, but checked.
        Role::Test => quote!(#[allow(dead_code)] #function),
        Role::Function => expand::unstarted(&function),
    }
}

/// Without the words that cannot stay, and with the one that is missing.
fn repaired(role: Role, mut function: Function) -> Function {
    let sig = &mut function.sig;
    sig.constness = None;
    sig.variadic = None;
    sig.asyncness = sig.asyncness.or(Some(Token![async](sig.fn_token.span)));
    if role == Role::Function {
        return function;
    }
    if role == Role::Entry {
        sig.abi = None;
    }
    if let Safety::Unsafe(keyword) = std::mem::take(&mut sig.safety) {
        function.body = in_unsafe_block(keyword, &function.body);
    }
    function
}

fn in_unsafe_block(keyword: Token![unsafe], body: &Group) -> Group {
    let allow = quote!(#[allow(unused_unsafe)]);
    Group::new(Delimiter::Brace, quote!(#allow #keyword #body))
}

fn is_generic(sig: &Signature) -> bool {
    !sig.generics.params.is_empty() || sig.generics.where_clause.is_some()
}

/// A `main` that cannot call the user's function, as it lacks the arguments.
fn unstarted(function: Function) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let outer = Signature {
        asyncness: None,
        generics: Default::default(),
        inputs: Default::default(),
        ..sig.clone()
    };
    quote! {
        #(#attrs)*
        #vis #outer {
            #[allow(dead_code, clippy::unused_async)]
            #sig #body
            loop {}
        }
    }
}
