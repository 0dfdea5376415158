//! The table of layers in each `lib.rs`: every module stands in it once, and imports only from rows above its own.

use std::collections::HashMap;

use super::imports::Modules;
use crate::support::workspace::File;

/// Breaches of the table by the crate whose sources are in the folder `src` (with its `/`), and files there that no module
/// names.
pub fn breaches(src: &str, files: &[File]) -> Vec<String> {
    let root = files.iter().find(|file| file.path == format!("{src}lib.rs")).unwrap();
    let rows = rows(&root.text);
    let tree = Modules::read(src, root, files);

    let mut breaches = table_breaches(&root.path, &rows, &tree.top_level);
    for import in &tree.imports {
        let (path, [module, ..], [imported, ..]) = (&import.place, &import.module[..], &import.path[..])
        else {
            continue;
        };
        let Some(&row) = rows.get(module.as_str()) else { continue };
        match rows.get(imported.as_str()) {
            _ if imported == module => {}
            None => breaches.push(format!("{path}: uses crate::{imported}, which is in no row")),
            Some(&other) if other >= row => {
                breaches.push(format!("{path}: {module} uses {imported}, which is not in a row above it"));
            }
            Some(_) => {}
        }
    }
    // A `use` of several names of a module is one breach.
    breaches.dedup();
    let is_root = |path: &str| path == "lib.rs" || path == "main.rs" || path.starts_with("bin/");
    breaches.extend(files.iter().filter_map(|file| {
        let below = file.path.strip_prefix(src).filter(|path| !is_root(path))?;
        (!tree.named.contains(&file.path)).then(|| format!("{src}{below}: no module names this file"))
    }));
    breaches
}

/// The row of each module that the table names; 0 is the top. A module named twice has the row `usize::MAX`.
fn rows(lib: &str) -> HashMap<String, usize> {
    let mut rows = HashMap::new();
    let table = lib.lines().skip_while(|line| !line.starts_with("//! | layer |"));
    for (row, line) in table.map_while(|line| line.strip_prefix("//! |")).skip(2).enumerate() {
        let cell = line.split('|').nth(1).unwrap_or_default();
        // The names stand between backticks, with or without a link: [`sample`], `source/`.
        for name in cell.split('`').skip(1).step_by(2) {
            let name = name.trim_end_matches('/').to_owned();
            rows.entry(name).and_modify(|row| *row = usize::MAX).or_insert(row);
        }
    }
    rows
}

fn table_breaches(path: &str, rows: &HashMap<String, usize>, declared: &[String]) -> Vec<String> {
    let mut breaches = Vec::new();
    for module in declared {
        if !rows.contains_key(module) {
            breaches.push(format!("{path}: {module} is in no row of the table"));
        }
    }
    for (module, row) in rows {
        if *row == usize::MAX {
            breaches.push(format!("{path}: {module} is in the table twice"));
        }
        if !declared.contains(module) {
            breaches.push(format!("{path}: the table names {module}, which is no module"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
//! A crate.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`low`] | |
//! | middle | `left/`, [`right`] | |
//! | edge | [`high`] | |
//!
//! | another | table |
//! |---|---|
//! | x | `other` |
";
    const MODULES: &str = "pub mod high;\nmod left;\nmod low;\npub(crate) mod right;\n";

    fn crate_of(lib: &str, files: &[(&str, &str)]) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: format!("c/src/{path}"), text: text.to_owned() };
        let mut all = vec![file("lib.rs", lib)];
        all.extend(files.iter().map(|(path, text)| file(path, text)));
        breaches("c/src/", &all)
    }

    /// The breaches if one of the four modules holds `text`.
    fn with(path: &str, text: &str) -> Vec<String> {
        let lib = format!("{TABLE}{MODULES}");
        let mut files =
            vec![("high.rs", ""), ("left/mod.rs", "mod deep;"), ("left/deep.rs", ""), ("low.rs", "")];
        files.push(("right.rs", ""));
        files.retain(|(other, _)| *other != path);
        files.push((path, text));
        crate_of(&lib, &files)
    }

    #[test]
    fn imports_from_above_and_self_pass() {
        assert!(with("high.rs", "use crate::{low, left::x, right};\nfn f() { crate::low::g() }").is_empty());
        assert!(
            with("left/deep.rs", "use super::x;\nuse crate::left::y;\nuse super::super::low::z;").is_empty()
        );
        assert!(
            with("left/deep.rs", "pub(crate) fn f(text: &str) { g(\"crate::high\") } // crate::high")
                .is_empty()
        );
    }

    #[test]
    fn imports_from_below_are_found() {
        for (path, text) in [
            ("low.rs", "use crate::high;"),
            ("low.rs", "use crate::high::{self, x};"),
            ("low.rs", "use {std::fs, crate::{high::x}};"),
            ("low.rs", "fn f() { if x { crate::high::g(); } }"),
            ("low.rs", "macro_rules! m { () => { $crate::high::g() }; }"),
            ("low.rs", "use super::high::x;"),
            ("low.rs", "mod inner { use super::super::high; }"),
            ("left/deep.rs", "use crate::right;"),
            ("left/deep.rs", "use super::super::high::x;"),
            ("right.rs", "use crate::{low, left};"),
            ("right.rs", "#[cfg(not(test))] use crate::high;"),
            ("right.rs", "#[cfg(test)] use crate::low; use crate::high;"),
            ("right.rs", "#[cfg(test)] mod tests {} use crate::high;"),
        ] {
            let found = with(path, text);
            assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
            assert!(found[0].starts_with(&format!("c/src/{path}:1: ")), "{found:?}");
            assert!(found[0].contains("not in a row above it"), "{found:?}");
        }
    }

    #[test]
    fn unlisted_modules_cannot_be_imported() {
        assert!(with("high.rs", "use crate::*;")[0].contains("in no row"));
        assert!(with("high.rs", "use super::main;")[0].contains("in no row"));
    }

    #[test]
    fn tests_may_import_anything() {
        for text in [
            "#[cfg(test)]\nmod tests { use crate::high; fn f() { crate::high::g() } }",
            "#[cfg(all(test, unix))] use crate::{high};",
            "#[test] fn f() -> [u8; 3] { crate::high::g() }",
        ] {
            assert!(with("low.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn table_lists_each_module_once() {
        let none: [(&str, &str); 0] = [];
        let found = crate_of(&format!("{TABLE}{MODULES}mod new {{}}"), &none);
        assert_eq!(found, ["c/src/lib.rs: new is in no row of the table"]);
        let found = crate_of(&format!("{TABLE}{MODULES}").replace("mod low;", ""), &none);
        assert_eq!(found, ["c/src/lib.rs: the table names low, which is no module"]);
        let found = crate_of(&format!("{TABLE}{MODULES}").replace("[`high`]", "[`high`] `low`"), &none);
        assert_eq!(found, ["c/src/lib.rs: low is in the table twice"]);
        let found = crate_of("mod a;", &[("a.rs", "")]);
        assert_eq!(found, ["c/src/lib.rs: a is in no row of the table"]);
        assert!(crate_of("#[cfg(test)] mod a;", &[("a.rs", "")]).is_empty());
    }

    #[test]
    fn file_outside_modules_is_found() {
        assert_eq!(with("left/old.rs", ""), ["c/src/left/old.rs: no module names this file"]);
        assert!(with("bin/tool.rs", "").is_empty() && with("main.rs", "").is_empty());
    }
}
