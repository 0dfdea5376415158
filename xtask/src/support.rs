//! The table of supported Pythons in `docs/support.md`, made from the results of the exactness tests alone.
//!
//! Each of those tests writes a line to `target/support/NAME.jsonl`, whatever its result: an interpreter whose census differs has a row
//! with `differs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::workspace;

/// The page, from the root of the workspace.
pub const PAGE: &str = "docs/support.md";
/// The mark before the table.
pub const BEGIN: &str =
    "<!-- written by `cargo xtask support` from what the tests left in target/support -->";
/// The mark after the table.
pub const END: &str = "<!-- end of what `cargo xtask support` writes -->";

/// Result of a comparison with the interpreter's own count; `None` if it was not made.
pub type Outcome = Option<bool>;

/// The results of one interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Its distributor: `pyenv`, `Debian trixie`. With the version and the build it identifies a row.
    pub name: String,
    /// Its full version: `3.13.5`.
    pub version: String,
    /// Its build flags: `shared`, `static, stripped`, `debug`, `free-threaded`.
    pub build: String,
    /// Its layout table in `memobj/cpython/src/layout/tables`: `cp313`.
    pub layout: String,
    /// Number of objects compared.
    pub objects: u64,
    /// Whether the tracked objects are those of `gc.get_objects()`, type by type, in count and in bytes.
    pub tracked: Outcome,
    /// The same of the closure of `gc.get_referents()`.
    pub reachable: Outcome,
    /// Whether a core file gives the same census.
    pub core: Outcome,
    /// Whether a saved snapshot does.
    pub snapshot: Outcome,
    /// Whether every leak was reported with its type, holder and rate, and no steady program was accused.
    #[serde(default)]
    pub leaks: Outcome,
}

/// The folder in which tests leave their lines.
#[must_use]
pub fn folder() -> PathBuf {
    workspace::target().join("support")
}

/// Records the results of an interpreter in the test `test`, in place of its earlier ones.
///
/// # Errors
/// If the folder or the file cannot be written.
pub fn note(folder: &Path, test: &str, tested: &Tested) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name: String = format!("{} {} {} {test}", tested.version, tested.build, tested.name)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let line = serde_json::to_string(tested)? + "\n";
    // A reader at the same time sees all of the line or nothing.
    let beside = folder.join(format!("{name}.part"));
    std::fs::write(&beside, line)?;
    std::fs::rename(beside, folder.join(name + ".jsonl"))
}

/// Reads all results, those of one interpreter joined; none if no test ran yet.
///
/// # Errors
/// If a file cannot be read or parsed.
pub fn noted(folder: &Path) -> io::Result<Vec<Tested>> {
    let mut paths = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut all: Vec<Tested> = Vec::new();
    for path in paths {
        for line in std::fs::read_to_string(&path)?.lines() {
            let one: Tested = serde_json::from_str(line)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            match all.iter_mut().find(|other| other.is_of(&one)) {
                Some(other) => other.join(&one),
                None => all.push(one),
            }
        }
    }
    Ok(all)
}

impl Tested {
    fn is_of(&self, other: &Self) -> bool {
        (&self.name, &self.version, &self.build, &self.layout)
            == (&other.name, &other.version, &other.build, &other.layout)
    }

    /// Adds the results of another test.
    fn join(&mut self, other: &Self) {
        self.objects = self.objects.max(other.objects);
        self.tracked = self.tracked.or(other.tracked);
        self.reachable = self.reachable.or(other.reachable);
        self.core = self.core.or(other.core);
        self.snapshot = self.snapshot.or(other.snapshot);
        self.leaks = self.leaks.or(other.leaks);
    }
}

/// The names of the layout tables: `cp313` of `memobj/cpython/src/layout/tables/cp313.rs`.
///
/// # Errors
/// If the folder cannot be read.
pub fn layouts() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join("memobj/cpython/src/layout/tables"))? {
        let name = entry?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    names.retain(|name| name != "mod");
    names.sort();
    Ok(names)
}

/// Formats the table: a row for each tested interpreter, and one for each layout without one.
#[must_use]
pub fn table(tested: &[Tested], layouts: &[String]) -> String {
    let mut rows: BTreeMap<(Vec<u32>, String, String), String> = BTreeMap::new();
    for one in tested {
        let key = (numbers(&one.version), one.build.clone(), one.name.clone());
        rows.insert(
            key,
            format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                one.version,
                one.name,
                one.build,
                one.layout,
                one.objects,
                as_str(one.tracked),
                as_str(one.reachable),
                as_str(one.core),
                as_str(one.snapshot),
                leaks_as_str(one.leaks)
            ),
        );
    }
    for layout in layouts.iter().filter(|layout| !tested.iter().any(|one| one.layout == **layout)) {
        let digits = layout.trim_start_matches("cp3");
        let minor = digits.trim_end_matches(|c: char| !c.is_ascii_digit());
        let build = match digits.trim_start_matches(|c: char| c.is_ascii_digit()) {
            "" => "any",
            "t" => "free-threaded",
            "d" => "debug",
            "td" => "free-threaded, debug",
            other => other,
        };
        let untested = as_str(None);
        let row = format!(
            "| 3.{minor} | – | {build} | {layout} | – | {untested} | {untested} | {untested} | {untested} | {untested} |\n"
        );
        rows.insert((numbers(&format!("3.{minor}")), build.to_owned(), String::new()), row);
    }
    let mut text =
        "| Python | of | build | layout | objects compared | tracked | reachable | core file | snapshot | leaks |\n\
                    |---|---|---|---|--:|---|---|---|---|---|\n"
            .to_owned();
    for row in rows.values() {
        let _ = write!(text, "{row}");
    }
    text
}

/// Replaces the text between two marks by the table.
///
/// # Errors
/// If a mark is missing or the marks are in the wrong order.
pub fn between(text: &str, begin: &str, end: &str, table: &str) -> io::Result<String> {
    let parts = text.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) = parts.ok_or_else(|| io::Error::other(format!("no {begin:?} … {end:?}")))?;
    Ok(format!("{before}{begin}\n\n{table}\n{end}{after}"))
}

/// Writes the table into `docs/support.md`. Returns the number of interpreters.
///
/// # Errors
/// If a file cannot be read or written, or has no marks.
pub fn write() -> io::Result<usize> {
    let tested = noted(&folder())?;
    if tested.is_empty() {
        return Err(io::Error::other("no test has left anything in target/support: run `cargo test` first"));
    }
    let page = workspace::root().join(PAGE);
    let text = std::fs::read_to_string(&page)?;
    std::fs::write(&page, between(&text, BEGIN, END, &table(&tested, &layouts()?))?)?;
    Ok(tested.len())
}

/// The rows of the table in the page's text, as cells; none without the marks.
#[must_use]
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let table =
        text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map_or("", |(table, _)| table);
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The name of an outcome in the table.
#[must_use]
pub const fn as_str(outcome: Outcome) -> &'static str {
    match outcome {
        Some(true) => "equal",
        Some(false) => "differs",
        None => "untested",
    }
}

/// The name of the outcome for leaks in the table.
#[must_use]
pub const fn leaks_as_str(outcome: Outcome) -> &'static str {
    match outcome {
        Some(true) => "named",
        Some(false) => "missed",
        None => as_str(None),
    }
}

/// A version as numbers to sort by; parts that are no numbers sort first.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(version: &str, layout: &str) -> Tested {
        Tested {
            name: "pyenv".into(),
            version: version.into(),
            build: "shared".into(),
            layout: layout.into(),
            objects: 120_000,
            tracked: Some(true),
            reachable: Some(false),
            core: Some(true),
            snapshot: None,
            leaks: Some(true),
        }
    }

    #[test]
    fn table_sorts_versions_and_shows_untested() {
        let layouts = ["cp310", "cp313td", "cp38"].map(str::to_owned);
        let text = table(&[tested("3.10.13", "cp310"), tested("3.8.18", "cp38")], &layouts);
        let rows = rows(&format!("{BEGIN}\n{text}{END}"));
        assert_eq!(rows.len(), 3, "{text}");
        assert_eq!(
            rows[0],
            ["3.8.18", "pyenv", "shared", "cp38", "120000", "equal", "differs", "equal", "untested", "named"]
        );
        assert_eq!(rows[1][0], "3.10.13");
        assert_eq!(rows[2][..5], ["3.13", "–", "free-threaded, debug", "cp313td", "–"]);
        assert!(rows[2][5..].iter().all(|cell| cell == "untested"));
    }

    #[test]
    fn table_replaces_text_between_marks() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = between(&text, BEGIN, END, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(between(&new, BEGIN, END, "new\n").unwrap(), new);
        assert!(between("nothing", BEGIN, END, "new").is_err());
        assert!(between(&format!("{END}\n{BEGIN}"), BEGIN, END, "new").is_err());
        assert!(rows("nothing").is_empty());
    }

    #[test]
    fn results_of_tests_are_joined() {
        let folder = tempfile::tempdir().unwrap();
        assert!(noted(&folder.path().join("none")).unwrap().is_empty());
        let whole = tested("3.12.1", "cp312");
        note(folder.path(), "heap", &Tested { tracked: None, ..whole.clone() }).unwrap();
        note(folder.path(), "heap", &Tested { core: None, ..whole.clone() }).unwrap();
        note(folder.path(), "files", &Tested { tracked: None, reachable: None, objects: 5, ..whole.clone() })
            .unwrap();
        assert_eq!(noted(folder.path()).unwrap(), [whole]);
        std::fs::write(folder.path().join("x.jsonl"), "{}\n").unwrap();
        assert!(noted(folder.path()).is_err());
    }
}
