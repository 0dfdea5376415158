//! The program's own code in the entries of a leak: what a timer calls, what a thread runs, the function that is kept.
//!
//! The container may belong to a library, and so may the type of its entries. Then this code is what leads to the program.

use std::collections::{BTreeMap, HashSet};

use common::record::CodeLine;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt as _;
use memobj_cpython::runtime::frame::read_definition;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::find::LeakFinder;
use super::threads::most_common;
use crate::graph::NodeId;
use crate::names::{NameReader, code_line};
use crate::object_graph::RootKind;

/// Objects that are followed from an entry, and references of each.
const MAX_FOLLOWED: usize = 256;
const MAX_WIDTH: usize = 32;
/// Frames of threads that are followed.
const MAX_FRAMES: usize = 1024;

impl LeakFinder<'_, '_> {
    /// The function of the program that most of these entries are or lead to, with its first line.
    pub(super) fn entry_code<M: Memory>(
        &self,
        names: &mut NameReader<'_, '_, M>,
        entries: impl Iterator<Item = NodeId>,
    ) -> Option<CodeLine> {
        most_of(entries.map(|entry| self.code_of_entry(names, entry)).collect())
    }

    /// The function of the program that most threads run or will call, with its first line.
    pub(super) fn thread_code<M: Memory>(&self, names: &mut NameReader<'_, '_, M>) -> Option<CodeLine> {
        let mut of_threads: BTreeMap<usize, Option<CodeLine>> = BTreeMap::new();
        // The newest threads come last.
        for root in self.holders.graph().roots().iter().rev().take(MAX_FRAMES) {
            let RootKind::Frame { thread, .. } = root.kind else { continue };
            let code = of_threads.entry(thread).or_default();
            if code.is_none() {
                *code = self.code_of_entry(names, root.node);
            }
        }
        most_of(of_threads.into_values().collect())
    }

    /// The function of the program that is nearest to an entry, by what came with it.
    fn code_of_entry<M: Memory>(&self, names: &mut NameReader<'_, '_, M>, entry: NodeId) -> Option<CodeLine> {
        let graph = self.holders.graph();
        let kind = |node: NodeId| graph.type_of(node).and_then(|of| of.kind);
        let is_new = |node: NodeId| self.generations.first_seen(node) > 0;
        let (mut met, mut queue) = (HashSet::from([entry]), vec![entry]);
        let mut next = 0;
        while let Some(&node) = queue.get(next) {
            next += 1;
            let is_function = kind(node) == Some(Builtin::Function);
            if is_function && let Some(line) = function_line(names, graph.address(node)?) {
                return Some(line);
            }
            // A function leads to its globals, and these to everything.
            let is_inside = |to: NodeId| match kind(to) {
                Some(Builtin::Function | Builtin::Tuple) => true,
                Some(Builtin::Module | Builtin::Type | Builtin::Frame | Builtin::Code) => false,
                Some(Builtin::Dict) => is_new(to),
                _ => !is_function && is_new(to) || graph.type_of(to).is_some_and(|of| of.name() == "method"),
            };
            for &to in graph.references().targets(node).iter().take(MAX_WIDTH) {
                if met.len() < MAX_FOLLOWED && is_inside(to) && met.insert(to) {
                    queue.push(to);
                }
            }
        }
        None
    }
}

/// The value that more than half have.
fn most_of(all: Vec<Option<CodeLine>>) -> Option<CodeLine> {
    let half = all.len() / 2;
    let most = most_common(all.iter().flatten())?.clone();
    (all.iter().flatten().filter(|line| **line == most).count() > half).then_some(most)
}

/// The first line of a function, if it is the program's.
fn function_line<M: Memory>(names: &NameReader<'_, '_, M>, function: Addr) -> Option<CodeLine> {
    let python = names.python();
    let code = python.memory.read_pointer(function, python.layout.function_object.func_code).ok()?;
    read_definition(names.objects(), code).map(code_line).filter(|line| !line.is_library())
}
