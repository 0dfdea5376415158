//! What is neither container nor code: XML elements, arrays of numpy, and code's own strings and constants.

use crate::addr::Addr;
use crate::memory::{Memory, Unreadable};

use super::super::access::Access;
use super::{EdgeKind, Reader, Sink};

/// The most items of an array of numpy. A bound, no fact: its memory ends before.
const MAX_ITEMS: u64 = 1 << 40;

impl<M: Memory> Reader<'_, '_, '_, M> {
    /// `element_gc_traverse` (`Modules/_elementtree.c`). The low bit of its texts is a mark.
    pub(super) fn read_element(&mut self, at: Addr, sink: &mut impl Sink) -> Result<(), Unreadable> {
        let memory = self.memory();
        let layout = self.python.layout;
        let (Some(known), Some(of_extra)) = (&layout.element_object, &layout.element_extra) else {
            return Ok(());
        };
        for member in [known.tag, known.text, known.tail] {
            sink.edge(memory.read_pointer(at, member)?.without(1), EdgeKind::Visited);
        }
        let extra = memory.read_pointer(at, known.extra)?;
        if extra.is_null() {
            return Ok(());
        }
        sink.edge(memory.read_pointer(extra, of_extra.attrib)?, EdgeKind::Visited);
        let count = memory.read_count(extra, of_extra.length)?;
        let children = memory.read_pointer(extra, of_extra.children)?;
        memory.read_words(children, count, |child| sink.edge(Addr(child), EdgeKind::Visited))
    }

    /// What code holds. The collector is not shown any of it, but for the constants in free-threaded builds.
    pub(super) fn read_code(&mut self, at: Addr, sink: &mut impl Sink) -> Result<(), Unreadable> {
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
        for member in members.into_iter().flatten() {
            sink.edge(memory.read_pointer(at, member)?, EdgeKind::Hidden);
        }
        if let (Some(cached), Some(of_cached)) = (known._co_cached, &self.python.layout.code_cached) {
            let cached = memory.read_pointer(at, cached)?;
            if !cached.is_null() {
                for member in [
                    of_cached._co_code,
                    of_cached._co_varnames,
                    of_cached._co_cellvars,
                    of_cached._co_freevars,
                ] {
                    sink.edge(memory.read_pointer(cached, member)?, EdgeKind::Hidden);
                }
            }
        }
        Ok(())
    }

    /// What an array of numpy holds: its base and its type of items; and its items, where these are objects.
    ///
    /// Its struct is part of numpy's ABI (`PyArrayObject_fields` in `numpy/ndarraytypes.h`, 1.x and 2.x alike), and so is the
    /// number of a type of items (`type_num` in `PyArray_Descr`, `NPY_OBJECT` is 17).
    pub(super) fn read_numpy_array(&mut self, at: Addr, sink: &mut impl Sink) -> Result<(), Unreadable> {
        let memory = self.memory();
        let head = self.python.layout.object.size;
        let Some(array) = super::super::numpy::Array::read(memory, head, at)? else { return Ok(()) };
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
