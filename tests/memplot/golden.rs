//! Compares SVGs byte by byte. `cargo xtask goldens` writes them again: look at them before you commit.

use super::{logs, svg};
use crate::support::workspace;

/// Compares with the file, or writes it.
#[track_caller]
fn hold(name: &str, got: &str) {
    let path = workspace::root().join("tests/goldens/memplot").join(name);
    if std::env::var_os(xtask::goldens::WRITE).is_some_and(|value| value == "write") {
        std::fs::write(&path, got).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = expected.lines().zip(got.lines()).find(|(expected, got)| expected != got);
    assert!(
        expected == got,
        "{}: differs, first in {difference:?}; `cargo xtask goldens` writes it anew",
        path.display()
    );
}

#[test]
fn golden_processes_stacked() {
    hold("processes.svg", &svg(&logs::hour(), &[]));
}

#[test]
fn golden_types_in_the_dark() {
    hold("types-dark.svg", &svg(&logs::objects(), &["--theme", "dark", "--size", "900x520"]));
}

#[test]
fn golden_change_of_counts() {
    hold("counts-delta.svg", &svg(&logs::objects(), &["--what", "counts", "--delta", "--theme", "light"]));
}

#[test]
fn golden_total_log_scale() {
    hold("total-log.svg", &svg(&logs::hour(), &["--what", "total", "--log-scale"]));
}

#[test]
fn svg_is_deterministic() {
    for args in [&[][..], &["--no-stack"], &["--what", "threads"]] {
        let (first, second) = (svg(&logs::hour(), args), svg(&logs::hour(), args));
        assert_eq!(first, second);
    }
}
