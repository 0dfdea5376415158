//! What mappings say of themselves.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use crate::addr::Addr;
use crate::facts::{Facts, Kind as Behind, Mapping};

use super::glibc::{Glibc, Places};
use super::rows::{Kind, Rows};
use super::span::Span;
use super::stacks::is_plain;

/// Allocators that programs bring with them, by what the names of their libraries begin with.
const ALLOCATORS: [(&str, &str); 6] = [
    ("libjemalloc", "jemalloc"),
    ("libtcmalloc", "tcmalloc"),
    ("libmimalloc", "mimalloc"),
    ("libsnmalloc", "snmalloc"),
    ("librpmalloc", "rpmalloc"),
    ("libhoard", "Hoard"),
];
/// The C library musl, whose allocator is not looked into.
const MUSL: &str = "ld-musl-";

/// Where glibc's malloc is to be looked for. `claimed` is memory that is known to be of something else, by address.
pub(super) fn places(facts: &Facts, claimed: &[Range<Addr>]) -> Places {
    let mut places = Places::default();
    for mapping in &facts.mappings {
        let access = mapping.access;
        if mapping.path.as_os_str() == "[heap]" {
            match &mut places.heap {
                Some(heap) if heap.end == mapping.range.start => heap.end = mapping.range.end,
                Some(_) => {}
                heap => *heap = Some(mapping.range.clone()),
            }
        } else if access.write && !access.shared && mapping.kind() == Behind::File {
            places.data.push(mapping.range.clone());
        } else if is_plain(mapping) {
            places.anonymous.extend(without(&mapping.range, claimed));
        }
    }
    places
}

/// What of a range is in none of `known`, which is by address.
pub(super) fn without(range: &Range<Addr>, known: &[Range<Addr>]) -> Vec<Range<Addr>> {
    let mut left = Vec::new();
    let mut at = range.start;
    // Those before it end before it, unless they overlap others: then one too many is left out at most.
    let first = known.partition_point(|known| known.start < range.start).saturating_sub(1);
    for known in known.iter().skip(first).take_while(|known| known.start < range.end) {
        if at < known.start {
            left.push(at..known.start);
        }
        at = at.max(known.end);
    }
    if at < range.end {
        left.push(at..range.end);
    }
    left
}

/// What a mapping is by its name and access alone.
pub(super) fn kind(mapping: &Mapping) -> Kind {
    let path = mapping.path.as_os_str().as_bytes();
    let of_memory = ["/memfd:", "/dev/shm/", "/SYSV", "/dev/zero", "/anon_hugepage", "[anon_shmem"];
    match mapping.kind() {
        Behind::Kernel => Kind::Kernel,
        _ if mapping.access.shared && of_memory.iter().any(|name| path.starts_with(name.as_bytes())) => {
            Kind::SharedMemory
        }
        Behind::File => Kind::File,
        Behind::Anonymous if path == b"[stack]" => Kind::Stack,
        Behind::Anonymous if path.starts_with(b"[anon:") => Kind::Named,
        Behind::Anonymous => Kind::Unexplained,
    }
}

/// A span for each mapping: what it is, as far as nothing more is known.
pub(super) fn spans(facts: &Facts, glibc: &Glibc, rows: &mut Rows) -> Vec<Span> {
    let allocator = allocator(facts, glibc);
    let main = facts.threads.iter().find(|thread| thread.tid == facts.id.pid);
    let main = main.map_or("", |thread| thread.name.as_str());
    let mut spans = Vec::with_capacity(facts.mappings.len());
    // A program or library may have more static data than its file: what is written to at first holds zeros and follows the
    // file's last mapping without a gap.
    let mut library: Option<&Mapping> = None;
    for mapping in &facts.mappings {
        let path = mapping.path.to_string_lossy();
        let follows = library.filter(|library| library.range.end == mapping.range.start);
        library = None;
        let kind = kind(mapping);
        let row = match kind {
            Kind::File => {
                library = (mapping.access.write && !mapping.access.shared).then_some(mapping);
                rows.id(kind, Some(&path))
            }
            Kind::Stack => rows.id(kind, Some(main)),
            Kind::Named => rows.id(kind, Some(name_of(&path))),
            Kind::SharedMemory | Kind::Kernel => rows.id(kind, Some(path.as_ref())),
            _ => match (follows, allocator) {
                (Some(library), _) if path.is_empty() => {
                    rows.id(Kind::File, Some(&library.path.to_string_lossy()))
                }
                (_, Some(name)) => rows.id(Kind::Allocator, Some(name)),
                _ if path.is_empty() => rows.id(Kind::Unexplained, Some("anonymous")),
                _ => rows.id(Kind::Unexplained, Some(&path)),
            },
        };
        spans.push(Span { start: mapping.range.start, end: mapping.range.end, row });
    }
    spans
}

/// `[anon:NAME]` without what the kernel adds.
fn name_of(path: &str) -> &str {
    path.strip_prefix("[anon:").and_then(|rest| rest.strip_suffix(']')).map_or(path, str::trim)
}

/// The allocator that the process uses instead of glibc's, where a library's name tells.
fn allocator(facts: &Facts, glibc: &Glibc) -> Option<&'static str> {
    let named = facts.files().find_map(|mapping| {
        let name = mapping.file_name().to_string_lossy();
        ALLOCATORS.iter().find(|(library, _)| name.starts_with(library)).map(|(_, name)| *name)
    });
    let is_musl = |mapping: &Mapping| mapping.file_name().to_string_lossy().starts_with(MUSL);
    named.or_else(|| (glibc.arenas.is_empty() && facts.files().any(is_musl)).then_some("musl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_range_is_in_none_of_the_others() {
        let range = |start: u64, end: u64| Addr(start)..Addr(end);
        let known = [range(0, 12), range(20, 30), range(28, 40), range(90, 200)];
        assert_eq!(without(&range(10, 100), &known), [range(12, 20), range(40, 90)]);
        assert_eq!(without(&range(10, 12), &known), []);
        assert_eq!(without(&range(50, 60), &known), [range(50, 60)]);
    }

    #[test]
    fn names_in_brackets_are_the_program_s() {
        assert_eq!(name_of("[anon: glibc: malloc arena]"), "glibc: malloc arena");
        assert_eq!(name_of("[heap]"), "[heap]");
    }
}
