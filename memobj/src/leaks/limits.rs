//! The limit of a growing container: of a cache or queue of the standard library, or by the attributes of the object that owns it.

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::memory::Memory;

use super::find::LeakFinder;
use crate::caches;
use crate::graph::NodeId;
use crate::names::NameReader;

/// Steps up the path in which the owner of a container is searched: its dict, the instance, and one container between.
const NEAR: usize = 4;
/// A limit that takes longer to reach, in minutes, is no bound in practice. It is only a guess that the attribute limits this container.
const MAX_REACH: f64 = 24.0 * 60.0;

impl LeakFinder<'_, '_> {
    /// The limit of a container that has `entries_per_minute` more entries; `None` if no limit is known.
    pub(super) fn limit<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        container: NodeId,
        entries_per_minute: f64,
    ) -> Option<u64> {
        let graph = self.holders.graph();
        let entries = names.entries(graph.address(container)?)?;
        let above = std::iter::successors(Some(container), |&node| self.holders.paths().parent(node));
        above.take(NEAR).find_map(|node| {
            let at = graph.address(node)?;
            let of = graph.type_of(node)?;
            let layout = names.python().layout;
            let offset = match of.kind {
                Some(Builtin::LruCache) => Some(layout.lru_cache_object.maxsize),
                Some(Builtin::Deque) => Some(layout.deque_object.maxlen),
                _ => None,
            };
            if let Some(offset) = offset {
                let limit = names.python().memory.read_signed(at, offset).ok()?;
                // −1: there is none.
                return u64::try_from(limit).ok();
            }
            let limit = match of.kind {
                Some(Builtin::Module) => caches::limit_in_module(names, at, graph.address(container)?)?,
                _ if of.class.is_some() && !of.is_metatype() => caches::limit_of_owner(names, at, entries)?,
                _ => return None,
            };
            let reach = limit.saturating_sub(entries) as f64 / entries_per_minute.max(f64::MIN_POSITIVE);
            (limit >= entries && reach <= MAX_REACH).then_some(limit)
        })
    }
}
