//! Layouts of builds that could not be had, worked out from those of their neighbours and CPython's sources. Nothing was tried on them:
//! what is here is no more than a candidate, which memobj verifies on the target as it does all others.

use std::collections::BTreeMap;

use super::render::Rows;
use super::tables::{Key, Table};

/// How the origins of such layouts begin.
pub const MARK: &str = "sources of ";

/// Adds them to tables that have the builds which they are worked out from, in the place of those that were there.
pub fn add(tables: &mut BTreeMap<Key, Table>) {
    for table in tables.values_mut() {
        table.retain(|origin, _| !origin.starts_with(MARK));
    }
    for debug in [false, true] {
        let key = Key { minor: 14, free_threaded: false, debug };
        let Some(table) = tables.get_mut(&key) else { continue };
        if let Some(base) = oldest(table, "Debian ") {
            table.insert(format!("{MARK}3.14.4"), incremental(&base));
        }
    }
    let key = Key { minor: 13, free_threaded: false, debug: false };
    let Some(table) = tables.get_mut(&key) else { return };
    let Some(own) = oldest(table, "pyenv ") else { return };
    for (origin, rows) in table.clone() {
        if let Some(version) = origin.strip_prefix("Debian ") {
            let origin = format!("{MARK}{version}");
            table.insert(origin.clone(), unpatched(&origin, &rows, &own));
        }
    }
}

/// The oldest build of one maker.
fn oldest(table: &Table, maker: &str) -> Option<Rows> {
    let builds = table.iter().filter(|(origin, _)| origin.starts_with(maker)).map(|(_, rows)| rows);
    let version =
        |rows: &Rows| rows.iter().find(|(name, _)| name == "hexversion").map(|(_, value)| value.clone());
    builds.min_by_key(|rows| version(rows)).cloned()
}

/// Debian's 3.13 has a patch that lets the collector's heads begin at any fourth byte, which moves its lists; all else of it is
/// python.org's of that version.
fn unpatched(origin: &str, debian: &Rows, own: &Rows) -> Rows {
    let find =
        |rows: &Rows, row: &str| rows.iter().find(|(name, _)| name == row).map(|(_, value)| value.clone());
    debian
        .iter()
        .map(|(name, value)| {
            let value = match name.as_str() {
                "origin" => format!("{origin:?}"),
                // Without what Debian's patches change of it.
                "encodings" => {
                    format!(
                        "Encodings::for_version({}, false)",
                        find(debian, "hexversion").unwrap_or_default()
                    )
                }
                "gc_state" => find(own, name).unwrap_or_else(|| value.clone()),
                _ => value.clone(),
            };
            (name.clone(), value)
        })
        .collect()
}

/// 3.14.0 to 3.14.4 collect incrementally: `struct _gc_runtime_state` (Include/internal/pycore_interp_structs.h) has `young` and
/// `old[2]` in the place of `generations[3]`, and ends with `phase`, 24 bytes before that of 3.14.5, which went back to generations
/// and added three words to its end. What follows it in the interpreter is as much earlier.
fn incremental(base: &Rows) -> Rows {
    const SHORTER: u64 = 24;
    let gc =
        base.iter().find(|(name, _)| name == "interpreter_state").and_then(|(_, value)| number(value, "gc"));
    base.iter()
        .map(|(name, value)| {
            let value = match name.as_str() {
                "origin" => format!("\"{MARK}3.14.4\""),
                "hexversion" => "0x030e04f0".to_owned(),
                "encodings" => "Encodings::for_version(0x030e04f0, false)".to_owned(),
                "gc_state" => fields(value, |name, value| match name {
                    "size" => {
                        value.parse().map_or(value.to_owned(), |size: u64| (size - SHORTER).to_string())
                    }
                    "young" => "Some(24)".to_owned(),
                    "old" => "Some(48)".to_owned(),
                    "generations" | "generation0" | "long_lived_total" | "long_lived_pending" => {
                        "None".to_owned()
                    }
                    _ => value.to_owned(),
                }),
                "interpreter_state" => fields(value, |_, value| match (digits(value), gc) {
                    (Some(place), Some(gc)) if place > gc => {
                        value.replace(&place.to_string(), &(place - SHORTER).to_string())
                    }
                    _ => value.to_owned(),
                }),
                _ => value.clone(),
            };
            (name.clone(), value)
        })
        .collect()
}

/// The number in `24` or `Some(24)`.
fn digits(value: &str) -> Option<u64> {
    value.trim_start_matches("Some(").trim_end_matches(')').parse().ok()
}

/// The number of one field of a group.
fn number(group: &str, field: &str) -> Option<u64> {
    let parts = group.split(['{', '}', ',']).filter_map(|part| part.split_once(": "));
    parts.filter(|(name, _)| name.trim() == field).find_map(|(_, value)| digits(value.trim()))
}

/// A group with each field's value changed.
fn fields(group: &str, change: impl Fn(&str, &str) -> String) -> String {
    let parts = group.split(", ").map(|part| {
        let (before, value) = part.split_once(": ").unwrap_or((part, ""));
        let name = before.rsplit(' ').next().unwrap_or(before);
        let (value, end) = value.strip_suffix(" }").map_or((value, ""), |value| (value, " }"));
        format!("{before}: {}{end}", change(name, value))
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_behind_gc_state_move() {
        let rows = [
            ("origin", "\"Debian 3.14.8\""),
            (
                "interpreter_state",
                "InterpreterState { size: 1000, next: 0, gc: Some(72), types: Some(600), none: None }",
            ),
            (
                "gc_state",
                "GcState { size: 264, collecting: 192, generations: Some(24), young: None, generation0: Some(256) }",
            ),
        ];
        let base: Rows = rows.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let derived = incremental(&base);
        assert_eq!(
            derived[1].1,
            "InterpreterState { size: 976, next: 0, gc: Some(72), types: Some(576), none: None }"
        );
        assert_eq!(
            derived[2].1,
            "GcState { size: 240, collecting: 192, generations: None, young: Some(24), generation0: None }"
        );
    }
}
