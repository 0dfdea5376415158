//! Shapes of C types, read from the debug information of one file: DWARF 4 or 5, in the file or detached, shared by `dwz` or not. Type
//! units (`-fdebug-types-section`) are not looked into: no build of CPython is known that has them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gimli::{AttributeValue, DebugInfoOffset, EndianReader, LittleEndian, SectionId, UnitOffset};
use object::{Object, ObjectSection};

type Reader = EndianReader<LittleEndian, Rc<[u8]>>;
type Unit = gimli::Unit<Reader>;

/// A type's entry: in which half of the debug information (the file's own, or what `dwz` moved to a file shared by several)
/// and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeAt {
    shared: bool,
    offset: usize,
}

/// A struct or union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its `sizeof`.
    pub size: u64,
    /// Its members, in the order of their declaration.
    pub members: Vec<Member>,
}

/// A member of a struct or union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `None` for an anonymous struct or union.
    pub name: Option<String>,
    /// From the start of what it is in, in bits.
    pub bit: u64,
    /// Its width if it is a bit field.
    pub width: Option<u64>,
    /// Its type.
    pub of: TypeAt,
}

/// What a type is, without names, qualifiers and typedefs.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A struct or union.
    Shape(Shape),
    /// An array, its elements and how many there are; 0 for a flexible one.
    Array(TypeAt, u64),
    /// Anything else with its size.
    Scalar(u64),
}

/// One half of the debug information of a file.
struct Half {
    dwarf: gimli::Dwarf<Reader>,
    /// By ascending offset of their headers.
    units: Vec<(usize, Unit)>,
}

/// The debug information of one file, indexed for some names.
pub struct Debug {
    file: PathBuf,
    own: Half,
    shared: Option<Half>,
    types: HashMap<String, Vec<TypeAt>>,
    enumerators: HashMap<String, i64>,
}

impl Debug {
    /// Reads the debug information of `file` and indexes the struct, union, typedef and enumerator `names` in it. `None` if there
    /// is none, neither in the file nor detached under the `roots` of its system (`usr/lib/debug/.build-id/`, where Debian has it).
    ///
    /// # Errors
    /// One line that names the file.
    pub fn open(file: &Path, roots: &[PathBuf], names: &HashSet<String>) -> Result<Option<Self>, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let data = std::fs::read(file).map_err(|e| fault(&e))?;
        let object = object::File::parse(&*data).map_err(|e| fault(&e))?;
        if object.section_by_name(".debug_info").is_some() {
            return Self::read(file, &object, roots, names).map(Some).map_err(|e| fault(&e));
        }
        let Some(id) = object.build_id().map_err(|e| fault(&e))? else { return Ok(None) };
        let Some(detached) = roots.iter().map(|root| by_build_id(root, id)).find(|path| path.is_file())
        else {
            return Ok(None);
        };
        let data = std::fs::read(&detached).map_err(|e| fault(&e))?;
        let object = object::File::parse(&*data).map_err(|e| fault(&e))?;
        Self::read(&detached, &object, roots, names).map(Some).map_err(|e| fault(&e))
    }

    fn read(
        file: &Path,
        object: &object::File<'_>,
        roots: &[PathBuf],
        names: &HashSet<String>,
    ) -> Result<Self, String> {
        let mut dwarf = gimli::Dwarf::load(|id| section(object, id))?;
        let mut shared = None;
        if let Some((_, id)) = object.gnu_debugaltlink().map_err(|e| e.to_string())? {
            let path = roots.iter().map(|root| by_build_id(root, id)).find(|path| path.is_file());
            let path = path.ok_or("the debug information that it shares with other files is not there")?;
            let data = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let object = object::File::parse(&*data).map_err(|e| format!("{}: {e}", path.display()))?;
            shared = Some(Half::new(gimli::Dwarf::load(|id| section(&object, id))?)?);
            dwarf.load_sup(|id| section(&object, id))?;
        }
        let mut debug = Self {
            file: file.to_owned(),
            own: Half::new(dwarf)?,
            shared,
            types: HashMap::new(),
            enumerators: HashMap::new(),
        };
        debug.index(names).map_err(|e| e.to_string())?;
        Ok(debug)
    }

    /// The file that it was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn index(&mut self, names: &HashSet<String>) -> gimli::Result<()> {
        let halves = [Some((&self.own, false)), self.shared.as_ref().map(|half| (half, true))];
        for (half, shared) in halves.into_iter().flatten() {
            for (start, unit) in &half.units {
                let mut entries = unit.entries_raw(None)?;
                while !entries.is_empty() {
                    let (depth, offset) = (entries.next_depth(), entries.next_offset());
                    let Some(abbreviation) = entries.read_abbreviation()? else { continue };
                    let is_type = depth == 1
                        && matches!(
                            abbreviation.tag(),
                            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type | gimli::DW_TAG_typedef
                        );
                    let is_enumerator = depth == 2 && abbreviation.tag() == gimli::DW_TAG_enumerator;
                    if !is_type && !is_enumerator {
                        entries.skip_attributes(abbreviation.attributes())?;
                        continue;
                    }
                    let (mut name, mut value, mut declared_only) = (None, None, false);
                    for &attribute in abbreviation.attributes() {
                        let attribute = entries.read_attribute(attribute)?;
                        match attribute.name() {
                            gimli::DW_AT_name => {
                                name = Some(half.dwarf.attr_string(unit, attribute.value())?)
                            }
                            gimli::DW_AT_const_value => value = attribute.value().sdata_value(),
                            gimli::DW_AT_declaration => declared_only = true,
                            _ => {}
                        }
                    }
                    let Some(name) = name.filter(|_| !declared_only) else { continue };
                    let name = gimli::Reader::to_string_lossy(&name)?;
                    if !names.contains(&*name) {
                        continue;
                    }
                    if is_type {
                        let at = TypeAt { shared, offset: start + offset.0 };
                        self.types.entry(name.into_owned()).or_default().push(at);
                    } else if let Some(value) = value {
                        self.enumerators.insert(name.into_owned(), value);
                    }
                }
            }
        }
        Ok(())
    }

    /// The value of an enumerator.
    #[must_use]
    pub fn enumerator(&self, name: &str) -> Option<i64> {
        self.enumerators.get(name).copied()
    }

    /// The struct or union with this tag or typedef; with `declared_in`, only one that a file of this name declares. `None` if
    /// there is none.
    ///
    /// # Errors
    /// If several that differ bear the name: then which one is meant has to be said.
    pub fn shape(&self, name: &str, declared_in: Option<&str>) -> Result<Option<Shape>, String> {
        let mut found: Option<Shape> = None;
        let mut seen = HashSet::new();
        for &at in self.types.get(name).into_iter().flatten() {
            if declared_in.is_some_and(|wanted| self.declared_in(at).is_none_or(|file| file != wanted)) {
                continue;
            }
            let Some(at) = self.stripped(at) else { continue };
            if !seen.insert(at) {
                continue;
            }
            let Ok(Kind::Shape(shape)) = self.kind(at) else { continue };
            match &found {
                // References differ from unit to unit; what they refer to has the same name in all of them.
                Some(other) if !alike(other, &shape) => {
                    return Err(format!(
                        "{}: several types that differ are named {name}",
                        self.file.display()
                    ));
                }
                Some(_) => {}
                None => found = Some(shape),
            }
        }
        Ok(found)
    }

    /// The name of the file, without folders, that declares a type.
    fn declared_in(&self, at: TypeAt) -> Option<String> {
        let (half, unit, offset) = self.find(at)?;
        let entry = unit.entry(offset).ok()?;
        let index = match entry.attr_value(gimli::DW_AT_decl_file)? {
            AttributeValue::FileIndex(index) => index,
            other => other.udata_value()?,
        };
        let header = unit.line_program.as_ref()?.header();
        let path = half.dwarf.attr_string(unit, header.file(index)?.path_name()).ok()?;
        let path = gimli::Reader::to_string_lossy(&path).ok()?.into_owned();
        Some(path.rsplit('/').next().unwrap_or(&path).to_owned())
    }

    fn find(&self, at: TypeAt) -> Option<(&Half, &Unit, UnitOffset<usize>)> {
        let half = if at.shared { self.shared.as_ref()? } else { &self.own };
        let index = half.units.partition_point(|(start, _)| *start <= at.offset).checked_sub(1)?;
        let (start, unit) = half.units.get(index)?;
        Some((half, unit, UnitOffset(at.offset - start)))
    }

    /// The entry that a reference leads to.
    fn referred(&self, from: TypeAt, value: &AttributeValue<Reader>) -> Option<TypeAt> {
        match value {
            AttributeValue::UnitRef(UnitOffset(offset)) => {
                let (_, unit, _) = self.find(from)?;
                let DebugInfoOffset(start) = unit.header.debug_info_offset()?;
                Some(TypeAt { offset: start + offset, ..from })
            }
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) => Some(TypeAt { offset: *offset, ..from }),
            AttributeValue::DebugInfoRefSup(DebugInfoOffset(offset)) => {
                Some(TypeAt { shared: true, offset: *offset })
            }
            _ => None,
        }
    }

    /// What a typedef, a qualifier or a chain of them stands for.
    fn stripped(&self, mut at: TypeAt) -> Option<TypeAt> {
        // No chain in C is nearly as long: this ends on damaged files too.
        for _ in 0..64 {
            let (_, unit, offset) = self.find(at)?;
            let entry = unit.entry(offset).ok()?;
            match entry.tag() {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_atomic_type => {
                    at = self.referred(at, &entry.attr_value(gimli::DW_AT_type)?)?;
                }
                _ => return Some(at),
            }
        }
        None
    }

    /// What a type is.
    ///
    /// # Errors
    /// If the debug information is not what this understands, in a few words.
    pub fn kind(&self, at: TypeAt) -> Result<Kind, String> {
        let at = self.stripped(at).ok_or("a type without an end")?;
        let (_, unit, offset) = self.find(at).ok_or("a type outside all units")?;
        let mut tree = unit.entries_tree(Some(offset)).map_err(|e| e.to_string())?;
        let root = tree.root().map_err(|e| e.to_string())?;
        let entry = root.entry();
        let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|value| value.udata_value());
        match entry.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                let size = size.ok_or("a struct without a size")?;
                let mut members = Vec::new();
                let mut children = root.children();
                while let Some(child) = children.next().map_err(|e| e.to_string())? {
                    if child.entry().tag() == gimli::DW_TAG_member {
                        members.push(self.member(at, child.entry())?);
                    }
                }
                Ok(Kind::Shape(Shape { size, members }))
            }
            gimli::DW_TAG_array_type => {
                let of = entry.attr_value(gimli::DW_AT_type).ok_or("an array of nothing")?;
                let of = self.referred(at, &of).ok_or("an array of nothing")?;
                let mut count = None;
                let mut children = root.children();
                while let Some(child) = children.next().map_err(|e| e.to_string())? {
                    let number = |name| child.entry().attr_value(name).and_then(|value| value.udata_value());
                    let length = number(gimli::DW_AT_count)
                        .or_else(|| number(gimli::DW_AT_upper_bound).map(|last| last.wrapping_add(1)));
                    count = Some(count.unwrap_or(1) * length.unwrap_or(0));
                }
                Ok(Kind::Array(of, count.unwrap_or(0)))
            }
            gimli::DW_TAG_pointer_type => Ok(Kind::Scalar(size.unwrap_or(8))),
            _ => Ok(Kind::Scalar(size.ok_or("a type without a size")?)),
        }
    }

    fn member(
        &self,
        within: TypeAt,
        entry: &gimli::DebuggingInformationEntry<Reader>,
    ) -> Result<Member, String> {
        let (half, unit, _) = self.find(within).ok_or("a member outside all units")?;
        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        let name = match entry.attr_value(gimli::DW_AT_name) {
            Some(value) => {
                let name = half.dwarf.attr_string(unit, value).map_err(|e| e.to_string())?;
                Some(gimli::Reader::to_string_lossy(&name).map_err(|e| e.to_string())?.into_owned())
            }
            None => None,
        };
        let of = entry.attr_value(gimli::DW_AT_type).ok_or("a member without a type")?;
        let of = self.referred(within, &of).ok_or("a member without a type")?;
        let width = number(gimli::DW_AT_bit_size);
        // Members of a union have no location: all are at its start.
        let byte = number(gimli::DW_AT_data_member_location).unwrap_or(0);
        let bit = match (width, number(gimli::DW_AT_data_bit_offset), number(gimli::DW_AT_bit_offset)) {
            (Some(_), Some(bit), _) => bit,
            // Until DWARF 4 bits are counted from the high end of the storage unit.
            (Some(width), None, Some(from_high)) => {
                let storage = match number(gimli::DW_AT_byte_size) {
                    Some(size) => size,
                    None => self.size(of)?,
                };
                (byte * 8 + storage * 8)
                    .checked_sub(from_high + width)
                    .ok_or("a bit field outside its unit")?
            }
            _ => byte * 8,
        };
        Ok(Member { name, bit, width, of })
    }

    /// The size of a type in bytes.
    ///
    /// # Errors
    /// As [`kind`](Self::kind).
    pub fn size(&self, at: TypeAt) -> Result<u64, String> {
        match self.kind(at)? {
            Kind::Shape(shape) => Ok(shape.size),
            Kind::Array(of, count) => Ok(self.size(of)? * count),
            Kind::Scalar(size) => Ok(size),
        }
    }
}

impl Half {
    fn new(dwarf: gimli::Dwarf<Reader>) -> Result<Self, String> {
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next().map_err(|e| e.to_string())? {
            let Some(DebugInfoOffset(start)) = header.debug_info_offset() else { continue };
            units.push((start, dwarf.unit(header).map_err(|e| e.to_string())?));
        }
        Ok(Self { dwarf, units })
    }
}

fn section(object: &object::File<'_>, id: SectionId) -> Result<Reader, String> {
    let data = match object.section_by_name(id.name()) {
        Some(section) => section.uncompressed_data().map_err(|e| e.to_string())?,
        None => Cow::Borrowed(&[][..]),
    };
    Ok(EndianReader::new(Rc::from(&*data), LittleEndian))
}

/// Where the debug file of a build id is under the root of a system.
fn by_build_id(root: &Path, id: &[u8]) -> PathBuf {
    let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (folder, file) = text.split_at_checked(2).unwrap_or((&text, ""));
    root.join("usr/lib/debug/.build-id").join(folder).join(format!("{file}.debug"))
}

fn alike(a: &Shape, b: &Shape) -> bool {
    let places = |shape: &Shape| -> Vec<(Option<String>, u64, Option<u64>)> {
        shape.members.iter().map(|member| (member.name.clone(), member.bit, member.width)).collect()
    };
    a.size == b.size && places(a) == places(b)
}
