//! What is neither container nor code: XML elements, arrays of numpy, and code's own strings and constants.

use crate::layout::encoding::PickleMemo;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::reader::{EdgeKind, EdgeSink, ReadResult, ReferenceReader};
use crate::heap::builtins::Builtin;
use crate::heap::numpy;
use crate::heap::types::Type;
use crate::object::memory_ext::MemoryExt;

/// More items than any array of numpy has.
const MAX_ITEMS: u64 = 1 << 40;

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    /// `element_gc_traverse` (`Modules/_elementtree.c`). The low bit of its texts is a mark.
    pub(super) fn read_element(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let (Some(known), Some(of_extra)) = (&layout.element_object, &layout.element_extra) else {
            return Ok(());
        };
        for member in [known.tag, known.text, known.tail] {
            sink.edge(memory.read_pointer(at, member)?.clear_bits(1), EdgeKind::Visited);
        }
        let extra = memory.read_pointer(at, known.extra)?;
        if extra.is_null() {
            return Ok(());
        }
        self.read_member(extra, of_extra.attrib, EdgeKind::Visited, sink)?;
        let count = memory.read_count(extra, of_extra.length)?;
        let children = memory.read_pointer(extra, of_extra.children)?;
        self.read_array(children, count, sink)
    }

    /// `teedataobject_traverse` (`Modules/itertoolsmodule.c`).
    pub(super) fn read_tee_data(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let known = &self.python.layout.tee_data_object;
        self.read_member(at, known.it, EdgeKind::Visited, sink)?;
        let count = u64::try_from(memory.read_int(at, known.numread)?).unwrap_or(0);
        let room = u64::from(known.values_count);
        self.read_array(at.plus(u64::from(known.values)), count.min(room), sink)?;
        self.read_member(at, known.nextlink, EdgeKind::Visited, sink)
    }

    /// `CType_Type_traverse` (`Modules/_ctypes/_ctypes.c`, 3.13 and newer), `CDataType_traverse` before: as a type, and what
    /// `ctypes` keeps of it, behind the type itself or in its dict.
    pub(super) fn read_ctypes_type(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        if let Some(known) = &layout.ctypes_info {
            if let Some(info) = self.python.read_ctypes_info(at)? {
                let members = [
                    Some(known.proto),
                    Some(known.argtypes),
                    Some(known.converters),
                    Some(known.restype),
                    Some(known.checker),
                    known.module,
                    known.pointer_type,
                ];
                for member in members.into_iter().flatten() {
                    sink.edge(memory.read_pointer(info, member)?, EdgeKind::Visited);
                }
            }
        } else if let Some(known) = &layout.ctypes_dict {
            let dict = self.python.read_type_dict(at)?;
            let is_ours = self.types.type_of(dict).and_then(|id| self.types.get(id));
            if is_ours.is_some_and(|ty| ty.kind == Some(Builtin::CtypesDict)) {
                sink.edge(memory.read_pointer(dict, known.proto)?, EdgeKind::Visited);
            }
        }
        self.read_type(at, ty, sink)
    }

    /// `Pickler_traverse` (`Modules/_pickle.c`).
    pub(super) fn read_pickler(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let Some(known) = &layout.pickler else { return Ok(()) };
        let members = [
            Some(known.write),
            known.pers_func,
            known.persistent_id,
            known.persistent_id_attr,
            Some(known.dispatch_table),
            known.reducer_override,
            Some(known.fast_memo),
            known.buffer_callback,
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)?;
        let (Some(of_memo), Some(of_entry)) = (&layout.pickler_memo, &layout.pickler_memo_entry) else {
            return Ok(());
        };
        let memo = memory.read_pointer(at, known.memo)?;
        if layout.encodings.pickle_memo == PickleMemo::Silent || memo.is_null() {
            return Ok(());
        }
        let entries = memory.read_count(memo, of_memo.mt_allocated)?;
        let table = memory.read_pointer(memo, of_memo.mt_table)?;
        // An entry is the object's address and its number.
        let (words, key) = (u64::from(of_entry.size / 8).max(1), u64::from(of_entry.me_key / 8));
        let mut index = 0;
        memory.read_words(table, entries.saturating_mul(words), |word| {
            if index == key {
                sink.edge(Addr(word), EdgeKind::Visited);
            }
            index = if index.saturating_add(1) < words { index.saturating_add(1) } else { 0 };
        })
    }

    /// `Unpickler_traverse` (`Modules/_pickle.c`).
    pub(super) fn read_unpickler(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let Some(known) = &layout.unpickler else { return Ok(()) };
        let members = [
            Some(known.readline),
            known.readinto,
            Some(known.read),
            Some(known.peek),
            Some(known.stack),
            known.pers_func,
            known.persistent_load,
            known.buffers,
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)?;
        let memo = memory.read_pointer(at, known.memo)?;
        if layout.encodings.pickle_memo == PickleMemo::Silent || memo.is_null() {
            return Ok(());
        }
        self.read_array(memo, memory.read_count(at, known.memo_size)?, sink)
    }

    /// `code_traverse`: the constants, in free-threaded builds alone.
    pub(super) fn read_code(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        self.read_member(at, self.python.layout.code_object.co_consts, EdgeKind::Visited, sink)
    }

    /// Reads the callback of a weak reference (`gc_traverse` in `Objects/weakrefobject.c`).
    pub(super) fn read_weak_reference(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        self.read_member(at, self.python.layout.weakref_object.wr_callback, EdgeKind::Visited, sink)
    }

    /// `hamt_node_bitmap_traverse`, `hamt_node_collision_traverse` (`Python/hamt.c`).
    pub(super) fn read_hamt_items(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let layout = self.python.layout;
        let count = self.memory().read_count(at, layout.var_object.ob_size)?;
        self.read_array(at.plus(u64::from(layout.hamt_node_bitmap.b_array)), count, sink)
    }

    /// `hamt_node_array_traverse` (`Python/hamt.c`).
    pub(super) fn read_hamt_array(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let known = &self.python.layout.hamt_node_array;
        self.read_array(at.plus(u64::from(known.a_array)), u64::from(known.a_array_count), sink)
    }

    /// Reads the references of code. `tp_traverse` visits none of them, except the constants in free-threaded builds.
    pub(super) fn read_hidden_of_code(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let known = &self.python.layout.code_object;
        let members = [
            Some(known.co_consts),
            Some(known.co_names),
            known.co_code,
            known.co_varnames,
            known.co_freevars,
            known.co_cellvars,
            Some(known.co_filename),
            Some(known.co_name),
            known.co_qualname,
            Some(known.co_lnotab),
            known.co_exceptiontable,
            known.co_localsplusnames,
            known.co_localspluskinds,
            known._co_code,
        ];
        self.read_members(at, members, EdgeKind::Hidden, sink)?;
        if let (Some(cached), Some(of_cached)) = (known._co_cached, &self.python.layout.code_cached) {
            let cached = memory.read_pointer(at, cached)?;
            if !cached.is_null() {
                let of = of_cached;
                let members = [of._co_code, of._co_varnames, of._co_cellvars, of._co_freevars].map(Some);
                self.read_members(cached, members, EdgeKind::Hidden, sink)?;
            }
        }
        Ok(())
    }

    /// Reads the references of an array of numpy: its base, its item type, and its items if they are objects.
    ///
    /// Its struct is part of numpy's ABI (`PyArrayObject_fields` in `numpy/ndarraytypes.h`, 1.x and 2.x alike), and so is the
    /// number of a type of items (`type_num` in `PyArray_Descr`, `NPY_OBJECT` is 17).
    pub(super) fn read_numpy_array(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let head = self.python.layout.object.size;
        let Some(array) = numpy::NumpyArray::read(memory, head, at)? else { return Ok(()) };
        sink.edge(array.base, EdgeKind::Hidden);
        sink.edge(array.descr, EdgeKind::Hidden);
        if array.owns_objects(memory, head)? {
            memory.read_words(array.data, array.items.min(MAX_ITEMS), |item| {
                sink.edge(Addr(item), EdgeKind::Hidden)
            })?;
        }
        Ok(())
    }
}
