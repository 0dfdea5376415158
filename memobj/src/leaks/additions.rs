//! Who adds to a growing container: hardware watchpoints on its count, and the code that runs at each hit.
//!
//! The registers and the stack that the kernel copied at the moment of the write point to the instruction, but some of their words may be
//! left over from earlier calls. The thread's own frames, read at once, say which: a line is certain if the innermost frame is still at an
//! instruction that was pointed to. Its callers are read then, and the innermost frame once more: so no caller is wrong, and where the
//! function returned too soon there is none.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use common::record::{AddingLine, Additions, CodeLine};
use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_cpython::object::Objects;
use memobj_cpython::runtime::bytecode::{Bytecode, Candidates, Instruction, read_frames};
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_process::addr::Addr;
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::Memory;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::{Watchpoint, WriteHit, wait_for_hits};

use crate::graph::NodeId;
use crate::holders::Holders;

/// Additions to one container that suffice.
const ENOUGH: usize = 12;
/// Writes of one thread, removals among them, after which the kernel disarms a watchpoint.
const MAX_HITS: u32 = 40;
/// Callers that are read.
const MAX_FRAMES: usize = 32;
/// One addition in so many is rare.
const RARE: u64 = 4;
/// Lines that are reported for one container.
const MAX_LINES: usize = 4;
/// How long we look for hits without a pause, in all. Callers are gone some 100 µs after a hit, and a sleeper wakes later than that.
const MAX_SPIN: Duration = Duration::from_secs(2);
/// How long we look between two checks of everything else.
const SPIN_SLICE: Duration = Duration::from_millis(5);
/// How long we sleep at most between two checks of everything else.
const SLEEP_SLICE: Duration = Duration::from_millis(50);

/// Writes to one count.
struct WatchedCount {
    at: Addr,
    watchpoint: Option<Watchpoint>,
    refused: Option<Arc<str>>,
    /// The count after the last write that was seen.
    count: Option<u64>,
    additions: Vec<Hit>,
}

/// A write.
struct Hit {
    /// The instruction that the copied registers and stack point to.
    likely: Option<Instruction>,
    /// The frames of the thread, if the innermost one was still at an instruction that they point to.
    frames: Option<Vec<Instruction>>,
}

/// What is read at each hit.
struct HitReader<'a> {
    memory: &'a dyn Memory,
    objects: Objects<'a>,
    python: &'a DetectedPython,
    bytecode: &'a Bytecode,
    /// Thread states.
    threads: Vec<Addr>,
}

/// Where the count of a container is, if objects are added to it one by one.
pub(super) fn count_of(objects: Objects<'_>, holders: &Holders<'_>, container: NodeId) -> Option<Addr> {
    let graph = holders.graph();
    let (at, layout) = (graph.address(container)?, objects.layout);
    let member = |offset: u32| at.plus(offset.into());
    match graph.type_of(container)?.kind? {
        Builtin::ByteArray => Some(member(layout.var_object.ob_size)),
        kind => match kind.growth() {
            Growth::Keys => Some(member(layout.dict_object.ma_used)),
            Growth::Items => Some(member(layout.var_object.ob_size)),
            Growth::Elements => Some(member(layout.set_object.used)),
            Growth::Results => {
                let cache = objects.read_pointer(at, layout.lru_cache_object.cache)?;
                Some(cache.plus(layout.dict_object.ma_used.into()))
            }
            Growth::Copies | Growth::Fixed => None,
        },
    }
}

/// Watches writes to the counts of containers for `limit` at most, or until there are enough of them, while `goes_on`.
#[must_use]
pub fn watch(
    target: &Target,
    python: &DetectedPython,
    bytecode: &Bytecode,
    counts: &[Addr],
    limit: Duration,
    goes_on: &mut dyn FnMut() -> bool,
) -> Vec<Additions> {
    let begun = Instant::now();
    let memory: &dyn Memory = target.memory();
    let runtime = python.read(memory).ok();
    let threads = runtime.iter().flat_map(|runtime| &runtime.interpreters);
    let reader = HitReader {
        memory,
        objects: Objects::new(memory, &python.layout),
        python,
        bytecode,
        threads: threads.flat_map(|interpreter| &interpreter.threads).map(|thread| thread.at).collect(),
    };
    let mut watched: Vec<WatchedCount> = counts.iter().map(|&at| WatchedCount::arm(target, at)).collect();
    let can_spin = available_parallelism().is_ok_and(|processors| processors > NonZero::<usize>::MIN);
    let mut spun = Duration::ZERO;
    let waits = |watched: &[WatchedCount]| watched.iter().any(|count| count.watchpoint.is_some());
    while waits(&watched) && begun.elapsed() < limit && goes_on() {
        for count in &mut watched {
            count.rearm(&target.info().name);
        }
        let slice = Instant::now();
        let spins = can_spin && spun < MAX_SPIN;
        while spins && slice.elapsed() < SPIN_SLICE {
            watched.iter_mut().for_each(|count| count.take_hits(&reader));
        }
        spun += slice.elapsed();
        let mut armed: Vec<&mut Watchpoint> =
            watched.iter_mut().filter_map(|count| count.watchpoint.as_mut()).collect();
        if wait_for_hits(&mut armed, if spins { Duration::ZERO } else { SLEEP_SLICE }).is_err() {
            break;
        }
        watched.iter_mut().for_each(|count| count.take_hits(&reader));
    }
    let seconds = begun.elapsed().as_secs_f64();
    watched.into_iter().map(|count| count.report(&reader, seconds)).collect()
}

impl WatchedCount {
    fn arm(target: &Target, at: Addr) -> Self {
        let (watchpoint, refused) = match Watchpoint::arm(target, at, MAX_HITS) {
            Ok(watchpoint) => (Some(watchpoint), None),
            Err(error) => (None, Some(error.to_string().into())),
        };
        Self { at, watchpoint, refused, count: target.memory().read_u64(at).ok(), additions: Vec::new() }
    }

    /// Watches new threads, and ends the watch once no more hits can come.
    fn rearm(&mut self, name: &str) {
        let Some(watchpoint) = &mut self.watchpoint else { return };
        // Threads that cannot be watched are left out: others are.
        let _ = watchpoint.watch_new_threads(name);
        if watchpoint.is_spent() {
            self.watchpoint = None;
        }
    }

    /// Takes the hits that there are. Of several at once it is only known what all of them did together, so they count if all are of one
    /// instruction.
    fn take_hits(&mut self, reader: &HitReader<'_>) {
        let mut hits: Vec<Hit> = Vec::new();
        let mut count = self.count;
        loop {
            let before = hits.len();
            while let Some(hit) = self.watchpoint.as_mut().and_then(Watchpoint::next_hit) {
                hits.push(reader.read(&hit));
            }
            // A write before the count was read has its hit in the buffer by then.
            if hits.len() == before {
                break;
            }
            count = reader.memory.read_u64(self.at).ok();
        }
        let added = count.zip(self.count).map_or(0, |(now, before)| now.saturating_sub(before));
        self.count = count;
        let first = hits.first().and_then(|hit| hit.likely);
        let is_one = hits.len() == 1 || first.is_some() && hits.iter().all(|hit| hit.likely == first);
        if added > 0 && is_one {
            self.additions.extend(hits.into_iter().take(usize::try_from(added).unwrap_or(usize::MAX)));
        }
        if self.additions.len() >= ENOUGH {
            self.watchpoint = None;
        }
    }

    fn report(self, reader: &HitReader<'_>, watched_seconds: f64) -> Additions {
        let lines_of = |frames: &Vec<Instruction>| -> Vec<CodeLine> {
            frames.iter().map_while(|&at| reader.line(at)).collect()
        };
        let mut by_line: BTreeMap<CodeLine, (u64, Vec<Vec<CodeLine>>)> = BTreeMap::new();
        for hit in &self.additions {
            let confirmed = hit.frames.as_ref().map(lines_of).filter(|frames| !frames.is_empty());
            let likely = || hit.likely.and_then(|at| reader.line(at));
            let line = confirmed.as_ref().and_then(|frames| frames.first().cloned()).or_else(likely);
            let Some(line) = line else { continue };
            let (count, chains) = by_line.entry(line).or_default();
            *count = count.saturating_add(1);
            chains.extend(confirmed);
        }
        let seen = self.additions.len() as u64;
        let mut lines: Vec<AddingLine> = by_line
            .into_iter()
            .map(|(line, (count, chains))| {
                // A hit without a word of its own function is taken for one of its caller: nearly all hits must agree.
                let is_most = seen.saturating_sub(count).saturating_mul(RARE) <= seen;
                let is_certain = !chains.is_empty() && count > 1 && is_most;
                let frames =
                    most_common(&chains).filter(|_| is_certain).cloned().unwrap_or_else(|| vec![line]);
                AddingLine { count, is_certain, frames }
            })
            .collect();
        // Where a line is certain, rare others may be left over from earlier calls.
        if lines.iter().any(|line| line.is_certain) {
            lines.retain(|line| line.is_certain || line.count.saturating_mul(RARE) >= seen);
        }
        lines.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.frames.cmp(&b.frames)));
        lines.truncate(MAX_LINES);
        Additions { watched_seconds, seen, lines, refused: self.refused }
    }
}

impl HitReader<'_> {
    fn read(&self, hit: &WriteHit) -> Hit {
        let words: Vec<u64> = hit.registers.iter().chain(&hit.stack).copied().collect();
        let candidates = self.bytecode.candidates(self.objects, &words);
        let frames = self.frames_at(&candidates);
        // Functions of debug builds leave much more on the stack.
        let is_clean = !self.python.build.debug;
        let form = self.python.layout.encodings.next_instruction;
        Hit { likely: candidates.likely(form).filter(|_| is_clean), frames }
    }

    /// The frames of the only thread that they confirm, if it stayed where it was while they were read.
    fn frames_at(&self, candidates: &Candidates) -> Option<Vec<Instruction>> {
        let frames = |thread: Addr, limit| read_frames(self.memory, self.objects, thread, limit);
        let mut confirmed = self.threads.iter().filter_map(|&thread| {
            let all = frames(thread, MAX_FRAMES);
            (candidates.confirm(&all) && frames(thread, 1).first() == all.first()).then_some(all)
        });
        let found = confirmed.next()?;
        confirmed.next().is_none().then_some(found)
    }

    fn line(&self, at: Instruction) -> Option<CodeLine> {
        let location = at.read_location(self.objects)?;
        Some(CodeLine { function: location.function.into(), file: location.file.into(), line: location.line })
    }
}

/// The calls that were seen most often; of several the longest.
fn most_common(all: &[Vec<CodeLine>]) -> Option<&Vec<CodeLine>> {
    let count = |frames: &Vec<CodeLine>| all.iter().filter(|&other| other == frames).count();
    all.iter().max_by_key(|frames| (count(frames), frames.len()))
}
