//! The files of tables: one for each minor version, free-threaded or not, debug or not, with a layout for each build of it that was
//! seen. What a build shares with the first one in its file is not repeated.

use std::collections::BTreeMap;

use super::interpreters::Interpreter;
use super::render::Rows;

/// Which file a build is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The second number of the version.
    pub minor: u32,
    /// Built without the global lock.
    pub free_threaded: bool,
    /// Built with `Py_DEBUG`.
    pub debug: bool,
}

impl Key {
    /// The file of an interpreter.
    #[must_use]
    pub fn for_interpreter(interpreter: &Interpreter) -> Self {
        Self {
            minor: interpreter.minor(),
            free_threaded: interpreter.free_threaded,
            debug: interpreter.debug,
        }
    }

    /// `cp313td`.
    #[must_use]
    pub fn module(self) -> String {
        let threads = if self.free_threaded { "t" } else { "" };
        let debug = if self.debug { "d" } else { "" };
        format!("cp3{}{threads}{debug}", self.minor)
    }
}

/// The layouts of one file, by origin.
pub type Table = BTreeMap<String, Rows>;

/// A row's value.
fn value<'a>(rows: &'a Rows, row: &str) -> &'a str {
    rows.iter().find(|(name, _)| name == row).map_or("", |(_, value)| value)
}

/// The text of a file. The newest build comes first; the others list their differences from it.
#[must_use]
pub fn render(key: Key, table: &Table) -> String {
    let mut builds: Vec<&Rows> = table.values().collect();
    builds.sort_by(|a, b| {
        (value(b, "hexversion"), value(a, "origin")).cmp(&(value(a, "hexversion"), value(b, "origin")))
    });
    let threads = if key.free_threaded { ", free-threaded" } else { "" };
    let debug = if key.debug { ", debug" } else { "" };
    let mut uses = String::new();
    let mut text = String::new();
    for (index, rows) in builds.iter().enumerate() {
        text += &format!("\nconst BUILD{index}: Layout = Layout {{\n");
        let first = builds.first().filter(|_| index > 0);
        let mut shared = false;
        for (name, value) in rows.iter() {
            let same = first.is_some_and(|first| first.iter().any(|row| row.0 == *name && row.1 == *value));
            if same {
                shared = true;
            } else {
                text += &format!("    {name}: {value},\n");
            }
        }
        if shared {
            text += "    ..BUILD0\n";
        }
        text += "};\n";
    }
    if text.contains("BitField {") {
        uses += "use crate::layout::BitField;\n";
    }
    if text.contains("FixedShape {") {
        uses += "use crate::layout::FixedShape;\n";
    }
    let visited =
        if text.contains("VisitedFirst") { "use crate::layout::encoding::VisitedFirst;\n" } else { "" };
    let all: Vec<String> = (0..builds.len()).map(|index| format!("BUILD{index}")).collect();
    format!(
        "//! CPython 3.{}{threads}{debug}. Written by `cargo xtask layouts`: do not change it by hand.\n\n\
         {uses}use crate::layout::encoding::Encodings;\n{visited}use crate::layout::fields::*;\n\n\
         /// Builds that were seen, the newest first.\n\
         pub const BUILDS: &[Layout] = &[{}];\n{text}",
        key.minor,
        all.join(", ")
    )
}

/// Reads a file that [`render`] wrote.
#[must_use]
pub fn parse(text: &str) -> Table {
    let mut builds: Vec<Rows> = Vec::new();
    for line in text.lines() {
        if line.starts_with("const ") {
            builds.push(Vec::new());
            continue;
        }
        let first = builds.first().cloned();
        let Some(rows) = builds.last_mut() else { continue };
        let row = line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_alphabetic));
        if let Some((name, value)) = row.and_then(|row| row.split_once(": ")) {
            rows.push((name.to_owned(), value.to_owned()));
        } else if line == "    ..BUILD0" {
            // In the order of the first build, as they were before they were written.
            let own = std::mem::take(rows);
            for (name, value) in first.into_iter().flatten() {
                let value = own.iter().find(|row| row.0 == name).map_or(value, |(_, value)| value.clone());
                rows.push((name, value));
            }
        } else if let (Some((_, value)), true) = (rows.last_mut(), line.starts_with(' ')) {
            value.push('\n');
            value.push_str(line);
        }
    }
    let mut table = Table::new();
    for mut rows in builds {
        for (_, value) in &mut rows {
            if value.ends_with(',') {
                value.pop();
            }
        }
        table.insert(value(&rows, "origin").trim_matches('"').to_owned(), rows);
    }
    table
}

/// Where a layout that was just read is not what the table has, a line each. Groups and shapes that were not found now are passed over:
/// the interpreter may be built without that module.
#[must_use]
pub fn differences(fresh: &Rows, known: &Rows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, found) in fresh {
        let kept = value(known, name);
        if found == "None" || found == kept {
            continue;
        }
        if name == "fixed" {
            let shapes = found.lines().filter(|line| line.trim_start().starts_with("FixedShape"));
            let missing = shapes.filter(|shape| !kept.lines().any(|line| line == *shape));
            wrong.extend(missing.map(|shape| format!("not in the table: {}", shape.trim())));
        } else {
            wrong.push(format!("{name}: {found}, in the table {kept}"));
        }
    }
    wrong
}
