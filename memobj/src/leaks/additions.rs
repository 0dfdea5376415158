//! Who adds to a growing container: hardware watchpoints on its count, and the code that runs at each hit.
//!
//! The registers and the stack that the kernel copied at the moment of the write point to the instruction, but some of their words may be
//! left over from earlier calls. The thread's own frames, read at once, say which: a line is certain if the innermost frame is still at an
//! instruction that was pointed to. Its callers are read then, and the innermost frame once more: so no caller is wrong, and where the
//! function returned too soon there is none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::record::{AddingLine, Additions, CodeLine};
use memobj_cpython::runtime::bytecode::{Bytecode, Instruction};
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::runtime::running_frames::RunningFrames;
use memobj_process::addr::Addr;
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::Memory;
use memobj_process::priority;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::{Watchpoint, wait_for_hits};

use super::threads::most_common;
use crate::graph::NodeId;
use crate::names::NameReader;
use crate::object_graph::{ObjectGraph, RootKind};
use crate::watch::hits::{self, Hit, HitReader, chain_lines};
use crate::watch::spinner::{SLEEP_SLICE, Spinner};

/// Additions to one container that suffice.
const ENOUGH: usize = 12;
/// Writes of one thread, removals among them, after which the kernel disarms a watchpoint.
const MAX_HITS: u32 = 40;
/// A line is rare if it has fewer than one in this many additions.
const RARE: u64 = 4;
/// Lines that are reported for one container.
const MAX_LINES: usize = 4;
/// How long we look for hits without a pause, in all.
const MAX_SPIN: Duration = Duration::from_secs(2);

/// Who adds to the growing containers of a process: everything that was seen so far.
#[derive(Debug, Default)]
pub struct AdditionWatch {
    /// By the address of the count.
    seen: BTreeMap<Addr, SeenAdditions>,
    spinner: Spinner,
}

/// Additions to one container.
#[derive(Debug, Default)]
struct SeenAdditions {
    seconds: f64,
    refused: Option<Arc<str>>,
    additions: Vec<Addition>,
}

/// An addition. Its lines are read at once, since code may be freed.
#[derive(Debug)]
struct Addition {
    likely: Option<(Instruction, CodeLine)>,
    is_backed: bool,
    calls: Option<Calls>,
}

/// The lines of an addition's frames, the innermost first.
#[derive(Debug, Clone)]
struct Calls {
    lines: Vec<CodeLine>,
    /// Whether these are all.
    is_whole: bool,
}

/// Writes to one count.
struct WatchedCount {
    at: Addr,
    watchpoint: Option<Watchpoint>,
    /// The count after the last write that was seen.
    count: Option<u64>,
    seen: SeenAdditions,
}

/// The address of the count of a container, if objects are added to it one by one.
pub(super) fn count_address<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    graph: &ObjectGraph<'_>,
    container: NodeId,
) -> Option<Addr> {
    if let Some(RootKind::ExitCallbacks(count)) = graph.root(container).map(|root| root.kind) {
        return count;
    }
    hits::count_address(names, graph.address(container)?)
}

impl AdditionWatch {
    /// Whether more additions to this count are wanted, and can be seen.
    #[must_use]
    pub fn wants(&self, count: Addr) -> bool {
        self.seen.get(&count).is_none_or(|seen| seen.refused.is_none() && seen.additions.len() < ENOUGH)
    }

    /// Watches writes to the counts of containers for `limit` at most, or until there are enough of them, while `goes_on`.
    pub fn watch(
        &mut self,
        target: &Target,
        python: &DetectedPython,
        bytecode: &Bytecode,
        counts: &[Addr],
        limit: Duration,
        goes_on: &mut dyn FnMut() -> bool,
    ) {
        let mut reader = HitReader::new(target, python, bytecode);
        let wanted: Vec<Addr> = counts.iter().copied().filter(|&at| self.wants(at)).collect();
        let mut watched: Vec<WatchedCount> = wanted
            .into_iter()
            .map(|at| WatchedCount::arm(target, at, self.seen.remove(&at).unwrap_or_default()))
            .collect();
        let waits = |watched: &[WatchedCount]| watched.iter().any(|count| count.watchpoint.is_some());
        // On a busy machine, the kernel arms the first watchpoint only after seconds: it waits for all its processors.
        let begun = Instant::now();
        let mut listed = begun;
        while waits(&watched) && begun.elapsed() < limit && goes_on() {
            if listed.elapsed() >= SLEEP_SLICE {
                reader.find_threads();
                watched.iter_mut().for_each(|count| count.watch_new_threads(&target.info().name));
                listed = Instant::now();
            }
            let wait = self
                .spinner
                .spin(MAX_SPIN, || watched.iter_mut().for_each(|count| count.take_hits(&mut reader)));
            // Where others want the processor, too, the function has returned when it is our turn.
            let _raised = priority::raise_to_real_time();
            let mut armed: Vec<&mut Watchpoint> =
                watched.iter_mut().filter_map(|count| count.watchpoint.as_mut()).collect();
            if wait_for_hits(&mut armed, wait).is_err() {
                break;
            }
            watched.iter_mut().for_each(|count| count.take_hits(&mut reader));
        }
        for mut count in watched {
            count.seen.seconds += begun.elapsed().as_secs_f64();
            // An instruction that calls Python functions did not add: the function that did left no word behind.
            for addition in count.seen.additions.iter_mut().filter(|addition| !addition.is_backed) {
                addition.likely.take_if(|(at, _)| reader.is_caller(*at));
            }
            self.seen.insert(count.at, count.seen);
        }
    }

    /// The additions to a count that were seen; `None` if it was not watched.
    #[must_use]
    pub fn report(&self, count: Addr) -> Option<Additions> {
        self.seen.get(&count).map(SeenAdditions::report)
    }
}

impl WatchedCount {
    fn arm(target: &Target, at: Addr, mut seen: SeenAdditions) -> Self {
        let watchpoint = match Watchpoint::arm(target, at, MAX_HITS) {
            Ok(watchpoint) => Some(watchpoint),
            Err(error) => {
                seen.refused = Some(error.to_string().into());
                None
            }
        };
        Self { at, watchpoint, count: target.memory().read_u64(at).ok(), seen }
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
    fn take_hits(&mut self, reader: &mut HitReader<'_>) {
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
            count = reader.read_count(self.at);
        }
        let added = count.zip(self.count).map_or(0, |(now, before)| now.saturating_sub(before));
        self.count = count;
        let first = hits.first().and_then(|hit| hit.likely);
        let is_one = hits.len() == 1 || first.is_some() && hits.iter().all(|hit| hit.likely == first);
        if added > 0 && is_one {
            let line = |at: Instruction| reader.line(at);
            let lines = |running: RunningFrames| {
                let lines = chain_lines(&running.frames, line);
                (!lines.is_empty()).then_some(Calls { lines, is_whole: running.is_whole })
            };
            let additions = hits.into_iter().take(usize::try_from(added).unwrap_or(usize::MAX));
            self.seen.additions.extend(additions.map(|hit| Addition {
                likely: hit.likely.and_then(|at| Some((at, line(at)?))),
                is_backed: hit.is_backed,
                calls: hit.frames.and_then(lines),
            }));
        }
        if self.seen.additions.len() >= ENOUGH {
            self.watchpoint = None;
        }
    }
}

impl SeenAdditions {
    fn report(&self) -> Additions {
        let mut by_line: BTreeMap<CodeLine, (u64, Vec<Calls>)> = BTreeMap::new();
        for addition in &self.additions {
            let confirmed = addition.calls.as_ref();
            let line = confirmed
                .and_then(|calls| calls.lines.first())
                .or(addition.likely.as_ref().map(|(_, line)| line));
            let Some(line) = line else { continue };
            let (count, chains) = by_line.entry(line.clone()).or_default();
            *count = count.saturating_add(1);
            chains.extend(confirmed.cloned());
        }
        let seen = self.additions.len() as u64;
        let mut lines: Vec<AddingLine> = by_line
            .into_iter()
            .map(|(line, (count, chains))| {
                // A hit without a word of its own function is taken for one of its caller: nearly all hits must agree.
                let is_most = seen.saturating_sub(count).saturating_mul(RARE) <= seen;
                let is_certain = !chains.is_empty() && count > 1 && is_most;
                let has_whole = chains.iter().any(|calls| calls.is_whole);
                let chains = chains.into_iter().filter(|calls| calls.is_whole || !has_whole);
                let calls = most_common(chains.map(|calls| calls.lines)).filter(|_| is_certain);
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
        Additions { watched_seconds: self.seconds, seen, lines, refused: self.refused.clone() }
    }
}
