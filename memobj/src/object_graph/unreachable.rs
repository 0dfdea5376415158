//! Classifies unreachable objects by their reference counts: cyclic garbage, held by native code, no known referrer.
use std::rc::Rc;

use common::record::Liveness;
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::referents::EdgeKind;
use memobj_cpython::heap::types::TypeRegistry;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::refcounts::read_count;
use super::roots::RootKind;
use super::{ObjectGraph, read_references};
use crate::graph::{Graph, NodeId, TooLarge};

impl ObjectGraph<'_> {
    /// Classifies the objects that the roots do not reach, and adds roots for native code and for unknown referrers.
    pub(super) fn classify_unreachable<M: Memory>(
        &mut self,
        python: &PythonHeap<'_, M>,
    ) -> Result<(), TooLarge> {
        // Objects without another mark are garbage in the end.
        let mut liveness = vec![Liveness::Garbage; self.objects()];
        let lists = self.garbage_lists(python);
        let through = |from: NodeId| !lists.contains(&from);
        mark(&self.references, &mut liveness, Liveness::Held, self.root_nodes(), through);
        if liveness.iter().all(|&liveness| liveness == Liveness::Held) {
            self.liveness = liveness;
            return Ok(());
        }
        let unreached: Vec<NodeId> = (0..)
            .zip(&liveness)
            .filter(|&(_, &liveness)| liveness != Liveness::Held)
            .map(|(node, _)| NodeId(node))
            .collect();
        let found = self.count_references(python, &unreached, &lists);
        let uncollectable = lists.iter().flat_map(|&list| self.references.targets(list)).copied().collect();
        mark(&self.references, &mut liveness, Liveness::Uncollectable, uncollectable, |_| true);
        let (mut native, mut unreferred) = (Vec::new(), Vec::new());
        for &node in &unreached {
            if liveness.get(node.index()) != Some(&Liveness::Garbage) {
                continue;
            }
            let found = found.get(node.index()).copied().unwrap_or(0);
            // Reference counts of untracked objects say little: strings are interned, numbers cached.
            let is_meaningful = found == 0 || self.type_of(node).is_some_and(|of| of.is_gc());
            let Some(at) = self.address(node).filter(|_| is_meaningful) else { continue };
            let counted = read_count(python.memory, python.layout, at).unwrap_or(Some(0));
            if counted.is_none_or(|counted| counted > u64::from(found)) {
                let into = if found == 0 { &mut unreferred } else { &mut native };
                into.push(node);
            }
        }
        mark(&self.references, &mut liveness, Liveness::Native, native.clone(), |_| true);
        mark(&self.references, &mut liveness, Liveness::Unreferred, unreferred.clone(), |_| true);
        self.liveness = liveness;
        self.add_root(RootKind::Native, native)?;
        self.add_root(RootKind::Unknown, unreferred)
    }

    /// The lists that are `gc.garbage`.
    fn garbage_lists<M: Memory>(&self, python: &PythonHeap<'_, M>) -> Vec<NodeId> {
        let garbage = python.layout.gc_state.garbage;
        let mut lists: Vec<NodeId> = python
            .gc_states()
            .into_iter()
            .filter_map(|gc| python.memory.read_pointer(gc, garbage).ok())
            .filter_map(|list| self.node(list))
            .collect();
        lists.dedup();
        lists
    }

    /// Counts the references from unreachable objects and from those lists to each object.
    fn count_references<M: Memory>(
        &self,
        python: &PythonHeap<'_, M>,
        unreached: &[NodeId],
        lists: &[NodeId],
    ) -> Vec<u32> {
        let mut found = vec![0_u32; self.objects()];
        let mut types = TypeRegistry::new(python);
        for &node in unreached.iter().chain(lists) {
            let Some(at) = self.address(node) else { continue };
            let Some(of) = types.type_of(at).and_then(|id| types.get(id)).map(Rc::clone) else { continue };
            read_references(&mut types, at, &of, &mut |to: Addr, kind| {
                // A guess may be a pointer that no reference count includes.
                if !matches!(kind, EdgeKind::Guessed | EdgeKind::Stack)
                    && let Some(count) = self.node(to).and_then(|to| found.get_mut(to.index()))
                {
                    *count = count.saturating_add(1);
                }
            });
        }
        found
    }
}

/// Marks all objects that are still garbage and reached from these nodes, through nodes for which `through` is true.
fn mark(
    graph: &Graph,
    liveness: &mut [Liveness],
    mark: Liveness,
    from: Vec<NodeId>,
    through: impl Fn(NodeId) -> bool,
) {
    let objects = liveness.len();
    let mut stack = Vec::new();
    let mut visit = |node: NodeId, stack: &mut Vec<NodeId>| {
        if let Some(place) = liveness.get_mut(node.index()).filter(|place| **place == Liveness::Garbage) {
            *place = mark;
            stack.push(node);
        } else if node.index() >= objects {
            stack.push(node);
        }
    };
    for node in from {
        visit(node, &mut stack);
    }
    while let Some(node) = stack.pop() {
        if !through(node) {
            continue;
        }
        for &to in graph.targets(node) {
            visit(to, &mut stack);
        }
    }
}
