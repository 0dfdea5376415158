//! The account itself: the layers over the address space, and the sums of each row.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use common::record::{MemoryKind, MemoryRow};
use memobj_process::addr::Addr;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::{Memory, gaps};
use memobj_process::residence::{PageRun, Residence};

use super::glibc::{Arena, ChunkRun, Glibc};
use super::native_heaps::NativeHeaps;
use super::pinned::{self, PinnedMemory};
use super::python_memory::PythonMemory;
use super::rows::Rows;
use super::span::{Layer, PageBytes, RowId, Span, Spans, attribute_bytes};
use super::stacks::Stack;
use super::{libraries, mappings};

/// Mappings and chunks from this size on are listed with their owner.
const LARGE: u64 = 1 << 20;

/// Marks the row of an object in a layer; the numbers of types are below.
const OBJECT: u32 = 1 << 31;

/// The account of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The resident set; the rows add up to it.
    pub rss_bytes: u64,
    /// Uses of memory, the largest first.
    pub rows: Vec<MemoryRow>,
    /// Bytes of Python objects, by the number of their type.
    pub types: Vec<PageBytes>,
    /// The arenas of glibc's malloc; `None` if there is none.
    pub arenas: Option<Vec<Arena>>,
    /// Whether the C library's malloc was found.
    pub reads_malloc: bool,
    /// Bytes that `malloc_trim(0)` would give back.
    pub trimmable_bytes: u64,
    /// Bytes of chunks with a mapping of their own, as malloc counts them; `None` where that is not known.
    pub native_mapped_malloc_bytes: Option<u64>,
    /// Large regions of memory with their owner, the largest first.
    pub large: Vec<LargeRegion>,
    /// Objects that keep nearly empty arenas and pools.
    pub pinned: PinnedMemory,
    /// Bytes of the resident set in huge pages.
    pub huge_bytes: u64,
    /// Bytes in swap, which are no part of the resident set.
    pub swap_bytes: u64,
    /// Bytes in pages of hugetlbfs, which are no part of it.
    pub hugetlb_bytes: u64,
    /// Bytes of the kernel's page tables, which are no part of it.
    pub page_table_bytes: Option<u64>,
}

/// A large region of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeRegion {
    /// Its bytes.
    pub bytes: PageBytes,
    /// The number of the type that owns at least half of it; `None` if there is none.
    pub owner: Option<RowId>,
    /// A chunk of malloc, or the kind of mapping.
    pub kind: MemoryKind,
}

impl Account {
    /// Resident bytes of the rows of a kind.
    pub fn resident_bytes(&self, kind: MemoryKind) -> u64 {
        self.sum(|row| row.kind == kind)
    }

    /// Resident bytes that are explained.
    pub fn explained_bytes(&self) -> u64 {
        self.sum(|row| super::rows::explains(row.kind))
    }

    /// The part of the resident set that is explained; 1 of nothing.
    pub fn explained_ratio(&self) -> f64 {
        if self.rss_bytes == 0 { 1.0 } else { self.explained_bytes() as f64 / self.rss_bytes as f64 }
    }

    /// Resident bytes of chunks in use of the C library's malloc, and those of them that are objects or their storage; `None` if it was
    /// not found.
    pub fn malloc_coverage(&self) -> Option<(u64, u64)> {
        if !self.reads_malloc {
            return None;
        }
        let kinds = [MemoryKind::NativeUsed, MemoryKind::NativeMapped];
        let places = kinds.map(super::rows::place);
        let is_object = |row: &MemoryRow| {
            let place = row.detail.as_deref();
            row.kind == MemoryKind::PythonObjects && place.is_some_and(|place| places.contains(&place))
        };
        let explained = self.sum(is_object);
        Some((self.sum(|row| kinds.contains(&row.kind)).saturating_add(explained), explained))
    }

    fn sum(&self, counts: impl Fn(&MemoryRow) -> bool) -> u64 {
        let rows = self.rows.iter().filter(|row| counts(row));
        rows.fold(0, |sum, row| sum.saturating_add(row.resident_bytes()))
    }
}

/// Makes the account of a process.
pub fn account(
    memory: &(impl Memory + ?Sized),
    facts: &ProcessInfo,
    residence: &Residence,
    heaps: NativeHeaps,
    python: &PythonMemory<'_>,
) -> Account {
    let pages = residence.pages.runs();
    let mut rows = Rows::default();
    let mappings = mappings::spans(memory, facts, heaps.has_malloc(), python.allocator, &mut rows);
    let kept = kept_by_libraries(memory, facts, &heaps, &mappings, &mut rows);
    let layers: [Vec<Span>; 6] = [
        mappings,
        kept,
        stacks_and_mapped_chunks(&heaps.stacks, &heaps.glibc, &mut rows),
        chunks(&heaps, &mut rows),
        merged(&heaps.glibc.cached, rows.id(MemoryKind::NativeCached, None)),
        pools(python, &mut rows),
    ];
    let layers = layers.into_iter().map(|spans| -> Layer<'_> { Box::new(spans.into_iter()) });
    let unplaced = rows.id(MemoryKind::Unexplained, Some("without a known place"));
    let mut account = Account {
        rss_bytes: residence.rss_bytes,
        types: vec![PageBytes::default(); python.types],
        reads_malloc: heaps.has_malloc(),
        trimmable_bytes: resident(pages, &heaps.glibc.trimmable),
        native_mapped_malloc_bytes: heaps.glibc.mmapped_bytes,
        large: large_regions(pages, facts, &heaps, python),
        pinned: pinned::find(pages, python),
        huge_bytes: residence.huge_bytes,
        swap_bytes: residence.swap_bytes,
        hugetlb_bytes: residence.hugetlb_bytes,
        page_table_bytes: residence.page_table_bytes,
        ..Account::default()
    };
    let mut objects: HashMap<&'static str, PageBytes> = HashMap::new();
    attribute_bytes(pages, layers.chain([object_layer(python)]).collect(), |owner, page, bytes| {
        let row = owner.row.unwrap_or(unplaced);
        let Some(of) = type_of(row) else {
            if let Some(sum) = rows.bytes_mut(row) {
                sum.add(page, bytes);
            }
            return;
        };
        let place = owner
            .within
            .and_then(|row| rows.get(row))
            .map_or("elsewhere", |row| super::rows::place(row.kind));
        objects.entry(place).or_default().add(page, bytes);
        if let Some(sum) = account.types.get_mut(of.0 as usize) {
            sum.add(page, bytes);
        }
    });
    for (place, bytes) in objects {
        let row = rows.id(MemoryKind::PythonObjects, Some(place));
        if let Some(sum) = rows.bytes_mut(row) {
            sum.merge(bytes);
        }
    }
    // Mappings so large that their pages were not asked for.
    let missing = residence.rss_bytes.saturating_sub(residence.pages.resident_bytes());
    if let Some(sum) = rows.bytes_mut(unplaced) {
        sum.private_bytes = sum.private_bytes.saturating_add(missing);
    }
    account.arenas = (!heaps.glibc.arenas.is_empty()).then_some(heaps.glibc.arenas);
    account.rows = rows.into_sorted();
    account
}

/// Anonymous memory without a known owner to which the static data of a library or program points.
fn kept_by_libraries(
    memory: &(impl Memory + ?Sized),
    facts: &ProcessInfo,
    heaps: &NativeHeaps,
    mappings: &[Span],
    rows: &mut Rows,
) -> Vec<Span> {
    let known = heaps.known();
    let of_kind = |kind: MemoryKind| {
        let is = |span: &&Span| rows.get(span.row).is_some_and(|row| row.kind == kind);
        mappings.iter().filter(is).copied().collect::<Vec<_>>()
    };
    let unknown: Vec<Range<Addr>> = of_kind(MemoryKind::Unexplained)
        .iter()
        .flat_map(|span| gaps(&(span.start..span.end), &known))
        .collect();
    let mut data = of_kind(MemoryKind::File);
    data.retain(|span| {
        facts.mapping_at(span.start).is_some_and(|mapping| mapping.access.write && !mapping.access.shared)
    });
    for span in &mut data {
        let path = rows.get(span.row).and_then(|row| row.detail.clone());
        span.row = rows.id(MemoryKind::Library, path.as_deref());
    }
    libraries::find(memory, &data, &unknown)
}

/// Spans of one row.
fn merged(ranges: &[Range<Addr>], row: RowId) -> Vec<Span> {
    ranges.iter().map(|range| Span::new(range, row)).collect::<Spans>().sorted()
}

fn stacks_and_mapped_chunks(stacks: &[Stack], glibc: &Glibc, rows: &mut Rows) -> Vec<Span> {
    let mut spans = Spans::default();
    for stack in stacks {
        let row = match (&stack.thread, stack.data_only) {
            (_, true) => rows.id(MemoryKind::ThreadData, None),
            (Some(name), _) => rows.id(MemoryKind::Stack, Some(name)),
            (None, _) => rows.id(MemoryKind::Stack, Some("(ended threads)")),
        };
        spans.push(Span::new(&stack.range, row));
    }
    let row = rows.id(MemoryKind::NativeMapped, None);
    spans.extend(glibc.mapped.iter().map(|range| Span::new(range, row)));
    spans.sorted()
}

fn chunks(heaps: &NativeHeaps, rows: &mut Rows) -> Vec<Span> {
    let span = |piece: &ChunkRun| Span { start: piece.start, end: piece.end, row: rows.id(piece.part, None) };
    heaps.glibc.pieces.iter().chain(&heaps.musl.pieces).map(span).collect::<Spans>().sorted()
}

/// Arenas, pools and blocks of Python's allocator, in one layer.
fn pools(python: &PythonMemory<'_>, rows: &mut Rows) -> Vec<Span> {
    let free_pools = rows.id(MemoryKind::PythonFreePools, None);
    let overhead = rows.id(MemoryKind::PythonOverhead, None);
    let mut heaps: HashMap<Option<&'static str>, (RowId, RowId)> = HashMap::new();
    let mut spans = Spans::default();
    let mut push = |start: Addr, end: Addr, row: RowId| spans.push(Span { start, end, row });
    let mut free = python.free_blocks.iter().peekable();
    let mut pools = python.pools.iter().peekable();
    for arena in python.arenas {
        let mut at = arena.start;
        while let Some(pool) = pools.next_if(|pool| pool.range.start < arena.end) {
            if pool.range.start < at {
                continue;
            }
            let (used, free_blocks) = *heaps.entry(pool.heap).or_insert_with(|| {
                (rows.id(MemoryKind::PythonUsed, pool.heap), rows.id(MemoryKind::PythonFreeBlocks, pool.heap))
            });
            push(at, pool.range.start, free_pools);
            push(pool.range.start, pool.blocks.start, overhead);
            let mut block = pool.blocks.start;
            while let Some(range) = free.next_if(|range| range.start < pool.blocks.end) {
                if range.start >= block {
                    push(block, range.start, used);
                    push(range.start, range.end, free_blocks);
                    block = range.end;
                }
            }
            push(block, pool.blocks.end, used);
            push(pool.blocks.end, pool.range.end, overhead);
            at = pool.range.end;
        }
        push(at, arena.end, free_pools);
    }
    spans.sorted()
}

/// The objects as the topmost layer.
fn object_layer<'a>(python: &PythonMemory<'a>) -> Layer<'a> {
    Box::new(python.objects.iter().map(|span| Span { row: RowId(span.row.0 | OBJECT), ..*span }))
}

/// The type of a row in the layer of objects; `None` for rows of other layers.
fn type_of(row: RowId) -> Option<RowId> {
    (row.0 & OBJECT != 0).then_some(RowId(row.0 & !OBJECT))
}

/// Resident bytes of ranges.
fn resident(pages: &[PageRun], ranges: &[Range<Addr>]) -> u64 {
    let spans = ranges.iter().map(|range| Span::new(range, RowId(0)));
    let mut sum = PageBytes::default();
    attribute_bytes(pages, vec![Box::new(spans)], |owner, page, bytes| {
        if owner.row.is_some() {
            sum.add(page, bytes);
        }
    });
    sum.resident_bytes()
}

/// Large chunks of malloc, and large mappings that belong neither to it nor to Python's allocator, with their owner.
fn large_regions(
    pages: &[PageRun],
    facts: &ProcessInfo,
    heaps: &NativeHeaps,
    python: &PythonMemory<'_>,
) -> Vec<LargeRegion> {
    let known = heaps.known();
    let of_musl = heaps.musl.pieces.iter().filter(|piece| piece.part == MemoryKind::NativeMapped);
    let of_musl = of_musl.map(|piece| piece.start..piece.end);
    let chunks =
        heaps.glibc.mapped.iter().cloned().chain(of_musl).map(|range| (range, MemoryKind::NativeMapped));
    let mapped = facts.mappings.iter().flat_map(|mapping| {
        let kind = mappings::kind(mapping);
        let may_be_owned = match kind {
            MemoryKind::Unexplained | MemoryKind::Named => mapping.access.write,
            // The parts of programs and libraries that are not shared are theirs alone.
            MemoryKind::SharedMemory | MemoryKind::File => mapping.access.shared,
            _ => false,
        };
        let parts = if may_be_owned { gaps(&mapping.range, &known) } else { Vec::new() };
        parts.into_iter().map(move |range| (range, kind))
    });
    let is_large =
        |(range, _): &(Range<Addr>, MemoryKind)| range.end.0.saturating_sub(range.start.0) >= LARGE;
    let mut found: Vec<_> = chunks.chain(mapped).filter(is_large).collect();
    found.sort_by_key(|(range, _)| range.start);
    let mut sums = vec![(PageBytes::default(), HashMap::<RowId, u64>::new()); found.len()];
    let pieces = (0_u32..).zip(&found).map(|(number, (range, _))| Span::new(range, RowId(number)));
    attribute_bytes(pages, vec![Box::new(pieces), object_layer(python)], |owner, page, bytes| {
        let of = owner.row.and_then(type_of);
        let region = if of.is_some() { owner.within } else { owner.row };
        let Some((sum, owners)) = region.and_then(|region| sums.get_mut(region.0 as usize)) else { return };
        sum.add(page, bytes);
        if let Some(of) = of {
            let owned = owners.entry(of).or_default();
            *owned = owned.saturating_add(bytes);
        }
    });
    let mut large = Vec::with_capacity(found.len());
    for ((_, kind), (bytes, owners)) in found.into_iter().zip(sums) {
        // Of two equal ones the lower number: the answer must be deterministic.
        let most = owners.into_iter().max_by_key(|&(of, owned)| (owned, Reverse(of)));
        let owner = most.filter(|(_, owned)| owned.saturating_mul(2) >= bytes.resident_bytes());
        large.push(LargeRegion { bytes, owner: owner.map(|(of, _)| of), kind });
    }
    large.retain(|large: &LargeRegion| large.bytes != PageBytes::default());
    large.sort_by_key(|large| Reverse((large.bytes.resident_bytes(), large.bytes.swapped_bytes)));
    large
}
