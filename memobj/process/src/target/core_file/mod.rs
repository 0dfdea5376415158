//! Core files, written by the kernel or by `gcore`, as frozen processes.
//!
//! A core file holds the memory that no file has. Code and constants of programs, which it omits by default
//! (`/proc/PID/coredump_filter`), are read from the files, which must be of the same build as those of the process.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

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

use super::frozen_process::{CopyInfo, FileOrigin, FrozenProcess, open_same_build};
use crate::addr::{ADDRESS_BITS, Addr};
use crate::error::{Error, Stage};
use crate::info::{Mapping, MappingKind, Permissions, ProcessInfo, Thread, shown};
use crate::memory::{Backing, BufferFull, CopyBuffer, CopyBuilder, FilePart, PAGE_SIZE, Uncopied};

use notes::MappedFile;

/// Bytes of one read.
const CHUNK: usize = 1 << 20;
const CHUNK_BYTES: u64 = CHUNK as u64;
const AGAIN: &str = "create it again, with enough disk space";
const GCORE: &str = "make one with `gcore PID`";

/// Other formats by their first bytes, each with a message and a hint.
const OTHER_FORMATS: &[(&[u8], &str, &str)] = &[
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
    (b"", "is empty", "it may not be complete yet, or the disk was full; see `ulimit -c`"),
];

/// A part of the process's memory: a program header of type PT_LOAD.
#[derive(Debug, Clone)]
struct Segment {
    range: Range<Addr>,
    /// The bytes that the core file holds, and their offset in it.
    saved: u64,
    offset: u64,
    access: Permissions,
}

/// The headers and notes of a core file.
#[derive(Debug, Default)]
struct CoreHeaders {
    segments: Vec<Segment>,
    files: Vec<MappedFile>,
    process: Option<notes::Process>,
    threads: Vec<u32>,
}

/// Opens a core file.
///
/// A truncated file yields the memory that it holds; [`CopyInfo::missing_bytes`] counts the rest.
///
/// # Errors
/// If it is not a core file of x86-64 or 64-bit Arm, or its headers are damaged.
pub fn open(path: &Path) -> Result<FrozenProcess, Error> {
    let failed =
        |message: &str, hint: &str| Error::new(Stage::ATTACH, format!("{}: {message}", shown(path)), hint);
    let io =
        |error: std::io::Error| failed(&error.to_string(), "give the path of a core file that you may read");
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if let Some((_, message, hint)) = other_format(&file) {
        return Err(failed(message, hint));
    }
    let cache = ReadCache::new(file.try_clone().map_err(io)?);
    match FileKind::parse(&cache) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => {
            return Err(failed("is of a 32-bit program", "memobj reads 64-bit programs only"));
        }
        Ok(_) | Err(_) => return Err(failed("is not a core file", GCORE)),
    }
    let headers = read_headers(&cache).map_err(|HeaderError(message, hint)| failed(&message, hint))?;
    if headers.segments.is_empty() {
        return Err(failed("holds no memory", AGAIN));
    }

    let info = process_info(&headers);
    // Holes of a sparse file read as zeros, which are not copied.
    let on_disk = file.metadata().map_err(io)?.blocks().saturating_mul(512).max(CHUNK_BYTES);
    let mut buffer = CopyBuffer::new();
    let most = length.min(on_disk).saturating_add(CHUNK_BYTES);
    buffer.reserve(usize::try_from(most).unwrap_or(usize::MAX)).map_err(io)?;
    let mut reader = SegmentReader {
        file: &file,
        length,
        builder: CopyBuilder::new(buffer),
        missing: 0,
        zeros: Vec::new(),
    };
    for segment in &headers.segments {
        reader.read(segment).map_err(|_| failed("is damaged: its segments overlap", AGAIN))?;
    }
    let SegmentReader { builder, missing: missing_bytes, zeros, .. } = reader;
    let mut memory = builder.finish(zeros.clone());
    let open = |mapping: &Mapping| open_same_build(&memory, &info, mapping).ok();
    let uncopied = uncopied_ranges(&headers, &info, zeros, open);
    memory.set_uncopied(uncopied);
    Ok(FrozenProcess {
        memory,
        info,
        at: file.metadata().and_then(|there| there.modified()).ok(),
        copy: CopyInfo { threads: headers.threads.len(), missing_bytes, ..CopyInfo::default() },
        residence: None,
        files: FileOrigin::Disk,
        saved_addresses: BTreeMap::new(),
    })
}

fn other_format(file: &File) -> Option<&'static (&'static [u8], &'static str, &'static str)> {
    let mut start = [0; 8];
    let read = file.read_at(&mut start, 0).ok()?;
    let start = start.get(..read)?;
    let is = |magic: &[u8]| if magic.is_empty() { start.is_empty() } else { start.starts_with(magic) };
    OTHER_FORMATS.iter().find(|(magic, ..)| is(magic))
}

/// Why headers cannot be used: a message and a hint.
struct HeaderError(String, &'static str);

impl From<object::Error> for HeaderError {
    fn from(error: object::Error) -> Self {
        Self(format!("is damaged: {error}"), AGAIN)
    }
}

fn read_headers(cache: &ReadCache<File>) -> Result<CoreHeaders, HeaderError> {
    let header = elf::FileHeader64::<Endianness>::parse(cache)?;
    let endian = header.endian()?;
    if header.e_type(endian) != elf::ET_CORE {
        return Err(HeaderError("is a program or library, not a core file".to_owned(), GCORE));
    }
    let is_supported = [elf::EM_X86_64, elf::EM_AARCH64].contains(&header.e_machine(endian));
    if !is_supported || endian != Endianness::Little {
        let message = "is of another kind of processor".to_owned();
        return Err(HeaderError(message, "memobj supports x86-64 and 64-bit Arm only"));
    }
    let mut headers = CoreHeaders::default();
    for part in header.program_headers(endian, cache)? {
        let kind = part.p_type(endian);
        if kind == elf::PT_LOAD {
            let flags = part.p_flags(endian);
            let has = |flag| flags & flag == flag;
            let start = part.p_vaddr(endian);
            let length = part.p_memsz(endian).max(part.p_filesz(endian));
            headers.segments.push(Segment {
                range: Addr(start)..Addr(start.saturating_add(length)),
                saved: part.p_filesz(endian),
                offset: part.p_offset(endian),
                access: Permissions {
                    read: has(elf::PF_R),
                    write: has(elf::PF_W),
                    execute: has(elf::PF_X),
                    shared: false,
                },
            });
        } else if kind == elf::PT_NOTE {
            // Truncated notes hold less; the memory may be complete.
            let Ok(Some(mut notes)) = part.notes(endian, cache) else { continue };
            while let Ok(Some(note)) = notes.next() {
                match note.n_type(endian) {
                    elf::NT_PRSTATUS => headers.threads.extend(notes::thread(note.desc())),
                    elf::NT_PRPSINFO => headers.process = notes::process(note.desc()),
                    elf::NT_FILE => headers.files = notes::files(note.desc()),
                    _ => {}
                }
            }
        }
    }
    headers.segments.retain(|segment| is_possible(&segment.range));
    headers.segments.sort_by_key(|segment| segment.range.start);
    headers.files.retain(|file| is_possible(&file.range));
    headers.files.sort_by_key(|file| file.range.start);
    Ok(headers)
}

/// The segment that begins at `start`.
fn segment_at(headers: &CoreHeaders, start: Addr) -> Option<&Segment> {
    let at = headers.segments.binary_search_by_key(&start, |segment| segment.range.start).ok()?;
    headers.segments.get(at)
}

/// Whether a process can have mapped a range.
fn is_possible(range: &Range<Addr>) -> bool {
    range.start < range.end && range.start.page_offset() == 0 && range.end.0 < 1 << ADDRESS_BITS
}

/// The mappings are the segments, with what `NT_FILE` says of them, and the files that have no segment.
fn process_info(headers: &CoreHeaders) -> ProcessInfo {
    // A core file has no inode numbers: each path gets a number of ours.
    let mut inodes: BTreeMap<&Path, u64> = BTreeMap::new();
    for file in &headers.files {
        let next = (inodes.len() as u64).saturating_add(1);
        inodes.entry(&file.path).or_insert(next);
    }
    let of_file = |file: &MappedFile, range: Range<Addr>, access: Permissions| Mapping {
        offset: file.offset.saturating_add(range.start.0.saturating_sub(file.range.start.0)),
        inode: inodes.get(file.path.as_path()).copied().unwrap_or_default(),
        path: file.path.clone(),
        range,
        access,
        ..Mapping::default()
    };
    let of_segment = |Segment { range, access, .. }: &Segment| {
        let range = range.start..Addr(range.end.0.next_multiple_of(PAGE_SIZE as u64));
        let before = headers.files.partition_point(|file| file.range.start <= range.start).checked_sub(1);
        let file = before.and_then(|at| headers.files.get(at)).filter(|file| range.start < file.range.end);
        match file {
            Some(file) => of_file(file, range, *access),
            None => Mapping { range, access: *access, ..Mapping::default() },
        }
    };
    let mut mappings: Vec<Mapping> = headers.segments.iter().map(of_segment).collect();
    // NT_FILE has no permissions. The mappings that gcore omits were never written to: mostly code.
    let code = Permissions { read: true, execute: true, ..Permissions::default() };
    let without_segment = headers.files.iter().filter(|file| segment_at(headers, file.range.start).is_none());
    mappings.extend(without_segment.map(|file| of_file(file, file.range.clone(), code)));
    mappings.sort_by_key(|mapping| mapping.range.start);

    let process = headers.process.as_ref();
    let name = process.map(|process| process.name.clone()).unwrap_or_default();
    let pid = process.map(|process| process.pid).or(headers.threads.first().copied()).unwrap_or(0);
    let thread = |&tid: &u32| Thread {
        tid,
        // In the process's own namespace: task_pid_vnr in fs/binfmt_elf.c.
        inner_tid: Some(tid),
        name: if tid == pid { name.clone() } else { String::new() },
        state: ProcessState::Unknown,
    };
    let program = mappings.iter().find(|mapping| mapping.kind() == MappingKind::File);
    ProcessInfo {
        id: ProcessId { pid, start: 0 },
        inner_pid: Some(pid),
        program: program.map(|mapping| mapping.path.clone()).unwrap_or_default(),
        rss_bytes: None,
        rss_anon_bytes: None,
        swap_bytes: None,
        threads: headers.threads.iter().map(thread).collect(),
        mappings,
        name,
    }
}

/// The ranges that are not in the core file: zeros, and the content of files that can be opened.
fn uncopied_ranges(
    headers: &CoreHeaders,
    info: &ProcessInfo,
    zeros: Vec<Uncopied>,
    open: impl Fn(&Mapping) -> Option<File>,
) -> Vec<Uncopied> {
    let mut files: BTreeMap<&Path, Option<Arc<File>>> = BTreeMap::new();
    let mut uncopied = zeros;
    for mapping in &info.mappings {
        let start = mapping.range.start;
        let saved = segment_at(headers, start).map_or(0, |segment| {
            segment.saved.checked_next_multiple_of(PAGE_SIZE as u64).unwrap_or(u64::MAX)
        });
        if mapping.kind() != MappingKind::File || !mapping.access.read || saved >= mapping.length() {
            continue;
        }
        let file = files.entry(&mapping.path).or_insert_with(|| open(mapping).map(Arc::new));
        if let Some(file) = file {
            let offset = mapping.offset.saturating_add(saved);
            let part = FilePart::new(Arc::clone(file), offset, mapping.length().saturating_sub(saved));
            let range = start.plus(saved)..mapping.range.end;
            uncopied.push(Uncopied { range, backing: Backing::File(Arc::new(part)) });
        }
    }
    uncopied
}

struct SegmentReader<'f> {
    file: &'f File,
    /// The length of the file.
    length: u64,
    builder: CopyBuilder,
    missing: u64,
    /// Ranges of zeros, by the core file or because the process never wrote there.
    zeros: Vec<Uncopied>,
}

impl SegmentReader<'_> {
    fn read(&mut self, segment: &Segment) -> Result<(), BufferFull> {
        let mut there = self.length.saturating_sub(segment.offset).min(segment.saved);
        if there < segment.saved {
            // A partial page would read as one that ends with zeros.
            there = Addr(there).page_start().0;
        }
        self.missing = self.missing.saturating_add(segment.saved.saturating_sub(there));
        let mut chunk = vec![0; CHUNK];
        let mut done = 0_u64;
        while let Some(left) = there.checked_sub(done).filter(|&left| left > 0) {
            let length = left.min(CHUNK_BYTES) as usize;
            let Some(pages) = chunk.get_mut(..length.next_multiple_of(PAGE_SIZE)) else { break };
            let (bytes, rest) = pages.split_at_mut(length);
            rest.fill(0);
            if self.file.read_exact_at(bytes, segment.offset.saturating_add(done)).is_err() {
                self.missing = self.missing.saturating_add(left);
                break;
            }
            for (at, page) in segment.range.start.plus(done).page_parts(pages) {
                self.page(at, page)?;
            }
            done = done.saturating_add(length as u64);
        }
        Ok(())
    }

    fn page(&mut self, at: Addr, page: &[u8]) -> Result<(), BufferFull> {
        if page.iter().any(|&byte| byte != 0) {
            self.builder.pages(at, 1)?.copy_from_slice(page);
            return Ok(());
        }
        let end = at.plus(PAGE_SIZE as u64);
        match self.zeros.last_mut().filter(|last| last.range.end == at) {
            Some(last) => last.range.end = end,
            None => self.zeros.push(Uncopied { range: at..end, backing: Backing::Zeros }),
        }
        Ok(())
    }
}
