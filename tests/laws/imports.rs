//! The paths within its crate that each module uses, found in tokens; test code is left out.

use std::collections::HashMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tokens::{self, attribute, is_ident};
use crate::support::workspace::File;

/// A path that a module uses.
pub struct Import {
    /// `file:line`.
    pub place: String,
    /// The module that uses it, from the crate's root.
    pub module: Vec<String>,
    /// The names from the crate's root; `*` for all names of a module.
    pub path: Vec<String>,
    /// Whether a `use` item brings it into the module.
    pub declared: bool,
}

/// The modules of a crate without those for tests, and their imports.
pub struct Modules {
    /// The names of the modules that the root declares.
    pub top_level: Vec<String>,
    /// The file that holds each module; modules within a file stand beside it.
    pub files: HashMap<Vec<String>, String>,
    /// The paths of all files that some module names, those for tests too.
    pub named: Vec<String>,
    pub imports: Vec<Import>,
}

impl Modules {
    /// Reads the crate whose sources are in the folder `src` (with its `/`), beginning at its root.
    pub fn read(src: &str, root: &File, files: &[File]) -> Self {
        let mut modules =
            Self { top_level: Vec::new(), files: HashMap::new(), named: Vec::new(), imports: Vec::new() };
        let mut open: Vec<(&File, Vec<String>, bool)> = vec![(root, Vec::new(), false)];
        while let Some((file, path, for_tests)) = open.pop() {
            modules.named.push(file.path.clone());
            if !for_tests {
                modules.files.insert(path.clone(), file.path.clone());
            }
            let mut reader = Reader { file, children: Vec::new(), imports: Vec::new() };
            reader.module(tokens::of(file), &path, for_tests);
            for (child, for_tests) in reader.children {
                if let ([name], false) = (child.as_slice(), for_tests) {
                    modules.top_level.push(name.clone());
                }
                let stem = format!("{src}{}", child.join("/"));
                let places = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
                match files.iter().find(|file| places.contains(&file.path)) {
                    Some(file) => open.push((file, child, for_tests)),
                    // Its body stands where it is declared.
                    None if for_tests => {}
                    None => drop(modules.files.insert(child, file.path.clone())),
                }
            }
            modules.imports.extend(reader.imports);
        }
        modules
    }
}

/// Reads one file.
struct Reader<'a> {
    file: &'a File,
    /// Path of a module declared here, and whether it is for tests.
    children: Vec<(Vec<String>, bool)>,
    imports: Vec<Import>,
}

impl Reader<'_> {
    /// Takes in the items of the module `path`.
    fn module(&mut self, stream: TokenStream, path: &[String], for_tests: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        // Children may be used before they are declared.
        let declared: Vec<String> = tokens.windows(2).filter_map(child_name).collect();
        self.items(&tokens, path, &declared, for_tests);
    }

    fn items(&mut self, tokens: &[TokenTree], path: &[String], declared: &[String], for_tests: bool) {
        let mut test_item = false;
        let mut is_use = false;
        let mut index = 0;
        while let Some(rest) = tokens.get(index..).filter(|rest| !rest.is_empty()) {
            if let Some((inside, length)) = attribute(rest) {
                test_item |= is_for_tests(inside.stream());
                index += length;
                continue;
            }
            let for_tests = for_tests || test_item;
            match rest {
                [TokenTree::Ident(keyword), TokenTree::Ident(name), end, ..] if keyword == "mod" => {
                    let child: Vec<String> = path.iter().cloned().chain([name.to_string()]).collect();
                    self.children.push((child.clone(), for_tests));
                    if let TokenTree::Group(body) = end {
                        self.module(body.stream(), &child, for_tests);
                    }
                    index += 3;
                    test_item = false;
                    continue;
                }
                [TokenTree::Ident(keyword), ..] if keyword == "use" => is_use = true,
                [TokenTree::Group(group), ..] => {
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.items(&inside, path, declared, for_tests);
                    if group.delimiter() == Delimiter::Brace {
                        test_item = false;
                    }
                }
                [TokenTree::Punct(end), ..] if end.as_char() == ';' => (test_item, is_use) = (false, false),
                [TokenTree::Ident(start), ..] if !for_tests => {
                    let place = format!("{}:{}", self.file.path, start.span().start().line);
                    // `a::super`, `a::b`: not the beginning of a path.
                    let begins = index < 2 || !is_colons(&tokens[index - 2..index]);
                    for used in used(rest, path, declared).into_iter().filter(|_| begins) {
                        let (place, module) = (place.clone(), path.to_vec());
                        self.imports.push(Import { place, module, path: used, declared: is_use });
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }
}

fn child_name(pair: &[TokenTree]) -> Option<String> {
    match pair {
        [TokenTree::Ident(keyword), TokenTree::Ident(name)] if keyword == "mod" => Some(name.to_string()),
        _ => None,
    }
}

/// The paths, from the crate's root, that begin where `tokens` do in the module `path`: `crate::a::b`, `super::a`, `crate::{a, b}`,
/// `child::a`.
fn used(tokens: &[TokenTree], path: &[String], declared: &[String]) -> Vec<Vec<String>> {
    let mut base: Vec<String> = path.to_vec();
    let mut rest = tokens;
    if is_ident(&tokens[0], "crate") {
        base.clear();
        // Nothing behind it: `pub(crate)`.
        let Some(behind) = behind_colons(tokens) else { return Vec::new() };
        rest = behind;
    } else if is_ident(&tokens[0], "self") || is_ident(&tokens[0], "super") {
        while let Some(first) = rest.first() {
            if is_ident(first, "super") {
                base.pop();
            } else if !is_ident(first, "self") {
                break;
            }
            let Some(behind) = behind_colons(rest) else { return Vec::new() };
            rest = behind;
        }
    } else {
        let is_child = |name: &TokenTree| declared.iter().any(|child| is_ident(name, child));
        if !is_child(&tokens[0]) || behind_colons(tokens).is_none() {
            return Vec::new();
        }
    }
    names(rest).into_iter().map(|names| base.iter().cloned().chain(names).collect()).collect()
}

/// The tokens behind `word ::`.
fn behind_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    tokens.get(3..).filter(|_| is_colons(&tokens[1..3]))
}

fn is_colons(pair: &[TokenTree]) -> bool {
    matches!(pair, [TokenTree::Punct(a), TokenTree::Punct(b)] if a.as_char() == ':' && b.as_char() == ':')
}

/// The names of a path: one list, or of a list in braces, one for each.
fn names(tokens: &[TokenTree]) -> Vec<Vec<String>> {
    match tokens {
        [TokenTree::Group(list), ..] if list.delimiter() == Delimiter::Brace => {
            let inside: Vec<TokenTree> = list.stream().into_iter().collect();
            let entries = inside.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ','));
            entries.filter(|entry| !entry.is_empty()).flat_map(names).collect()
        }
        [TokenTree::Ident(name), ..] if name == "self" => vec![Vec::new()],
        [TokenTree::Ident(name), ..] => {
            let behind = behind_colons(tokens).map(names).filter(|behind| !behind.is_empty());
            let behind = behind.unwrap_or_else(|| vec![Vec::new()]);
            behind.into_iter().map(|names| [vec![name.to_string()], names].concat()).collect()
        }
        [TokenTree::Punct(star), ..] if star.as_char() == '*' => vec![vec!["*".to_owned()]],
        _ => Vec::new(),
    }
}

/// Whether an attribute is `cfg(test)`, or `test` itself.
fn is_for_tests(attribute: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    match tokens.as_slice() {
        [word] => is_ident(word, "test"),
        [word, TokenTree::Group(condition)] if is_ident(word, "cfg") => {
            let condition: Vec<TokenTree> = condition.stream().into_iter().collect();
            match condition.as_slice() {
                [word] => is_ident(word, "test"),
                [all, TokenTree::Group(parts)] if is_ident(all, "all") => {
                    parts.stream().into_iter().any(|part| is_ident(&part, "test"))
                }
                _ => false,
            }
        }
        _ => false,
    }
}
