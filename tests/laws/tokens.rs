//! Sources as tokens: comments and texts are out of the way, and macros hide nothing.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

use crate::support::workspace::File;

/// The tokens of a file.
///
/// # Panics
/// If it is no Rust.
#[track_caller]
pub fn of(file: &File) -> TokenStream {
    file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

/// Calls `visit` for every sequence of tokens: the whole, and what is in brackets, at any depth.
pub fn each_sequence(stream: TokenStream, visit: &mut dyn FnMut(&[TokenTree])) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    visit(&tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            each_sequence(group.stream(), visit);
        }
    }
}

/// Places where one of `words` stands in code.
pub fn words(file: &File, words: &[&str]) -> Vec<String> {
    found(file, |tokens| match tokens {
        [TokenTree::Ident(ident), ..] if words.iter().any(|word| ident == word) => Some(ident.clone()),
        _ => None,
    })
}

/// Places where one of the macros `names` is called.
pub fn macros(file: &File, names: &[&str]) -> Vec<String> {
    found(file, |tokens| match tokens {
        [TokenTree::Ident(ident), TokenTree::Punct(mark), TokenTree::Group(_), ..]
            if mark.as_char() == '!' && names.iter().any(|name| ident == name) =>
        {
            Some(ident.clone())
        }
        _ => None,
    })
}

/// `allow` and `expect` attributes without a reason.
pub fn exceptions_without_reason(file: &File) -> Vec<String> {
    let mut breaches = Vec::new();
    each_sequence(of(file), &mut |tokens| {
        for (index, _) in tokens.iter().enumerate() {
            let Some((attribute, _)) = attribute(&tokens[index..]) else { continue };
            // Also inside of `cfg_attr`.
            each_sequence(attribute.stream(), &mut |inner| {
                for pair in inner.windows(2) {
                    if let [TokenTree::Ident(ident), TokenTree::Group(lints)] = pair
                        && (ident == "allow" || ident == "expect")
                        && !lints.stream().into_iter().any(|token| is_ident(&token, "reason"))
                    {
                        breaches.push(place(file, ident));
                    }
                }
            });
        }
    });
    breaches
}

/// The bracket of the attribute that `tokens` begin with, `#[…]` or `#![…]`, and how many tokens it takes.
pub fn attribute(tokens: &[TokenTree]) -> Option<(&Group, usize)> {
    let (group, length) = match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => (group, 2),
        [TokenTree::Punct(hash), TokenTree::Punct(mark), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && mark.as_char() == '!' =>
        {
            (group, 3)
        }
        _ => return None,
    };
    (group.delimiter() == Delimiter::Bracket).then_some((group, length))
}

/// Whether a token is this word.
pub fn is_ident(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

/// Where a word stands: `path:line: word`.
pub fn place(file: &File, ident: &Ident) -> String {
    format!("{}:{}: {ident}", file.path, ident.span().start().line)
}

fn found(file: &File, matches: impl Fn(&[TokenTree]) -> Option<Ident>) -> Vec<String> {
    let mut places = Vec::new();
    each_sequence(of(file), &mut |tokens| {
        for index in 0..tokens.len() {
            places.extend(matches(&tokens[index..]).map(|ident| place(file, &ident)));
        }
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File { path: "a.rs".into(), text: text.into() }
    }

    #[test]
    fn words_are_found_in_code_only() {
        let hidden = "// unsafe\n/* unsafe */ /// unsafe\nfn f() { g(\"unsafe\", r#\"unsafe\"#, 'u') }";
        assert!(words(&file(hidden), &["unsafe"]).is_empty());
        assert_eq!(words(&file("fn f() {\n    unsafe { g() }\n}"), &["unsafe"]), ["a.rs:2: unsafe"]);
        assert_eq!(words(&file("m! { #[unsafe(no_mangle)] }"), &["unsafe"]).len(), 1);
        assert!(words(&file("#![forbid(unsafe_code)]"), &["unsafe"]).is_empty());
    }

    #[test]
    fn macro_calls_are_found() {
        assert_eq!(macros(&file("fn f() {\n\n if x { todo!() } }"), &["todo"]), ["a.rs:3: todo"]);
        assert_eq!(macros(&file("vec![dbg!(1)]"), &["todo", "dbg"]), ["a.rs:1: dbg"]);
        assert!(macros(&file("fn todo() -> bool { !todo() } // todo!()"), &["todo"]).is_empty());
    }

    #[test]
    fn exception_needs_a_reason() {
        let count = |text: &str| exceptions_without_reason(&file(text)).len();
        assert_eq!(count("#[allow(dead_code)] fn f() {}"), 1);
        assert_eq!(count("#![expect(clippy::panic, clippy::exit)]"), 1);
        assert_eq!(count("mod a { fn f() { #[allow(x)] let y = 1; } }"), 1);
        assert_eq!(count("#[cfg_attr(test, allow(dead_code))] fn f() {}"), 1);
        assert_eq!(count("#[cfg_attr(test, allow(dead_code, reason = \"because\"))] fn f() {}"), 0);
        assert_eq!(count("#[allow(dead_code, reason = \"because\")] fn f() { x.expect(y); allow(z) }"), 0);
    }
}
