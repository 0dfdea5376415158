//! A core file as a process that holds still: those that the kernel writes and those of `gcore`.
//!
//! A core has the memory that no file has; what it leaves out (`/proc/PID/coredump_filter`: code and constants of programs, by default)
//! is read from the files themselves, which must be of the same build as those that the process had.

mod notes;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use common::process::{ProcessId, ProcessState};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadCache, elf};

use super::frozen_process::{self, CopyInfo, FileOrigin, FrozenProcess};
use crate::addr::Addr;
use crate::error::{Error, Stage};
use crate::info::{Mapping, MappingKind, Permissions, ProcessInfo, Thread, shown};
use crate::memory::{Backing, CopyBuffer, CopyBuilder, FilePart, PAGE_SIZE, Uncopied};

use notes::MappedFile;

/// What is read at once.
const PIECE: usize = 1 << 20;
/// What a core file can begin with instead, and what to do then.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (
        b"\x28\xb5\x2f\xfd",
        "is compressed (zstd)",
        "unpack it first (`zstd -d`, or `coredumpctl dump PID -o core`)",
    ),
    (b"\x1f\x8b", "is compressed (gzip)", "unpack it first (`gzip -d`)"),
    (b"\xfd7zXZ\0", "is compressed (xz)", "unpack it first (`xz -d`, or `coredumpctl dump PID -o core`)"),
    (
        b"\x04\x22\x4d\x18",
        "is compressed (lz4)",
        "unpack it first (`lz4 -d`, or `coredumpctl dump PID -o core`)",
    ),
    (b"BZh", "is compressed (bzip2)", "unpack it first (`bzip2 -d`)"),
    (b"memobj\x1a\n", "is a snapshot of memobj", "open it with `--snapshot`"),
    (b"", "is empty", "it may be still being written, or the disk was full; look at `ulimit -c`"),
];

/// A part of the process's memory: a program header of kind PT_LOAD.
#[derive(Debug, Clone)]
struct Part {
    start: u64,
    /// How long it was.
    length: u64,
    /// How much of it is in the core, and where.
    kept: u64,
    offset: u64,
    access: Permissions,
}

/// What the headers and notes of a core say.
#[derive(Debug, Default)]
struct Outline {
    parts: Vec<Part>,
    files: Vec<MappedFile>,
    process: Option<notes::Process>,
    threads: Vec<u32>,
}

/// Opens a core file.
///
/// A file that is cut short gives what is there, and [`CopyInfo::missing_bytes`] says how much is not.
///
/// # Errors
/// If it is none, or of another kind of machine, or its headers are damaged.
pub fn open(path: &Path) -> Result<FrozenProcess, Error> {
    let trouble =
        |what: &str, hint: &str| Error::new(Stage::ATTACH, format!("{}: {what}", shown(path)), hint);
    let io =
        |error: std::io::Error| trouble(&error.to_string(), "give the path of a core file that you may read");
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if let Some((_, what, hint)) = other_kind(&file) {
        return Err(trouble(what, hint));
    }
    let cache = ReadCache::new(file.try_clone().map_err(io)?);
    let kind = FileKind::parse(&cache);
    match kind {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => {
            return Err(trouble("is of a 32-bit program", "memobj knows Pythons of 64 bits alone"));
        }
        Ok(_) | Err(_) => return Err(trouble("is no core file", "make one with `gcore PID`")),
    }
    let outline = outline(&cache).map_err(|error| match error {
        Odd::NoCore => trouble("is a program or library, and no core file", "make one with `gcore PID`"),
        Odd::Machine => trouble("is of another kind of processor", "memobj knows x86-64 alone"),
        Odd::Damaged(error) => {
            trouble(&format!("is damaged: {error}"), "make it anew, with room on the disk")
        }
    })?;
    if outline.parts.is_empty() {
        return Err(trouble("holds no memory", "make it anew, with room on the disk"));
    }

    let info = facts(&outline);
    // Holes in a file take no room on the disk and are zeros, which are not copied.
    let blocks = file.metadata().map_err(io)?.blocks().saturating_mul(512).max(PIECE as u64);
    let mut buffers = CopyBuffer::new();
    let most = usize::try_from(length.min(blocks).saturating_add(PIECE as u64)).unwrap_or(usize::MAX);
    buffers.reserve(most).map_err(io)?;
    let mut reading = Reading { file: &file, length, filling: CopyBuilder::new(buffers), missing: 0 };
    let mut zeros = Vec::new();
    for part in &outline.parts {
        let zero =
            reading.part(part).map_err(|_| trouble("is damaged: its parts overlap", "make it anew"))?;
        zeros.extend(zero);
    }
    let missing_bytes = reading.missing;
    let mut memory = reading.filling.finish(zeros.clone());

    let behind =
        uncopied(&outline, &info, zeros, |mapping| frozen_process::same_build(&memory, &info, mapping).ok());
    memory.set_uncopied(behind);
    let copy = CopyInfo { threads: outline.threads.len(), missing_bytes, ..CopyInfo::default() };
    let at = file.metadata().and_then(|there| there.modified()).ok();
    Ok(FrozenProcess {
        memory,
        info,
        at,
        copy,
        residence: None,
        files: FileOrigin::Disk,
        saved_addresses: BTreeMap::new(),
    })
}

fn other_kind(file: &File) -> Option<&'static (&'static [u8], &'static str, &'static str)> {
    let mut start = [0; 8];
    let read = file.read_at(&mut start, 0).ok()?;
    let start = start.get(..read)?;
    OTHERS
        .iter()
        .find(|(magic, ..)| if magic.is_empty() { start.is_empty() } else { start.starts_with(magic) })
}

/// Why headers are of no use.
#[derive(Debug)]
enum Odd {
    NoCore,
    Machine,
    Damaged(object::Error),
}

impl From<object::Error> for Odd {
    fn from(error: object::Error) -> Self {
        Self::Damaged(error)
    }
}

fn outline(cache: &ReadCache<File>) -> Result<Outline, Odd> {
    let header = elf::FileHeader64::<Endianness>::parse(cache)?;
    let endian = header.endian()?;
    if header.e_type(endian) != elf::ET_CORE {
        return Err(Odd::NoCore);
    }
    if header.e_machine(endian) != elf::EM_X86_64 || endian != Endianness::Little {
        return Err(Odd::Machine);
    }
    let mut outline = Outline::default();
    for part in header.program_headers(endian, cache)? {
        let kind = part.p_type(endian);
        if kind == elf::PT_LOAD {
            let flags = part.p_flags(endian);
            let has = |flag| flags & flag == flag;
            outline.parts.push(Part {
                start: part.p_vaddr(endian),
                length: part.p_memsz(endian).max(part.p_filesz(endian)),
                kept: part.p_filesz(endian),
                offset: part.p_offset(endian),
                access: Permissions {
                    read: has(elf::PF_R),
                    write: has(elf::PF_W),
                    execute: has(elf::PF_X),
                    shared: false,
                },
            });
        } else if kind == elf::PT_NOTE {
            // Notes that are cut off tell less; the memory may be there all the same.
            let Ok(Some(mut notes)) = part.notes(endian, cache) else { continue };
            while let Ok(Some(note)) = notes.next() {
                match note.n_type(endian) {
                    elf::NT_PRSTATUS => outline.threads.extend(notes::thread(note.desc())),
                    elf::NT_PRPSINFO => outline.process = notes::process(note.desc()),
                    elf::NT_FILE => outline.files = notes::files(note.desc()),
                    _ => {}
                }
            }
        }
    }
    outline.parts.retain(|part| is_whole_pages(part.start..part.start.saturating_add(part.length)));
    outline.parts.sort_by_key(|part| part.start);
    outline.files.retain(|file| is_whole_pages(file.start.0..file.end.0));
    outline.files.sort_by_key(|file| file.start);
    Ok(outline)
}

fn is_whole_pages(range: Range<u64>) -> bool {
    range.start < range.end && range.start.is_multiple_of(PAGE_SIZE as u64) && range.end < 1 << 47
}

/// What the process had mapped: the parts of the core, with what `NT_FILE` says of them, and what it says besides.
fn facts(outline: &Outline) -> ProcessInfo {
    let mut mappings: Vec<Mapping> = Vec::with_capacity(outline.parts.len() + outline.files.len());
    // A core does not say a file's number; one of our own tells files apart.
    let mut numbers: BTreeMap<&Path, u64> = BTreeMap::new();
    for file in &outline.files {
        let next = numbers.len() as u64 + 1;
        numbers.entry(&file.path).or_insert(next);
    }
    let of_file = |file: &MappedFile| {
        (numbers.get(file.path.as_path()).copied().unwrap_or_default(), file.path.clone())
    };
    let mut by_start: BTreeMap<Addr, &MappedFile> =
        outline.files.iter().map(|file| (file.start, file)).collect();
    for part in &outline.parts {
        let range =
            Addr(part.start)..Addr(part.start.saturating_add(part.length).next_multiple_of(PAGE_SIZE as u64));
        let file = outline.files.partition_point(|file| file.start <= range.start).checked_sub(1);
        let file = file.and_then(|at| outline.files.get(at)).filter(|file| range.start < file.end);
        by_start.remove(&range.start);
        let mapping = Mapping {
            range,
            access: part.access,
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: Default::default(),
            deleted: false,
        };
        mappings.push(match file {
            Some(file) => {
                let (inode, path) = of_file(file);
                let offset = file.offset.saturating_add(mapping.range.start.0 - file.start.0);
                Mapping { offset, inode, path, ..mapping }
            }
            None => mapping,
        });
    }
    for file in by_start.into_values() {
        let (inode, path) = of_file(file);
        // NT_FILE tells no rights. What gcore leaves out was never written to: code above all.
        let access = Permissions { read: true, execute: true, ..Permissions::default() };
        let range = file.start..file.end;
        mappings.push(Mapping {
            range,
            access,
            offset: file.offset,
            device: (0, 0),
            inode,
            path,
            deleted: false,
        });
    }
    mappings.sort_by_key(|mapping| mapping.range.start);

    let name = outline.process.as_ref().map(|process| process.name.clone()).unwrap_or_default();
    let pid =
        outline.process.as_ref().map(|process| process.pid).or(outline.threads.first().copied()).unwrap_or(0);
    let thread = |&tid: &u32| Thread {
        tid,
        // As the process itself numbered them: task_pid_vnr in fs/binfmt_elf.c.
        inner_tid: Some(tid),
        name: if tid == pid { name.clone() } else { String::new() },
        state: ProcessState::Unknown,
    };
    let program = mappings.iter().find(|mapping| mapping.kind() == MappingKind::File);
    ProcessInfo {
        id: ProcessId { pid, start: 0 },
        inner_pid: Some(pid),
        program: program.map(|mapping| mapping.path.clone()).unwrap_or_default(),
        name: name.clone(),
        rss_bytes: None,
        rss_anon_bytes: None,
        swap_bytes: None,
        threads: outline.threads.iter().map(thread).collect(),
        mappings,
    }
}

/// What is not in the core: what files hold where there is a file, and zeros.
fn uncopied(
    outline: &Outline,
    info: &ProcessInfo,
    zeros: Vec<Uncopied>,
    open: impl Fn(&Mapping) -> Option<File>,
) -> Vec<Uncopied> {
    let mut files: BTreeMap<&Path, Option<Arc<File>>> = BTreeMap::new();
    let mut behind = zeros;
    for mapping in
        info.mappings.iter().filter(|mapping| mapping.kind() == MappingKind::File && mapping.access.read)
    {
        let part = outline.parts.binary_search_by_key(&mapping.range.start.0, |part| part.start).ok();
        let kept = part
            .and_then(|at| outline.parts.get(at))
            .map_or(0, |part| part.kept.next_multiple_of(PAGE_SIZE as u64));
        let range = mapping.range.start.plus(kept)..mapping.range.end;
        if range.start >= range.end {
            continue;
        }
        let file = files.entry(&mapping.path).or_insert_with(|| open(mapping).map(Arc::new));
        if let Some(file) = file {
            let length = range.end.0 - range.start.0;
            let constant = FilePart::new(Arc::clone(file), mapping.offset.saturating_add(kept), length);
            behind.push(Uncopied { range, backing: Backing::File(Arc::new(constant)) });
        }
    }
    behind
}

struct Reading<'f> {
    file: &'f File,
    /// How long the file is.
    length: u64,
    filling: CopyBuilder,
    missing: u64,
}

impl Reading<'_> {
    /// Takes in what the core has of a part; the ranges that are zeros, by the core or because nothing was written there.
    fn part(&mut self, part: &Part) -> Result<Vec<Uncopied>, crate::memory::BufferFull> {
        let mut there = self.length.saturating_sub(part.offset).min(part.kept);
        if there < part.kept {
            // Half a page would be one that ends with zeros.
            there -= there % PAGE_SIZE as u64;
        }
        self.missing = self.missing.saturating_add(part.kept - there);
        let mut zeros = Vec::new();
        let mut piece = vec![0; PIECE];
        let mut done = 0;
        while done < there {
            let length = (there - done).min(PIECE as u64) as usize;
            let padded = length.next_multiple_of(PAGE_SIZE);
            let Some(into) = piece.get_mut(..padded) else { break };
            let (bytes, rest) = into.split_at_mut(length);
            rest.fill(0);
            if self.file.read_exact_at(bytes, part.offset.saturating_add(done)).is_err() {
                self.missing = self.missing.saturating_add(there - done);
                break;
            }
            self.pages(Addr(part.start.saturating_add(done)), into, &mut zeros)?;
            done += length as u64;
        }
        Ok(zeros)
    }

    fn pages(
        &mut self,
        at: Addr,
        bytes: &[u8],
        zeros: &mut Vec<Uncopied>,
    ) -> Result<(), crate::memory::BufferFull> {
        for (page, number) in bytes.chunks(PAGE_SIZE).zip(0_u64..) {
            let at = at.plus(number * PAGE_SIZE as u64);
            if page.iter().any(|&byte| byte != 0) {
                self.filling.pages(at, 1)?.copy_from_slice(page);
                continue;
            }
            let end = at.plus(PAGE_SIZE as u64);
            match zeros.last_mut().filter(|last| last.range.end == at) {
                Some(last) => last.range.end = end,
                None => zeros.push(Uncopied { range: at..end, backing: Backing::Zeros }),
            }
        }
        Ok(())
    }
}
