//! The table of leak shapes in `docs/leaks.md`, made from the results of a test run alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::support::between;
use crate::workspace;

/// The mark before the table.
pub const BEGIN: &str =
    "<!-- written by `cargo xtask leaks` from what the test left in target/shapes.jsonl -->";
/// The mark after the table.
pub const END: &str = "<!-- end of what `cargo xtask leaks` writes -->";

/// The result of one program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShapeResult {
    /// The Python it ran in: version, distributor, build flags.
    pub python: String,
    /// The name of the shape, in `tests/targets/leaks/shapes.py`.
    pub shape: String,
    /// Whether that leaks.
    pub leaks: bool,
    /// Whether the whole report was right.
    pub right: bool,
    /// The reported type.
    pub of: Option<String>,
    /// The reported holder.
    pub holder: Option<String>,
    /// Error of the rate relative to the right one.
    pub off_ratio: Option<f64>,
    /// Confidence of the verdict, 0 to 1.
    pub confidence_ratio: Option<f64>,
}

/// The file of results.
#[must_use]
pub fn file() -> PathBuf {
    workspace::target().join("shapes.jsonl")
}

/// Writes the results in place of earlier ones.
///
/// # Errors
/// If the file cannot be written.
pub fn note(file: &Path, results: &[ShapeResult]) -> io::Result<()> {
    let lines: Result<Vec<String>, _> = results.iter().map(serde_json::to_string).collect();
    std::fs::write(file, lines?.join("\n") + "\n")
}

/// Reads the results.
///
/// # Errors
/// If the file cannot be read or parsed.
pub fn noted(file: &Path) -> io::Result<Vec<ShapeResult>> {
    let name = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| name(&error))?;
    text.lines().map(|line| serde_json::from_str(line).map_err(|error| name(&error))).collect()
}

/// Formats the table: a row for each shape, in the order of the results.
#[must_use]
pub fn table(results: &[ShapeResult]) -> String {
    let mut text = "| shape | what grows | held by | Pythons | right | rate off, median | rate off, most | confidence, least |\n\
                    |---|---|---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    let mut shapes: Vec<&str> = Vec::new();
    for one in results {
        if !shapes.contains(&one.shape.as_str()) {
            shapes.push(&one.shape);
        }
    }
    for shape in shapes {
        let of: Vec<&ShapeResult> = results.iter().filter(|one| one.shape == shape).collect();
        let right: Vec<&ShapeResult> = of.iter().filter(|one| one.right).copied().collect();
        let leaks = of.iter().any(|one| one.leaks);
        let values = |value: fn(&ShapeResult) -> Option<&String>| {
            let values: BTreeSet<&String> = right.iter().filter_map(|one| value(one)).collect();
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            if !leaks {
                "nothing".to_owned()
            } else if values.is_empty() {
                "–".to_owned()
            } else {
                values.join(", ")
            }
        };
        let mut off: Vec<f64> = right.iter().filter_map(|one| one.off_ratio).collect();
        off.sort_by(f64::total_cmp);
        let sure = right.iter().filter_map(|one| one.confidence_ratio).reduce(f64::min);
        let percent =
            |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0));
        let _ = writeln!(
            text,
            "| {shape} | {} | {} | {} | {} | {} | {} | {} |",
            values(|one| one.of.as_ref()),
            values(|one| one.holder.as_ref()),
            of.len(),
            right.len(),
            percent(off.get(off.len() / 2).copied()),
            percent(off.last().copied()),
            if leaks { percent(sure) } else { "–".to_owned() },
        );
    }
    text
}

/// Writes the table into `docs/leaks.md`. Returns the number of programs.
///
/// # Errors
/// If a file cannot be read or written, or has no marks.
pub fn write() -> io::Result<usize> {
    let results = noted(&file())?;
    let document = workspace::root().join("docs/leaks.md");
    let text = std::fs::read_to_string(&document)?;
    std::fs::write(&document, between(&text, BEGIN, END, &table(&results))?)?;
    Ok(results.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(python: &str, shape: &str, off_ratio: Option<f64>) -> ShapeResult {
        ShapeResult {
            python: python.into(),
            shape: shape.into(),
            leaks: off_ratio.is_some(),
            right: true,
            of: off_ratio.map(|_| "__main__.Node".into()),
            holder: off_ratio.map(|_| "__main__.root".into()),
            off_ratio,
            confidence_ratio: Some(0.99),
        }
    }

    #[test]
    fn rows_count_pythons_and_rate_errors() {
        let mut all = vec![
            result("3.8", "tree", Some(0.01)),
            result("3.8", "churn", None),
            result("3.9", "tree", Some(0.03)),
            result("3.10", "tree", Some(0.02)),
        ];
        all.push(ShapeResult {
            right: false,
            holder: Some("other".into()),
            ..result("3.11", "tree", Some(0.5))
        });
        all.push(result("3.9", "churn", None));
        let text = table(&all);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| tree | `__main__.Node` | `__main__.root` | 4 | 3 | 2.0 % | 3.0 % | 99.0 % |",
                "| churn | nothing | nothing | 2 | 2 | – | – | – |",
            ]
        );
    }

    #[test]
    fn results_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shapes.jsonl");
        let all = [result("3.8", "tree", Some(0.25)), result("3.8", "churn", None)];
        assert!(noted(&file).is_err());
        note(&file, &all).unwrap();
        assert_eq!(noted(&file).unwrap(), all);
        std::fs::write(&file, "{}\n").unwrap();
        assert!(noted(&file).is_err());
    }
}
