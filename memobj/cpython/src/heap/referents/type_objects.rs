//! Classes, and modules.
//!
//! Facts: `type_traverse` in `Objects/typeobject.c`, `module_traverse` in `Objects/moduleobject.c`.

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::reader::{EdgeKind, EdgeSink, ReadResult, ReferenceReader};
use crate::heap::types::Type;
use crate::object::dict::KeysTable;
use crate::object::memory_ext::MemoryExt;

/// Bytes of a module's state that are searched at most: more than any module has.
const MAX_STATE: u64 = 1 << 20;

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    /// `type_traverse`, of a type that was made at run time.
    pub(super) fn read_type(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let layout = self.python.layout;
        let known = &layout.type_object;
        let module = layout.heap_type_object.ht_module;
        let members = [
            Some(known.tp_dict),
            Some(known.tp_cache),
            Some(known.tp_mro),
            Some(known.tp_bases),
            Some(known.tp_base),
            module,
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)
    }

    /// Reads the references of a type that are not visited: its names and slots, and the names of its instances' attributes; of a static
    /// type all.
    pub(super) fn read_hidden_of_type(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let known = &layout.type_object;
        if self.python.read_is_heap_type(at)? {
            let heap = &layout.heap_type_object;
            let members = [heap.ht_name, heap.ht_qualname, heap.ht_slots, known.tp_subclasses].map(Some);
            self.read_members(at, members, EdgeKind::Hidden, sink)?;
            let keys = memory.read_pointer(at, heap.ht_cached_keys)?;
            if !keys.is_null() {
                KeysTable::read(memory, layout, keys)?
                    .read_entries(memory, |key, _| sink.edge(key, EdgeKind::Hidden))?;
            }
            return Ok(());
        }
        let members = [known.tp_base, known.tp_bases, known.tp_mro, known.tp_cache].map(Some);
        self.read_members(at, members, EdgeKind::Hidden, sink)?;
        sink.edge(self.python.read_type_dict(at)?, EdgeKind::Hidden);
        match self.python.read_static_state(at)? {
            Some(state) => sink.edge(state.subclasses, EdgeKind::Hidden),
            // If it is no index, it is a dict.
            None => {
                let subclasses = memory.read_pointer(at, known.tp_subclasses)?;
                if self.types.is_object(subclasses) {
                    sink.edge(subclasses, EdgeKind::Hidden);
                }
            }
        }
        Ok(())
    }

    /// `module_traverse`: the references of its state, if that has a traversal; then its dict.
    pub(super) fn read_module(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let known = &layout.module_object;
        let state = memory.read_pointer(at, known.md_state)?;
        let mut size = 0;
        if let Some(def) = known.md_def {
            let def = memory.read_pointer(at, def)?;
            if !def.is_null() && memory.read_word(def, layout.module_def.m_traverse)? != 0 {
                size = memory.read_count(def, layout.module_def.m_size)?;
            }
        } else if let (Some(state_size), Some(traverse)) = (known.md_state_size, known.md_state_traverse)
            && memory.read_word(at, traverse)? != 0
        {
            size = memory.read_count(at, state_size)?;
        }
        if !state.is_null() {
            // A state is a struct of the module's own.
            self.read_guessed_words(state, size.min(MAX_STATE) / 8, EdgeKind::Guessed, sink)?;
        }
        self.read_member(at, known.md_dict, EdgeKind::Visited, sink)
    }
}
