//! The garbage collector's lists: tracked objects, and objects frozen by `gc.freeze`.
//!
//! Facts: `Include/internal/pycore_gc.h`, and `gc_list_*` in `Modules/gcmodule.c` and `PythonHeap/gc.c`.

use crate::layout::encoding::GcLists;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::python_heap::PythonHeap;
use crate::object::memory_ext::MemoryExt;

/// The low bits of a link, in which the collector keeps marks.
const MARKS: u64 = 3;
/// The number of generations.
const GENERATIONS: u64 = 3;

/// A list of the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcList {
    /// Its head, a link like that of an object.
    pub head: Addr,
    /// Whether its objects were frozen (`gc.freeze`): `gc.get_objects` does not give them.
    pub permanent: bool,
}

/// The result of following a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcListWalk {
    /// Its objects.
    pub objects: u64,
    /// Links whose back link points elsewhere, or that could not be followed: in flux, or broken.
    pub broken: u64,
}

impl<M: Memory> PythonHeap<'_, M> {
    /// The addresses of the collectors' states: one of each interpreter, or one of all (3.8).
    pub fn gc_states(&self) -> Vec<Addr> {
        let layout = self.layout;
        match (layout.interpreter_state.gc, layout.runtime_state.gc) {
            (Some(gc), _) => self.interpreters.iter().map(|at| at.plus(u64::from(gc))).collect(),
            (None, Some(gc)) => vec![self.runtime.plus(u64::from(gc))],
            (None, None) => Vec::new(),
        }
    }

    /// The lists, the youngest generation first; none for free-threaded builds.
    pub fn gc_lists(&self) -> Vec<GcList> {
        let known = &self.layout.gc_state;
        let generation = &self.layout.gc_generation;
        let mut lists = Vec::new();
        for state in self.gc_states() {
            let mut add = |at: u32, index: u64, permanent| {
                let head = state.plus(u64::from(at)).plus(index.wrapping_mul(generation.size.into()));
                lists.push(GcList { head: head.plus(u64::from(generation.head)), permanent });
            };
            match self.layout.encodings.gc_lists {
                GcLists::Generations => {
                    if let Some(generations) = known.generations {
                        (0..GENERATIONS).for_each(|index| add(generations, index, false));
                    }
                }
                GcLists::YoungOld => {
                    if let (Some(young), Some(old)) = (known.young, known.old) {
                        add(young, 0, false);
                        add(old, 0, false);
                        add(old, 1, false);
                    }
                }
                GcLists::MimallocPages => continue,
            }
            add(known.permanent_generation, 0, true);
        }
        lists
    }

    /// Calls `each` with the objects of a list, until it returns false: the object was there before.
    ///
    /// Each link is compared with its back link. A broken one is counted, and followed nevertheless.
    pub fn read_gc_list(&self, list: GcList, mut each: impl FnMut(Addr) -> bool) -> GcListWalk {
        let known = &self.layout.gc_head;
        let mut followed = GcListWalk::default();
        let mut last = list.head;
        loop {
            let Ok(next) = self.memory.read_pointer(last, known._gc_next) else {
                followed.broken = followed.broken.saturating_add(1);
                break;
            };
            let next = next.clear_bits(MARKS);
            match self.memory.read_pointer(next, known._gc_prev) {
                Ok(back) if back.clear_bits(MARKS) == last => {}
                _ => followed.broken = followed.broken.saturating_add(1),
            }
            if next == list.head {
                break;
            }
            if !each(next.plus(u64::from(known.size))) {
                followed.broken = followed.broken.saturating_add(1);
                break;
            }
            followed.objects = followed.objects.saturating_add(1);
            last = next;
        }
        followed
    }
}
