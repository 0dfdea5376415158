//! The functions of threads that pile up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::holders::Holders;
use crate::names::{NameReader, qualified_name};
use crate::object_graph::RootKind;
use memobj_process::memory::Memory;

/// The module of the thread class.
pub(super) const THREADING: &str = "threading";

/// The function that most threads run: the outermost one outside the standard library, or else the innermost.
pub(super) fn most_run_function<M: Memory>(
    holders: &Holders<'_>,
    names: &mut NameReader<'_, '_, M>,
) -> Option<Arc<str>> {
    let graph = holders.graph();
    // By thread: its function, and whether that is the program's own.
    let mut of_threads: BTreeMap<usize, (Arc<str>, bool)> = BTreeMap::new();
    for root in graph.roots() {
        let RootKind::Frame { at, thread } = root.kind else { continue };
        let Some((module, name)) = names.function_of_frame(at) else { continue };
        let is_own = module.as_ref().is_some_and(|module| !holders.modules().is_standard(module));
        if is_own || !of_threads.contains_key(&thread) {
            of_threads.insert(thread, (qualified_name(module.as_deref(), &name).into(), is_own));
        }
    }
    most_common(of_threads.into_values().map(|(name, _)| name))
}

/// The most frequent value.
pub(super) fn most_common<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(_, count)| count).map(|(one, _)| one)
}
