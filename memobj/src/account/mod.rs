//! The account of RSS: who has each resident byte, once.
//!
//! Several things can be said of the same byte: it is in an anonymous mapping, in an arena of pymalloc, in a pool, in a block, in an
//! object. So what is known is laid over the address space in layers, from the coarsest to the finest, and each resident byte
//! belongs to the topmost span over it. What adds up by construction need not be reconciled.
//!
//! Nothing here knows Python: its memory is handed in as ranges ([`PythonMemory`]).

pub mod coverage;
pub mod glibc;
pub mod growth;
mod libraries;
mod mappings;
pub mod ownership;
pub mod pinned;
pub mod rows;
pub mod span;
mod stacks;

use std::collections::HashMap;
use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::Memory;
use memobj_process::residence::{PageRun, Residence};

use glibc::{Arena, ChunkUse, Glibc};
use pinned::PinnedMemory;
use rows::{Row, RowKind, Rows};
use span::{Layer, PageBytes, RowId, Span, Spans, attribute_bytes};

/// Mappings and chunks from this size on are listed with their owner.
const LARGE: u64 = 1 << 20;

/// What Python has, by ranges. All lists are by address.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonMemory<'a> {
    /// What its allocator took from the system: arenas of pymalloc, segments of mimalloc.
    pub arenas: &'a [Range<Addr>],
    /// Pools with blocks in use, each within an arena.
    pub pools: &'a [PoolUse],
    /// Free blocks in those pools; neighbours may be one.
    pub free_blocks: &'a [Range<Addr>],
    /// Objects and the storage they own, as they lie in memory, each once; `row` is the number of their type.
    pub objects: &'a [Span],
    /// How many types there are.
    pub types: usize,
    /// An allocator of its own that is not looked into: anonymous memory of which nothing else is known is its.
    pub allocator: Option<&'static str>,
}

/// A pool with blocks in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolUse {
    /// All of it.
    pub range: Range<Addr>,
    /// Its blocks: what is before is its head, what is behind is too small for one.
    pub blocks: Range<Addr>,
    /// Bytes of each block.
    pub block_bytes: u64,
    /// Bytes of blocks in use.
    pub used_bytes: u64,
    /// The heap that it is of, where Python has several.
    pub heap: Option<&'static str>,
}

/// The account of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The resident set, to which the rows add up.
    pub rss_bytes: u64,
    /// What memory is used for, the largest first.
    pub rows: Vec<Row>,
    /// Of Python objects, by the number of their type.
    pub types: Vec<PageBytes>,
    /// Of glibc's malloc its arenas; `None` if there is none.
    pub arenas: Option<Vec<Arena>>,
    /// What `malloc_trim(0)` would give back.
    pub trimmable_bytes: u64,
    /// Chunks with a mapping of their own, as malloc counts them; `None` where that is not known.
    pub native_mapped_malloc_bytes: Option<u64>,
    /// Large pieces of memory, and whose they are, the largest first.
    pub large: Vec<LargeRegion>,
    /// Who keeps nearly empty arenas and pools from being given back.
    pub pinned: PinnedMemory,
    /// Of the resident set, in huge pages.
    pub huge_bytes: u64,
    /// Swapped out, which is no part of the resident set.
    pub swap_bytes: u64,
    /// In pages of hugetlbfs, which are no part of it.
    pub hugetlb_bytes: u64,
    /// The kernel's tables for it, which are no part of it.
    pub page_table_bytes: Option<u64>,
}

/// A large piece of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeRegion {
    /// How much of it is resident.
    pub tally: PageBytes,
    /// The number of the type that has half of it and more; `None` if there is none.
    pub owner: Option<RowId>,
    /// What it is: a chunk of malloc, or a mapping.
    pub kind: RowKind,
}

impl Account {
    /// Resident bytes of rows of a kind.
    #[must_use]
    pub fn resident_bytes(&self, kind: RowKind) -> u64 {
        self.rows.iter().filter(|row| row.kind == kind).map(|row| row.tally.resident_bytes()).sum()
    }

    /// What is resident and explained, in bytes.
    #[must_use]
    pub fn explained_bytes(&self) -> u64 {
        self.rows.iter().filter(|row| row.kind.explains()).map(|row| row.tally.resident_bytes()).sum()
    }

    /// The part of the resident set that is explained; 1 of nothing.
    #[must_use]
    pub fn explained_ratio(&self) -> f64 {
        if self.rss_bytes == 0 { 1.0 } else { self.explained_bytes() as f64 / self.rss_bytes as f64 }
    }
}

/// What is known of a process's memory besides Python: what the account stands on.
#[derive(Debug)]
pub struct NativeHeaps {
    /// What malloc has.
    pub glibc: Glibc,
    stacks: Vec<stacks::Stack>,
    /// Memory that is of something else than malloc, by address.
    claimed: Vec<Range<Addr>>,
}

impl NativeHeaps {
    /// Looks at the memory of a process. `arenas` is what Python's allocator took from the system, by address.
    #[must_use]
    pub fn read(
        memory: &(impl Memory + ?Sized),
        facts: &ProcessInfo,
        residence: &Residence,
        arenas: &[Range<Addr>],
    ) -> Self {
        let stacks = stacks::find(memory, facts, residence);
        let claimed = sorted(arenas.iter().cloned().chain(stacks.iter().map(|stack| stack.range.clone())));
        let glibc = Glibc::read(memory, &mappings::places(facts, residence.pages.runs(), &claimed));
        Self { glibc, stacks, claimed }
    }
}

/// Makes the account of a process from its memory, what is known of it, where its pages are, and what Python has.
#[must_use]
pub fn account(
    memory: &(impl Memory + ?Sized),
    facts: &ProcessInfo,
    residence: &Residence,
    heaps: NativeHeaps,
    python: &PythonMemory<'_>,
) -> Account {
    let NativeHeaps { glibc, stacks, claimed } = heaps;
    let mut rows = Rows::default();
    let mappings = mappings::spans(memory, facts, &glibc, python.allocator, &mut rows);
    let kept = kept_by_libraries(memory, facts, &glibc, &claimed, &mappings, &mut rows);
    let owned = regions(&stacks, &glibc, &mut rows);
    let chunks = chunks(&glibc, &mut rows);
    let cached = cached(&glibc, &mut rows);
    let pools = pools(python, &mut rows);
    let unplaced = rows.id(RowKind::Unexplained, Some("without a known place"));

    let mut account = Account {
        rss_bytes: residence.rss_bytes,
        types: vec![PageBytes::default(); python.types],
        trimmable_bytes: resident(residence.pages.runs(), &glibc.trimmable),
        native_mapped_malloc_bytes: glibc.mmapped_bytes,
        pinned: pinned::find(residence.pages.runs(), python),
        huge_bytes: residence.huge_bytes,
        swap_bytes: residence.swap_bytes,
        hugetlb_bytes: residence.hugetlb_bytes,
        page_table_bytes: residence.page_table_bytes,
        ..Account::default()
    };
    let mut objects: HashMap<&'static str, PageBytes> = HashMap::new();
    let layers: Vec<Layer<'_>> = vec![
        Box::new(mappings.into_iter()),
        Box::new(kept.into_iter()),
        Box::new(owned.into_iter()),
        Box::new(chunks.into_iter()),
        Box::new(cached.into_iter()),
        Box::new(pools.into_iter()),
        marked(python),
    ];
    attribute_bytes(residence.pages.runs(), layers, |owner, kind, bytes| {
        let row = owner.row.unwrap_or(unplaced);
        if row.0 & OBJECT == 0 {
            if let Some(tally) = rows.tally(row) {
                tally.add(kind, bytes);
            }
            return;
        }
        let place = owner.within.and_then(|row| rows.kind(row)).map_or("elsewhere", RowKind::place);
        objects.entry(place).or_default().add(kind, bytes);
        if let Some(tally) = account.types.get_mut((row.0 & !OBJECT) as usize) {
            tally.add(kind, bytes);
        }
    });
    for (place, tally) in objects {
        let row = rows.id(RowKind::PythonObjects, Some(place));
        if let Some(sum) = rows.tally(row) {
            *sum += tally;
        }
    }
    // Mappings so large that nobody looked for pages in them.
    let missing = residence.rss_bytes.saturating_sub(residence.pages.resident_bytes());
    if let Some(tally) = rows.tally(unplaced) {
        tally.private_bytes = tally.private_bytes.saturating_add(missing);
    }
    account.large = large(residence.pages.runs(), facts, &glibc, python, &claimed);
    account.arenas = (!glibc.arenas.is_empty()).then_some(glibc.arenas);
    account.rows = rows.finish();
    account
}

/// Marks the row of an object while painting; types have numbers below.
const OBJECT: u32 = 1 << 31;

fn sorted(ranges: impl Iterator<Item = Range<Addr>>) -> Vec<Range<Addr>> {
    let mut ranges: Vec<Range<Addr>> = ranges.collect();
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}

/// Anonymous memory of which nothing else is known, and that a library or program has a pointer to in its static data.
fn kept_by_libraries(
    memory: &(impl Memory + ?Sized),
    facts: &ProcessInfo,
    glibc: &Glibc,
    claimed: &[Range<Addr>],
    mappings: &[Span],
    rows: &mut Rows,
) -> Vec<Span> {
    let known = sorted(claimed.iter().cloned().chain(glibc.mapped.iter().cloned()).chain(glibc.heaps()));
    let is = |span: &&Span, kind: RowKind| rows.kind(span.row) == Some(kind);
    let unknown = mappings.iter().filter(|span| is(span, RowKind::Unexplained));
    let unknown: Vec<Range<Addr>> =
        unknown.flat_map(|span| mappings::without(&(span.start..span.end), &known)).collect();
    let mut data: Vec<Span> = mappings.iter().filter(|span| is(span, RowKind::File)).copied().collect();
    data.retain(|span| {
        facts.mapping_at(span.start).is_some_and(|mapping| mapping.access.write && !mapping.access.shared)
    });
    for span in &mut data {
        let path = rows.detail(span.row);
        span.row = rows.id(RowKind::Library, path.as_deref());
    }
    libraries::find(memory, &data, &unknown)
}

/// Stacks, and chunks with a mapping of their own.
fn regions(stacks: &[stacks::Stack], glibc: &Glibc, rows: &mut Rows) -> Vec<Span> {
    let mut spans = Spans::default();
    for stack in stacks {
        let row = match (&stack.thread, stack.data_only) {
            (_, true) => rows.id(RowKind::ThreadData, None),
            (Some(name), _) => rows.id(RowKind::Stack, Some(name)),
            (None, _) => rows.id(RowKind::Stack, Some("(ended threads)")),
        };
        spans.push(Span { start: stack.range.start, end: stack.range.end, row });
    }
    let row = rows.id(RowKind::NativeMapped, None);
    for range in &glibc.mapped {
        spans.push(Span { start: range.start, end: range.end, row });
    }
    spans.sorted()
}

fn chunks(glibc: &Glibc, rows: &mut Rows) -> Vec<Span> {
    let mut spans = Spans::default();
    for piece in &glibc.pieces {
        let kind = match piece.part {
            ChunkUse::Own => RowKind::NativeOverhead,
            ChunkUse::Used => RowKind::NativeUsed,
            ChunkUse::Free => RowKind::NativeFree,
            ChunkUse::Top => RowKind::NativeTop,
        };
        spans.push(Span { start: piece.start, end: piece.end, row: rows.id(kind, None) });
    }
    spans.sorted()
}

fn cached(glibc: &Glibc, rows: &mut Rows) -> Vec<Span> {
    let row = rows.id(RowKind::NativeCached, None);
    let mut spans = Spans::default();
    for range in &glibc.cached {
        spans.push(Span { start: range.start, end: range.end, row });
    }
    spans.sorted()
}

/// Arenas, pools and blocks of Python's allocator, in one layer.
fn pools(python: &PythonMemory<'_>, rows: &mut Rows) -> Vec<Span> {
    let (free_pools, overhead) =
        (rows.id(RowKind::PythonFreePools, None), rows.id(RowKind::PythonOverhead, None));
    let mut heaps: HashMap<Option<&'static str>, (RowId, RowId)> = HashMap::new();
    let mut spans = Spans::default();
    let mut free = python.free_blocks.iter().peekable();
    let mut pools = python.pools.iter().peekable();
    for arena in python.arenas {
        let mut at = arena.start;
        while let Some(pool) = pools.next_if(|pool| pool.range.start < arena.end) {
            if pool.range.start < at {
                continue;
            }
            let (used, free_blocks) = *heaps.entry(pool.heap).or_insert_with(|| {
                (rows.id(RowKind::PythonUsed, pool.heap), rows.id(RowKind::PythonFreeBlocks, pool.heap))
            });
            spans.push(Span { start: at, end: pool.range.start, row: free_pools });
            spans.push(Span { start: pool.range.start, end: pool.blocks.start, row: overhead });
            let mut block = pool.blocks.start;
            while let Some(range) = free.next_if(|range| range.start < pool.blocks.end) {
                if range.start < block {
                    continue;
                }
                spans.push(Span { start: block, end: range.start, row: used });
                spans.push(Span { start: range.start, end: range.end, row: free_blocks });
                block = range.end;
            }
            spans.push(Span { start: block, end: pool.blocks.end, row: used });
            spans.push(Span { start: pool.blocks.end, end: pool.range.end, row: overhead });
            at = pool.range.end;
        }
        spans.push(Span { start: at, end: arena.end, row: free_pools });
    }
    spans.sorted()
}

/// How much of some ranges is resident.
fn resident(pages: &[PageRun], ranges: &[Range<Addr>]) -> u64 {
    let spans = ranges.iter().map(|range| Span { start: range.start, end: range.end, row: RowId(0) });
    let mut sum = PageBytes::default();
    attribute_bytes(pages, vec![Box::new(spans)], |owner, kind, bytes| {
        if owner.row.is_some() {
            sum.add(kind, bytes);
        }
    });
    sum.resident_bytes()
}

/// Large chunks of malloc, and large mappings that are neither its nor Python's allocator's: with whose they are.
fn large(
    pages: &[PageRun],
    facts: &ProcessInfo,
    glibc: &Glibc,
    python: &PythonMemory<'_>,
    claimed: &[Range<Addr>],
) -> Vec<LargeRegion> {
    let is_large = |range: &Range<Addr>| range.end.0.saturating_sub(range.start.0) >= LARGE;
    let mut found: Vec<(Range<Addr>, RowKind)> = Vec::new();
    found.extend(
        glibc
            .mapped
            .iter()
            .filter(|range| is_large(range))
            .map(|range| (range.clone(), RowKind::NativeMapped)),
    );
    let known = sorted(claimed.iter().cloned().chain(glibc.mapped.iter().cloned()).chain(glibc.heaps()));
    for mapping in &facts.mappings {
        let kind = mappings::kind(mapping);
        let may_be_owned = match kind {
            RowKind::Unexplained | RowKind::Named => mapping.access.write,
            // Of programs and libraries only parts are mapped that nobody else sees.
            RowKind::SharedMemory | RowKind::File => mapping.access.shared,
            _ => false,
        };
        if may_be_owned {
            let left = mappings::without(&mapping.range, &known);
            found.extend(left.into_iter().filter(is_large).map(|range| (range, kind)));
        }
    }
    found.sort_unstable_by_key(|(range, _)| range.start);
    let mut tallies = vec![PageBytes::default(); found.len()];
    let mut owners: Vec<HashMap<RowId, u64>> = vec![HashMap::new(); found.len()];
    let pieces = (0_u32..).zip(&found).map(|(number, (range, _))| Span {
        start: range.start,
        end: range.end,
        row: RowId(number),
    });
    attribute_bytes(pages, vec![Box::new(pieces), marked(python)], |owner, kind, bytes| {
        let object = owner.row.filter(|row| row.0 & OBJECT != 0);
        let Some(piece) = (if object.is_some() { owner.within } else { owner.row }) else { return };
        if let Some(tally) = tallies.get_mut(piece.0 as usize) {
            tally.add(kind, bytes);
        }
        if let (Some(object), Some(owners)) = (object, owners.get_mut(piece.0 as usize)) {
            *owners.entry(RowId(object.0 & !OBJECT)).or_default() += bytes;
        }
    });
    let mut large: Vec<LargeRegion> = found
        .iter()
        .zip(tallies)
        .zip(owners)
        .map(|(((_, kind), tally), owners)| LargeRegion {
            tally,
            // Of two that have the same the one with the lower number, so that the answer is always the same.
            owner: owners
                .into_iter()
                .max_by_key(|(row, bytes)| (*bytes, std::cmp::Reverse(*row)))
                .filter(|(_, bytes)| bytes.saturating_mul(2) >= tally.resident_bytes())
                .map(|(row, _)| row),
            kind: *kind,
        })
        .filter(|large| large.tally != PageBytes::default())
        .collect();
    large.sort_by_key(|large| std::cmp::Reverse((large.tally.resident_bytes(), large.tally.swapped_bytes)));
    large
}

/// The objects as the topmost layer.
fn marked<'a>(python: &PythonMemory<'a>) -> Layer<'a> {
    Box::new(python.objects.iter().map(|span| Span { row: RowId(span.row.0 | OBJECT), ..*span }))
}
