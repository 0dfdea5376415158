//! `docs/schema.md` and the Rust types say the same: the same fields, in the same order, of the same JSON types.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::support::samples::{self, Fill};
use crate::support::workspace;

/// A row of a table of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    kind: String,
    /// What stands there if there is no value.
    empty: Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    Never,
    Null,
    Absent,
}

/// The tables of the document, by the name in backticks in the heading above: `### `process``. A table of fields begins with
/// `| field | JSON type | meaning |`.
fn tables(document: &str) -> Vec<(String, Vec<Field>)> {
    let mut tables: Vec<(String, Vec<Field>)> = Vec::new();
    let mut heading = String::new();
    let mut inside = false;
    for line in document.lines() {
        if line.starts_with('#') {
            heading = line.split('`').nth(1).unwrap_or_default().to_owned();
        }
        if line.starts_with("| field |") {
            tables.push((heading.clone(), Vec::new()));
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if let (true, false, Some((_, fields))) = (inside, line.starts_with("|---"), tables.last_mut())
        {
            fields.push(field(line));
        }
    }
    tables
}

/// Reads `| `rss_bytes` | integer or null | … |`.
fn field(line: &str) -> Field {
    let mut cells = line.trim_matches('|').split('|').map(str::trim);
    let name = cells.next().unwrap_or_default().trim_matches('`').to_owned();
    let kind = cells.next().unwrap_or_default();
    assert!(cells.next().is_some_and(|meaning| !meaning.is_empty()), "no meaning: {line}");
    let (kind, empty) = match kind.split_once(" or ") {
        None => (kind, Empty::Never),
        Some((kind, "null")) => (kind, Empty::Null),
        Some((kind, "absent")) => (kind, Empty::Absent),
        Some(_) => panic!("neither null nor absent: {line}"),
    };
    Field { name, kind: kind.to_owned(), empty }
}

/// The word for a value's type in the document.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// An object's fields in the order in which they are written.
#[derive(Debug, Clone)]
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

fn ordered(value: &impl serde::Serialize) -> Ordered {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Where an object with all its values and one with none differ from the table.
fn differences(name: &str, table: &[Field], full: &Ordered, bare: &Ordered) -> Vec<String> {
    let mut found = Vec::new();
    let documented: Vec<&str> = table.iter().map(|field| field.name.as_str()).collect();
    let written: Vec<&str> = full.0.iter().map(|(name, _)| name.as_str()).collect();
    if documented != written {
        found.push(format!("{name}: documented {documented:?}, written {written:?}"));
    }
    for field in table {
        let value =
            |object: &Ordered| object.0.iter().find(|(name, _)| *name == field.name).map(|(_, v)| kind(v));
        let full = value(full).unwrap_or("absent");
        if full != field.kind {
            found.push(format!("{name}.{}: documented as {}, written as {full}", field.name, field.kind));
        }
        let empty = value(bare).unwrap_or("absent");
        let expected = match field.empty {
            Empty::Never => field.kind.as_str(),
            Empty::Null => "null",
            Empty::Absent => "absent",
        };
        if empty != expected {
            found.push(format!(
                "{name}.{}: if empty documented as {expected}, written as {empty}",
                field.name
            ));
        }
    }
    found
}

/// Every object of the contract with the name of its table, full and bare. Records without `type` and header, which have a
/// table of their own.
fn objects() -> Vec<(String, Ordered, Ordered)> {
    let mut objects = Vec::new();
    for (full, bare) in samples::records(Fill::Full).iter().zip(&samples::records(Fill::Bare)) {
        let (mut full, mut bare) = (ordered(full), ordered(bare));
        let name = full.0[0].1.as_str().unwrap().to_owned();
        let header = Ordered(full.0.drain(..6).collect());
        let bare_header = Ordered(bare.0.drain(..6).collect());
        objects.push(("type".to_owned(), header, bare_header));
        objects.push((name, full, bare));
    }
    let both = |name: &str, full: Ordered, bare: Ordered| (name.to_owned(), full, bare);
    objects.extend([
        both("children", ordered(&samples::sample(Fill::Full, 1)), ordered(&samples::sample(Fill::Bare, 1))),
        both("cgroup", ordered(&samples::cgroup(Fill::Full)), ordered(&samples::cgroup(Fill::Bare))),
        both("pressure", ordered(&samples::pressure()), ordered(&samples::pressure())),
        both("system", ordered(&samples::system(Fill::Full)), ordered(&samples::system(Fill::Bare))),
        both(
            "census.types",
            ordered(&samples::type_total(Fill::Full)),
            ordered(&samples::type_total(Fill::Bare)),
        ),
        both("census.modules", ordered(&samples::module_total()), ordered(&samples::module_total())),
        both("census.types_omitted", ordered(&samples::omitted()), ordered(&samples::omitted())),
        both(
            "census.holders",
            ordered(&samples::holder_total(Fill::Full)),
            ordered(&samples::holder_total(Fill::Bare)),
        ),
        both("census.owners", ordered(&samples::owner_total()), ordered(&samples::owner_total())),
        both(
            "census.unreachable",
            ordered(&samples::unreachable_total()),
            ordered(&samples::unreachable_total()),
        ),
        both("census.object_samples", ordered(&samples::object_sample()), ordered(&samples::object_sample())),
        both(
            "census.heap_tree",
            ordered(&samples::heap_node(Fill::Full)),
            ordered(&samples::heap_node(Fill::Bare)),
        ),
        both(
            "census.fd_holders",
            ordered(&samples::descriptor_total()),
            ordered(&samples::descriptor_total()),
        ),
        both("leaks.fds", ordered(&samples::descriptor_growth()), ordered(&samples::descriptor_growth())),
        both("census.paths", ordered(&samples::path_total()), ordered(&samples::path_total())),
        both(
            "census.caches",
            ordered(&samples::cache_total(Fill::Full)),
            ordered(&samples::cache_total(Fill::Bare)),
        ),
        both("census.threads", ordered(&samples::thread(Fill::Full)), ordered(&samples::thread(Fill::Bare))),
        both(
            "census.python",
            ordered(&samples::python_build(Fill::Full)),
            ordered(&samples::python_build(Fill::Bare)),
        ),
        both("census.gc", ordered(&samples::gc_state(Fill::Full)), ordered(&samples::gc_state(Fill::Bare))),
        both(
            "census.gc.generations",
            ordered(&samples::gc_generation(Fill::Full)),
            ordered(&samples::gc_generation(Fill::Bare)),
        ),
        both(
            "census.coverage",
            ordered(&samples::coverage(Fill::Full)),
            ordered(&samples::coverage(Fill::Bare)),
        ),
        both(
            "census.memory",
            ordered(&samples::memory_account(Fill::Full)),
            ordered(&samples::memory_account(Fill::Bare)),
        ),
        both(
            "census.memory.rows",
            ordered(&samples::memory_row(Fill::Full)),
            ordered(&samples::memory_row(Fill::Bare)),
        ),
        both("census.memory.types", ordered(&samples::type_memory()), ordered(&samples::type_memory())),
        both(
            "census.memory.pinned_types",
            ordered(&samples::pinned_type()),
            ordered(&samples::pinned_type()),
        ),
        both(
            "census.memory.pinned_holders",
            ordered(&samples::pinned_holder()),
            ordered(&samples::pinned_holder()),
        ),
        both(
            "census.memory.large_regions",
            ordered(&samples::large_region(Fill::Full)),
            ordered(&samples::large_region(Fill::Bare)),
        ),
        both("leaks.leaks", ordered(&samples::leak(Fill::Full)), ordered(&samples::leak(Fill::Bare))),
        both("leaks.leaks.types", ordered(&samples::type_growth()), ordered(&samples::type_growth())),
        both(
            "leaks.leaks.additions",
            ordered(&samples::additions(Fill::Full)),
            ordered(&samples::additions(Fill::Bare)),
        ),
        both(
            "leaks.leaks.additions.lines",
            ordered(&samples::adding_line(Fill::Full)),
            ordered(&samples::adding_line(Fill::Bare)),
        ),
        both(
            "leaks.leaks.additions.lines.frames",
            ordered(&samples::code_line(Fill::Full)),
            ordered(&samples::code_line(Fill::Bare)),
        ),
        both("leaks.memory", ordered(&samples::memory_growth()), ordered(&samples::memory_growth())),
        both(
            "leaks.memory.rows",
            ordered(&samples::memory_row_growth(Fill::Full)),
            ordered(&samples::memory_row_growth(Fill::Bare)),
        ),
        both(
            "leaks.totals_by_census",
            ordered(&samples::census_totals(Fill::Full)),
            ordered(&samples::census_totals(Fill::Bare)),
        ),
        both("leaks.peers", ordered(&samples::peers()), ordered(&samples::peers())),
        both("diff.before", ordered(&samples::mark()), ordered(&samples::mark())),
        both(
            "diff.processes",
            ordered(&samples::process_change(Fill::Full)),
            ordered(&samples::process_change(Fill::Bare)),
        ),
        both(
            "diff.totals",
            ordered(&samples::total_change(Fill::Full)),
            ordered(&samples::total_change(Fill::Bare)),
        ),
        both(
            "diff.types",
            ordered(&samples::count_change(Fill::Full)),
            ordered(&samples::count_change(Fill::Bare)),
        ),
        both("diff.threads", ordered(&samples::thread_change()), ordered(&samples::thread_change())),
        both("diff.verdicts", ordered(&samples::verdict(Fill::Full)), ordered(&samples::verdict(Fill::Bare))),
    ]);
    objects
}

#[test]
fn the_document_and_the_types_say_the_same() {
    let tables = tables(&workspace::read("docs/schema.md"));
    let objects = objects();
    let mut found = Vec::new();
    for (name, full, bare) in &objects {
        let same: Vec<&Vec<Field>> =
            tables.iter().filter(|(n, _)| n == name).map(|(_, table)| table).collect();
        match same[..] {
            [table] => found.extend(differences(name, table, full, bare)),
            _ => found.push(format!("{name}: {} tables", same.len())),
        }
    }
    for (name, _) in &tables {
        if !objects.iter().any(|(n, ..)| n == name) {
            found.push(format!("{name}: a table, but no such object"));
        }
    }
    assert!(found.is_empty(), "docs/schema.md and common::record differ:\n  {}", found.join("\n  "));
}

#[test]
fn the_words_of_the_contract_are_all_in_the_document() {
    use common::process::ProcessState;
    use common::record::{EventKind, LeakVerdict, OutputStream, Presence, TrendKind};

    let document = workspace::read("docs/schema.md");
    let events = [
        EventKind::Started,
        EventKind::Exited,
        EventKind::Replaced,
        EventKind::LimitCrossed,
        EventKind::Grew,
        EventKind::OomKill,
    ];
    let events = events.map(|event| serde_json::to_value(event).unwrap());
    let streams = [OutputStream::Stdout, OutputStream::Stderr].map(|s| serde_json::to_value(s).unwrap());
    let states = b"RSDTtZXIP?".map(|letter| Value::from(ProcessState::from_letter(letter).to_string()));
    let sides = [Presence::Both, Presence::New, Presence::Gone, Presence::Unknown]
        .map(|presence| serde_json::to_value(presence).unwrap());
    let trends = [
        TrendKind::Growing,
        TrendKind::Steady,
        TrendKind::Shrinking,
        TrendKind::Sawtooth,
        TrendKind::TooShort,
    ]
    .map(|trend| serde_json::to_value(trend).unwrap());
    let verdicts = [LeakVerdict::Leak, LeakVerdict::None, LeakVerdict::TooShort]
        .map(|verdict| serde_json::to_value(verdict).unwrap());
    for word in events.iter().chain(&streams).chain(&states).chain(&sides).chain(&trends).chain(&verdicts) {
        let word = word.as_str().unwrap();
        assert!(document.contains(&format!("`{word}`")), "{word} is not in docs/schema.md");
    }
}

#[test]
fn names_tell_units_and_values_keep_to_them() {
    for (name, full, _) in objects() {
        for (field, value) in full.0 {
            let expected = match field.rsplit('_').next() {
                Some("bytes" | "count") => "integer",
                Some("seconds" | "ratio") => "number",
                _ => kind(&value),
            };
            assert_eq!(kind(&value), expected, "{name}.{field}");
        }
    }
}

mod the_check_itself {
    use super::*;

    const DOCUMENT: &str = "\
# The `x` of it\n\n| field | JSON type | meaning |\n|---|---|---|\n| `a` | integer | one |\n| `b` | string or null | two |\n\
| `c` | number or absent | three |\n\nText.\n\n| word | meaning |\n|---|---|\n| `d` | no field |\n";

    fn found(full: &str, bare: &str) -> Vec<String> {
        let tables = tables(DOCUMENT);
        let parse = |text: &str| serde_json::from_str::<Ordered>(text).unwrap();
        differences("x", &tables[0].1, &parse(full), &parse(bare))
    }

    #[test]
    fn reads_tables_of_fields_only() {
        let tables = tables(DOCUMENT);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].0, "x");
        let row = |name: &str, kind: &str, empty| Field { name: name.into(), kind: kind.into(), empty };
        let rows = [
            row("a", "integer", Empty::Never),
            row("b", "string", Empty::Null),
            row("c", "number", Empty::Absent),
        ];
        assert_eq!(tables[0].1, rows);
    }

    #[test]
    fn finds_every_kind_of_difference() {
        let (full, bare) = (r#"{"a":1,"b":"x","c":0.5}"#, r#"{"a":0,"b":null}"#);
        assert!(found(full, bare).is_empty());
        for (full, bare, what) in [
            (r#"{"b":"x","a":1,"c":0.5}"#, bare, "another order"),
            (r#"{"a":1,"b":"x","c":0.5,"d":1}"#, bare, "a field the document lacks"),
            (r#"{"a":1,"b":"x"}"#, bare, "a field the types lack"),
            (r#"{"a":1.5,"b":"x","c":0.5}"#, bare, "another type"),
            (full, r#"{"a":null,"b":null}"#, "null against the document"),
            (full, r#"{"a":0}"#, "absent in place of null"),
            (full, r#"{"a":0,"b":null,"c":null}"#, "null in place of absent"),
        ] {
            assert!(!found(full, bare).is_empty(), "{what}");
        }
    }
}
