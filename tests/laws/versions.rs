//! Comparisons of Python versions with numbers.

use proc_macro2::{Ident, TokenTree};

use super::tokens::{each_sequence, is_ident, of, place};
use crate::support::workspace::File;

/// The names that parts of a version have.
const NAMES: [&str; 3] = ["hexversion", "minor", "micro"];

/// Comparisons of a part of a version with a number, and matches on one, in code.
pub fn comparisons(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    each_sequence(of(file), &mut |tokens| {
        for (index, token) in tokens.iter().enumerate() {
            if let Some(ident) = version(token)
                && (ends_with_comparison(&tokens[..index]) || is_compared(&tokens[index + 1..]))
            {
                found.push(place(file, ident));
            }
            if let Some(ident) = matched(&tokens[index..]) {
                found.push(place(file, ident));
            }
        }
    });
    found
}

fn version(token: &TokenTree) -> Option<&Ident> {
    match token {
        TokenTree::Ident(ident) if NAMES.iter().any(|name| ident == name) => Some(ident),
        _ => None,
    }
}

/// Whether `tokens`, which follow a version, compare it with a number: `< 12`, `>> 16 == 0x30d`, `() >= 9`.
fn is_compared(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Group(call), rest @ ..] if call.stream().is_empty() => is_compared(rest),
        [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Literal(_), rest @ ..]
            if a.as_char() == '>' && b.as_char() == '>' =>
        {
            is_compared(rest)
        }
        [TokenTree::Punct(mask), TokenTree::Literal(_), rest @ ..] if mask.as_char() == '&' => {
            is_compared(rest)
        }
        _ => {
            comparison(tokens).is_some_and(|length| matches!(tokens.get(length), Some(TokenTree::Literal(_))))
        }
    }
}

/// Whether `tokens`, up to a version or what it is a field of, end with a number and a comparison.
fn ends_with_comparison(tokens: &[TokenTree]) -> bool {
    if let [before @ .., TokenTree::Ident(_), TokenTree::Punct(dot)] = tokens
        && dot.as_char() == '.'
    {
        return ends_with_comparison(before);
    }
    (1..=2).any(|length| {
        let Some(start) = tokens.len().checked_sub(length + 1) else { return false };
        // `x >> 16 == minor`: the number belongs to the shift.
        let is_shift =
            matches!(tokens[..start].last(), Some(TokenTree::Punct(mark)) if mark.as_char() == '>');
        matches!(tokens[start], TokenTree::Literal(_))
            && !is_shift
            && comparison(&tokens[start + 1..]) == Some(length)
    })
}

/// The length of the comparison that `tokens` begin with.
fn comparison(tokens: &[TokenTree]) -> Option<usize> {
    let mark = |index: usize| match tokens.get(index) {
        Some(TokenTree::Punct(mark)) => Some(mark.as_char()),
        _ => None,
    };
    match (mark(0)?, mark(1)) {
        ('<' | '>' | '=' | '!', Some('=')) => Some(2),
        ('<', Some('<')) | ('>', Some('>')) => None,
        ('<' | '>', _) => Some(1),
        _ => None,
    }
}

/// The version that `match` or `matches!` at the beginning of `tokens` looks at.
fn matched(tokens: &[TokenTree]) -> Option<&Ident> {
    match tokens {
        [word, looked_at, ..] if is_ident(word, "match") => version(looked_at),
        [word, TokenTree::Punct(mark), TokenTree::Group(group), ..]
            if is_ident(word, "matches") && mark.as_char() == '!' =>
        {
            let first = group.stream().into_iter().next()?;
            version(&first).and(match word {
                TokenTree::Ident(ident) => Some(ident),
                _ => None,
            })
        }
        _ => None,
    }
}

#[test]
fn comparisons_with_numbers_are_found() {
    let count = |text: &str| comparisons(&File { path: "a.rs".into(), text: text.into() }).len();
    for breach in [
        "fn f(minor: u32) -> bool { minor < 12 }",
        "fn f() -> bool { build.hexversion >> 16 == 0x30d }",
        "fn f() -> bool { 0x030d_0000 <= layout.hexversion }",
        "fn f() -> bool { hexversion >> 8 & 0xff != 4 }",
        "fn f() -> bool { interpreter.minor() >= 9 }",
        "fn f() { match minor { 8 => {} _ => {} } }",
        "fn f() -> bool { matches!(minor, 11 | 12) }",
    ] {
        assert_eq!(count(breach), 1, "{breach}");
    }
    for fine in [
        "fn f() -> bool { hexversion >> 16 == minor }",
        "fn f() -> Version { Version { minor: 12 } }",
        "fn f() { for minor in [9, 13] {} }",
        "fn f() -> u32 { 0x0300_00f0 | minor << 16 }",
        "fn f() -> Vec<Minor> { minor::<8>() }",
        "// minor < 12",
    ] {
        assert_eq!(count(fine), 0, "{fine}");
    }
}
