//! Sizes of objects of CPython's core.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::sizer::ObjectSizer;
use crate::heap::instance;
use crate::layout::encoding::{GetsizeofPrefix, LongEncoding};
use crate::object::dict::KeysTable;
use crate::object::memory_ext::MemoryExt;
use crate::object::str_header::StrHeader;

impl<M: Memory> ObjectSizer<'_, '_, M> {
    /// `type___sizeof___impl`.
    pub fn type_object(&self) -> Result<u64, Unreadable> {
        if !self.python.read_is_heap_type(self.at)? {
            return Ok(self.layout.type_object.size.into());
        }
        let keys = self.pointer(self.layout.heap_type_object.ht_cached_keys)?;
        let keys = if keys.is_null() { 0 } else { KeysTable::read(self.memory, self.layout, keys)?.bytes };
        Ok(u64::from(self.layout.heap_type_object.size).saturating_add(keys))
    }

    /// `int___sizeof___impl`: until 3.10 no digit for 0; from 3.12 on by the type's own size.
    pub fn int(&self) -> Result<u64, Unreadable> {
        let layout = self.layout;
        let head = u64::from(layout.long_object.ob_digit);
        let (head, least) = match (layout.encodings.long, layout.encodings.getsizeof_prefix) {
            (LongEncoding::LvTag, _) => (self.ty.basicsize, 1),
            (LongEncoding::SizeDigits, GetsizeofPrefix::PerObject) => (head, 0),
            (LongEncoding::SizeDigits, _) => (head, 1),
        };
        let digits = instance::read_item_count(self.python, self.at, self.ty)?.max(least);
        Ok(digits.saturating_mul(layout.long_object.digit_size.into()).saturating_add(head))
    }

    /// `unicode_sizeof`: by the structs' sizes, so that what a class adds is not counted.
    pub fn str(&self) -> Result<u64, Unreadable> {
        let (memory, layout) = (self.memory, self.layout);
        let head = StrHeader::read(memory, layout, self.at)?;
        let room = |kind: u64| head.length.saturating_add(1).saturating_mul(kind);
        if head.compact && head.ascii {
            let size = u64::from(layout.ascii_object.size).saturating_add(room(1));
            return Ok(size.saturating_add(self.wide_copy(&head)?));
        }
        let mut size = if head.compact {
            u64::from(layout.compact_unicode_object.size).saturating_add(room(head.kind))
        } else {
            let data = self.pointer(layout.unicode_object.data)?;
            let data = if data.is_null() { 0 } else { room(head.kind) };
            u64::from(layout.unicode_object.size).saturating_add(data)
        };
        size = size.saturating_add(self.wide_copy(&head)?);
        let utf8 = self.pointer(layout.compact_unicode_object.utf8)?;
        if !utf8.is_null() && utf8 != head.read_data(memory, layout, self.at)? {
            let length = self.count(layout.compact_unicode_object.utf8_length)?;
            size = size.saturating_add(length).saturating_add(1);
        }
        Ok(size)
    }

    /// The copy of a string as `wchar_t` (`_PyUnicode_HAS_WSTR_MEMORY`, 3.11 and older).
    fn wide_copy(&self, head: &StrHeader) -> Result<u64, Unreadable> {
        let Some(wide) = self.layout.ascii_object.wstr else { return Ok(0) };
        let wide = self.pointer(wide)?;
        if wide.is_null() || (head.ready && wide == head.read_data(self.memory, self.layout, self.at)?) {
            return Ok(0);
        }
        let length = match self.layout.compact_unicode_object.wstr_length {
            Some(length) if !(head.ascii && head.compact) => self.count(length)?,
            _ => head.length,
        };
        Ok(length.saturating_add(1).saturating_mul(4))
    }

    /// `_PyDict_SizeOf`.
    pub fn dict(&self) -> Result<u64, Unreadable> {
        let table = self.pointer(self.layout.dict_object.ma_keys)?;
        let keys = KeysTable::read(self.memory, self.layout, table)?;
        let values = self.pointer(self.layout.dict_object.ma_values)?;
        let values = if values.is_null() { 0 } else { keys.shared_room };
        let table = if keys.refcount == 1 { keys.bytes } else { 0 };
        Ok(self.plus(values.saturating_mul(8)).saturating_add(table))
    }

    /// `odict_sizeof`.
    pub fn ordered_dict(&self) -> Result<u64, Unreadable> {
        let known = &self.layout.odict_object;
        let slots = self.count(known.od_fast_nodes_size)?;
        let first = self.pointer(known.od_first)?;
        let nodes = if first.is_null() { 0 } else { self.count(self.layout.dict_object.ma_used)? };
        let nodes = nodes.saturating_mul(self.layout.odict_node.size.into());
        Ok(self.dict()?.saturating_add(slots.saturating_mul(8)).saturating_add(nodes))
    }

    /// `set_sizeof`.
    pub fn set(&self) -> Result<u64, Unreadable> {
        let known = &self.layout.set_object;
        if self.pointer(known.table)? == self.at.plus(known.smalltable.into()) {
            return Ok(self.ty.basicsize);
        }
        let slots = self.count(known.mask)?.saturating_add(1);
        Ok(self.plus(slots.saturating_mul(self.layout.set_entry.size.into())))
    }

    /// `deque___sizeof___impl`.
    pub fn deque(&self) -> Result<u64, Unreadable> {
        let left = self.count(self.layout.deque_object.leftindex)?;
        let slots = left.saturating_add(self.length_of(self.at)?);
        let blocks = slots.div_ceil(u64::from(self.layout.deque_block.data_count).max(1));
        Ok(self.plus(blocks.saturating_mul(self.layout.deque_block.size.into())))
    }

    /// `bytearray_sizeof`.
    pub fn bytearray(&self) -> Result<u64, Unreadable> {
        let known = &self.layout.bytearray_object;
        let allocated = known.ob_alloc.map_or(Ok(0), |allocated| self.count(allocated))?;
        // Since 3.15 the bytes are in a `bytes` object of its own.
        let head = if known.ob_bytes_object.is_some() && allocated > 0 { self.bytes_head() } else { 0 };
        Ok(self.plus(allocated.saturating_add(head)))
    }

    /// `code_sizeof` (`Objects/codeobject.c`).
    pub fn code(&self) -> Result<u64, Unreadable> {
        let (memory, layout) = (self.memory, self.layout);
        let known = &layout.code_object;
        let mut size = self.default()?.checked_next_multiple_of(8).unwrap_or(u64::MAX);
        if let (Some(cell2arg), Some(cells)) = (known.co_cell2arg, known.co_cellvars) {
            let cells = self.pointer(cells)?;
            if !self.pointer(cell2arg)?.is_null() && !cells.is_null() {
                size = size.saturating_add(self.length_of(cells)?.saturating_mul(8));
            }
        }
        let extra = self.pointer(known.co_extra)?;
        if !extra.is_null() {
            let extras = memory.read_count(extra, layout.code_extra.ce_size)?;
            size = size
                .saturating_add(layout.code_extra.ce_extras.into())
                .saturating_add(extras.saturating_mul(8));
        }
        if let (Some(cache), Some(count), Some(code), Some(of_cache)) =
            (known.co_opcache, known.co_opcache_size, known.co_code, &layout.opcache)
            && !self.pointer(cache)?.is_null()
        {
            let entries = u64::from(memory.read_byte(self.at, count)?);
            let instructions = self.length_of(self.pointer(code)?)? / 2;
            size = size
                .saturating_add(entries.saturating_mul(of_cache.size.into()))
                .saturating_add(instructions);
        }
        Ok(size)
    }

    /// `frame_sizeof` (`Objects/frameobject.c`).
    pub fn frame(&self) -> Result<u64, Unreadable> {
        let (memory, layout) = (self.memory, self.layout);
        let known = &layout.frame_object;
        if let (Some(inner), Some(data), Some(frame)) =
            (known.f_frame, known._f_frame_data, &layout.interpreter_frame)
        {
            let code = memory.read_pointer(self.pointer(inner)?, frame.executable)?.clear_bits(3);
            return self.frame_data(data, frame.localsplus, code);
        }
        let Some(code) = known.f_code else { return Ok(known.size.into()) };
        let code = self.pointer(code)?;
        let of_code = &layout.code_object;
        let stack = self.unsigned(code, of_code.co_stacksize)?;
        let mut slots = stack.saturating_add(self.unsigned(code, of_code.co_nlocals)?);
        for names in [of_code.co_cellvars, of_code.co_freevars].into_iter().flatten() {
            slots = slots.saturating_add(self.length_of(memory.read_pointer(code, names)?)?);
        }
        // The struct has room for one.
        Ok(u64::from(known.size).saturating_add(slots.saturating_mul(8)).saturating_sub(8))
    }

    /// `gen_sizeof` (`Objects/genobject.c`, 3.11 and newer).
    pub fn generator(&self) -> Result<u64, Unreadable> {
        let known = &self.layout.gen_object;
        let (Some(inner), Some(frame)) = (known.gi_iframe, &self.layout.interpreter_frame) else {
            return self.default();
        };
        let code = match known.gi_code {
            Some(code) => self.pointer(code)?,
            None => self.memory.read_pointer(self.at.plus(inner.into()), frame.executable)?.clear_bits(3),
        };
        self.frame_data(inner, frame.localsplus, code)
    }

    /// A struct that ends in a frame at `frame`, whose slots begin at `localsplus` (`_PyFrame_NumSlotsForCodeObject`).
    fn frame_data(&self, frame: u32, localsplus: u32, code: Addr) -> Result<u64, Unreadable> {
        let known = &self.layout.code_object;
        let slots = if let Some(size) = known.co_framesize {
            self.unsigned(code, size)?.saturating_sub(u64::from(localsplus) / 8)
        } else {
            let locals = known.co_nlocalsplus.map_or(Ok(0), |locals| self.unsigned(code, locals))?;
            locals.saturating_add(self.unsigned(code, known.co_stacksize)?)
        };
        Ok(u64::from(frame).saturating_add(localsplus.into()).saturating_add(slots.saturating_mul(8)))
    }

    /// A member of type `int` that is not negative.
    fn unsigned(&self, at: Addr, member: u32) -> Result<u64, Unreadable> {
        Ok(u64::try_from(self.memory.read_int(at, member)?).unwrap_or(0))
    }
}
