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

use super::threads::most_common;
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;
use crate::object_graph::RootKind;

/// Additions to one container that suffice.
const ENOUGH: usize = 12;
/// Writes of one thread, removals among them, after which the kernel disarms a watchpoint.
const MAX_HITS: u32 = 40;
/// Callers that are read.
const MAX_FRAMES: usize = 32;
/// A line is rare if it has fewer than one in this many additions.
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
    objects: Objects<'a>,
    python: &'a DetectedPython,
    bytecode: &'a Bytecode,
    /// Thread states.
    threads: Vec<Addr>,
}

/// The address of the count of a container, if objects are added to it one by one.
pub(super) fn count_address<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    container: NodeId,
) -> Option<Addr> {
    let graph = holders.graph();
    if let Some(RootKind::ExitCallbacks(count)) = graph.root(container).map(|root| root.kind) {
        return count;
    }
    let at = graph.address(container)?;
    match graph.type_of(container)?.kind? {
        Builtin::ByteArray => Some(at.plus(names.python().layout.var_object.ob_size.into())),
        kind if matches!(kind.growth(), Growth::Copies | Growth::Fixed) => None,
        _ => names.count_address(at),
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
    let objects = Objects::new(target.memory(), &python.layout);
    let runtime = python.read(objects.memory).ok();
    let threads = runtime.iter().flat_map(|runtime| &runtime.interpreters);
    let reader = HitReader {
        objects,
        python,
        bytecode,
        threads: threads.flat_map(|interpreter| &interpreter.threads).map(|thread| thread.at).collect(),
    };
    let mut watched: Vec<WatchedCount> = counts.iter().map(|&at| WatchedCount::arm(target, at)).collect();
    let can_spin = available_parallelism().is_ok_and(|processors| processors > NonZero::<usize>::MIN);
    let mut spun = Duration::ZERO;
    let waits = |watched: &[WatchedCount]| watched.iter().any(|count| count.watchpoint.is_some());
    let mut listed = begun;
    while waits(&watched) && begun.elapsed() < limit && goes_on() {
        if listed.elapsed() >= SLEEP_SLICE {
            watched.iter_mut().for_each(|count| count.watch_new_threads(&target.info().name));
            listed = Instant::now();
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
    fn watch_new_threads(&mut self, name: &str) {
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
            count = reader.objects.memory.read_u64(self.at).ok();
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
                let calls = most_common(chains.into_iter()).filter(|_| is_certain);
                let frames = calls.unwrap_or_else(|| vec![line]);
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
        let top = |thread: Addr| read_frames(self.objects, thread, 1).first().copied();
        let mut confirmed = self.threads.iter().filter_map(|&thread| {
            // Most threads are elsewhere, and every read takes time in which the callers may go.
            top(thread).filter(|&frame| candidates.point_to(frame))?;
            let all = read_frames(self.objects, thread, MAX_FRAMES);
            (candidates.confirm(&all) && top(thread) == all.first().copied()).then_some(all)
        });
        let found = confirmed.next()?;
        confirmed.next().is_none().then_some(found)
    }

    fn line(&self, at: Instruction) -> Option<CodeLine> {
        let location = at.read_location(self.objects)?;
        Some(CodeLine { function: location.function.into(), file: location.file.into(), line: location.line })
    }
}
