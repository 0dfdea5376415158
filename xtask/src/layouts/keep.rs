//! Builds that are not read again, adapted to the list of what is needed as it is now.

use super::render::{Rows, name, type_name};
use super::spec::{Group, Spec};

/// The rows of a build with the fields that `spec` lists, and the optional ones that it had no value for: they are absent.
///
/// # Errors
/// The fields that it has no value for and that are not optional.
pub fn keep(spec: &Spec, rows: &Rows) -> Result<(Rows, Vec<String>), Vec<String>> {
    let value = |row: &str| rows.iter().find(|(name, _)| name == row).map(|(_, value)| value.as_str());
    let of_groups = |row: &str| spec.groups.iter().any(|group| name(&group.name) == row);
    let (mut absent, mut lacking) = (Vec::new(), Vec::new());
    let mut kept: Rows = ["origin", "hexversion", "encodings"]
        .map(|row| (row.to_owned(), value(row).unwrap_or_default().to_owned()))
        .to_vec();
    for group in &spec.groups {
        let row = name(&group.name);
        let text = match value(&row) {
            Some(text) if text != "None" => Some(keep_group(group, text, &mut absent, &mut lacking)),
            Some(_) if group.optional => None,
            None if group.optional => {
                absent.push(group.name.clone());
                None
            }
            _ => {
                lacking.push(group.name.clone());
                None
            }
        };
        let text = text.map(|text| if group.optional { format!("Some({text})") } else { text });
        kept.push((row, text.unwrap_or_else(|| "None".to_owned())));
    }
    // What follows the groups: the fixed shapes.
    let others = rows.iter().skip(3).filter(|(row, _)| row == "fixed" && !of_groups(row));
    kept.extend(others.cloned());
    if lacking.is_empty() { Ok((kept, absent)) } else { Err(lacking) }
}

fn keep_group(group: &Group, text: &str, absent: &mut Vec<String>, lacking: &mut Vec<String>) -> String {
    let known = fields(unwrapped(text));
    let value = |field: &str| known.iter().find(|(name, _)| name == field).map(|(_, value)| unwrapped(value));
    let mut parts = Vec::new();
    if let Some(size) = value("size").filter(|_| !group.types.is_empty()) {
        parts.push(format!("size: {size}"));
    }
    for field in &group.fields {
        let own = name(&field.name);
        let text = match value(&own) {
            Some(value) if value != "None" && field.optional => format!("Some({value})"),
            Some(value) if value != "None" => value.to_owned(),
            found if field.optional => {
                if found.is_none() {
                    absent.push(format!("{}.{own}", group.name));
                }
                "None".to_owned()
            }
            _ => {
                lacking.push(format!("{}.{own}", group.name));
                continue;
            }
        };
        parts.push(format!("{own}: {text}"));
    }
    format!("{} {{ {} }}", type_name(group), parts.join(", "))
}

/// The value in `Some(…)`, or the whole.
fn unwrapped(value: &str) -> &str {
    value.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(value)
}

/// Names and values in `ListObject { size: 40, state: BitField { byte: 32, bit: 0, width: 2 } }`.
fn fields(group: &str) -> Vec<(String, String)> {
    let inside = group.split_once('{').map_or("", |(_, rest)| rest.strip_suffix('}').unwrap_or(rest));
    let mut found = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    let mut take = |part: &str| {
        if let Some((name, value)) = part.split_once(':') {
            found.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    };
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                take(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    take(&inside[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(spec: &str, group: &str) -> Result<(String, Vec<String>), Vec<String>> {
        let rows =
            [("origin", "\"x\""), ("hexversion", "0"), ("encodings", "e"), ("a", group), ("fixed", "&[]")];
        let rows = rows.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let (rows, absent) = keep(&Spec::parse(spec).unwrap(), &rows)?;
        Ok((rows[3].1.clone(), absent))
    }

    #[test]
    fn unchanged_spec_keeps_rows() {
        let text = "A { size: 8, x: 0, y: Some(BitField { byte: 1, bit: 2, width: 3 }), z: None }";
        let found = kept("group a = struct A\n  x\n  y bits ?\n  z ?\n", text);
        assert_eq!(found, Ok((text.to_owned(), vec![])));
        let optional = format!("Some({text})");
        assert_eq!(kept("group a ? = struct A\n  x\n  y bits ?\n  z ?\n", text), Ok((optional, vec![])));
    }

    #[test]
    fn new_fields_are_absent_or_lacking() {
        let text = "A { size: 8, x: 0 }";
        let found = kept("group a = struct A\n  x ?\n  new ?\n", text);
        assert_eq!(found, Ok(("A { size: 8, x: Some(0), new: None }".into(), vec!["a.new".into()])));
        assert_eq!(kept("group a = struct A\n  x\n  new\n", text), Err(vec!["a.new".into()]));
        let removed = kept("group a = struct A\n  x\n", "A { size: 8, gone: 4, x: 0 }");
        assert_eq!(removed, Ok((text.into(), vec![])));
    }
}
