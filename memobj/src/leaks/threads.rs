//! Threads that pile up: one leak, with all that their frames hold.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use common::record::{ACTIVE_THREADS, GrowthMode, Liveness};
use memobj_process::memory::Memory;

use super::find::{Candidate, LeakFinder, MIN_OBJECTS, MINUTE, is_multiple, merge_rates};
use super::trend::Trends;
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::{NameReader, qualified_name};
use crate::object_graph::RootKind;

/// The module of the thread class.
pub(super) const THREADING: &str = "threading";

impl LeakFinder<'_, '_> {
    /// Merges the side effects of new threads into one leak, if threads pile up.
    pub(super) fn merge_threads<M: Memory>(
        &self,
        trends: &Trends,
        found: &mut Vec<Candidate>,
        names: &mut NameReader<'_, '_, M>,
    ) {
        let Some(trend) = trends.trend(self.threads) else { return };
        if !(trends.is_rise(&trend) && trend.net >= MIN_OBJECTS) {
            return;
        }
        let per_minute = trend.per_second * MINUTE;
        let is_of_threads = |candidate: &Candidate| {
            // C code holds the start of a thread until the thread ends.
            let is_side_effect = candidate.is_standard
                || matches!(candidate.leak.cause, Liveness::Native | Liveness::Unreferred);
            is_side_effect && is_multiple(candidate.leak.objects_per_minute, per_minute)
        };
        let threads = found.iter().position(|candidate| &*candidate.leak.name == "threading.Thread");
        let Some(most) = threads.or_else(|| found.iter().position(is_of_threads)) else { return };
        let mut candidate = found.swap_remove(most);
        let (of_threads, others) = std::mem::take(found).into_iter().partition(is_of_threads);
        *found = others;
        for part in of_threads {
            merge_rates(&mut candidate.leak, &part.leak);
        }
        let leak = &mut candidate.leak;
        leak.holder = ACTIVE_THREADS.into();
        leak.name = self.class_of_threads(names);
        leak.function = most_run_function(self.holders, names);
        leak.entry_code = self.thread_code(names);
        leak.objects_per_minute = per_minute;
        leak.confidence_ratio = leak.confidence_ratio.max(1.0 - trend.chance);
        (leak.container, leak.entries, leak.path) = (None, None, None);
        leak.growth_mode = GrowthMode::Linked;
        candidate.is_standard = false;
        candidate.container = None;
        candidate.places.clear();
        self.mark_locals(found, &candidate.leak.holder, trend.net);
        found.push(candidate);
    }

    /// The most common class of the new threads.
    fn class_of_threads<M: Memory>(&self, names: &NameReader<'_, '_, M>) -> Arc<str> {
        let graph = self.holders.graph();
        let modules = self.holders.modules();
        let dict = modules.number(THREADING).and_then(|number| Some(modules.list().get(number)?.dict));
        let active = dict.and_then(|dict| graph.node(names.objects().read_item(dict, "_active")?));
        let threads = active.into_iter().flat_map(|active| graph.references().targets(active));
        let new = threads.filter(|&&thread| self.generations.first_seen(thread) > 0);
        let classes = new.filter_map(|&thread| graph.type_of(thread).filter(|of| of.class.is_some()));
        most_common(classes.map(|of| Arc::from(of.name())))
            .unwrap_or_else(|| format!("{THREADING}.Thread").into())
    }

    /// Marks what the frames of the new threads hold, and growth that comes with it, as side effects of the threads.
    fn mark_locals(&self, found: &mut [Candidate], threads: &Arc<str>, new_threads: f64) {
        let (locals, others): (Vec<&mut Candidate>, Vec<&mut Candidate>) =
            found.iter_mut().partition(|candidate| self.is_of_frames(&candidate.items, new_threads));
        for other in others {
            if locals.iter().any(|local| self.belongs_to(other, local)) {
                other.leak.side_effect_of = Some(Arc::clone(threads));
            }
        }
        for local in locals {
            local.leak.side_effect_of = Some(Arc::clone(threads));
        }
    }

    /// Whether frames hold most of these objects, and each of about as many threads as are new holds its part.
    fn is_of_frames(&self, items: &[NodeId], new_threads: f64) -> bool {
        let graph = self.holders.graph();
        let thread_of = |item: NodeId| {
            let root = std::iter::successors(Some(item), |&node| self.holders.paths().parent(node)).last()?;
            match graph.root(root)?.kind {
                RootKind::Frame { thread, .. } | RootKind::Thread(thread) => Some(thread),
                _ => None,
            }
        };
        let held: Vec<usize> = items.iter().filter_map(|&item| thread_of(item)).collect();
        let threads: HashSet<usize> = held.iter().copied().collect();
        // The items are a sample.
        let wanted = new_threads.min(held.len() as f64);
        !held.is_empty() && held.len() * 5 >= items.len() * 4 && threads.len() as f64 * 2.0 >= wanted
    }
}

/// The function that most threads run: the outermost one outside the standard library, or else the outermost one outside `threading`; `None`
/// if most have none.
pub(super) fn most_run_function<M: Memory>(
    holders: &Holders<'_>,
    names: &mut NameReader<'_, '_, M>,
) -> Option<Arc<str>> {
    let graph = holders.graph();
    // By thread: its function, and whether that is the program's own.
    let mut of_threads: BTreeMap<usize, Option<(Arc<str>, bool)>> = BTreeMap::new();
    for root in graph.roots() {
        let RootKind::Frame { at, thread } = root.kind else { continue };
        let known = of_threads.entry(thread).or_default();
        let Some((module, name)) = names.function_of_frame(at) else { continue };
        let is_own = module.as_ref().is_some_and(|module| !holders.modules().is_standard(module));
        let is_of_threading = module.as_ref().is_none_or(|module| &**module == THREADING);
        if is_own || !is_of_threading && known.as_ref().is_none_or(|&(_, is_own)| !is_own) {
            *known = Some((qualified_name(module.as_deref(), &name).into(), is_own));
        }
    }
    most_common(of_threads.into_values().map(|known| known.map(|(name, _)| name)))?
}

/// The most frequent value.
pub(super) fn most_common<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(_, count)| count).map(|(one, _)| one)
}
