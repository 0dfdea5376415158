//! What a `class` statement adds to the objects of a type: slots, a dict or values, a reference to the class.
//!
//! Facts: `subtype_traverse` in `Objects/typeobject.c`; `_PyObject_VisitInstanceAttributes` (3.11), `_PyObject_VisitManagedDict`
//! (3.12), `PyObject_VisitManagedDict` (3.13) in `Objects/dictobject.c`; `Include/internal/pycore_object.h`.

use crate::layout::encoding::{InstanceAttributes, VisitedFirst};
use crate::layout::flags;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::reader::{EdgeKind, EdgeSink, ReadResult, ReferenceReader};
use crate::heap::instance;
use crate::heap::types::{Class, Type};
use crate::object::dict::KeysTable;
use crate::object::memory_ext::MemoryExt;

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    #[inline]
    pub(super) fn read_class_part(
        &mut self,
        at: Addr,
        ty: &Type,
        class: &Class,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        for &slot in &class.slots {
            self.read_member(at, slot, EdgeKind::Visited, sink)?;
        }
        if class.dict {
            if ty.flags & flags::MANAGED_DICT != 0 {
                self.read_managed_dict(at, ty, sink)?;
            } else if let Some(dict) = instance::read_dict_slot(self.python, at, ty)? {
                self.read_member(dict, 0, EdgeKind::Visited, sink)?;
            }
        }
        if class.visits_type {
            sink.edge(ty.at, EdgeKind::Visited);
        }
        Ok(())
    }

    /// The attributes of an object whose dict the interpreter manages.
    #[inline]
    pub(super) fn read_managed_dict(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        match layout.encodings.instance_attributes {
            InstanceAttributes::DictOffset => Ok(()),
            InstanceAttributes::ValuesAndDict { values_before, dict_before } => {
                let array = memory.read_pointer(at.minus(u64::from(values_before)), 0)?;
                if !array.is_null() {
                    self.read_values(ty, array, sink)?;
                }
                self.read_member(at.minus(u64::from(dict_before)), 0, EdgeKind::Visited, sink)
            }
            InstanceAttributes::TaggedWord { word_before, .. } => {
                let word = memory.read_word(at.minus(u64::from(word_before)), 0)?;
                if word & 1 != 0 {
                    self.read_values(ty, Addr(word.wrapping_add(1)), sink)
                } else {
                    sink.edge(Addr(word), EdgeKind::Visited);
                    Ok(())
                }
            }
            InstanceAttributes::InlineValues { dict_before, first, .. } => {
                let dict = memory.read_pointer(at.minus(u64::from(dict_before)), 0)?;
                if ty.flags & flags::INLINE_VALUES != 0 && (first == VisitedFirst::Values || dict.is_null()) {
                    let values = instance::InlineValues::read(self.python, at, ty)?;
                    if values.valid {
                        return self.read_array(values.first, values.capacity, sink);
                    }
                }
                sink.edge(dict, EdgeKind::Visited);
                Ok(())
            }
        }
    }

    /// The dict that was made of an object's inline values, where `tp_traverse` visits the values instead. The object holds it all the same.
    pub(super) fn read_unvisited_dict(
        &mut self,
        at: Addr,
        ty: &Type,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        let InstanceAttributes::InlineValues { dict_before, first: VisitedFirst::Values, .. } =
            self.python.layout.encodings.instance_attributes
        else {
            return Ok(());
        };
        let managed = flags::MANAGED_DICT | flags::INLINE_VALUES;
        if ty.flags & managed != managed || !instance::InlineValues::read(self.python, at, ty)?.valid {
            return Ok(());
        }
        self.read_member(at.minus(u64::from(dict_before)), 0, EdgeKind::Hidden, sink)
    }

    /// Reads the values at `array`: one for each name in the class.
    fn read_values(&mut self, ty: &Type, array: Addr, sink: &mut impl EdgeSink) -> ReadResult {
        let layout = self.python.layout;
        let keys = self.memory().read_pointer(ty.at, layout.heap_type_object.ht_cached_keys)?;
        if keys.is_null() {
            return Ok(());
        }
        let names = KeysTable::read(self.memory(), layout, keys)?.used;
        let first = crate::object::dict::first_value(layout, array);
        self.read_array(first, names, sink)
    }
}
