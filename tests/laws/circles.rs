//! Circles of files: files of one crate that use each other's items, directly or in a ring.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Modules;
use crate::support::workspace::File;

/// The circles of files in the crate whose sources are in the folder `src` (with its `/`), each as a list of its files.
///
/// A name that a module re-exports counts as a use of the file that defines it. The entry of a folder (`x/mod.rs`, or `x.rs` beside
/// `x/`) may use the files below it, whatever they use of it.
pub fn circles(src: &str, files: &[File]) -> Vec<String> {
    let root = files.iter().find(|file| file.path == format!("{src}lib.rs")).unwrap();
    let modules = Modules::read(src, root, files);
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in &modules.imports {
        let Some(user) = modules.files.get(&import.module) else { continue };
        let Some(used) = defining_file(&modules, &import.path) else { continue };
        let reexports = import.declared && is_reexport(&modules, &import.module, &import.path);
        if user != used && !reexports && !is_below(used, user) {
            uses.entry(user).or_default().insert(used);
        }
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reached(&uses, file))).collect();
    let both = |a: &str, b: &str| reach[a].contains(b) && reach.get(b).is_some_and(|of| of.contains(a));
    let mut found = BTreeSet::new();
    for (file, of) in reach.iter().filter(|(file, of)| of.contains(*file)) {
        let ring: Vec<&str> = of.iter().copied().filter(|other| both(file, other)).collect();
        found.insert(ring.join(" ↔ "));
    }
    found.into_iter().collect()
}

/// The file that defines the item at `path`; `None` if it is of no module of the crate.
fn defining_file<'a>(modules: &'a Modules, path: &[String]) -> Option<&'a str> {
    let mut path = path.to_vec();
    // A name is re-exported a few times at most.
    for _ in 0..8 {
        let depth = (0..=path.len()).rev().find(|&depth| modules.files.contains_key(&path[..depth]))?;
        let (module, item) = path.split_at(depth);
        let reexport = item.first().and_then(|item| {
            modules.imports.iter().find(|import| {
                import.declared
                    && import.module == module
                    && import.path.last() == Some(item)
                    && import.path != path
            })
        });
        match reexport {
            Some(import) => path = [&import.path[..], &item[1..]].concat(),
            None => return modules.files.get(module).map(String::as_str),
        }
    }
    None
}

/// Whether another module takes the name that a `use` brings into `module` from there.
fn is_reexport(modules: &Modules, module: &[String], path: &[String]) -> bool {
    let Some(name) = path.last() else { return false };
    modules.imports.iter().any(|other| {
        other.module != module
            && other.path.len() > module.len()
            && other.path.starts_with(module)
            && &other.path[module.len()] == name
    })
}

/// Whether `file` lies in the folder whose entry is `entry`.
fn is_below(file: &str, entry: &str) -> bool {
    let folder = entry.strip_suffix("/mod.rs").or_else(|| entry.strip_suffix(".rs"));
    folder.and_then(|folder| file.strip_prefix(folder)).is_some_and(|rest| rest.starts_with('/'))
}

fn reached<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in uses.get(file).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let file =
            |(path, text): &(&str, &str)| File { path: format!("c/src/{path}"), text: (*text).to_owned() };
        circles("c/src/", &files.iter().map(file).collect::<Vec<_>>())
    }

    #[test]
    fn files_in_a_line_form_no_circle() {
        let found = circles_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", ""),
            ("b.rs", "use crate::a::X;"),
            ("c.rs", "use crate::{a::X, b};\n#[cfg(test)] mod tests { use crate::c; }"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn ring_is_found_in_every_spelling() {
        for back in
            ["use crate::c::X;", "use super::c;", "fn f() { crate::c::g() }", "fn f() { super::c::g() }"]
        {
            let found = circles_of(&[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", back),
                ("b.rs", "use crate::a::Y;"),
                ("c.rs", "use super::b::Z;"),
            ]);
            assert_eq!(found, ["c/src/a.rs ↔ c/src/b.rs ↔ c/src/c.rs"], "{back}");
        }
    }

    #[test]
    fn reexport_counts_as_defining_file() {
        let files = [
            ("lib.rs", "mod d;"),
            ("d/mod.rs", "mod a; mod b; pub use a::X; use b::Y; fn f(y: Y) {}"),
            ("d/a.rs", "use super::Y;"),
            ("d/b.rs", "use super::X;"),
        ];
        assert_eq!(circles_of(&files), ["c/src/d/a.rs ↔ c/src/d/b.rs"]);
    }

    #[test]
    fn folder_entry_may_use_its_files() {
        let files = [
            ("lib.rs", "mod d;"),
            ("d/mod.rs", "mod a; struct S; fn f() { a::g() }"),
            ("d/a.rs", "use super::S;"),
        ];
        assert!(circles_of(&files).is_empty());
        let files = [
            ("lib.rs", "mod d; mod e;"),
            ("d/mod.rs", "mod a; struct S;"),
            ("d/a.rs", "use crate::e::E;"),
            ("e.rs", "use crate::d::a::T;"),
        ];
        assert_eq!(circles_of(&files), ["c/src/d/a.rs ↔ c/src/e.rs"]);
    }
}
