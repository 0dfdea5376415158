//! From the list of what is needed and the debug information of one interpreter to numbers.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::dwarf::{Debug, Kind, Member, Shape};
use super::spec::{Field, Fixed, Group, Query, Spec, TypeName};

/// A number of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Bytes, or a count.
    Number(u64),
    /// A bit field: byte, bit in it, width.
    Bits(u64, u64, u64),
    /// An enumerator.
    Enumerator(i64),
}

/// What one interpreter's debug information says about everything in the list, in the list's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// A group's `size` (none for enumerators) and fields; `None` where this interpreter has none.
    pub groups: Vec<Option<Values>>,
    /// The fixed shapes that this interpreter has.
    pub fixed: Vec<Shaped>,
}

/// The numbers of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The `sizeof` of a struct.
    pub size: Option<u64>,
    /// By field.
    pub fields: Vec<Option<Value>>,
}

/// A fixed shape in one interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shaped {
    /// As `tp_name` spells it.
    pub tp_name: String,
    /// The `sizeof` of its struct.
    pub size: u64,
    /// The offsets that are visited.
    pub visited: Vec<u64>,
    /// What the struct calls them, one for each.
    pub names: Vec<String>,
    /// Whether the type is visited too.
    pub visits_type: bool,
}

/// The debug information of an interpreter: its runtime, then its extension modules, opened when they are needed.
pub struct Sources {
    files: Vec<PathBuf>,
    roots: Vec<PathBuf>,
    names: HashSet<String>,
    opened: Vec<Debug>,
    /// Files without debug information.
    bare: Vec<PathBuf>,
}

impl Sources {
    /// The files of an interpreter, that of its runtime first; `roots` are where detached debug information may be.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, roots: Vec<PathBuf>, spec: &Spec) -> Self {
        Self { files, roots, names: spec.c_names(), opened: Vec::new(), bare: Vec::new() }
    }

    /// The first of the types that is found, in the first file that has it.
    fn find(&mut self, types: &[TypeName]) -> Result<Option<(usize, Shape)>, String> {
        for name in types {
            let mut index = 0;
            while self.open(index)? {
                let debug = self.opened.get(index).ok_or("a file that is not there")?;
                if let Some(shape) = debug.shape(&name.name, name.declared_in.as_deref())? {
                    return Ok(Some((index, shape)));
                }
                index += 1;
            }
        }
        Ok(None)
    }

    fn enumerator(&mut self, names: &[String]) -> Result<Option<i64>, String> {
        self.open(0)?;
        Ok(self.opened.first().and_then(|debug| names.iter().find_map(|name| debug.enumerator(name))))
    }

    /// Opens files until there are more than `index`; false if there are not that many.
    fn open(&mut self, index: usize) -> Result<bool, String> {
        while self.opened.len() <= index {
            let Some(file) = self.files.get(self.opened.len() + self.bare.len()) else { return Ok(false) };
            match Debug::open(file, &self.roots, &self.names)? {
                Some(debug) => self.opened.push(debug),
                None if self.opened.is_empty() => {
                    return Err(format!("{}: no debug information", file.display()));
                }
                None => self.bare.push(file.clone()),
            }
        }
        Ok(true)
    }

    /// Extension modules without debug information, of those that were looked at.
    #[must_use]
    pub fn bare(&self) -> &[PathBuf] {
        &self.bare
    }
}

/// Finds everything in the list, for an interpreter of this version, minor and micro.
///
/// # Errors
/// All that is missing or not understood, a line each.
pub fn extract(spec: &Spec, version: (u32, u32), sources: &mut Sources) -> Result<Extract, Vec<String>> {
    let mut faults = Vec::new();
    let mut groups = Vec::new();
    for group in &spec.groups {
        let fault = |what: String| format!("{}: {what}", group.name);
        if group.types.is_empty() {
            let mut fields = Vec::new();
            for field in &group.fields {
                match sources.enumerator(&field.paths) {
                    Ok(value) => {
                        if value.is_none() && !field.optional && !group.optional {
                            faults.push(fault(format!("no enumerator {}", field.paths.join(" or "))));
                        }
                        fields.push(value.map(Value::Enumerator));
                    }
                    Err(error) => faults.push(fault(error)),
                }
            }
            let absent = group.optional && fields.iter().all(Option::is_none);
            groups.push((!absent).then_some(Values { size: None, fields }));
            continue;
        }
        match sources.find(&group.types) {
            Ok(Some((index, shape))) => {
                let mut fields = Vec::new();
                let before = faults.len();
                for field in &group.fields {
                    let value =
                        sources.opened.get(index).map_or(Ok(None), |debug| value(debug, &shape, field));
                    match value {
                        Ok(None) if !field.optional => {
                            let is_array = matches!(field.query, Query::Count | Query::Stride);
                            let kind = if is_array { "array" } else { "member" };
                            faults.push(fault(format!("no {kind} {}", field.paths.join(" or "))));
                        }
                        Ok(value) => fields.push(value),
                        Err(error) => faults.push(fault(format!("{}: {error}", field.name))),
                    }
                }
                if faults.len() > before
                    && let Some(debug) = sources.opened.get(index)
                {
                    let others = unlisted(debug, &shape, group).unwrap_or_default();
                    faults.push(fault(format!(
                        "it has members that spec.txt does not list: {}",
                        others.join(" ")
                    )));
                }
                groups.push(Some(Values { size: Some(shape.size), fields }));
            }
            Ok(None) if group.optional => groups.push(None),
            Ok(None) => faults.push(fault("no such type".to_owned())),
            Err(error) => faults.push(fault(error)),
        }
    }
    let mut fixed = Vec::new();
    for shape in &spec.fixed {
        match shaped(shape, version, sources) {
            Ok(found) => fixed.extend(found),
            Err(error) => faults.push(format!("{}: {error}", shape.tp_name)),
        }
    }
    if faults.is_empty() { Ok(Extract { groups, fixed }) } else { Err(faults) }
}

/// The members of each group's struct, by the names of groups; those of anonymous structs and unions in it as its own. Groups that this
/// interpreter lacks are left out.
///
/// # Errors
/// If the debug information cannot be read.
pub fn members(spec: &Spec, sources: &mut Sources) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut all = BTreeMap::new();
    for group in &spec.groups {
        let Some((index, shape)) = sources.find(&group.types)? else { continue };
        let debug = sources.opened.get(index).ok_or("a file that is not there")?;
        let mut names = Vec::new();
        named(debug, &shape, &mut names)?;
        all.insert(group.name.clone(), names);
    }
    Ok(all)
}

fn named(debug: &Debug, shape: &Shape, names: &mut Vec<String>) -> Result<(), String> {
    for member in &shape.members {
        match (&member.name, debug.kind(member.of)?) {
            (Some(name), _) => names.push(name.clone()),
            (None, Kind::Shape(inner)) => named(debug, &inner, names)?,
            (None, _) => {}
        }
    }
    Ok(())
}

/// The members of a struct that no field of its group names.
fn unlisted(debug: &Debug, shape: &Shape, group: &Group) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    named(debug, shape, &mut names)?;
    let listed = |name: &String| {
        let mut paths = group.fields.iter().flat_map(|field| &field.paths);
        paths.any(|path| path.split(['.', '[']).next() == Some(name))
    };
    names.retain(|name| !listed(name));
    Ok(names)
}

fn value(debug: &Debug, shape: &Shape, field: &Field) -> Result<Option<Value>, String> {
    for path in &field.paths {
        let Some(place) = place(debug, shape, path)? else { continue };
        let number = match field.query {
            Query::Offset if place.width.is_some() => return Err(format!("{path} is a bit field")),
            Query::Offset => place.bit / 8,
            Query::SizeOf => debug.size(place.of)?,
            Query::Bits => {
                let width = match place.width {
                    Some(width) => width,
                    None => debug.size(place.of)? * 8,
                };
                return Ok(Some(Value::Bits(place.bit / 8, place.bit % 8, width)));
            }
            Query::Count | Query::Stride => match debug.kind(place.of)? {
                Kind::Array(_, count) if field.query == Query::Count => count,
                Kind::Array(of, _) => debug.size(of)?,
                // Another version's member of this name may be a pointer.
                _ => continue,
            },
            Query::Value => return Err("a value is asked of a struct".to_owned()),
        };
        return Ok(Some(Value::Number(number)));
    }
    Ok(None)
}

/// Follows `a.b[2].c` from the start of a struct. Members of anonymous structs and unions are members of what they are in.
/// `None` if a name on the way is not there.
fn place(debug: &Debug, shape: &Shape, path: &str) -> Result<Option<Member>, String> {
    let mut within = shape.clone();
    let mut bit = 0;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let (name, indices) = match step.split_once('[') {
            Some((name, rest)) => (name, rest),
            None => (step, ""),
        };
        let Some(mut member) = member(debug, &within, name)? else { return Ok(None) };
        member.bit += bit;
        if !indices.is_empty() {
            let index: u64 =
                indices.trim_end_matches(']').parse().map_err(|_| format!("{step} has no number"))?;
            let Kind::Array(of, _) = debug.kind(member.of)? else {
                return Err(format!("{name} is no array"));
            };
            member.bit += index * debug.size(of)? * 8;
            member.of = of;
        }
        if steps.peek().is_none() {
            return Ok(Some(member));
        }
        // Another version's member of this name may be no struct.
        let Kind::Shape(inner) = debug.kind(member.of)? else { return Ok(None) };
        bit = member.bit;
        within = inner;
    }
    Ok(None)
}

fn member(debug: &Debug, shape: &Shape, name: &str) -> Result<Option<Member>, String> {
    for member in &shape.members {
        match &member.name {
            Some(own) if own == name => return Ok(Some(member.clone())),
            Some(_) => {}
            None => {
                let Kind::Shape(inner) = debug.kind(member.of)? else { continue };
                if let Some(mut found) = self::member(debug, &inner, name)? {
                    found.bit += member.bit;
                    return Ok(Some(found));
                }
            }
        }
    }
    Ok(None)
}

fn shaped(fixed: &Fixed, version: (u32, u32), sources: &mut Sources) -> Result<Option<Shaped>, String> {
    let Some((index, shape)) = sources.find(&fixed.types)? else { return Ok(None) };
    let debug = sources.opened.get(index).ok_or("a file that is not there")?;
    let mut visited = Vec::new();
    let mut names = Vec::new();
    let mut visits_type = false;
    for member in &fixed.visited {
        if member.since.is_some_and(|since| version < since)
            || member.until.is_some_and(|until| version > until)
        {
            continue;
        }
        if member.path == "ob_type" {
            visits_type = true;
            continue;
        }
        match place(debug, &shape, &member.path)? {
            Some(place) => {
                visited.push(place.bit / 8);
                names.push(member.path.rsplit('.').next().unwrap_or_default().to_owned());
            }
            None if member.optional => {}
            None => return Err(format!("no member {}", member.path)),
        }
    }
    Ok(Some(Shaped { tp_name: fixed.tp_name.clone(), size: shape.size, visited, names, visits_type }))
}
