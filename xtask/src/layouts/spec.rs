//! What `memobj` needs to know of CPython's structs, as `memobj/cpython/src/layout/spec.txt` lists it. That file says how it is written.

use std::collections::HashSet;

/// The whole list.
#[derive(Debug, Default)]
pub struct Spec {
    /// Structs and sets of enumerators, in the order of the file.
    pub groups: Vec<Group>,
    /// C types whose objects refer to others only from fixed places.
    pub fixed: Vec<Fixed>,
}

/// A struct with the members that are needed, or a set of enumerators.
#[derive(Debug)]
pub struct Group {
    /// Its name in ours: snake case.
    pub name: String,
    /// Whether some versions have none.
    pub optional: bool,
    /// The first of these that is there; none at all for enumerators.
    pub types: Vec<TypeName>,
    /// The value to extract.
    pub fields: Vec<Field>,
}

/// The identity of a C type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// Its tag or typedef.
    pub name: String,
    /// The file, without folders, that declares it.
    pub declared_in: Option<String>,
}

/// Something needed of a group.
#[derive(Debug)]
pub struct Field {
    /// Its name in ours.
    pub name: String,
    /// Whether some versions have none.
    pub optional: bool,
    /// The value to extract.
    pub query: Query,
    /// Where it is: the first of these that is there.
    pub paths: Vec<String>,
}

/// A value to extract from a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Its offset.
    Offset,
    /// Its place as a bit field.
    Bits,
    /// Its size in bytes.
    SizeOf,
    /// How many elements the array has.
    Count,
    /// The size of one element of the array.
    Stride,
    /// The value of an enumerator.
    Value,
}

/// A C type whose objects refer to others only from fixed places.
#[derive(Debug)]
pub struct Fixed {
    /// As `tp_name` spells it.
    pub tp_name: String,
    /// The first of these that is there. Versions without any have no such type.
    pub types: Vec<TypeName>,
    /// What its `tp_traverse` visits.
    pub visited: Vec<Visited>,
}

/// A member that a `tp_traverse` visits, in some minor versions.
#[derive(Debug, PartialEq, Eq)]
pub struct Visited {
    /// Its path; `ob_type` for the type itself.
    pub path: String,
    /// Whether some versions have none.
    pub optional: bool,
    /// From this version on: minor and micro.
    pub since: Option<(u32, u32)>,
    /// Up to this version, itself included.
    pub until: Option<(u32, u32)>,
}

impl Spec {
    /// Reads the list.
    ///
    /// # Errors
    /// The first line that is not understood, by its number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut spec = Self::default();
        let mut names = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let fault = |what: &str| format!("spec.txt:{}: {what}", index + 1);
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                ["group" | "enum", ..] if line.starts_with(char::is_alphabetic) => {
                    let group = group(&words).map_err(|e| fault(&e))?;
                    if !names.insert(group.name.clone()) {
                        return Err(fault(&format!("{} is there twice", group.name)));
                    }
                    spec.groups.push(group);
                }
                ["fixed", ..] if line.starts_with(char::is_alphabetic) => {
                    spec.fixed.push(fixed(line).map_err(|e| fault(&e))?);
                }
                _ if line.starts_with(char::is_whitespace) => {
                    let group = spec.groups.last_mut().ok_or_else(|| fault("a field before any group"))?;
                    let field = field(&words, group.types.is_empty()).map_err(|e| fault(&e))?;
                    if field.name == "size" || group.fields.iter().any(|other| other.name == field.name) {
                        return Err(fault(&format!("{} is there twice", field.name)));
                    }
                    group.fields.push(field);
                }
                _ => return Err(fault("neither a group, an enum, a fixed shape nor an indented field")),
            }
        }
        Ok(spec)
    }

    /// Every C name that the debug information has to be searched for.
    #[must_use]
    pub fn c_names(&self) -> HashSet<String> {
        let groups = self.groups.iter().flat_map(|group| &group.types);
        let types = groups.chain(self.fixed.iter().flat_map(|fixed| &fixed.types)).map(|t| t.name.clone());
        let enums = self.groups.iter().filter(|group| group.types.is_empty());
        let values = enums.flat_map(|group| &group.fields).flat_map(|field| field.paths.iter().cloned());
        types.chain(values).collect()
    }
}

/// `group NAME [?] = struct A [in "a.c"] | B`, or `enum NAME [?]`.
fn group(words: &[&str]) -> Result<Group, String> {
    let (head, types) = match words.split(|word| *word == "=").collect::<Vec<_>>().as_slice() {
        [head] => (*head, Vec::new()),
        [head, types] => (*head, type_names(types)?),
        _ => return Err("more than one `=`".to_owned()),
    };
    let (kind, name, optional) = match head {
        [kind, name] => (*kind, *name, false),
        [kind, name, "?"] => (*kind, *name, true),
        _ => return Err("a group is written `group NAME [?] = struct TYPE`".to_owned()),
    };
    if (kind == "group") == types.is_empty() {
        return Err("a group has a type, an enum has none".to_owned());
    }
    Ok(Group { name: name.to_owned(), optional, types, fields: Vec::new() })
}

/// `struct A [in "a.c"] | B [in "b.c"]`.
fn type_names(words: &[&str]) -> Result<Vec<TypeName>, String> {
    let words = match words {
        ["struct", rest @ ..] => rest,
        _ => return Err("a type is written `struct NAME`, tag or typedef".to_owned()),
    };
    let alternatives = words.split(|word| *word == "|");
    alternatives
        .map(|alternative| match alternative {
            [name] => Ok(TypeName { name: (*name).to_owned(), declared_in: None }),
            [name, "in", file] => {
                let file = file.trim_matches('"').to_owned();
                Ok(TypeName { name: (*name).to_owned(), declared_in: Some(file) })
            }
            _ => Err("a type is written `NAME [in \"file.c\"]`".to_owned()),
        })
        .collect()
}

/// `NAME [bits|sizeof|count|stride] [= path | path] [?]`.
fn field(words: &[&str], enumerators: bool) -> Result<Field, String> {
    let (optional, words) = match words {
        [rest @ .., "?"] => (true, rest),
        all => (false, all),
    };
    let (head, paths) = match words.split(|word| *word == "=").collect::<Vec<_>>().as_slice() {
        [head] => (*head, Vec::new()),
        [head, paths] => {
            let paths = paths.split(|word| *word == "|").map(|path| path.concat()).collect();
            (*head, paths)
        }
        _ => return Err("more than one `=`".to_owned()),
    };
    let (name, query) = match head {
        [name] if enumerators => (*name, Query::Value),
        [name] => (*name, Query::Offset),
        [name, "bits"] => (*name, Query::Bits),
        [name, "sizeof"] => (*name, Query::SizeOf),
        [name, "count"] => (*name, Query::Count),
        [name, "stride"] => (*name, Query::Stride),
        _ => {
            return Err("a field is written `NAME [bits|sizeof|count|stride] [= path | path] [?]`".to_owned());
        }
    };
    let paths = if paths.is_empty() { vec![name.to_owned()] } else { paths };
    // Enumerators are written as constants in C.
    let name = if enumerators { name.to_lowercase() } else { name.to_owned() };
    Ok(Field { name, optional, query, paths })
}

/// `fixed "tp_name" = struct TYPE [in "file.c"]: a b? type@9 c@8-10`.
fn fixed(line: &str) -> Result<Fixed, String> {
    let wrong = "a fixed shape is written `fixed \"tp_name\" = struct TYPE [in \"file.c\"]: member member? type@9 member@8-10`";
    let (head, members) = line.split_once(':').ok_or(wrong)?;
    let (name, types) = head.split_once('=').ok_or(wrong)?;
    let name = name.trim().strip_prefix("fixed").ok_or(wrong)?.trim().trim_matches('"');
    let types: Vec<&str> = types.split_whitespace().collect();
    let visited = members.split_whitespace().map(visited).collect::<Option<Vec<_>>>().ok_or(wrong)?;
    Ok(Fixed { tp_name: name.to_owned(), types: type_names(&types)?, visited })
}

/// `9` or `13.15`: minor and micro of a version, the micro one that is meant if there is none.
fn version(text: &str, micro: u32) -> Option<(u32, u32)> {
    match text.split_once('.') {
        Some((minor, micro)) => Some((minor.parse().ok()?, micro.parse().ok()?)),
        None => Some((text.parse().ok()?, micro)),
    }
}

/// `path`, `path?`, `path@9` (from 3.9 on), `path@8-10`, `path@13.15` (from 3.13.15 on).
fn visited(word: &str) -> Option<Visited> {
    let (path, range) = match word.split_once('@') {
        Some((path, range)) => (path, Some(range)),
        None => (word, None),
    };
    let (since, until) = match range.map(|range| range.split_once('-').unwrap_or((range, ""))) {
        None => (None, None),
        Some((since, "")) => (Some(version(since, 0)?), None),
        Some((since, until)) => (Some(version(since, 0)?), Some(version(until, u32::MAX)?)),
    };
    let (path, optional) = match path.strip_suffix('?') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let path = if path == "type" { "ob_type" } else { path };
    Some(Visited { path: path.to_owned(), optional, since, until })
}
