//! How each shape of leak was told on each interpreter, for `docs/leaks.md`: a table made of what a test run left, and of nothing else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::support::between;
use crate::workspace;

/// What stands before the table.
pub const BEGIN: &str =
    "<!-- written by `cargo xtask leaks` from what the test left in target/shapes.jsonl -->";
/// What stands behind it.
pub const END: &str = "<!-- end of what `cargo xtask leaks` writes -->";

/// What was said of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The Python it ran in: its version, whose build it is, what is special in that.
    pub python: String,
    /// The name of the shape, in `tests/targets/leaks/shapes.py`.
    pub shape: String,
    /// Whether that leaks.
    pub leaks: bool,
    /// Whether all that was said of it is right.
    pub right: bool,
    /// How often it was looked at until it was right, or given up.
    pub looks: u32,
    /// The type that was said to leak.
    pub of: Option<String>,
    /// Who was said to hold it.
    pub holder: Option<String>,
    /// How far the rate was off, as a part of the right one.
    pub off_ratio: Option<f64>,
    /// How sure the verdict was, 0 to 1.
    pub confidence_ratio: Option<f64>,
}

/// The file in which the test leaves its lines.
#[must_use]
pub fn file() -> PathBuf {
    workspace::target().join("shapes.jsonl")
}

/// Leaves what was told, in place of what was left before.
///
/// # Errors
/// If the file cannot be written.
pub fn note(file: &Path, told: &[Told]) -> io::Result<()> {
    let lines: Result<Vec<String>, _> = told.iter().map(serde_json::to_string).collect();
    std::fs::write(file, lines?.join("\n") + "\n")
}

/// What a test left.
///
/// # Errors
/// If there is no such file, or a line is none of ours.
pub fn noted(file: &Path) -> io::Result<Vec<Told>> {
    let name = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| name(&error))?;
    text.lines().map(|line| serde_json::from_str(line).map_err(|error| name(&error))).collect()
}

/// The table: a row for each shape, in the order in which they were looked at.
#[must_use]
pub fn table(told: &[Told]) -> String {
    let mut text = "| shape | what grows | held by | Pythons | right | at the first look | rate off, median | rate off, most | confidence, least |\n\
                    |---|---|---|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    let mut shapes: Vec<&str> = Vec::new();
    for one in told {
        if !shapes.contains(&one.shape.as_str()) {
            shapes.push(&one.shape);
        }
    }
    for shape in shapes {
        let of: Vec<&Told> = told.iter().filter(|one| one.shape == shape).collect();
        let right: Vec<&Told> = of.iter().filter(|one| one.right).copied().collect();
        let leaks = of.iter().any(|one| one.leaks);
        let words = |word: fn(&Told) -> Option<&String>| {
            let words: BTreeSet<&String> = right.iter().filter_map(|one| word(one)).collect();
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            if !leaks {
                "nothing".to_owned()
            } else if words.is_empty() {
                "–".to_owned()
            } else {
                words.join(", ")
            }
        };
        let mut off: Vec<f64> = right.iter().filter_map(|one| one.off_ratio).collect();
        off.sort_by(f64::total_cmp);
        let sure = right.iter().filter_map(|one| one.confidence_ratio).reduce(f64::min);
        let percent =
            |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0));
        let _ = writeln!(
            text,
            "| {shape} | {} | {} | {} | {} | {} | {} | {} | {} |",
            words(|one| one.of.as_ref()),
            words(|one| one.holder.as_ref()),
            of.len(),
            right.len(),
            right.iter().filter(|one| one.looks == 1).count(),
            percent(off.get(off.len() / 2).copied()),
            percent(off.last().copied()),
            if leaks { percent(sure) } else { "–".to_owned() },
        );
    }
    text
}

/// Writes the table into `docs/leaks.md`. Returns how many programs it is of.
///
/// # Errors
/// If a file cannot be read or written, or the document has no place for it.
pub fn write() -> io::Result<usize> {
    let told = noted(&file())?;
    let document = workspace::root().join("docs/leaks.md");
    let text = std::fs::read_to_string(&document)?;
    std::fs::write(&document, between(&text, BEGIN, END, &table(&told))?)?;
    Ok(told.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(python: &str, shape: &str, off_ratio: Option<f64>) -> Told {
        Told {
            python: python.into(),
            shape: shape.into(),
            leaks: off_ratio.is_some(),
            right: true,
            looks: 1,
            of: off_ratio.map(|_| "__main__.Node".into()),
            holder: off_ratio.map(|_| "__main__.root".into()),
            off_ratio,
            confidence_ratio: Some(0.99),
        }
    }

    #[test]
    fn a_row_says_of_how_many_pythons_it_is_and_how_far_it_was_off() {
        let mut all = vec![
            told("3.8", "tree", Some(0.01)),
            told("3.8", "churn", None),
            told("3.9", "tree", Some(0.03)),
            told("3.10", "tree", Some(0.02)),
        ];
        all.push(Told {
            right: false,
            looks: 2,
            holder: Some("nobody".into()),
            ..told("3.11", "tree", Some(0.5))
        });
        all.push(Told { looks: 2, ..told("3.9", "churn", None) });
        let text = table(&all);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| tree | `__main__.Node` | `__main__.root` | 4 | 3 | 3 | 2.0 % | 3.0 % | 99.0 % |",
                "| churn | nothing | nothing | 2 | 2 | 1 | – | – | – |",
            ]
        );
    }

    #[test]
    fn what_was_left_is_read_again_and_a_strange_line_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shapes.jsonl");
        let all = [told("3.8", "tree", Some(0.25)), told("3.8", "churn", None)];
        assert!(noted(&file).is_err());
        note(&file, &all).unwrap();
        assert_eq!(noted(&file).unwrap(), all);
        std::fs::write(&file, "{}\n").unwrap();
        assert!(noted(&file).is_err());
    }
}
