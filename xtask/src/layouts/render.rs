//! From numbers to Rust.

use super::extract::{Extract, Shaped, Value, Values};
use super::interpreters::Interpreter;
use super::spec::{Group, Query, Spec};

/// Words that cannot be names in Rust as they are.
const KEYWORDS: &[&str] =
    &["type", "ref", "loop", "match", "mod", "move", "fn", "in", "use", "where", "async", "await"];

/// The longest line that is not broken.
const WIDTH: usize = 110;

/// The file with a struct for each group, and the layout that holds them all.
#[must_use]
pub fn fields(spec: &Spec) -> String {
    let mut text = "\
//! What is known of CPython's structs. Written by `cargo xtask layouts` from `spec.txt`: change that and run it.

#![allow(missing_docs, reason = \"members bear the names that CPython's sources give them\")]

use super::encoding::Encodings;
use super::{BitField, FixedShape};

/// Where everything is in one build of CPython, in bytes, and what else differs between builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Who made the build that this was read from, and its version.
    pub origin: &'static str,
    /// Its `sys.hexversion`.
    pub hexversion: u32,
    /// What differs besides places.
    pub encodings: Encodings,
"
    .to_owned();
    for group in &spec.groups {
        let of = match group.optional {
            true => format!("Option<{}>", type_name(group)),
            false => type_name(group),
        };
        text += &format!("    pub {}: {of},\n", name(&group.name));
    }
    text += "    /// C types whose objects refer to others only from fixed places.\n";
    text += "    pub fixed: &'static [FixedShape],\n}\n";
    for group in &spec.groups {
        let names: Vec<String> = group.types.iter().map(|of| format!("`{}`", of.name)).collect();
        let doc =
            if names.is_empty() { "Enumerators.".to_owned() } else { format!("{}.", names.join(" or ")) };
        text += &format!("\n/// {doc}\n#[derive(Debug, Clone, Copy, PartialEq, Eq)]\n");
        let mut parts = Vec::new();
        if !group.types.is_empty() {
            parts.push("pub size: u32".to_owned());
        }
        for field in &group.fields {
            let of = match field.query {
                Query::Bits => "BitField",
                Query::Value => "i32",
                _ => "u32",
            };
            let of = if field.optional { format!("Option<{of}>") } else { of.to_owned() };
            parts.push(format!("pub {}: {of}", name(&field.name)));
        }
        text += &format!("pub struct {} {{\n{}}}\n", type_name(group), broken(&parts));
    }
    text
}

/// Parts between commas, in as few lines as they fit in.
fn broken(parts: &[String]) -> String {
    let mut text = String::new();
    let mut line = String::from("   ");
    for part in parts {
        if line.len() + part.len() + 2 > WIDTH {
            text += &line;
            text += "\n";
            line = String::from("   ");
        }
        line += " ";
        line += part;
        line += ",";
    }
    text + &line + "\n"
}

/// The name of a group's struct: `ListObject` of `list_object`.
pub(super) fn type_name(group: &Group) -> String {
    let words = group.name.split('_').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            format!("{}{rest}", first.to_uppercase())
        })
        .collect()
}

/// A name as Rust writes it.
pub(super) fn name(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

/// The rows of a layout: a field of it, and its value.
pub type Rows = Vec<(String, String)>;

/// The layout of a build of CPython in Rust.
#[must_use]
pub fn rows(spec: &Spec, of: &Interpreter, extract: &Extract) -> Rows {
    let visiting = match of.shows_dict {
        Some(true) => ".visiting(VisitedFirst::Dict)",
        Some(false) => ".visiting(VisitedFirst::Values)",
        None => "",
    };
    let encodings =
        format!("Encodings::for_version({:#010x}, {}){visiting}", of.hexversion, of.free_threaded);
    let mut rows = vec![
        ("origin".to_owned(), format!("{:?}", of.origin)),
        ("hexversion".to_owned(), format!("{:#010x}", of.hexversion)),
        ("encodings".to_owned(), encodings),
    ];
    for (group, values) in spec.groups.iter().zip(&extract.groups) {
        let text = values.as_ref().map(|values| group_value(group, values));
        let text = match (text, group.optional) {
            (Some(text), true) => format!("Some({text})"),
            (Some(text), false) => text,
            (None, _) => "None".to_owned(),
        };
        rows.push((name(&group.name), text));
    }
    let shapes: String = extract.fixed.iter().map(fixed_shape).collect();
    rows.push((
        "fixed".to_owned(),
        if shapes.is_empty() { "&[]".into() } else { format!("&[\n{shapes}    ]") },
    ));
    rows
}

fn group_value(group: &Group, values: &Values) -> String {
    let mut parts = Vec::new();
    if let Some(size) = values.size {
        parts.push(format!("size: {size}"));
    }
    for (field, value) in group.fields.iter().zip(&values.fields) {
        let text = value.as_ref().map(|value| match value {
            Value::Number(number) => number.to_string(),
            Value::Bits(byte, bit, width) => {
                format!("BitField {{ byte: {byte}, bit: {bit}, width: {width} }}")
            }
            Value::Enumerator(number) => number.to_string(),
        });
        let text = match (text, field.optional) {
            (Some(text), true) => format!("Some({text})"),
            (Some(text), false) => text,
            (None, _) => "None".to_owned(),
        };
        parts.push(format!("{}: {text}", name(&field.name)));
    }
    format!("{} {{ {} }}", type_name(group), parts.join(", "))
}

fn fixed_shape(shape: &Shaped) -> String {
    let visited: Vec<String> = shape.visited.iter().map(u64::to_string).collect();
    format!(
        "        FixedShape {{ tp_name: {:?}, size: {}, visited: &[{}], names: &{:?}, visits_type: {} }},\n",
        shape.tp_name,
        shape.size,
        visited.join(", "),
        shape.names,
        shape.visits_type
    )
}
