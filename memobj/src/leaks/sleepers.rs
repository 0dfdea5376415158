//! Code of the program that slept nearly all the time of a search: a loop that waits, and will then remove from what grows.
//!
//! It may have woken once: what was added since may not have been old enough to be removed.

use std::collections::{BTreeMap, BTreeSet};

use common::record::CodeLine;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::types::Type;
use memobj_cpython::runtime::frame::{read_code_location, read_frame_instruction};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use crate::caches::number;
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::{NameReader, code_line};
use crate::object_graph::{ObjectGraph, RootKind};
use crate::survivors::Generations;

/// A stop wakes each thread, which may be counted twice: before it and after it.
const SWITCHES_PER_STOP: u64 = 2;
/// Once awake, a thread may wait for a lock, or for the interpreter's.
const SWITCHES_PER_WAKE: u64 = 3;
/// References of an object that are followed to a timer, and what a coroutine awaits, in each other.
const MAX_WIDTH: usize = 64;
const MAX_AWAITED: usize = 32;
/// Calls that wait, by the end of the name.
const WAITS: [&str; 2] = ["sleep", "wait"];

/// How often the threads of Python left a processor since the first census.
#[derive(Debug, Clone, Default)]
pub(super) struct ThreadSwitches {
    /// By identifier: the count of the first census, and the last one.
    counts: BTreeMap<u64, (u64, u64)>,
    stops: u64,
}

impl ThreadSwitches {
    /// Adds the counts of a census, by identifier, and whether it stopped the threads.
    pub fn add(&mut self, now: &BTreeMap<u64, u64>, is_first: bool, stopped: bool) {
        if is_first {
            self.counts = now.iter().map(|(&ident, &count)| (ident, (count, count))).collect();
        } else {
            self.counts.retain(|ident, (_, last)| now.get(ident).map(|&count| *last = count).is_some());
        }
        self.stops = self.stops.saturating_add(u64::from(stopped));
    }

    /// Whether a thread woke at most once since the first census, apart from stops.
    fn slept(&self, ident: u64) -> bool {
        let allowed = self.stops.saturating_mul(SWITCHES_PER_STOP).saturating_add(SWITCHES_PER_WAKE);
        self.counts.get(&ident).is_some_and(|(first, last)| last.saturating_sub(*first) <= allowed)
    }
}

/// The timers of asyncio's event loops. A task that sleeps again and again gets a new timer at the address of the one before, with
/// another deadline.
#[derive(Debug, Clone, Default)]
pub(super) struct LoopTimers {
    /// By address: the bits of the deadline, and the census that saw it first.
    first_seen: BTreeMap<Addr, (u64, usize)>,
}

impl LoopTimers {
    /// Adds those of a census, and forgets those that are gone.
    pub fn add<M: Memory>(
        &mut self,
        names: &mut NameReader<'_, '_, M>,
        graph: &ObjectGraph<'_>,
        census: usize,
    ) {
        let is_timer: Vec<bool> = graph.types().iter().map(|counted| is_loop_timer(&counted.ty)).collect();
        let is_it = |&node: &NodeId| is_timer.get(graph.type_index(node).0 as usize) == Some(&true);
        let mut now = BTreeMap::new();
        if is_timer.contains(&true) {
            for at in graph.object_nodes().filter(is_it).filter_map(|node| graph.address(node)) {
                let Some(when) = names.attribute(at, "_when").and_then(|when| number(names, when)) else {
                    continue;
                };
                let deadline = when.to_bits();
                let known = self.first_seen.get(&at).filter(|&&(before, _)| before == deadline);
                now.insert(at, (deadline, known.map_or(census, |&(_, first)| first)));
            }
        }
        self.first_seen = now;
    }

    /// Whether those that a coroutine waits for, directly or in what it awaits, were there in half of the censuses. What waits for none is
    /// no sleep of asyncio.
    fn are_old(&self, graph: &ObjectGraph<'_>, coroutine: NodeId, censuses: usize) -> bool {
        let (mut met, mut next) = (vec![coroutine], 0);
        while let Some(&node) = met.get(next) {
            next += 1;
            for &to in graph.references().targets(node).iter().take(MAX_WIDTH) {
                let leads_on = graph.type_of(to).is_some_and(|of| {
                    matches!(of.kind, Some(Builtin::Coroutine | Builtin::Frame))
                        || of.module == "asyncio.timeouts"
                });
                if (leads_on || graph.type_of(to).is_some_and(is_loop_timer))
                    && met.len() < MAX_AWAITED
                    && !met.contains(&to)
                {
                    met.push(to);
                }
            }
        }
        let timers = met.into_iter().filter(|&node| graph.type_of(node).is_some_and(is_loop_timer));
        timers
            .filter_map(|node| self.first_seen.get(&graph.address(node)?))
            .all(|(_, first_seen)| first_seen * 2 <= censuses)
    }
}

fn is_loop_timer(of: &Type) -> bool {
    of.module == "asyncio.events" && of.qualname == "TimerHandle"
}

/// The lines of the program where threads and coroutines sleep that woke at most once since the first of `censuses`.
pub(super) fn sleeping_lines<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    generations: &Generations,
    (switches, timers): (&ThreadSwitches, &LoopTimers),
    censuses: usize,
) -> Vec<CodeLine> {
    let graph = holders.graph();
    let slept =
        |thread: usize| graph.threads().get(thread).is_some_and(|thread| switches.slept(thread.ident));
    let of_threads = graph.roots().iter().filter_map(|root| match root.kind {
        RootKind::Frame { at, thread } if slept(thread) => Some(at),
        _ => None,
    });
    let is_coroutine = |node: NodeId| graph.type_of(node).and_then(|of| of.kind) == Some(Builtin::Coroutine);
    // While a coroutine awaits another, that one is on its stack. A loop makes a new one for each wait. What it has awaited for half the time
    // can have been the second one at most, if all take as long.
    let is_old = |node: NodeId| generations.first_seen(node) * 2 <= censuses;
    let awaits_old = |node: NodeId| {
        let targets = |node: NodeId| graph.references().targets(node).iter().copied();
        let is_frame = |node: NodeId| graph.type_of(node).and_then(|of| of.kind) == Some(Builtin::Frame);
        // Until 3.10 its frame is an object.
        let of_frame = || targets(node).filter(|&to| is_frame(to)).flat_map(targets);
        let awaited = || targets(node).chain(of_frame()).filter(|&to| is_coroutine(to) && to != node);
        awaited().next().is_some() && awaited().all(is_old) && timers.are_old(graph, node, censuses)
    };
    let coroutines = graph.object_nodes().filter(|&node| is_coroutine(node) && awaits_old(node));
    let frames: Vec<Addr> = of_threads
        .chain(coroutines.filter_map(|node| names.frame_of_generator(graph.address(node)?)))
        .collect();
    let objects = names.objects();
    let at: BTreeSet<(Addr, Option<u64>)> =
        frames.into_iter().filter_map(|frame| read_frame_instruction(objects, frame)).collect();
    let lines = at.into_iter().filter_map(|(code, offset)| read_code_location(objects, code, offset));
    lines.map(code_line).filter(|line| !line.is_library()).collect()
}

/// Whether line `at` of these lines of a function, with their numbers, waits in a loop that also has a line for which `removes` holds.
pub(super) fn is_in_removing_loop(lines: &[(u32, &str)], at: u32, removes: impl Fn(&str) -> bool) -> bool {
    let indent = |line: &str| line.len().saturating_sub(line.trim_start().len());
    let Some(here) = lines.iter().position(|&(number, _)| number == at) else { return false };
    let waits = |line: &str| {
        line.match_indices('(').any(|(end, _)| {
            line.get(..end).is_some_and(|before| WAITS.iter().any(|name| before.ends_with(name)))
        })
    };
    let Some(&(_, text)) = lines.get(here).filter(|(_, text)| waits(text)) else { return false };
    let mut depth = if is_loop(text) { usize::MAX } else { indent(text) };
    for (start, &(_, head)) in lines.iter().enumerate().take(here.saturating_add(1)).rev() {
        if head.trim().is_empty() || indent(head) >= depth {
            continue;
        }
        depth = indent(head);
        let body = lines.iter().skip(start.saturating_add(1)).map(|&(_, line)| line);
        let mut body = body.take_while(|line| line.trim().is_empty() || indent(line) > depth);
        if is_loop(head) && body.any(&removes) {
            return true;
        }
    }
    false
}

/// Whether a line begins a loop.
fn is_loop(line: &str) -> bool {
    ["while ", "for ", "async for "].iter().any(|begin| line.trim_start().starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_in(source: &str, at: u32) -> bool {
        let lines: Vec<(u32, &str)> = (1..).zip(source.lines()).collect();
        is_in_removing_loop(&lines, at, |line| line.contains("del kept[") || line.contains("expire("))
    }

    #[test]
    fn loop_waits_and_removes() {
        assert!(waits_in(
            "while True:\n    time.sleep(20)\n    with lock:\n        for k in old():\n            del kept[k]",
            2
        ));
        assert!(waits_in("    while not stop.wait(60):\n        self.expire()", 1));
        assert!(waits_in("while True:\n    if busy:\n        await asyncio.sleep(5)\n\n    expire()", 3));
        // The removal is behind the loop, or there is none; or the line waits for something else.
        assert!(!waits_in("while True:\n    time.sleep(20)\ndel kept[0]", 2));
        assert!(!waits_in("time.sleep(20)\ndel kept[0]", 1));
        assert!(!waits_in("while True:\n    job = jobs.get()\n    del kept[job]", 2));
        assert!(!waits_in("while True:\n    sleep(1)", 7));
    }

    #[test]
    fn switches_tell_who_slept() {
        let mut switches = ThreadSwitches::default();
        switches.add(&BTreeMap::from([(1, 10), (2, 10), (3, 10)]), true, false);
        switches.add(&BTreeMap::from([(1, 13), (2, 14), (4, 1)]), false, false);
        assert_eq!([1, 2, 3, 4].map(|ident| switches.slept(ident)), [true, false, false, false]);
        switches.add(&BTreeMap::from([(1, 15), (2, 16)]), false, true);
        assert_eq!([1, 2].map(|ident| switches.slept(ident)), [true, false]);
    }
}
