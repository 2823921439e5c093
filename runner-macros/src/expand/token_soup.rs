//! Nonsense in, the user's tokens out: whatever is fed to the attributes, they answer, and lose nothing.

use std::collections::HashMap as Map;

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use super::{main, test};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // A 64-bit xorshift: no quality needed, only variety.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const WORDS: &[&str] = &[
    "async",
    "await",
    "const",
    "crate",
    "debug",
    "extern",
    "fn",
    "for",
    "go",
    "impl",
    "leftovers",
    "loop_factory",
    "main",
    "mut",
    "pub",
    "ref",
    "seeds",
    "self",
    "Self",
    "struct",
    "terminate",
    "test",
    "timeout",
    "unsafe",
    "virtual_time",
    "where",
    "u8",
    "x",
];
const PUNCTUATION: &[char] = &[
    '#', '!', '=', ',', ';', ':', '.', '<', '>', '&', '|', '-', '+', '*', '?', '@', '$',
];

fn soup(dice: &mut Dice, depth: usize) -> TokenStream {
    (0..dice.below(12)).map(|_| token(dice, depth)).collect()
}

fn token(dice: &mut Dice, depth: usize) -> TokenTree {
    match dice.below(10) {
        0..5 => Ident::new(dice.pick(WORDS), Span::call_site()).into(),
        5..8 => Punct::new(
            dice.pick(PUNCTUATION),
            dice.pick(&[Spacing::Alone, Spacing::Joint]),
        )
        .into(),
        8 if depth > 0 => {
            let kinds = [
                Delimiter::Brace,
                Delimiter::Bracket,
                Delimiter::Parenthesis,
                Delimiter::None,
            ];
            Group::new(dice.pick(&kinds), soup(dice, depth - 1)).into()
        }
        _ => match dice.below(3) {
            0 => Literal::string(dice.pick(&["5s", "", "a::b", "error", "250"])).into(),
            1 => Literal::usize_unsuffixed(dice.below(3)).into(),
            _ => Literal::f64_unsuffixed(0.5).into(),
        },
    }
}

/// How often each word occurs. Punctuation is left out: lists gain and lose commas, and `#![..]` its `!`.
fn words(tokens: TokenStream, counts: &mut Map<String, usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => words(group.stream(), counts),
            TokenTree::Punct(_) => {}
            other => *counts.entry(other.to_string()).or_default() += 1,
        }
    }
}

fn assert_nothing_is_lost(args: &TokenStream, item: &TokenStream) {
    let mut given = Map::new();
    words(item.clone(), &mut given);
    for (name, expansion) in [
        ("main", main(args.clone(), item.clone())),
        ("test", test(args.clone(), item.clone())),
    ] {
        let mut returned = Map::new();
        words(expansion.clone(), &mut returned);
        for (word, count) in &given {
            // The one word that cannot stay: nothing that starts a loop can run at compile time.
            let may_go = word == "const";
            let found = returned.get(word).copied().unwrap_or(0);
            assert!(
                may_go || found >= *count,
                "{name} loses `{word}`:\n{args}\n{item}\n{expansion}"
            );
        }
    }
}

/// The words may all be there, and the body in pieces.
fn assert_body_is_whole(args: &TokenStream, item: &TokenStream, body: &TokenStream) {
    let body = body.to_string();
    if body.starts_with('#') {
        // It may begin with inner attributes, which may go above the function.
        return;
    }
    for expansion in [
        main(args.clone(), item.clone()),
        test(args.clone(), item.clone()),
    ] {
        let expansion = expansion.to_string();
        assert!(expansion.contains(&body), "{body}\n{expansion}");
    }
}

/// Everything that is left of `whole` when it is cut off, at its top or inside of one of its groups.
fn truncations(whole: &TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = whole.clone().into_iter().collect();
    let mut found = Vec::new();
    for (end, token) in tokens.iter().enumerate() {
        found.push(tokens[..end].iter().cloned().collect());
        if let TokenTree::Group(group) = token {
            found.extend(truncations(&group.stream()).into_iter().map(|inside| {
                let mut shorter = tokens.clone();
                shorter[end] = Group::new(group.delimiter(), inside).into();
                shorter.into_iter().collect::<TokenStream>()
            }));
        }
    }
    found.push(whole.clone());
    found
}

#[test]
fn nonsense_comes_back() {
    let mut dice = Dice(0x5eed);
    for _ in 0..2_000 {
        assert_nothing_is_lost(&soup(&mut dice, 2), &soup(&mut dice, 3));
    }
}

#[test]
fn functions_around_nonsense_come_back() {
    let mut dice = Dice(0xbead);
    for _ in 0..500 {
        let (args, attribute, params, output, body) = (
            soup(&mut dice, 2),
            soup(&mut dice, 1),
            soup(&mut dice, 1),
            soup(&mut dice, 1),
            soup(&mut dice, 3),
        );
        let name = Ident::new(
            dice.pick(&["main", "go", "r#loop"])
                .trim_start_matches("r#"),
            Span::call_site(),
        );
        for function in [
            quote::quote!(#[#attribute] pub async fn #name(#params) -> #output { #body }),
            quote::quote!(pub async fn #name() -> u8 { #body }),
            quote::quote!(async fn #name(a: u8, (b, c): (u8, u8)) { #body }),
        ] {
            assert_nothing_is_lost(&args, &function);
            assert_body_is_whole(&args, &function, &body);
        }
    }
}

#[test]
fn truncated_functions_come_back() {
    let whole: TokenStream = "#[allow(x)] /// Doc.\n pub(crate) async unsafe extern \"C\" fn go<'a, T: Copy, const N: usize>
        (&'a self, mut a: T, (b, _): (u8, [u8; N]), c: impl Fn(u8) -> u8) -> Result<&'a T, E> where T: Clone
        { #![allow(y)] let z = ; s. }"
        .parse()
        .expect("a function");
    let options: TokenStream =
        "debug, loop_factory = |a, b| c::<D, E>(), crate = ::a::b, timeout = \"5s\", seeds = 3"
            .parse()
            .expect("options");
    let item: Vec<TokenTree> = whole.clone().into_iter().collect();
    for end in 0..=item.len() {
        for start in 0..=end {
            let part: TokenStream = item[start..end].iter().cloned().collect();
            assert_nothing_is_lost(&TokenStream::new(), &part);
        }
    }
    for part in truncations(&whole) {
        assert_nothing_is_lost(&TokenStream::new(), &part);
    }
    for part in truncations(&options) {
        assert_nothing_is_lost(&part, &whole);
    }
}
