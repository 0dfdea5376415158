//! The layout tables of `memobj`: where everything is in CPython's structs, read from the debug information of interpreters.
//!
//! [`mod@spec`] is what is needed, [`interpreters`] whom it is read from, [`dwarf`] what their debug information says, [`extract`] the
//! answer to the one by the other, [`render`] and [`tables`] put that into Rust, [`mod@keep`] adapts builds that are not read again, and
//! [`derived`] adds what could only be worked out.

pub mod derived;
pub mod dwarf;
pub mod extract;
pub mod interpreters;
pub mod keep;
pub mod render;
pub mod spec;
pub mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use crate::workspace;
use interpreters::Interpreter;
use spec::Spec;
use tables::{Key, Table};

/// What the tables should be.
#[derive(Debug)]
pub struct Made {
    /// Files below `memobj/cpython/src/layout/`, and their texts.
    pub files: BTreeMap<PathBuf, String>,
    /// Lines for people: what each interpreter gave, and what was kept without one.
    pub notes: Vec<String>,
}

/// The folder of the tables.
#[must_use]
pub fn folder() -> PathBuf {
    workspace::root().join("memobj/cpython/src/layout")
}

/// Reads the list of what is needed.
///
/// # Errors
/// If it cannot be read or is wrong.
pub fn spec() -> Result<Spec, String> {
    let path = folder().join("spec.txt");
    Spec::parse(&std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?)
}

/// The rows of one interpreter's layout.
///
/// # Errors
/// What its debug information lacks, a line each.
pub fn rows(spec: &Spec, interpreter: &Interpreter) -> Result<render::Rows, Vec<String>> {
    let mut sources = extract::Sources::new(interpreter.files.clone(), interpreter.roots.clone(), spec);
    let found = extract::extract(spec, (interpreter.minor(), interpreter.micro()), &mut sources)?;
    Ok(render::rows(spec, interpreter, &found))
}

/// Makes the tables of `interpreters`. Builds that are in the tables but not among these are kept, and get the fields that `spec.txt` lists
/// now: new optional ones are absent.
///
/// # Errors
/// If the list is wrong, an interpreter lacks a member, or a kept build lacks a field that is not optional: it has to be read again.
pub fn make(interpreters: &[Interpreter]) -> Result<Made, Vec<String>> {
    let spec = spec().map_err(|error| vec![error])?;
    let mut notes = Vec::new();
    let mut faults = Vec::new();
    let mut made: BTreeMap<Key, Table> = BTreeMap::new();
    for interpreter in interpreters.iter().filter(|interpreter| interpreter.minor() >= 8) {
        match rows(&spec, interpreter) {
            Ok(rows) => {
                let absent = rows.iter().filter(|(_, value)| value == "None").map(|(name, _)| name.as_str());
                let absent: Vec<&str> = absent.collect();
                notes.push(format!("{interpreter}: without {}", absent.join(" ")));
                made.entry(Key::for_interpreter(interpreter))
                    .or_default()
                    .insert(interpreter.origin.clone(), rows);
            }
            Err(lacking) if lacking.iter().any(|line| line.ends_with("no debug information")) => {
                notes.push(format!("{interpreter}: no debug information"));
            }
            Err(lacking) => {
                faults.extend(lacking.into_iter().map(|line| format!("{interpreter}: {line}")));
            }
        }
    }
    for (key, table) in read().map_err(|error| vec![error.to_string()])? {
        for (origin, rows) in table {
            let build = interpreters::build(key.free_threaded, key.debug);
            let fresh = made.entry(key).or_default();
            if fresh.contains_key(&origin) || origin.starts_with(derived::MARK) {
                continue;
            }
            match keep::keep(&spec, &rows) {
                Ok((rows, absent)) if absent.is_empty() => {
                    notes.push(format!("{origin}{build}: kept"));
                    fresh.insert(origin, rows);
                }
                Ok((rows, absent)) => {
                    notes.push(format!("{origin}{build}: kept, without {} until it is read again", absent.join(" ")));
                    fresh.insert(origin, rows);
                }
                Err(lacking) => faults.push(format!(
                    "{origin}{build}: not read, and its table lacks {}: mark them with `?` in spec.txt, or run tests/interpreters",
                    lacking.join(" ")
                )),
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    derived::add(&mut made);
    let mut files = BTreeMap::from([(PathBuf::from("fields.rs"), render::fields(&spec))]);
    for (key, table) in &made {
        files.insert(format!("tables/{}.rs", key.module()).into(), tables::render(*key, table));
    }
    files.insert("tables/mod.rs".into(), index(&made.keys().copied().collect()));
    Ok(Made { files, notes })
}

/// The tables as they are.
fn read() -> io::Result<BTreeMap<Key, Table>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder().join("tables"))? {
        let path = entry?.path();
        let Some(key) = path.file_stem().and_then(|name| name.to_str()).and_then(key) else { continue };
        found.insert(key, tables::parse(&std::fs::read_to_string(&path)?));
    }
    Ok(found)
}

/// The key of `cp313td`.
fn key(module: &str) -> Option<Key> {
    let rest = module.strip_prefix("cp3")?;
    let digits = rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let flags = rest.strip_prefix(digits)?;
    Some(Key { minor: digits.parse().ok()?, free_threaded: flags.contains('t'), debug: flags.contains('d') })
}

fn index(keys: &BTreeSet<Key>) -> String {
    let mut text =
        "//! The tables, one for each minor version and kind of build. Written by `cargo xtask layouts`.\n\n"
            .to_owned();
    for key in keys {
        text += &format!("#[rustfmt::skip]\nmod {};\n", key.module());
    }
    text += "\nuse super::VersionTable;\n\n/// All of them.\npub const ALL: &[VersionTable] = &[\n";
    for key in keys {
        text += &format!(
            "    VersionTable {{ minor: {}, free_threaded: {}, debug: {}, builds: {}::BUILDS }},\n",
            key.minor,
            key.free_threaded,
            key.debug,
            key.module()
        );
    }
    text + "];\n"
}

/// Writes the tables: of all interpreters found, or with `only` those of one table (`cp313t`) or of the interpreter at a path. Returns the
/// lines for people.
///
/// # Errors
/// As [`make`]; if `only` names no interpreter, or a file cannot be written.
pub fn write(only: Option<&str>) -> Result<Vec<String>, Vec<String>> {
    let chosen = match only {
        None => interpreters::found(),
        Some(only) => match key(only) {
            Some(table) => interpreters::found_with(|found| Key::for_interpreter(found) == table),
            None => interpreters::at(only.as_ref()).into_iter().collect(),
        },
    };
    if let (Some(only), []) = (only, chosen.as_slice()) {
        return Err(vec![format!(
            "no interpreter for {only}: give a table such as cp313t, or the path of a Python"
        )]);
    }
    let made = make(&chosen)?;
    for (path, text) in &made.files {
        std::fs::write(folder().join(path), text).map_err(|e| vec![format!("{}: {e}", path.display())])?;
    }
    Ok(made.notes)
}

/// What differs between the structs of two interpreters, a line each: members that came and went, groups that only one of them has. It is
/// for the eye of someone who brings in a new version.
///
/// # Errors
/// If there is no such interpreter, or its debug information cannot be read.
pub fn compare(old: &str, new: &str, interpreters: &[Interpreter]) -> Result<Vec<String>, String> {
    let spec = spec()?;
    let members = |name: &str| {
        let found = interpreters.iter().find(|interpreter| interpreter.to_string() == name);
        let found = found.ok_or_else(|| {
            let names: Vec<String> = interpreters.iter().map(ToString::to_string).collect();
            format!("no interpreter {name}; there are: {}", names.join(", "))
        })?;
        extract::members(&spec, &mut extract::Sources::new(found.files.clone(), found.roots.clone(), &spec))
    };
    let (old, new) = (members(old)?, members(new)?);
    let mut lines = Vec::new();
    for group in &spec.groups {
        match (old.get(&group.name), new.get(&group.name)) {
            (Some(before), Some(after)) => {
                let went = before.iter().filter(|name| !after.contains(name)).map(|name| format!(" -{name}"));
                let came = after.iter().filter(|name| !before.contains(name)).map(|name| format!(" +{name}"));
                let changes: String = went.chain(came).collect();
                if !changes.is_empty() {
                    lines.push(format!("{}:{changes}", group.name));
                }
            }
            (Some(_), None) => lines.push(format!("{}: went", group.name)),
            (None, Some(_)) => lines.push(format!("{}: came", group.name)),
            (None, None) => {}
        }
    }
    Ok(lines)
}

/// What a look at the tables found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is not as it should be, a line each.
    pub wrong: Vec<String>,
    /// Interpreters that were compared with their layouts.
    pub compared: Vec<String>,
    /// Interpreters that could not be, and why.
    pub left_out: Vec<String>,
}

/// Holds the committed files against the list of what is needed, and the layout of each interpreter found against its debug information.
/// What an interpreter was built without is not compared.
///
/// # Errors
/// If the list or the tables cannot be read.
pub fn check(interpreters: &[Interpreter]) -> Result<Checked, String> {
    let spec = spec()?;
    let tables = read().map_err(|e| e.to_string())?;
    let mut checked = Checked::default();
    let mut texts = BTreeMap::from([(PathBuf::from("fields.rs"), render::fields(&spec))]);
    texts.insert("tables/mod.rs".into(), index(&tables.keys().copied().collect()));
    for (key, table) in &tables {
        texts.insert(format!("tables/{}.rs", key.module()).into(), tables::render(*key, table));
    }
    for (path, text) in texts {
        if std::fs::read_to_string(folder().join(&path)).ok().as_ref() != Some(&text) {
            checked.wrong.push(format!("{}: not as it is made", path.display()));
        }
    }
    let mut again = tables.clone();
    derived::add(&mut again);
    if again != tables {
        checked.wrong.push("what is worked out is not as it is made".to_owned());
    }
    for interpreter in interpreters.iter().filter(|interpreter| interpreter.minor() >= 8) {
        let known =
            tables.get(&Key::for_interpreter(interpreter)).and_then(|table| table.get(&interpreter.origin));
        let Some(known) = known else {
            checked.left_out.push(format!("{interpreter}: not in the tables"));
            continue;
        };
        match rows(&spec, interpreter) {
            Ok(fresh) => {
                checked.compared.push(interpreter.to_string());
                let wrong = tables::differences(&fresh, known);
                checked.wrong.extend(wrong.into_iter().map(|line| format!("{interpreter}: {line}")));
            }
            Err(lacking) if lacking.iter().any(|line| line.ends_with("no debug information")) => {
                checked.left_out.push(format!("{interpreter}: no debug information"));
            }
            Err(lacking) => {
                checked.wrong.extend(lacking.into_iter().map(|line| format!("{interpreter}: {line}")));
            }
        }
    }
    Ok(checked)
}
