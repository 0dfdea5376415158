//! Executables and shared libraries: where their symbols and sections are in memory, and which build they are.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, FileKind, Object, ObjectSection, ReadCache, ReadRef, elf};

use crate::addr::Addr;
use crate::memory::{Memory, PAGE_SIZE};

/// The longest build id that is read, in bytes; linkers write 20.
const MAX_BUILD_ID: usize = 64;
/// How much of a note segment is searched.
const MAX_NOTES: u64 = 1 << 16;
const MAX_SEGMENTS: u16 = 1024;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// Not an ELF file at all: data, fonts, translations.
    #[error("is no executable or library")]
    NotElf,
    /// A program or library of 32 bits.
    #[error("is a 32-bit program")]
    Bits32,
    /// It says things about itself that cannot be.
    #[error("is damaged: {0}")]
    Damaged(#[from] object::Error),
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A named stretch of a file's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `.data`, `.PyRuntime`, …
    pub name: String,
    /// Where it is, before the file is moved to where it is loaded.
    pub address: u64,
    /// How long, in bytes.
    pub size: u64,
}

/// A name for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Where it is, before the file is moved to where it is loaded.
    pub address: u64,
    /// How long what it names is, in bytes; 0 if the file does not say.
    pub size: u64,
}

/// A table of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolTable {
    /// `.dynsym`: what other files can refer to; strip(1) leaves it.
    Dynamic,
    /// `.symtab`: all names.
    Full,
}

/// An executable or shared library of 64 bits.
#[derive(Debug)]
pub struct Elf {
    cache: ReadCache<File>,
    /// Whether it is loaded where it says (ET_EXEC), and not moved.
    pub is_fixed: bool,
    /// What the linker made of its content: the same in a copy of it, and in no other build.
    pub build_id: Option<Vec<u8>>,
    /// Its sections that are loaded into memory.
    pub sections: Vec<Section>,
    /// The address of its first part that is loaded, rounded down to a page.
    first_page: u64,
}

impl Elf {
    /// Reads its headers; symbols are read when they are asked for.
    ///
    /// # Errors
    /// If it is no such file, or cannot be read.
    pub fn read(file: File) -> Result<Self, ElfError> {
        let cache = ReadCache::new(file);
        match FileKind::parse(&cache) {
            Ok(FileKind::Elf64) => {}
            Ok(FileKind::Elf32) => return Err(ElfError::Bits32),
            Ok(_) | Err(_) => return Err(ElfError::NotElf),
        }
        let (is_fixed, build_id, sections, first_page);
        {
            let parsed = ElfFile64::<Endianness, _>::parse(&cache)?;
            let endian = parsed.endian();
            is_fixed = parsed.elf_header().e_type(endian) == elf::ET_EXEC;
            build_id = parsed.build_id()?.map(<[u8]>::to_vec).filter(|id| id.len() <= MAX_BUILD_ID);
            sections = loaded_sections(&parsed);
            let loads =
                parsed.elf_program_headers().iter().filter(|part| part.p_type(endian) == elf::PT_LOAD);
            let first = loads.map(|part| part.p_vaddr(endian)).min().unwrap_or(0);
            first_page = first - first % PAGE_SIZE as u64;
        }
        Ok(Self { cache, is_fixed, build_id, sections, first_page })
    }

    /// The addresses of those of `names` that it has. The exported ones are looked at first, so that a name which a library has for its
    /// own use besides does not hide the one that others see.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn symbols(&self, names: &[&str]) -> Result<HashMap<String, Symbol>, ElfError> {
        let mut found = self.symbols_in(SymbolTable::Dynamic, names)?;
        if found.len() < names.len() {
            for (name, symbol) in self.symbols_in(SymbolTable::Full, names)? {
                found.entry(name).or_insert(symbol);
            }
        }
        Ok(found)
    }

    /// The addresses of those of `names` that one of its tables has.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn symbols_in(
        &self,
        table: SymbolTable,
        names: &[&str],
    ) -> Result<HashMap<String, Symbol>, ElfError> {
        let header = elf::FileHeader64::<Endianness>::parse(&self.cache)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, &self.cache)?;
        let kind = match table {
            SymbolTable::Dynamic => elf::SHT_DYNSYM,
            SymbolTable::Full => elf::SHT_SYMTAB,
        };
        let mut found = HashMap::new();
        let Some(section) = sections.iter().find(|section| section.sh_type(endian) == kind) else {
            return Ok(found);
        };
        // Whole tables at once: name by name would be two system calls for each of thousands.
        let symbols: &[elf::Sym64<Endianness>] = section.data_as_array(endian, &self.cache)?;
        let texts = sections.section(section.link(endian))?.data(endian, &self.cache)?;
        for symbol in symbols {
            if found.len() == names.len() {
                break;
            }
            let Some(text) = texts.get(symbol.st_name(endian) as usize..) else { continue };
            let is = |name: &&&str| {
                text.strip_prefix(name.as_bytes()).is_some_and(|behind| behind.first() == Some(&0))
            };
            let Some(name) = names.iter().find(is) else { continue };
            if !symbol.is_undefined(endian) && symbol.st_value(endian) != 0 {
                let symbol = Symbol { address: symbol.st_value(endian), size: symbol.st_size(endian) };
                found.entry((*name).to_owned()).or_insert(symbol);
            }
        }
        Ok(found)
    }

    /// The address of one name.
    ///
    /// # Errors
    /// As [`symbols`](Self::symbols).
    pub fn symbol(&self, name: &str) -> Result<Option<Symbol>, ElfError> {
        Ok(self.symbols(&[name])?.remove(name))
    }

    /// A section that is loaded.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// What is to be added to its addresses, if its beginning (offset 0) is mapped at `start`.
    #[must_use]
    pub const fn bias(&self, start: Addr) -> u64 {
        if self.is_fixed { 0 } else { start.0.wrapping_sub(self.first_page) }
    }
}

fn loaded_sections<'data, R: ReadRef<'data>>(parsed: &ElfFile64<'data, Endianness, R>) -> Vec<Section> {
    let loaded = parsed.sections().filter(|section| section.address() != 0);
    loaded
        .filter_map(|section| {
            let name = section.name().ok()?.to_owned();
            Some(Section { name, address: section.address(), size: section.size() })
        })
        .collect()
}

/// The build id of the file whose beginning is mapped at `start`, as its headers in memory say.
#[must_use]
pub fn build_id_in_memory(memory: &dyn Memory, start: Addr) -> Option<Vec<u8>> {
    let mut magic = [0; 6];
    memory.read(start, &mut magic).ok()?;
    // 64 bits, little endian.
    (magic == [0x7f, b'E', b'L', b'F', 2, 1]).then_some(())?;
    let is_fixed = memory.read_u16(start.plus(16)).ok()? == elf::ET_EXEC.0;
    let table = start.plus(memory.read_u64(start.plus(32)).ok()?);
    let size = u64::from(memory.read_u16(start.plus(54)).ok()?);
    let count = memory.read_u16(start.plus(56)).ok()?.min(MAX_SEGMENTS);
    let header = |number: u16| table.plus(u64::from(number).wrapping_mul(size));
    let is = |number: u16, kind: u32| memory.read_u32(header(number)).is_ok_and(|found| found == kind);
    let address = |number: u16| memory.read_u64(header(number).plus(16)).ok();
    let first = (0..count).filter(|&part| is(part, elf::PT_LOAD.0)).filter_map(address).min()?;
    let bias = if is_fixed { 0 } else { start.0.wrapping_sub(first - first % PAGE_SIZE as u64) };
    (0..count).filter(|&part| is(part, elf::PT_NOTE.0)).find_map(|part| {
        let notes = Addr(address(part)?.wrapping_add(bias));
        let length = memory.read_u64(header(part).plus(40)).ok()?.min(MAX_NOTES);
        build_id_of_notes(memory, notes, length)
    })
}

/// Notes are a name's length, a content's, a kind, then both, each filled up to four bytes: elf(5).
fn build_id_of_notes(memory: &dyn Memory, notes: Addr, length: u64) -> Option<Vec<u8>> {
    let mut at = 0_u64;
    while at.checked_add(12)? <= length {
        let word = |skipped: u64| memory.read_u32(notes.plus(at + skipped)).ok().map(u64::from);
        let (name, content, kind) = (word(0)?, word(4)?, word(8)?);
        let behind_name = at + 12 + name.next_multiple_of(4);
        if kind == u64::from(elf::NT_GNU_BUILD_ID.0) && name == 4 && content <= MAX_BUILD_ID as u64 {
            let mut id = vec![0; usize::try_from(content).ok()?];
            memory.read(notes.plus(behind_name), &mut id).ok()?;
            return Some(id);
        }
        at = behind_name + content.next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::memory::FakeMemory;

    /// Our own program, as it lies on the disk.
    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Elf, ElfError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Elf::read(file)
    }

    #[test]
    fn our_own_program_has_symbols_sections_and_a_build_id_that_memory_has_too() {
        let bytes = own();
        let elf = read(&bytes).unwrap();
        assert!(!elf.is_fixed && elf.section(".text").is_some_and(|text| text.size > 1000));
        assert!(elf.symbol("main").unwrap().is_some_and(|main| main.address > 0));
        let found = elf.symbols(&["main", "_no_such_name_"]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["main"]);
        let mut memory = FakeMemory::new();
        memory.put(Addr(0x7000_0000), &bytes[..1 << 16]);
        assert_eq!(elf.bias(Addr(0x7000_0000)), 0x7000_0000);
        assert_eq!(build_id_in_memory(&memory, Addr(0x7000_0000)), elf.build_id);
        assert_eq!(build_id_in_memory(&memory, Addr(0x7000_1000)), None);
    }

    #[test]
    fn files_of_other_kinds_are_told_apart() {
        assert!(
            matches!(read(b""), Err(ElfError::NotElf))
                && matches!(read(b"#!/bin/sh\n"), Err(ElfError::NotElf))
        );
        let mut small = own()[..64].to_vec();
        small[4] = 1;
        assert!(matches!(read(&small), Err(ElfError::Bits32)));
        assert!(matches!(read(&own()[..60]), Err(ElfError::Damaged(_) | ElfError::NotElf)));
    }

    #[test]
    fn headers_with_flipped_bits_do_no_harm() {
        // The tables at its end are what the header points to.
        let mut whole = own();
        let sections = u64::from_le_bytes(whole[40..48].try_into().unwrap()) as usize;
        let mut memory = FakeMemory::new();
        let mut random = 3_u64;
        for round in 0..400 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (random >> 33) as usize;
            let is_read = round % 40 == 0;
            let place = if is_read && round % 80 == 0 {
                sections + noise % (whole.len() - sections)
            } else {
                noise % 1000
            };
            whole[place] ^= 1 << (random >> 20 & 7);
            if is_read && let Ok(elf) = read(&whole) {
                let _ = elf.symbols(&["main"]);
            }
            memory.put(Addr(0x7000_0000), &whole[..4096]);
            let _ = build_id_in_memory(&memory, Addr(0x7000_0000));
            whole[place] ^= 1 << (random >> 20 & 7);
        }
    }
}
