//! From a memory to its census: heap, analyses, totals.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{
    Allocator, CaptureMethod, CensusRecord, Coverage, GcState, LiveReason, PythonBuild, Scope,
};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::types::Type;
use memobj_cpython::heap::walk::{HeapWalk, ObjectCount, ScopedCounts, TypeStats, walk_heap};
use memobj_cpython::layout::encoding::GcLists;
use memobj_cpython::object::Objects;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::pools::Pools;
use memobj_cpython::runtime::Runtime;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::info::{MappingKind, ProcessInfo};
use memobj_process::memory::{AnyMemory, Memory};
use memobj_process::residence::Residence;
use memobj_process::target::{Pauses, thread_switches};

use super::clock::read_clocks;
use super::collector::read_collector;
use super::threads::read_threads;
use super::{Census, unread_frames};
use crate::account::coverage::PoolCoverage;
use crate::account::process_memory::{PythonAllocator, account_for_process, measure_coverage};
use crate::arguments::read_arguments;
use crate::caches::{Cache, ClockReadings, find_caches};
use crate::config::CensusOptions;
use crate::export::{export_objects, export_types};
use crate::holders::Holders;
use crate::holders::descriptors::sum_descriptors;
use crate::holders::heap_tree::HeapTree;
use crate::holders::retained::RetainedSizes;
use crate::holders::summary::{HolderSummary, summarize_holders};
use crate::leaks::{LeakTracker, ProcessContext};
use crate::names::NameReader;
use crate::object_graph::ObjectGraph;
use crate::object_sum::TypeCount;
use crate::open_descriptors::read_open_descriptors;
use crate::watch::holder::{WatchedHolder, find_holder};

/// Bytes of memory per thread.
const BYTES_A_THREAD: u64 = 32 << 20;

/// The capture of the counted memory.
#[derive(Debug, Clone)]
pub(crate) struct CaptureContext<'r> {
    pub method: CaptureMethod,
    /// Why the process is read while it runs, if it is.
    pub live_reason: Option<LiveReason>,
    /// The number of stops.
    pub attempts: u64,
    /// The sum of all stops; `None` without one.
    pub pause: Option<Duration>,
    /// System calls that the stops ended early; `None` if unknown.
    pub interrupted_calls: Option<u64>,
    /// Pages that could not be copied.
    pub lost_pages: u64,
    /// When the census began.
    pub begun: Instant,
    /// The moment that the memory shows.
    pub at: Instant,
    /// The resident pages, if they are wanted and known.
    pub residence: Option<&'r Residence>,
    /// The clocks of the process at that moment, if known.
    pub clocks: Option<ClockReadings>,
    /// The arguments of the process, if they are wanted and known.
    pub cmdline: Option<Vec<String>>,
    /// The open file descriptors of the process, if they are wanted and known.
    pub descriptors: Option<BTreeSet<u32>>,
}

impl CaptureContext<'_> {
    /// A census of a copy, with the pauses of the process for it.
    pub fn paused(method: CaptureMethod, pauses: Pauses, begun: Instant) -> Self {
        Self {
            attempts: u64::from(pauses.count).max(1),
            pause: Some(pauses.total),
            interrupted_calls: Some(pauses.cut_short),
            ..Self::new(method, begun)
        }
    }

    /// A census of memory about which nothing else is known.
    pub fn new(method: CaptureMethod, begun: Instant) -> Self {
        Self {
            method,
            live_reason: None,
            attempts: 1,
            pause: None,
            interrupted_calls: None,
            lost_pages: 0,
            begun,
            at: begun,
            residence: None,
            clocks: None,
            cmdline: None,
            descriptors: None,
        }
    }

    /// With what the kernel says of the process now, as far as a census with these options, or a search for leaks, wants it.
    pub fn with_process(self, id: ProcessId, options: &CensusOptions, searches_leaks: bool) -> Self {
        let wants_holders = options.holders.is_some() || searches_leaks;
        Self {
            clocks: Some(read_clocks(id)),
            cmdline: options.cmdline.then(|| read_arguments(id.pid)).flatten(),
            descriptors: wants_holders.then(|| read_open_descriptors(id.pid)).flatten(),
            ..self
        }
    }
}

/// Counts the objects in a memory; with `leaks` they are compared with those of the censuses before.
pub(crate) fn count_objects(
    memory: &AnyMemory<'_>,
    facts: &ProcessInfo,
    python: &DetectedPython,
    runtime: Runtime,
    mut context: CaptureContext<'_>,
    options: &CensusOptions,
    leaks: Option<&mut LeakTracker>,
) -> Result<Census, Error> {
    let layout = &python.layout;
    let heap = PythonHeap::from_runtime(memory, layout, &runtime)?;
    let threads = threads_for(memory);
    let walked = walk_heap(&heap, threads)?;
    let ObjectAllocator { allocator, pools, hook_bytes } = ObjectAllocator::find(&heap, python, facts);
    let allocated = PythonAllocator {
        pools: pools.as_ref(),
        hook_bytes,
        unread: (allocator == Some(Allocator::Mimalloc)).then_some("mimalloc"),
    };
    let (pool_coverage, process_memory) = match context.residence {
        Some(residence) => {
            let (coverage, memory) =
                account_for_process(&heap, &walked, allocated, facts, residence, threads)?;
            (coverage, Some(memory))
        }
        None => (measure_coverage(&heap, &walked, allocated, threads)?, None),
    };
    let malloc = process_memory.as_ref().and_then(|of| of.account.malloc_coverage());
    let kept = process_memory.as_ref().map_or(&[][..], |of| &of.account.pinned.kept);
    let (held, caches) = analyze_references(&heap, &walked, &context, options, kept, threads)?;
    let watched = options.watch.as_ref().map(|name| find_watched(&heap, &walked, name, threads));
    let objects = Objects::new(memory, layout);
    let tasks: Vec<u64> =
        facts.threads.iter().map(|thread| thread.inner_tid.unwrap_or(thread.tid).into()).collect();
    let (tracked, frozen) = (total(&walked, |counts| counts.tracked), total(&walked, |counts| counts.frozen));
    let reachable = total(&walked, |counts| counts.heap);
    let coverage = pool_coverage.as_ref();
    let in_heap =
        coverage.map(|coverage| sum(coverage.unreached.iter().map(|row| row.count).chain([reachable])));
    let gc = runtime.main().map(|main| GcState {
        tracked: Some(tracked.objects),
        frozen: Some(frozen.objects),
        ..read_collector(objects, main)
    });
    let record = CensusRecord {
        pid: facts.id.pid,
        start_ticks: (facts.id.start != 0).then_some(facts.id.start),
        name: (!facts.name.is_empty()).then(|| facts.name.as_str().into()),
        cmdline: context.cmdline.take().map(Arc::from),
        threads: Some(read_threads(objects, &runtime, runtime.main_thread(memory, layout), &tasks)),
        rss_bytes: facts.rss_bytes,
        python: Some(PythonBuild {
            version: python.version().into(),
            implementation: python.implementation.as_str().into(),
            debug: Some(python.build.debug),
            free_threaded: Some(python.build.free_threaded),
            shared: Some(python.location.file.library),
            executable: executable(facts).filter(|_| options.cmdline),
            located_by: Some(python.location.method.as_str().into()),
            layout: Some(layout.origin.into()),
            other_runtimes: Some(python.others),
        }),
        interpreters: Some(runtime.interpreters.len() as u64),
        scope: Some(options.scope),
        tracked_objects: Some(tracked.objects),
        tracked_size_bytes: Some(tracked.bytes),
        permanent_objects: Some(frozen.objects),
        permanent_size_bytes: Some(frozen.bytes),
        reachable_objects: Some(reachable.objects),
        reachable_size_bytes: Some(reachable.bytes),
        heap_objects: in_heap.map(|heap| heap.objects),
        heap_size_bytes: in_heap.map(|heap| heap.bytes),
        gc,
        coverage: Some(Coverage {
            allocator,
            allocator_used_bytes: coverage.map(|coverage| coverage.used_bytes),
            allocator_explained_bytes: coverage.map(|coverage| coverage.explained_bytes),
            malloc_used_bytes: malloc.map(|(used, _)| used),
            malloc_explained_bytes: malloc.map(|(_, explained)| explained),
            unread_frames_of: unread_frames::find(&heap, &walked),
            ..Coverage::default()
        }),
        method: Some(context.method),
        live_reason: context.live_reason,
        attempts: Some(context.attempts),
        in_collection: Runtime::is_collecting(memory, layout, runtime.at).ok(),
        pause_seconds: context.pause.map(|pause| pause.as_secs_f64()),
        interrupted_calls: context.interrupted_calls,
        torn_reads: Some(walked.torn + context.lost_pages),
        rejected_reads: Some(walked.rejected + walked.broken_links),
        fds: context.descriptors.as_ref().map(|open| open.len() as u64),
        ..CensusRecord::default()
    };
    let types = types(&walked, coverage, options.scope);
    if let Some(to) = options.export.as_ref().filter(|to| !to.format.has_references()) {
        export_types(&types, held.as_ref().and_then(|held| held.retained.as_ref()), to)?;
    }
    let mut census = Census { record, types, memory: process_memory, held, caches, watched };
    // Without some pages the census will be dropped.
    if let Some(leaks) = leaks.filter(|_| !memory.has_missed()) {
        track_leaks(&heap, walked, leaks, &census, &context, threads)?;
    }
    census.record.duration_seconds = Some(context.begun.elapsed().as_secs_f64());
    Ok(census)
}

/// Compares the objects of a census with those before.
fn track_leaks<M: Memory>(
    heap: &PythonHeap<'_, M>,
    walked: HeapWalk,
    leaks: &mut LeakTracker,
    census: &Census,
    capture: &CaptureContext<'_>,
    threads: usize,
) -> Result<(), Error> {
    let graph = ObjectGraph::read(heap, &walked, threads)?;
    let generations = leaks.identify(heap, &graph)?;
    let holders = Holders::find_in(heap, graph, |node| generations.kept_by(node), leaks.single_classes());
    let memory = census.memory.as_ref();
    let counts = thread_switches(census.record.pid);
    let switches =
        census.record.threads.iter().flatten().filter_map(|thread| {
            Some((thread.ident?, *counts.get(&u32::try_from(thread.native_id?).ok()?)?))
        });
    let context = ProcessContext {
        at: capture.at,
        pause_seconds: census.record.pause_seconds,
        could_not_copy: census.record.live_reason.is_some_and(|reason| reason != LiveReason::Asked),
        rss_bytes: census.record.rss_bytes,
        collector_on: census.record.gc.as_ref().and_then(|gc| gc.enabled),
        account: memory.map(|memory| &memory.account),
        types: memory.map(|memory| &*memory.types).unwrap_or_default(),
        unread_frames_of: census.record.coverage.as_ref().map(|of| &*of.unread_frames_of).unwrap_or_default(),
        switches: &switches.collect(),
        descriptors: capture.descriptors.as_ref(),
        stopped: census.record.method == Some(CaptureMethod::Stopped),
    };
    let before = heap.memory.is_partial().then(|| leaks.checkpoint());
    let observed = leaks.observe(heap, &holders, generations, context);
    drop(holders);
    if let Some(before) = before.filter(|_| heap.memory.has_missed()) {
        leaks.restore(before);
        return Ok(());
    }
    let generations = observed?;
    leaks.keep(walked.index, walked.heap, generations);
    Ok(())
}

/// Finds the container with a name.
fn find_watched<M: Memory>(
    heap: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    name: &str,
    threads: usize,
) -> Result<WatchedHolder, Error> {
    let holders = Holders::find(heap, walked, threads)?;
    find_holder(&mut NameReader::new(heap), &holders, name)
}

/// The number of threads for a memory.
fn threads_for(memory: &dyn Memory) -> usize {
    let bytes: u64 =
        memory.written_regions().iter().map(|part| part.end.0.saturating_sub(part.start.0)).sum();
    let worth = usize::try_from(bytes / BYTES_A_THREAD).unwrap_or(usize::MAX).saturating_add(1);
    available_parallelism().map_or(1, NonZero::get).min(worth)
}

/// Runs the analyses that need the reference graph, if requested.
fn analyze_references<M: Memory>(
    heap: &PythonHeap<'_, M>,
    walked: &HeapWalk,
    capture: &CaptureContext<'_>,
    options: &CensusOptions,
    kept: &[(Range<Addr>, u64)],
    threads: usize,
) -> Result<(Option<HolderSummary>, Option<Vec<Cache>>), Error> {
    let (holding, caching) = (options.holders.as_ref(), options.caches);
    let export_to = options.export.as_ref().filter(|to| to.format.has_references());
    if holding.is_none() && caching.is_none() && export_to.is_none() {
        return Ok((None, None));
    }
    let holders = Holders::find(heap, walked, threads)?;
    let needs_tree =
        holding.is_some_and(|holding| holding.retained) || export_to.is_some_and(|to| to.format.has_tree());
    let retained =
        (caching.is_some() || needs_tree).then(|| RetainedSizes::new(holders.graph())).transpose()?;
    let tree = retained.as_ref().filter(|_| needs_tree).map(|retained| HeapTree::new(&holders, retained));
    if let Some(to) = export_to {
        export_objects(heap, &holders, tree.as_ref(), to)?;
    }
    let held = holding.map(|holding| HolderSummary {
        descriptors: capture.descriptors.as_ref().map(|open| sum_descriptors(heap, &holders, open)),
        ..summarize_holders(heap, &holders, retained.as_ref(), tree.as_ref(), holding, kept)
    });
    let caches = caching.zip(retained.as_ref()).map(|(caching, retained)| {
        find_caches(heap, &holders, retained, capture.clocks, caching.max_item_bytes)
    });
    Ok((held, caches))
}

/// The path of the executable in the root of the process.
fn executable(facts: &ProcessInfo) -> Option<Arc<str>> {
    let path = Some(&facts.program).filter(|path| !path.as_os_str().is_empty())?;
    Some(memobj_process::info::shown(path).into())
}

/// The sum over all types of the counts in a scope.
fn total(walked: &HeapWalk, scope: impl Fn(&ScopedCounts) -> ObjectCount) -> ObjectCount {
    sum(walked.types.iter().map(|counted| scope(&counted.counts)))
}

fn sum(counts: impl Iterator<Item = ObjectCount>) -> ObjectCount {
    counts.fold(ObjectCount::default(), |mut sum, count| {
        sum.merge(&count);
        sum
    })
}

/// The types that have objects in a scope.
fn types(walked: &HeapWalk, account: Option<&PoolCoverage>, scope: Scope) -> Vec<TypeCount> {
    let of = |counted: &TypeStats| match scope {
        Scope::Tracked => counted.counts.tracked,
        Scope::Reachable | Scope::Heap | Scope::Unknown => counted.counts.heap,
    };
    let mut counts: BTreeMap<Addr, (&Type, ObjectCount)> = BTreeMap::new();
    let found = walked.types.iter().map(|counted| (&counted.ty, of(counted)));
    let unreached =
        account.filter(|_| scope == Scope::Heap).into_iter().flat_map(|account| &account.unreached);
    for (of, count) in found.chain(unreached.map(|unreached| (&unreached.ty, unreached.count))) {
        let (_, sum) = counts.entry(of.at).or_insert((of, ObjectCount::default()));
        sum.merge(&count);
    }
    let with_objects = counts.into_values().filter(|(_, count)| count.objects > 0);
    with_objects
        .map(|(of, count)| TypeCount {
            module: of.module.as_str().into(),
            qualname: of.qualname.as_str().into(),
            count: count.objects,
            size_bytes: count.bytes,
            overhead_bytes: count.overhead_bytes,
            size_exact: of.size_exact,
        })
        .collect()
}

/// Values of `PyMemAllocatorName` (Include/cpython/pymem.h) for the C library's malloc, with and without debug hooks.
const MALLOC: std::ops::RangeInclusive<i32> = 3..=4;
/// The same for mimalloc, since 3.13.
const MIMALLOC: std::ops::RangeInclusive<i32> = 7..=8;
/// Values with debug hooks: the build's default allocator, malloc, pymalloc, mimalloc.
const WITH_HOOKS: [i32; 4] = [2, 4, 6, 8];
/// No choice, or the default, which has hooks in debug builds.
const DEFAULT: std::ops::RangeInclusive<i32> = 0..=1;
/// Bytes that debug hooks put before each object (`_PyMem_DebugRawAlloc`, Objects/obmalloc.c): its size, a letter and guards.
const HOOK_BYTES: u64 = 16;

/// The allocator of objects.
struct ObjectAllocator {
    /// `None` if it is unknown.
    allocator: Option<Allocator>,
    /// The pools of Python's own allocator; `None` if it is not used.
    pools: Option<Pools>,
    /// Bytes before each object in its block.
    hook_bytes: u64,
}

impl ObjectAllocator {
    fn find<M: Memory>(heap: &PythonHeap<'_, M>, python: &DetectedPython, facts: &ProcessInfo) -> Self {
        let chosen = heap.memory.read_int(python.location.at, python.layout.runtime_state.allocator).ok();
        let by_choice = chosen.unwrap_or_default();
        let hooks = WITH_HOOKS.contains(&by_choice) || python.build.debug && DEFAULT.contains(&by_choice);
        let hook_bytes = if hooks { HOOK_BYTES } else { 0 };
        let Some(chosen) = chosen else { return Self { allocator: None, pools: None, hook_bytes } };
        let without_file = facts.mappings.iter().filter(|mapping| {
            mapping.access.write && !mapping.access.shared && mapping.kind() == MappingKind::Anonymous
        });
        let ranges: Vec<_> = without_file.map(|mapping| mapping.range.clone()).collect();
        let (allocator, pools) = match python.layout.encodings.gc_lists {
            GcLists::MimallocPages => (Allocator::Mimalloc, Some(heap.read_pages(&ranges))),
            _ if MALLOC.contains(&chosen) => (Allocator::Malloc, None),
            // Without the free-threaded heaps nothing says which pages belong to a thread.
            _ if MIMALLOC.contains(&chosen) => (Allocator::Mimalloc, None),
            GcLists::Generations | GcLists::YoungOld => {
                let arenas = python.location.file.arenas;
                let pools = Pools::read(heap.memory, heap.layout, &heap.interpreters, arenas, &ranges);
                if pools.ranges.is_empty() {
                    // Without an arena it is not in use, whatever the state says by a layout of another micro version.
                    (Allocator::Malloc, None)
                } else {
                    (Allocator::Pymalloc, Some(pools))
                }
            }
        };
        Self { allocator: Some(allocator), pools, hook_bytes }
    }
}
