//! Mappings, by their names, their access, and the headers of the files in them.
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use common::record::MemoryKind;
use memobj_process::addr::Addr;
use memobj_process::info::{Mapping, MappingKind, ProcessInfo};
use memobj_process::memory::{Memory, gaps};
use memobj_process::residence::PageRun;

use super::glibc::SearchAreas;
use super::rows::Rows;
use super::span::Span;
use super::stacks::is_plain;

/// Allocators that programs bring with them, by the beginning of their library's name.
const ALLOCATORS: [(&str, &str); 6] = [
    ("libjemalloc", "jemalloc"),
    ("libtcmalloc", "tcmalloc"),
    ("libmimalloc", "mimalloc"),
    ("libsnmalloc", "snmalloc"),
    ("librpmalloc", "rpmalloc"),
    ("libhoard", "Hoard"),
];
/// The C library musl. Its malloc before version 1.2.1 is not read.
const MUSL: &str = "ld-musl-";
/// A segment that is loaded (elf(5)).
const PT_LOAD: u32 = 1;
/// Program headers that are read; no program has more.
const MAX_HEADERS: u16 = 256;
const PAGE: u64 = 4096;

/// The memory in which glibc's malloc is searched. `pages` are the pages that were ever touched, `claimed` is memory with another owner; both by
/// address.
pub(super) fn search_areas(facts: &ProcessInfo, pages: &[PageRun], claimed: &[Range<Addr>]) -> SearchAreas {
    let mut areas = SearchAreas::default();
    for mapping in &facts.mappings {
        let access = mapping.access;
        if mapping.path.as_os_str() == "[heap]" {
            match &mut areas.heap {
                Some(heap) if heap.end == mapping.range.start => heap.end = mapping.range.end,
                Some(_) => {}
                heap => *heap = Some(mapping.range.clone()),
            }
        } else if access.write && !access.shared && mapping.kind() == MappingKind::File {
            areas.data.push(mapping.range.clone());
        } else if is_plain(mapping) {
            for left in gaps(&mapping.range, claimed) {
                match areas.anonymous.last_mut() {
                    // Advice on a part of a chunk, as numpy gives it, makes two mappings of one.
                    Some(last) if last.end == left.start => last.end = left.end,
                    _ => areas.anonymous.push(left),
                }
            }
        }
    }
    for range in &areas.anonymous {
        let first = pages.partition_point(|run| run.range.end <= range.start);
        let runs = pages.iter().skip(first).take_while(|run| run.range.start < range.end);
        let touched = runs.map(|run| run.range.start.max(range.start)..run.range.end.min(range.end));
        areas.touched.extend(touched);
    }
    areas
}

/// The kind of a mapping, by its name and access alone.
pub(super) fn kind(mapping: &Mapping) -> MemoryKind {
    let path = mapping.path.as_os_str().as_bytes();
    let of_memory = ["/memfd:", "/dev/shm/", "/SYSV", "/dev/zero", "/anon_hugepage", "[anon_shmem"];
    match mapping.kind() {
        MappingKind::Kernel => MemoryKind::Kernel,
        _ if mapping.access.shared && of_memory.iter().any(|name| path.starts_with(name.as_bytes())) => {
            MemoryKind::SharedMemory
        }
        MappingKind::File => MemoryKind::File,
        MappingKind::Anonymous if path == b"[stack]" => MemoryKind::Stack,
        MappingKind::Anonymous if path.starts_with(b"[anon:") => MemoryKind::Named,
        MappingKind::Anonymous => MemoryKind::Unexplained,
    }
}

/// The mappings as the lowest layer: spans by address that cover all of them. `has_malloc` says that the C library's
/// malloc is read; `own` is an allocator that Python brings with it.
pub(super) fn spans(
    memory: &(impl Memory + ?Sized),
    facts: &ProcessInfo,
    has_malloc: bool,
    own: Option<&'static str>,
    rows: &mut Rows,
) -> Vec<Span> {
    let allocator = allocator(facts, has_malloc).or(own);
    let main = facts.threads.iter().find(|thread| thread.tid == facts.id.pid);
    let main = main.map_or("", |thread| thread.name.as_str());
    let mut spans = Vec::with_capacity(facts.mappings.len());
    // The file whose headers were seen last, and the end of its memory: static data that is zero at first follows the file's last
    // mapping without a gap, and other memory may follow that.
    let mut loaded: Option<(&Mapping, Addr)> = None;
    for mapping in &facts.mappings {
        let path = mapping.path.to_string_lossy();
        let Range { mut start, end } = mapping.range;
        let kind = kind(mapping);
        let row = match kind {
            MemoryKind::File => {
                if mapping.offset == 0 {
                    loaded = read_end(memory, mapping.range.start).map(|end| (mapping, end));
                }
                rows.id(kind, Some(&path))
            }
            MemoryKind::Stack => rows.id(kind, Some(main)),
            MemoryKind::Named => rows.id(kind, Some(name_of(&path))),
            MemoryKind::SharedMemory | MemoryKind::Kernel => rows.id(kind, Some(path.as_ref())),
            _ => {
                if let Some((file, data_end)) =
                    loaded.filter(|(_, data_end)| path.is_empty() && start < *data_end)
                {
                    let row = rows.id(MemoryKind::File, Some(&file.path.to_string_lossy()));
                    spans.push(Span { start, end: data_end.min(end), row });
                    start = data_end.min(end);
                }
                match allocator {
                    Some(name) => rows.id(MemoryKind::Allocator, Some(name)),
                    None if path.is_empty() => rows.id(MemoryKind::Unexplained, Some("anonymous")),
                    None => rows.id(MemoryKind::Unexplained, Some(&path)),
                }
            }
        };
        spans.push(Span { start, end, row });
    }
    spans
}

/// Reads the end of the memory of the program or library that is mapped from `start` on, from its ELF headers in memory (`e_phoff`,
/// `e_phentsize`, `e_phnum`; `p_vaddr` and `p_memsz` of each segment: elf(5)). `None` if it is no ELF file.
fn read_end(memory: &(impl Memory + ?Sized), start: Addr) -> Option<Addr> {
    let mut magic = [0; 5];
    memory.read(start, &mut magic).ok()?;
    if &magic != b"\x7fELF\x02" {
        return None;
    }
    let headers = start.plus(memory.read_u64(start.plus(32)).ok()?);
    let (size, count) = (memory.read_u16(start.plus(54)).ok()?, memory.read_u16(start.plus(56)).ok()?);
    let mut loaded: Option<Range<u64>> = None;
    for number in 0..u64::from(count.min(MAX_HEADERS)) {
        let header = headers.plus(number.wrapping_mul(size.into()));
        if memory.read_u32(header).ok()? != PT_LOAD {
            continue;
        }
        let at = memory.read_u64(header.plus(16)).ok()?;
        let end = at.checked_add(memory.read_u64(header.plus(40)).ok()?)?;
        // The format demands ascending order: the first one is mapped at `start`.
        loaded = Some(loaded.map_or(at..end, |loaded| loaded.start..loaded.end.max(end)));
    }
    let loaded = loaded?;
    let length = loaded.end.checked_sub(loaded.start & !(PAGE - 1))?;
    Some(Addr(start.0.checked_add(length)?.checked_next_multiple_of(PAGE)?))
}

/// The name in `[anon:NAME]`.
fn name_of(path: &str) -> &str {
    path.strip_prefix("[anon:").and_then(|rest| rest.strip_suffix(']')).map_or(path, str::trim)
}

/// The allocator that the process uses instead of glibc's, by the names of its libraries.
fn allocator(facts: &ProcessInfo, has_malloc: bool) -> Option<&'static str> {
    let named = facts.files().find_map(|mapping| {
        let name = mapping.file_name().to_string_lossy();
        ALLOCATORS.iter().find(|(library, _)| name.starts_with(library)).map(|(_, name)| *name)
    });
    let is_musl = |mapping: &Mapping| mapping.file_name().to_string_lossy().starts_with(MUSL);
    named.or_else(|| (!has_malloc && facts.files().any(is_musl)).then_some("musl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bracketed_names_are_stripped() {
        assert_eq!(name_of("[anon: glibc: malloc arena]"), "glibc: malloc arena");
        assert_eq!(name_of("[heap]"), "[heap]");
    }
}
