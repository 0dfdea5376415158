//! Executables and shared libraries: symbols, sections and build id.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod build_id;
mod cache;

use std::fs::File;
use std::io;

use common::cache::Weigh;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, FileKind, Object, ObjectSection, ReadCache, ReadRef, elf};

use crate::addr::Addr;

pub use build_id::{BuildId, build_id_in_memory};
pub use cache::ElfCache;

/// The reasons why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// Not an ELF file: data, fonts, translations.
    #[error("is no executable or library")]
    NotElf,
    /// A program or library of 32 bits.
    #[error("is a 32-bit program")]
    Bits32,
    /// Its headers or tables contradict each other.
    #[error("is damaged: {0}")]
    Damaged(#[from] object::Error),
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A named range of a file's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `.data`, `.PyRuntime`, …
    pub name: String,
    /// Its address in the file, without the bias of loading.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
}

/// A named address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Its address in the file, without the bias of loading.
    pub address: u64,
    /// The bytes of the named object; 0 if unknown.
    pub size: u64,
}

/// A table of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolTable {
    /// `.dynsym`: exported and imported names; strip(1) keeps it.
    Dynamic,
    /// `.symtab`: all names.
    Full,
}

/// An executable or shared library of 64 bits: all that was read of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// Whether it is loaded at its own addresses (ET_EXEC), without a bias.
    pub is_fixed: bool,
    /// Its build id, if it has one.
    pub build_id: Option<BuildId>,
    /// Its sections that are loaded into memory.
    pub sections: Vec<Section>,
    /// The symbols that were asked for, of `.dynsym` and of `.symtab`.
    dynamic_symbols: NamedSymbols,
    all_symbols: NamedSymbols,
    /// The address of its first loaded segment, rounded down to a page.
    first_page: u64,
}

type NamedSymbols = Vec<(&'static str, Symbol)>;

impl Elf {
    /// Reads headers, sections, and the symbols called `names`. A damaged symbol table counts as empty.
    ///
    /// # Errors
    /// If it is not a 64-bit ELF file, or cannot be read.
    pub fn read(file: File, names: &[&'static str]) -> Result<Self, ElfError> {
        let cache = ReadCache::new(file);
        match FileKind::parse(&cache) {
            Ok(FileKind::Elf64) => {}
            Ok(FileKind::Elf32) => return Err(ElfError::Bits32),
            Ok(_) | Err(_) => return Err(ElfError::NotElf),
        }
        let parsed = ElfFile64::<Endianness, _>::parse(&cache)?;
        let endian = parsed.endian();
        let loads = parsed.elf_program_headers().iter().filter(|part| part.p_type(endian) == elf::PT_LOAD);
        let first = loads.map(|part| part.p_vaddr(endian)).min().unwrap_or(0);
        let symbols = |kind| symbols_in(&cache, kind, names).unwrap_or_default();
        Ok(Self {
            is_fixed: parsed.elf_header().e_type(endian) == elf::ET_EXEC,
            build_id: parsed.build_id()?.and_then(BuildId::new),
            sections: loaded_sections(&parsed),
            dynamic_symbols: symbols(elf::SHT_DYNSYM),
            all_symbols: symbols(elf::SHT_SYMTAB),
            first_page: Addr(first).page_start().0,
        })
    }

    /// The symbol `name` of one table, if its name was asked for.
    #[must_use]
    pub fn symbol_in(&self, table: SymbolTable, name: &str) -> Option<Symbol> {
        let symbols = match table {
            SymbolTable::Dynamic => &self.dynamic_symbols,
            SymbolTable::Full => &self.all_symbols,
        };
        symbols.iter().find(|(found, _)| *found == name).map(|(_, symbol)| *symbol)
    }

    /// The symbol `name`, if it was asked for. An exported symbol hides a local one of the same name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbol_in(SymbolTable::Dynamic, name).or_else(|| self.symbol_in(SymbolTable::Full, name))
    }

    /// The loaded section `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The difference between its addresses in memory and in the file, if its beginning (offset 0) is mapped at `start`.
    #[must_use]
    pub const fn bias(&self, start: Addr) -> u64 {
        if self.is_fixed { 0 } else { start.0.wrapping_sub(self.first_page) }
    }
}

impl Weigh for Elf {
    fn owned_bytes(&self) -> u64 {
        let symbols = self.dynamic_symbols.capacity().saturating_add(self.all_symbols.capacity());
        let names =
            self.sections.iter().map(|section| section.name.capacity()).fold(0, usize::saturating_add);
        let tables = self.sections.capacity().saturating_mul(size_of::<Section>());
        let symbols = symbols.saturating_mul(size_of::<(&str, Symbol)>());
        tables.saturating_add(symbols).saturating_add(names) as u64
    }
}

/// The symbols of one table that are called `names`.
fn symbols_in(
    file: &ReadCache<File>,
    kind: elf::SectionType,
    names: &[&'static str],
) -> Result<NamedSymbols, ElfError> {
    let header = elf::FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, file)?;
    let mut found = NamedSymbols::new();
    let Some(section) = sections.iter().find(|section| section.sh_type(endian) == kind) else {
        return Ok(found);
    };
    // Whole tables at once: name by name would be two system calls for each of thousands.
    let symbols: &[elf::Sym64<Endianness>] = section.data_as_array(endian, file)?;
    let texts = sections.section(section.link(endian))?.data(endian, file)?;
    for symbol in symbols {
        if found.len() == names.len() {
            break;
        }
        let Some(text) = texts.get(symbol.st_name(endian) as usize..) else { continue };
        let is = |name: &&&'static str| {
            text.strip_prefix(name.as_bytes()).is_some_and(|behind| behind.first() == Some(&0))
        };
        let Some(&name) = names.iter().find(is) else { continue };
        let is_defined = !symbol.is_undefined(endian) && symbol.st_value(endian) != 0;
        if is_defined && !found.iter().any(|(known, _)| *known == name) {
            found.push((name, Symbol { address: symbol.st_value(endian), size: symbol.st_size(endian) }));
        }
    }
    Ok(found)
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
        Elf::read(file, &["main", "_no_such_name_"])
    }

    #[test]
    fn own_program_has_symbols_and_build_id() {
        let bytes = own();
        let elf = read(&bytes).unwrap();
        assert!(!elf.is_fixed && elf.section(".text").is_some_and(|text| text.size > 1000));
        assert!(elf.symbol("main").is_some_and(|main| main.address > 0));
        assert_eq!(elf.symbol("_no_such_name_"), None);
        let mut memory = FakeMemory::new();
        memory.put(Addr(0x7000_0000), &bytes[..1 << 16]);
        assert_eq!(elf.bias(Addr(0x7000_0000)), 0x7000_0000);
        assert_eq!(build_id_in_memory(&memory, Addr(0x7000_0000)), elf.build_id);
        assert_eq!(build_id_in_memory(&memory, Addr(0x7000_1000)), None);
    }

    #[test]
    fn other_files_are_refused() {
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
    fn flipped_header_bits_are_harmless() {
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
                let _ = elf.symbol("main");
            }
            memory.put(Addr(0x7000_0000), &whole[..4096]);
            let _ = build_id_in_memory(&memory, Addr(0x7000_0000));
            whole[place] ^= 1 << (random >> 20 & 7);
        }
    }
}
