//! Locates `_PyRuntime`: the symbol from which everything of a CPython can be reached (3.8 and later).

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use memobj_process::addr::Addr;
use memobj_process::elf::{Elf, ElfCache, SymbolTable};
use memobj_process::info::{Mapping, ProcessSource};
use memobj_process::memory::Memory;

use super::version::{FileVersion, Version};
use super::{LocateMethod, scan};

/// A location of `_PyRuntime`, still to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeLocation {
    /// Its address.
    pub at: Addr,
    /// The method that found it.
    pub method: LocateMethod,
    /// The file that contains it.
    pub file: Arc<PythonFile>,
}

/// A file that holds a Python, or may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PythonFile {
    /// Its path, as the target sees it.
    pub path: PathBuf,
    /// Whether it is a library that the program loaded, rather than the program.
    pub library: bool,
    /// The version in its name.
    pub name_version: Option<FileVersion>,
    /// The address of `Py_Version` (3.11 and newer).
    pub py_version: Option<Addr>,
    /// Whether it has a symbol of builds with `Py_REF_DEBUG`.
    pub ref_debug: bool,
    /// The addresses of the variables `arenas` and `maxarenas` of pymalloc (up to 3.11), unless the file is stripped.
    pub arenas: Option<(Addr, Addr)>,
    /// The memory of its variables, initialised or not.
    pub variables: Vec<std::ops::Range<Addr>>,
}

/// The names of landmarks: a variable of a file; of the runtime with the method that found it, behind a slash.
const ARENAS: &str = "arenas";
const MAX_ARENAS: &str = "maxarenas";

impl RuntimeLocation {
    /// The addresses that a snapshot saves, since it has no files: see [`ProcessSource::saved_addresses`].
    pub fn landmarks(&self) -> BTreeMap<String, Addr> {
        let runtime = (format!("{RUNTIME}/{}", self.method.as_str()), self.at);
        let (table, slots) = self.file.arenas.unzip();
        let arenas = [(ARENAS, table), (MAX_ARENAS, slots)];
        let arenas = arenas.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?)));
        arenas.chain([runtime]).collect()
    }

    /// The location that a snapshot saved.
    fn from_landmarks(source: &dyn ProcessSource, methods: &[LocateMethod]) -> Option<Self> {
        let landmarks = source.saved_addresses();
        let found = methods
            .iter()
            .find_map(|method| Some((*method, *landmarks.get(&format!("{RUNTIME}/{}", method.as_str()))?)));
        let (method, at) = found?;
        let facts = source.info();
        let here = facts.mapping_at(at)?;
        // Variables without an initial value lie behind those of their file, in memory without one.
        let before = facts.mappings.iter().take_while(|mapping| mapping.range.start <= here.range.start);
        let mapping = before.filter(|mapping| mapping.inode != 0).last().unwrap_or(here);
        let of_file = |first: &&Mapping| {
            (first.device, first.inode, &first.path) == (mapping.device, mapping.inode, &mapping.path)
        };
        let mut file = PythonFile::from_mapping(source, facts.files().find(of_file).unwrap_or(mapping));
        file.arenas = landmarks.get(ARENAS).copied().zip(landmarks.get(MAX_ARENAS).copied());
        Some(Self { at, method, file: Arc::new(file) })
    }
}

/// The locations and files found in a process.
#[derive(Debug, Clone, Default)]
pub struct SearchResult {
    /// The possible locations of runtimes, the most certain first, each address once.
    pub locations: Vec<RuntimeLocation>,
    /// The files that hold a Python by their names or symbols, readable here or not.
    pub files: Vec<Arc<PythonFile>>,
    /// Whether one has the symbols of a Python before 3.7, which had no `_PyRuntime`.
    pub before_3_7: bool,
    /// Files that could not be read.
    pub unopened: usize,
}

/// The symbol from which all objects are reached.
const RUNTIME: &str = "_PyRuntime";
/// A variable of a Python before 3.7.
const GC_GENERATION0: &str = "_PyGC_generation0";
const PY_VERSION: &str = "Py_Version";
/// Only builds with `Py_REF_DEBUG` have one of them.
const REF_DEBUG: [&str; 2] = ["_Py_NegativeRefcount", "_Py_RefTotal"];

/// The symbols that the search reads of each file.
pub const SYMBOLS: &[&str] =
    &[RUNTIME, GC_GENERATION0, PY_VERSION, REF_DEBUG[0], REF_DEBUG[1], ARENAS, MAX_ARENAS];

/// Searches every file of which the process has code mapped, by `methods`. `files` keeps them; `memory` is that of the process.
///
/// File names are no condition: a program may embed Python under any name. [`LocateMethod::Scan`] needs a layout: see
/// `scan::find_runtimes`.
pub fn locate(
    source: &dyn ProcessSource,
    methods: &[LocateMethod],
    memory: &dyn Memory,
    files: &ElfCache,
) -> SearchResult {
    let mut search = SearchResult::default();
    let mut seen = HashSet::new();
    if let Some(found) = RuntimeLocation::from_landmarks(source, methods) {
        search.files.push(Arc::clone(&found.file));
        search.locations.push(found);
        return search;
    }
    for mapping in code_files(source) {
        let elf = files.read(source, memory, mapping);
        search.unopened = search.unopened.saturating_add(usize::from(elf.is_none()));
        let mut file = PythonFile::from_mapping(source, mapping);
        let mut here = Vec::new();
        if let Some(elf) = &elf {
            let bias = elf.bias(mapping.range.start);
            here = symbol_locations(elf, bias, methods);
            search.before_3_7 |= here.is_empty() && elf.symbol(GC_GENERATION0).is_some();
            if !here.is_empty() || file.name_version.is_some() {
                file.read_symbols(elf, bias);
            }
        }
        if methods.contains(&LocateMethod::Cookie) {
            let at = scan::find_cookies(source.memory(), &file.variables);
            here.extend(at.into_iter().map(|at| (at, LocateMethod::Cookie)));
        }
        if here.is_empty() && file.name_version.is_none() {
            continue;
        }
        let file = Arc::new(file);
        search.files.push(Arc::clone(&file));
        let new = here.into_iter().filter(|(at, _)| seen.insert(*at));
        search.locations.extend(new.map(|(at, method)| RuntimeLocation {
            at,
            method,
            file: Arc::clone(&file),
        }));
    }
    search
}

/// The locations of a runtime by the symbols and sections of a file.
fn symbol_locations(elf: &Elf, bias: u64, methods: &[LocateMethod]) -> Vec<(Addr, LocateMethod)> {
    let symbol = |table| elf.symbol_in(table, RUNTIME).map(|symbol| symbol.address);
    let tried = |method: LocateMethod| {
        let at = match method {
            LocateMethod::Dynsym => symbol(SymbolTable::Dynamic)?,
            LocateMethod::Symtab => symbol(SymbolTable::Full)?,
            LocateMethod::Section => elf.section(".PyRuntime")?.address,
            LocateMethod::Cookie | LocateMethod::Scan => return None,
        };
        Some((Addr(at.wrapping_add(bias)), method))
    };
    methods.iter().filter_map(|&method| tried(method)).collect()
}

/// The first mapping of every file of which code is mapped, the program first.
fn code_files(source: &dyn ProcessSource) -> Vec<&Mapping> {
    let facts = source.info();
    let file_of = |mapping: &Mapping| (mapping.device, mapping.inode);
    let with_code: HashSet<_> =
        facts.mappings.iter().filter(|mapping| mapping.access.execute).map(file_of).collect();
    let mut seen = HashSet::new();
    let mut files: Vec<&Mapping> = facts
        .files()
        .filter(|mapping| with_code.contains(&file_of(mapping)) && seen.insert(file_of(mapping)))
        .collect();
    files.sort_by_key(|mapping| mapping.path != facts.program);
    files
}

impl PythonFile {
    /// Describes a file by its name and mappings alone.
    fn from_mapping(source: &dyn ProcessSource, first: &Mapping) -> Self {
        let name = first.file_name().to_string_lossy();
        let facts = source.info();
        let mut variables: Vec<std::ops::Range<Addr>> = Vec::new();
        for mapping in &facts.mappings {
            let same = (mapping.device, mapping.inode) == (first.device, first.inode);
            // Variables without an initial value follow in memory without a file.
            let behind =
                mapping.inode == 0 && variables.last().is_some_and(|last| last.end == mapping.range.start);
            if mapping.access.write && !mapping.access.shared && (same || behind) {
                variables.push(mapping.range.clone());
            }
        }
        Self {
            path: first.path.clone(),
            library: name.starts_with("lib") || first.path != facts.program && name.contains(".so"),
            name_version: Version::from_file_name(&name),
            variables,
            ..Self::default()
        }
    }

    /// Adds the addresses of its symbols.
    fn read_symbols(&mut self, elf: &Elf, bias: u64) {
        let at = |symbol: &str| elf.symbol(symbol).map(|symbol| Addr(symbol.address.wrapping_add(bias)));
        self.py_version = at(PY_VERSION);
        self.ref_debug = REF_DEBUG.iter().any(|name| at(name).is_some());
        self.arenas = at(ARENAS).zip(at(MAX_ARENAS));
    }
}

/// Every file of which code is mapped, as if each might hold a Python.
pub fn candidate_files(source: &dyn ProcessSource) -> Vec<Arc<PythonFile>> {
    code_files(source)
        .into_iter()
        .map(|mapping| Arc::new(PythonFile::from_mapping(source, mapping)))
        .collect()
}

/// Whether the file of the program has a section of this name.
pub fn program_has(source: &dyn ProcessSource, memory: &dyn Memory, files: &ElfCache, section: &str) -> bool {
    let program = code_files(source).into_iter().next();
    program
        .and_then(|mapping| files.read(source, memory, mapping))
        .is_some_and(|elf| elf.section(section).is_some())
}
