//! What the attributes expand to.
//!
//! Two shapes. `main` and tests keep the user's function as it is, as an `async fn` inside of a plain one: a type mistake is then
//! told once, in the words for an `async fn`. Any other function may use `self`, `Self` or a generic of the `impl` around it, which
//! an inner function could not, and an attribute cannot see what is around; its body becomes an `async` block whose output type
//! is pinned first, so that a mistake is still told once, and on the user's own token.
//!
//! The rule it keeps: only the user's tokens, `::core`, and the crate's `private` module are named. What is in `private` is a
//! contract with the runtime; nothing here knows what it does.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{
    FnArg, GenericArgument, Pat, PatIdent, PatType, PathArguments, PathSegment, ReturnType,
    Signature, Type, TypeInfer,
};

use crate::args::{Args, Setter, Settings};
use crate::check::{self, Mistakes};
use crate::fallback;
use crate::inner::{self, Body};
use crate::item::{self, Function, Refusal, Role};
use crate::manifest;
use crate::options::Attribute;

/// Expands `#[asyncio::main]`.
pub(crate) fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Attribute::Main, args, item)
}

/// Expands `#[asyncio::test]`.
pub(crate) fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Attribute::Test, args, item)
}

fn attribute(attribute: Attribute, args: TokenStream, item: TokenStream) -> TokenStream {
    let is_moved = args.to_string().replace(' ', "") == fallback::MOVED;
    let args = if is_moved { TokenStream::new() } else { args };
    let mut mistakes = Mistakes::default();
    let settings = check::options(attribute, Args::parse(args), &mut mistakes);
    let mut missing = Vec::new();
    let function = match Function::parse(item.clone(), attribute, &mut missing) {
        Ok(function) => function,
        Err(Refusal::NoFunction(error)) => {
            mistakes.extend([error]);
            return quote!(#item #mistakes);
        }
        Err(Refusal::Unreadable(error)) => {
            let item = fallback::unreadable(attribute, item, &error);
            return quote!(#item #mistakes);
        }
    };
    if is_moved && function.attribute(item::is_case_generator).is_some() {
        return function.into_token_stream();
    }
    check::function(attribute, &function, &mut mistakes);
    mistakes.extend(missing);
    if mistakes.is_empty() {
        return good(function.role(attribute), &settings, &function);
    }
    let function = fallback::function(attribute, &settings, function);
    quote!(#function #mistakes)
}

/// Expands a function without mistakes.
pub(crate) fn good(role: Role, settings: &Settings, function: &Function) -> TokenStream {
    match role {
        Role::Entry => entry(settings, function),
        Role::Test => test_function(settings, function),
        Role::Function => plain_function(settings, function),
    }
}

/// The path of the crate, for names in expansions.
pub(crate) fn crate_path(settings: &Settings) -> TokenStream {
    crate_path_at(Span::call_site(), settings)
}

fn crate_path_at(span: Span, settings: &Settings) -> TokenStream {
    match &settings.crate_path {
        Some(path) => path.to_token_stream(),
        None => {
            let name = crate_ident(&settings.crate_name, span);
            quote_spanned!(span=> ::#name)
        }
    }
}

fn crate_ident(name: &str, span: Span) -> Ident {
    // A crate may be called like a keyword, and a manifest may contain anything.
    let mut ident = syn::parse_str(name)
        .or_else(|_| syn::parse_str(&format!("r#{name}")))
        .unwrap_or_else(|_| Ident::new(manifest::ASYNCIO, span));
    ident.set_span(span);
    ident
}

fn entry(settings: &Settings, function: &Function) -> TokenStream {
    let krate = crate_path(settings);
    let name = &function.sig.ident;
    let setters = setters(settings);
    let finish = finish(
        settings,
        &function.sig.output,
        &quote! {
            #krate::private::main(#krate::private::runner() #setters, #name())
        },
    );
    nested(
        function,
        &TokenStream::new(),
        &without_async(&function.sig),
        &finish,
    )
}

fn test_function(settings: &Settings, function: &Function) -> TokenStream {
    let krate = crate_path(settings);
    let name = &function.sig.ident;
    let setters = setters(settings);
    let options = quote!(#krate::private::test_options() #setters);
    let pinned = quote!(::core::pin::pin!(#name()));
    let run = if settings.has_seeds() {
        quote!(#krate::private::test_seeds(#options, &mut |run| run(#pinned)))
    } else {
        quote!(#krate::private::test(#options, #pinned))
    };
    let finish = finish(settings, &function.sig.output, &run);
    let output = harness_output(&function.sig.output);
    let outer = Signature {
        output,
        ..without_async(&function.sig)
    };
    nested(function, &test_markers(function), &outer, &finish)
}

/// The user's function inside of the one that starts the loop.
fn nested(
    function: &Function,
    markers: &TokenStream,
    outer: &Signature,
    finish: &TokenStream,
) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let inner = Signature {
        abi: None,
        ..sig.clone()
    };
    quote! {
        #(#attrs)*
        #markers
        #vis #outer {
            #[allow(clippy::unused_async)]
            #inner #body
            #finish
        }
    }
}

/// Last, so that attribute macros between ours and the function see it; by its path, as `test` may be the user's own.
fn test_markers(function: &Function) -> TokenStream {
    let allow = (!function.sig.generics.params.is_empty()).then(|| {
        // A lifetime that only the body uses is not used by the outer function.
        quote!(#[allow(clippy::extra_unused_lifetimes)])
    });
    let is_test_already = function.attribute(item::is_std_test).is_some();
    let marker = (!is_test_already).then(|| quote!(#[::core::prelude::v1::test]));
    quote!(#allow #marker)
}

/// The test harness hands the result on, which after a `!` would be unreachable.
fn harness_output(output: &ReturnType) -> ReturnType {
    match output {
        ReturnType::Type(arrow, ty) if is_never(output) => {
            let empty = quote_spanned!(ty.span()=> ::core::convert::Infallible);
            ReturnType::Type(*arrow, Box::new(Type::Verbatim(empty)))
        }
        other => other.clone(),
    }
}

fn plain_function(settings: &Settings, function: &Function) -> TokenStream {
    let krate = crate_path(settings);
    let setters = setters(settings);
    around_block(function, |block| {
        finish(
            settings,
            &function.sig.output,
            &quote!(#krate::private::function(#krate::private::runner() #setters, #block)),
        )
    })
}

/// A function that could not start its block, but has it checked.
pub(crate) fn unstarted(function: &Function) -> TokenStream {
    around_block(function, |block| quote!({ let _ = #block; loop {} }))
}

/// The function without its `async`, around what `run` makes of the block with its body.
fn around_block(function: &Function, run: impl FnOnce(&TokenStream) -> TokenStream) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let (params, bindings): (Punctuated<_, syn::Token![,]>, Vec<_>) =
        sig.inputs.iter().enumerate().map(parameter).unzip();
    let outer = Signature {
        inputs: params,
        ..without_async(sig)
    };
    let track_caller = track_caller(function);
    let pinned = pinned_output(sig);
    let (above, tail) = match inner::read(body) {
        // Bare braces at the end would be unused ones in the eyes of rustc, which would have the user remove the function's own.
        Body::Plain(body) => (Vec::new(), quote!(match () { () => #body })),
        Body::Lifted(attrs, body) => (attrs, quote!(match () { () => #body })),
        // With attributes they are not, and nowhere else may they have any.
        Body::Kept(attrs, body) => (attrs, body.into_token_stream()),
        Body::Long(attrs, tail) => (attrs, tail),
    };
    let result = run(&quote!(async move { #pinned #(#bindings)* #tail }));
    let result = if is_never(&sig.output) {
        quote!(match #result {})
    } else {
        result
    };
    quote! {
        #(#attrs)*
        #(#above)*
        #track_caller
        #vis #outer {
            #result
        }
    }
}

fn without_async(sig: &Signature) -> Signature {
    Signature {
        asyncness: None,
        ..sig.clone()
    }
}

/// The builder's calls; only what the user set, in the user's order, so that the runtime's defaults stay the runtime's.
fn setters(settings: &Settings) -> TokenStream {
    let call = |setter: &Setter| {
        let (method, value) = (&setter.method, &setter.value);
        // Placed at the option: a value of another type, or a factory of something else, is reported there. Still marked as
        // generated, or lints would take it for the user's code.
        let span = Span::call_site().located_at(method.span());
        match setter.through {
            Some(function) => {
                let krate = crate_path_at(span, settings);
                let function = Ident::new(function, span);
                quote_spanned!(span=> .#method(#krate::private::#function(#value)))
            }
            None => quote_spanned!(span=> .#method(#value)),
        }
    };
    settings.setters.iter().map(call).collect()
}

/// The outcome as what the function returns. Which of the three traits answers is a matter of auto-referencing, hence the `&&`.
/// Without an output there is no choice, and the compiler is spared the search for it.
fn finish(settings: &Settings, output: &ReturnType, run: &TokenStream) -> TokenStream {
    let krate = crate_path(settings);
    if let ReturnType::Default = output {
        return quote!(#krate::private::Report::finish_run(&#run));
    }
    quote! {
        {
            use #krate::private::{Carry as _, Keep as _, Report as _};
            (&&#run).finish_run()
        }
    }
}

/// The parameter of the outer function, and the statement that moves it into the `async` block. There, as in an `async fn`,
/// every parameter is dropped before the loop closes, used or not.
fn parameter((index, arg): (usize, &FnArg)) -> (FnArg, TokenStream) {
    let FnArg::Typed(typed) = arg else {
        return (arg.clone(), TokenStream::new());
    };
    let (attrs, pat) = (&typed.attrs, &typed.pat);
    let name = outer_name(index, pat);
    let binding = match **pat {
        // `let _ = name` would move nothing.
        Pat::Wild(_) => quote!(let _unused = #name;),
        _ => quote!(let #pat = #name;),
    };
    let outer = PatType {
        pat: Box::new(plain(name)),
        ..typed.clone()
    };
    (
        FnArg::Typed(outer),
        quote!(#(#attrs)* #[allow(clippy::no_effect_underscore_binding, clippy::redundant_locals)] #binding),
    )
}

/// The user's own name where there is one, for the docs and for options that use it; else one the user cannot meet.
fn outer_name(index: usize, pat: &Pat) -> Ident {
    match pat {
        Pat::Ident(PatIdent {
            by_ref: None,
            subpat: None,
            ident,
            ..
        }) => ident.clone(),
        _ => format_ident!("arg{index}", span = Span::mixed_site()),
    }
}

fn plain(ident: Ident) -> Pat {
    Pat::Ident(PatIdent {
        attrs: Vec::new(),
        by_ref: None,
        mutability: None,
        ident,
        subpat: None,
    })
}

/// A panic at the end, see [`finish`], is to point at the caller of the function. Another ABI has no way to pass the place on, and a
/// `main` that has a `self`, but no `impl` around, must not.
fn track_caller(function: &Function) -> TokenStream {
    let has_it = function
        .attribute(|path| path.is_ident("track_caller"))
        .is_some();
    if has_it || function.sig.abi.is_some() || function.sig.ident == "main" {
        TokenStream::new()
    } else {
        quote!(#[track_caller])
    }
}

/// A `return` that never runs, but tells the type checker the output type before it comes to the body.
fn pinned_output(sig: &Signature) -> TokenStream {
    let (span, value) = match &sig.output {
        ReturnType::Default => (sig.ident.span(), TokenStream::new()),
        ReturnType::Type(_, ty) => match nameable(ty) {
            Some(known) => (
                ty.span(),
                quote!((|| -> #known { ::core::unreachable!() })()),
            ),
            None => return TokenStream::new(),
        },
    };
    let keyword = quote_spanned!(Span::call_site().located_at(span)=> return);
    quote!(if false { #keyword #value; })
}

fn is_never(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)))
}

/// The type as a closure can have it: with `_` for every `impl Trait`, or not at all.
fn nameable(ty: &Type) -> Option<TokenStream> {
    if let Type::Never(_) = ty {
        // `!` can be written in no other place than a function's; the empty enum is as good.
        return Some(quote!(::core::convert::Infallible));
    }
    let known = without_impl(ty.clone()).into_token_stream();
    (!item::mentions(known.clone(), "impl")).then_some(known)
}

fn without_impl(ty: Type) -> Type {
    match ty {
        Type::ImplTrait(_) => Type::Infer(TypeInfer {
            attrs: Vec::new(),
            underscore_token: Default::default(),
        }),
        Type::Paren(mut paren) => {
            *paren.elem = without_impl(*paren.elem);
            Type::Paren(paren)
        }
        Type::Reference(mut reference) => {
            *reference.elem = without_impl(*reference.elem);
            Type::Reference(reference)
        }
        Type::Tuple(mut tuple) => {
            tuple.elems = tuple.elems.into_iter().map(without_impl).collect();
            Type::Tuple(tuple)
        }
        Type::Path(mut path) => {
            path.path
                .segments
                .iter_mut()
                .for_each(arguments_without_impl);
            Type::Path(path)
        }
        other => other,
    }
}

fn arguments_without_impl(segment: &mut PathSegment) {
    let PathArguments::AngleBracketed(arguments) = &mut segment.arguments else {
        return;
    };
    for argument in &mut arguments.args {
        if let GenericArgument::Type(ty) = argument {
            *ty = without_impl(ty.clone());
        }
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_soup;
