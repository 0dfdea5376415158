//! The whole flow: get at it, find the Python, stop and copy, let go, count.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::addr::Addr;
use crate::error::{Error, Stage};
use crate::facts::{Facts, Kind, Source as _};
use crate::heap::python::Python as Heap;
use crate::heap::types::Type;
use crate::heap::walk::{Count, Counted, Walked, walk};
use crate::layout::encoding::GcLists;
use crate::memory::{Buffers, Memory};
use crate::object::Objects;
use crate::object::access::Access;
use crate::pools::Pools;
use crate::request::{Request, Scope, Source, Stopping};
use crate::residence::Residence;
use crate::runtime::Runtime;
use crate::runtime::choose::{Python as Found, find};
use crate::snapshot;
use crate::target::{MAX_STOPS, Room, STOP_LIMIT, Still, Target, dump};

use super::account::{Account, account};
use super::collector::read_collector;
use super::held::find_held;
use super::memory::memory_of;
use super::threads::read_threads;
use super::{
    Allocator, Census, Coverage, Gc, LiveReason, Method, ProcessFacts, Python, Taker, Taking, Total, Totals,
    TypeCount,
};

/// How often a copy is made anew that turns out not to hold together, though no collection was under way in it.
const MOST_COPIES: u32 = 3;

/// How long a stop may take at last, if it took too long before.
const LONGEST_STOP: Duration = Duration::from_secs(1);

/// How much of a process that is read as it runs is kept at once, in bytes. What does not fit is read again.
const LIVE_CACHE: u64 = 256 << 20;

/// How often it is looked at until it holds together, if it is read as it runs, and the pause between two looks.
const MOST_LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Takes censuses, and keeps what the next one needs, too: what was found out of each process, and memory for its copy.
#[derive(Debug, Default)]
pub struct Observer {
    processes: HashMap<u32, Watched>,
    buffers: Buffers,
}

/// A process and its Python.
#[derive(Debug)]
struct Watched {
    target: Target,
    python: Found,
}

/// How the memory that is counted was got.
#[derive(Debug, Clone, Copy)]
struct How<'r> {
    method: Method,
    attempts: u64,
    pause: Option<Duration>,
    lost: u64,
    /// Where its pages were, if that is wanted and known.
    residence: Option<&'r Residence>,
}

impl Observer {
    /// Nothing is held of any process yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn process(&mut self, pid: u32, request: &Request, begun: Instant) -> Result<Census, Error> {
        let mut watched = match self.processes.remove(&pid) {
            Some(mut watched) => {
                watched.target.refresh()?;
                watched
            }
            None => {
                let target = Target::attach(pid)?;
                let python = find(&target, request.way)?;
                Watched { target, python }
            }
        };
        let census = match self.reason_to_read_live(&watched.target, request.stopping) {
            Some(reason) => live(&watched, reason, request, begun),
            None => self.stopped(&mut watched, request, begun),
        }?;
        self.processes.insert(pid, watched);
        Ok(census)
    }

    /// Why a process is not to be stopped and copied, if there is a reason.
    fn reason_to_read_live(&self, target: &Target, stopping: Stopping) -> Option<LiveReason> {
        if stopping == Stopping::Never {
            return Some(LiveReason::Asked);
        }
        let estimate = target.estimate();
        if let Stopping::AtMost(most) = stopping
            && estimate.pause > most
        {
            return Some(LiveReason::MaxPause);
        }
        // What the last copy was made into serves again.
        let more = estimate.bytes.saturating_sub(self.buffers.len() as u64);
        (!Room::now().fits(more)).then_some(LiveReason::Memory)
    }

    /// Stops it outside of a collection, as far as that can be had, copies, and counts what was copied.
    fn stopped(&mut self, watched: &mut Watched, request: &Request, begun: Instant) -> Result<Census, Error> {
        let (mut attempts, mut pause) = (0, Duration::ZERO);
        let mut limit = STOP_LIMIT;
        // A snapshot has it, so that it gives the same account.
        watched.target.want_residence(request.memory || request.save.is_some());
        loop {
            let python = &watched.python;
            let frozen = watched.target.freeze(&mut self.buffers, limit, |memory| {
                // What cannot be read now cannot be copied either: that is told then.
                !Runtime::is_collecting(memory, &python.layout, python.found.at).unwrap_or(false)
            });
            let mut still = match frozen {
                // On a machine that is busy a thread may have to wait for a processor to stop on.
                Err(error) if error.stage == Stage::Copy && !error.gone && limit < LONGEST_STOP => {
                    limit *= 2;
                    attempts += 1;
                    continue;
                }
                frozen => frozen?,
            };
            attempts += still.taking.stops;
            pause += still.taking.pause.unwrap_or_default();
            let how = How {
                method: Method::Stopped,
                attempts: attempts.into(),
                pause: Some(pause),
                lost: still.taking.lost_pages,
                residence: still.residence.as_ref().filter(|_| request.memory),
            };
            let read = python.read(&still.memory);
            let retry = read.as_ref().is_err_and(|error| error.stage == Stage::Layout)
                && attempts < MOST_COPIES * MAX_STOPS;
            let census = match read {
                Ok(runtime) => {
                    if let Some(path) = &request.save {
                        still.landmarks = python.found.landmarks();
                        snapshot::save(&still, path)?;
                    }
                    count(&still.memory, &still.facts, python, runtime, how, request, begun)
                }
                Err(error) => Err(error),
            };
            self.buffers = still.memory.into_buffers();
            if !retry {
                return census;
            }
        }
    }

    fn held(still: &Still, method: Method, request: &Request, begun: Instant) -> Result<Census, Error> {
        let residence = still.residence.as_ref().filter(|_| request.memory);
        let how = How { method, attempts: 1, pause: None, lost: still.taking.lost_pages, residence };
        held(still, &still.memory, how, request, begun)
    }
}

/// The census of what holds still, wherever it is, as if it came from a snapshot: `memory` is the source's own, by its type. For who has
/// memory of another kind than those that a [`Request`] names, as tests do.
///
/// # Errors
/// As [`Taker::take`].
pub fn take_held<M: Memory>(
    source: &dyn crate::facts::Source,
    memory: &M,
    request: &Request,
) -> Result<Census, Error> {
    let residence = source.residence().filter(|_| request.memory);
    let how = How { method: Method::Snapshot, attempts: 1, pause: None, lost: 0, residence };
    held(source, memory, how, request, Instant::now())
}

fn held<M: Memory>(
    source: &dyn crate::facts::Source,
    memory: &M,
    how: How,
    request: &Request,
    begun: Instant,
) -> Result<Census, Error> {
    let python = find(source, request.way)?;
    let runtime = python.read(memory)?;
    count(memory, source.facts(), &python, runtime, how, request, begun)
}

/// Counts what is there while the process runs on.
fn live(watched: &Watched, reason: LiveReason, request: &Request, begun: Instant) -> Result<Census, Error> {
    let memory = watched.target.live(LIVE_CACHE)?;
    let how = How { method: Method::Live(reason), attempts: 1, pause: None, lost: 0, residence: None };
    let mut looks = 1;
    let runtime = loop {
        match watched.python.read(&memory) {
            Err(error) if error.stage == Stage::Layout && looks < MOST_LOOKS => {
                std::thread::sleep(BETWEEN_LOOKS);
                memory.forget();
                looks += 1;
            }
            read => break read?,
        }
    };
    count(&memory, watched.target.facts(), &watched.python, runtime, how, request, begun)
}

impl Taker for Observer {
    fn take(&mut self, request: &Request) -> Result<Census, Error> {
        let begun = Instant::now();
        match &request.source {
            Source::Process { pid } => self.process(*pid, request, begun),
            Source::Core(path) => Self::held(&dump::open(path)?, Method::Core, request, begun),
            Source::Snapshot(path) => Self::held(&snapshot::open(path)?, Method::Snapshot, request, begun),
        }
    }

    fn forget(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }
}

/// Counts what is in a memory.
fn count<M: Memory>(
    memory: &M,
    facts: &Facts,
    python: &Found,
    runtime: Runtime,
    how: How<'_>,
    request: &Request,
    begun: Instant,
) -> Result<Census, Error> {
    let layout = &python.layout;
    let interpreters: Vec<_> = runtime.interpreters.iter().rev().map(|interpreter| interpreter.at).collect();
    let heap = Heap::read(memory, layout, runtime.at, &interpreters)?;
    let threads = available_parallelism().map_or(1, NonZero::get);
    let walked = walk(&heap, threads)?;
    let pools = pools_of(&heap, python, &interpreters, facts);
    let account = pools.as_ref().map(|pools| account(&heap, &walked, pools, shift(memory, python), threads));
    let unseen = (allocator(memory, python) == Some(Allocator::Mimalloc)).then_some("mimalloc");
    let memory_of =
        how.residence.map(|residence| memory_of(&heap, facts, residence, &walked, pools.as_ref(), unseen));
    let kept = memory_of.as_ref().map_or(&[][..], |of| &of.account.pinned.kept);
    let holding = request.holding.as_ref();
    let held = holding.map(|holding| find_held(&heap, &walked, holding, kept, threads)).transpose()?;
    let objects = Objects::new(memory, layout);
    let in_collection = runtime.collecting(memory, layout).ok();
    let tasks: Vec<u64> =
        facts.threads.iter().map(|thread| thread.inner_tid.unwrap_or(thread.tid).into()).collect();
    let gc = runtime.main().map(|main| Gc {
        tracked: Some(total(&walked, |counted| counted.counts.tracked).count),
        frozen: Some(total(&walked, |counted| counted.counts.frozen).count),
        ..read_collector(objects, main)
    });
    Ok(Census {
        process: process_facts(facts),
        python: Python {
            version: python.version().into(),
            implementation: python.implementation.as_str().into(),
            debug: python.build.debug,
            free_threaded: python.build.free_threaded,
            shared: Some(python.found.file.library),
            located: python.found.way.word().into(),
            layout: layout.origin.into(),
        },
        interpreters: runtime.interpreters.len() as u64,
        scope: request.scope,
        totals: totals(&walked, account.as_ref()),
        types: types(&walked, account.as_ref(), request.scope),
        threads: Some(read_threads(objects, &runtime, runtime.main_thread(memory, layout), &tasks)),
        gc,
        coverage: Coverage {
            allocator: allocator(memory, python),
            used_bytes: account.as_ref().map(|account| account.used_bytes),
            explained_bytes: account.as_ref().map(|account| account.explained_bytes),
            rss_bytes: facts.rss_bytes,
        },
        memory: memory_of,
        taking: Taking {
            method: how.method,
            attempts: how.attempts,
            in_collection,
            pause: how.pause,
            duration: begun.elapsed(),
            torn_reads: walked.torn + how.lost,
            rejected_reads: walked.rejected + walked.broken_links,
        },
        held: held.map(Arc::new),
    })
}

fn process_facts(facts: &Facts) -> ProcessFacts {
    let text = |path: &Path| (!path.as_os_str().is_empty()).then(|| crate::facts::shown(path).into());
    ProcessFacts {
        pid: facts.id.pid,
        start_ticks: (facts.id.start != 0).then_some(facts.id.start),
        name: (!facts.name.is_empty()).then(|| Arc::from(facts.name.as_str())),
        cmdline: None,
        executable: text(&facts.program),
    }
}

fn total(walked: &Walked, of: impl Fn(&Counted) -> Count) -> Total {
    let mut total = Total::default();
    for counted in &walked.types {
        let count = of(counted);
        total.count = total.count.saturating_add(count.objects);
        total.size_bytes = total.size_bytes.saturating_add(count.bytes);
    }
    total
}

fn totals(walked: &Walked, account: Option<&Account>) -> Totals {
    let reachable = total(walked, |counted| counted.counts.heap);
    let heap = account.map(|account| {
        account.unreached.iter().fold(reachable, |total, unreached| Total {
            count: total.count.saturating_add(unreached.count.objects),
            size_bytes: total.size_bytes.saturating_add(unreached.count.bytes),
        })
    });
    Totals {
        tracked: Some(total(walked, |counted| counted.counts.tracked)),
        permanent: Some(total(walked, |counted| counted.counts.frozen)),
        reachable: Some(reachable),
        heap,
    }
}

/// The types that have objects in a scope.
fn types(walked: &Walked, account: Option<&Account>, scope: Scope) -> Vec<TypeCount> {
    let of = |counted: &Counted| match scope {
        Scope::Tracked => counted.counts.tracked,
        Scope::Reachable | Scope::Heap => counted.counts.heap,
    };
    let mut counts: BTreeMap<Addr, (&Type, Count)> = BTreeMap::new();
    let found = walked.types.iter().map(|counted| (&counted.of, of(counted)));
    let besides = account.filter(|_| scope == Scope::Heap).into_iter().flat_map(|account| &account.unreached);
    for (of, count) in found.chain(besides.map(|unreached| (&unreached.of, unreached.count))) {
        let (_, sum) = counts.entry(of.at).or_insert((of, Count::default()));
        sum.objects = sum.objects.saturating_add(count.objects);
        sum.bytes = sum.bytes.saturating_add(count.bytes);
        sum.overhead_bytes = sum.overhead_bytes.saturating_add(count.overhead_bytes);
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

/// What PYTHONMALLOC and the like chose (`PyMemAllocatorName`, Include/cpython/pymem.h): the C library's, with debug hooks or without.
const MALLOC: std::ops::RangeInclusive<i32> = 3..=4;
/// mimalloc, with debug hooks or without: since 3.13.
const MIMALLOC: std::ops::RangeInclusive<i32> = 7..=8;
/// The choices with debug hooks: the build's default allocator, malloc, pymalloc, mimalloc.
const WITH_HOOKS: [i32; 4] = [2, 4, 6, 8];
/// No choice, or the default: that of debug builds has hooks.
const DEFAULT: std::ops::RangeInclusive<i32> = 0..=1;
/// What the hooks put before each object (`_PyMem_DebugRawAlloc`, Objects/obmalloc.c): its size, then a letter and guards.
const HOOK_BYTES: u64 = 16;

fn choice(memory: &dyn Memory, python: &Found) -> Option<i32> {
    memory.read_int(python.found.at, python.layout.runtime_state.allocator).ok()
}

/// Which allocator has the objects.
fn allocator(memory: &dyn Memory, python: &Found) -> Option<Allocator> {
    let chosen = choice(memory, python)?;
    Some(match python.layout.encodings.gc_lists {
        GcLists::MimallocPages => Allocator::Mimalloc,
        _ if MALLOC.contains(&chosen) => Allocator::Malloc,
        _ if MIMALLOC.contains(&chosen) => Allocator::Mimalloc,
        GcLists::Generations | GcLists::YoungOld => Allocator::Pymalloc,
    })
}

/// What Python's own allocator has given out; `None` where it has nothing to do, or is not known.
fn pools_of<M: Memory>(
    heap: &Heap<'_, M>,
    python: &Found,
    interpreters: &[Addr],
    facts: &Facts,
) -> Option<Pools> {
    let allocator = allocator(heap.memory, python)?;
    let without_file = facts.mappings.iter().filter(|mapping| {
        mapping.access.write && !mapping.access.shared && mapping.kind() == Kind::Anonymous
    });
    let ranges: Vec<_> = without_file.map(|mapping| mapping.range.clone()).collect();
    match (allocator, python.layout.encodings.gc_lists) {
        (Allocator::Mimalloc, GcLists::MimallocPages) => Some(heap.read_pages(&ranges)),
        (Allocator::Pymalloc, _) => {
            Some(Pools::read(heap.memory, heap.layout, interpreters, python.found.file.arenas, &ranges))
        }
        // Where others have it, no thread says which pages are its.
        (Allocator::Mimalloc | Allocator::Malloc, _) => None,
    }
}

/// What stands before each object in its block, in bytes.
fn shift(memory: &dyn Memory, python: &Found) -> u64 {
    let chosen = choice(memory, python).unwrap_or_default();
    let hooks = WITH_HOOKS.contains(&chosen) || python.build.debug && DEFAULT.contains(&chosen);
    if hooks { HOOK_BYTES } else { 0 }
}
