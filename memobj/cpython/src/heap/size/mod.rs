//! What an object weighs: exactly what `sys.getsizeof` says, and beside it what the object owns and `getsizeof` forgets.
//!
//! Facts: `_PySys_GetSizeOf` in `PythonHeap/sysmodule.c`, and the `__sizeof__` of each type, named where it is followed.

mod extensions;

pub(super) use extensions::read_ctypes_info;

use crate::layout::encoding::{GcHeader, GetsizeofPrefix, InstanceAttributes, SplitValues};
use crate::layout::flags;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::builtins::Builtin;
use super::instance;
use super::python_heap::PythonHeap;
use super::types::Type;
use crate::object::dict::KeysTable;
use crate::object::memory_ext::MemoryExt;
use crate::object::str_header::StrHeader;

/// What an object weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// As `sys.getsizeof` says.
    pub bytes: u64,
    /// What the object owns besides: the values of its attributes, where they are not in a dict.
    pub overhead_bytes: u64,
}

/// What the object at `at` weighs.
///
/// # Errors
/// If what is needed for that cannot be read.
#[inline]
pub fn read_size<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<Size, Unreadable> {
    let own = match of.sizeof {
        None => read_default_size(python, at, of)?,
        Some(kind) => read_builtin_size(python, at, of, kind)?,
    };
    let bytes = own.saturating_add(read_prefix(python, at, of)?);
    Ok(Size { bytes, overhead_bytes: read_overhead(python, at, of)? })
}

/// `object.__sizeof__`.
#[inline]
fn read_default_size<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    if of.itemsize <= 0 {
        return Ok(of.basicsize);
    }
    let items = instance::read_item_count(python, at, of)?;
    Ok(of.basicsize.saturating_add(items.saturating_mul(of.itemsize.unsigned_abs())))
}

/// What stands before an object and `getsizeof` counts in.
#[inline]
fn read_prefix<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    let layout = python.layout;
    let header = match layout.encodings.gc_header {
        GcHeader::Links => u64::from(layout.gc_head.size),
        GcHeader::Bits => 0,
    };
    let collected = match layout.encodings.getsizeof_prefix {
        // `tp_is_gc`, which only `type` has (`type_is_gc`): a static type is not the collector's.
        GetsizeofPrefix::PerObject | GetsizeofPrefix::ByTypeAndObject => {
            of.is_gc() && (!of.is_metatype() || is_heap_type(python, at)?)
        }
        GetsizeofPrefix::ByMetatype => of.is_gc(),
    };
    let mut prefix = if collected { header } else { 0 };
    let managed = match layout.encodings.instance_attributes {
        InstanceAttributes::DictOffset => 0,
        InstanceAttributes::ValuesAndDict { .. } => flags::MANAGED_DICT,
        InstanceAttributes::TaggedWord { .. } | InstanceAttributes::InlineValues { .. } => {
            flags::MANAGED_DICT | flags::MANAGED_WEAKREF
        }
    };
    if of.flags & managed != 0 {
        prefix += 16;
    }
    Ok(prefix)
}

#[inline]
fn is_heap_type<M: Memory>(python: &PythonHeap<'_, M>, at: Addr) -> Result<bool, Unreadable> {
    Ok(python.memory.read_word(at, python.layout.type_object.tp_flags)? & flags::HEAPTYPE != 0)
}

/// A `__sizeof__` of C.
fn read_builtin_size<M: Memory>(
    python: &PythonHeap<'_, M>,
    at: Addr,
    of: &Type,
    kind: Builtin,
) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    Ok(match kind {
        Builtin::Str => read_str(python, at)?,
        Builtin::Int => {
            let digits = instance::read_item_count(python, at, of)?;
            let known = &layout.long_object;
            // `int___sizeof___impl`: of 3.10 and older no digit for 0; of 3.12 and newer by the type's own size.
            let (head, least) = extensions::int_head(layout, of);
            digits.max(least).saturating_mul(u64::from(known.digit_size)).saturating_add(head)
        }
        // `list___sizeof___impl`.
        Builtin::List => plus_words(of, memory.read_count(at, layout.list_object.allocated)?),
        Builtin::Dict | Builtin::FrozenDict => read_dict(python, at, of)?,
        Builtin::OrderedDict => {
            // `odict_sizeof`.
            let known = &layout.odict_object;
            let slots = memory.read_count(at, known.od_fast_nodes_size)?;
            let first = memory.read_pointer(at, known.od_first)?;
            let nodes =
                if first.is_null() { 0 } else { memory.read_count(at, layout.dict_object.ma_used)? };
            read_dict(python, at, of)?
                .saturating_add(slots.saturating_mul(8))
                .saturating_add(nodes.saturating_mul(u64::from(layout.odict_node.size)))
        }
        Builtin::Set => {
            // `set_sizeof`.
            let known = &layout.set_object;
            let table = memory.read_pointer(at, known.table)?;
            if table == at.plus(u64::from(known.smalltable)) {
                of.basicsize
            } else {
                let slots = memory.read_count(at, known.mask)?.saturating_add(1);
                of.basicsize.saturating_add(slots.saturating_mul(u64::from(layout.set_entry.size)))
            }
        }
        // `type___sizeof___impl`.
        Builtin::Type if is_heap_type(python, at)? => {
            let keys = memory.read_pointer(at, layout.heap_type_object.ht_cached_keys)?;
            let keys = if keys.is_null() { 0 } else { KeysTable::read(memory, layout, keys)?.bytes };
            u64::from(layout.heap_type_object.size).saturating_add(keys)
        }
        Builtin::Type => u64::from(layout.type_object.size),
        Builtin::Code => read_code(python, at, of)?,
        Builtin::Frame => read_frame(python, at)?,
        Builtin::Generator | Builtin::Coroutine | Builtin::AsyncGenerator => read_generator(python, at, of)?,
        Builtin::Deque => {
            // `deque___sizeof___impl`.
            let length = memory.read_count(at, layout.var_object.ob_size)?;
            let left = memory.read_count(at, layout.deque_object.leftindex)?;
            let slots = u64::from(layout.deque_block.data_count).max(1);
            let blocks = left.saturating_add(length).div_ceil(slots);
            of.basicsize.saturating_add(blocks.saturating_mul(u64::from(layout.deque_block.size)))
        }
        Builtin::ByteArray => {
            // `bytearray_sizeof`.
            let known = &layout.bytearray_object;
            let more = match (known.ob_alloc, known.ob_bytes_object) {
                // Since 3.15 its bytes are in a `bytes` object of its own.
                (Some(allocated), bytes) => match memory.read_count(at, allocated)? {
                    0 => 0,
                    allocated if bytes.is_some() => allocated.saturating_add(bytes_head(python)),
                    allocated => allocated,
                },
                (None, _) => 0,
            };
            of.basicsize.saturating_add(more)
        }
        _ => extensions::read_builtin_size(python, at, of, kind)?,
    })
}

/// Bytes of a `bytes` object without its bytes: the head and the null at its end.
fn bytes_head<M: Memory>(python: &PythonHeap<'_, M>) -> u64 {
    u64::from(python.layout.bytes_object.ob_sval) + 1
}

/// A type's basic size and some words.
fn plus_words(of: &Type, words: u64) -> u64 {
    of.basicsize.saturating_add(words.saturating_mul(8))
}

/// `unicode_sizeof`: by the structs' sizes, so that what a class adds is not counted.
fn read_str<M: Memory>(python: &PythonHeap<'_, M>, at: Addr) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let head = StrHeader::read(memory, layout, at)?;
    let room = |kind: u32| head.length.saturating_add(1).saturating_mul(u64::from(kind));
    if head.compact && head.ascii {
        let size = u64::from(layout.ascii_object.size).saturating_add(room(1));
        return Ok(size.saturating_add(read_wide(python, at, &head)?));
    }
    let mut size = if head.compact {
        u64::from(layout.compact_unicode_object.size).saturating_add(room(head.kind))
    } else {
        let data = memory.read_pointer(at, layout.unicode_object.data)?;
        let data = if data.is_null() { 0 } else { room(head.kind) };
        u64::from(layout.unicode_object.size).saturating_add(data)
    };
    size = size.saturating_add(read_wide(python, at, &head)?);
    let utf8 = memory.read_pointer(at, layout.compact_unicode_object.utf8)?;
    if !utf8.is_null() && utf8 != head.read_data(memory, layout, at)? {
        let length = memory.read_count(at, layout.compact_unicode_object.utf8_length)?;
        size = size.saturating_add(length).saturating_add(1);
    }
    Ok(size)
}

/// The copy of a string as `wchar_t` (`_PyUnicode_HAS_WSTR_MEMORY`, 3.11 and older).
fn read_wide<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, head: &StrHeader) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let Some(wide) = layout.ascii_object.wstr else { return Ok(0) };
    let wide = memory.read_pointer(at, wide)?;
    if wide.is_null() || (head.ready && wide == head.read_data(memory, layout, at)?) {
        return Ok(0);
    }
    let length = match layout.compact_unicode_object.wstr_length {
        Some(length) if !(head.ascii && head.compact) => memory.read_count(at, length)?,
        _ => head.length,
    };
    Ok(length.saturating_add(1).saturating_mul(4))
}

/// `_PyDict_SizeOf`.
fn read_dict<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let table = memory.read_pointer(at, layout.dict_object.ma_keys)?;
    let keys = KeysTable::read(memory, layout, table)?;
    let values = memory.read_pointer(at, layout.dict_object.ma_values)?;
    let values = if values.is_null() { 0 } else { keys.shared_room };
    let table = if keys.refcount == 1 { keys.bytes } else { 0 };
    Ok(plus_words(of, values).saturating_add(table))
}

/// `code_sizeof` (`Objects/codeobject.c`).
fn read_code<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let known = &layout.code_object;
    let mut size = read_default_size(python, at, of)?.checked_next_multiple_of(8).unwrap_or(u64::MAX);
    if let (Some(cell2arg), Some(cells)) = (known.co_cell2arg, known.co_cellvars) {
        let cells = memory.read_pointer(at, cells)?;
        if !memory.read_pointer(at, cell2arg)?.is_null() && !cells.is_null() {
            size =
                size.saturating_add(memory.read_count(cells, layout.var_object.ob_size)?.saturating_mul(8));
        }
    }
    let extra = memory.read_pointer(at, known.co_extra)?;
    if !extra.is_null() {
        let extras = memory.read_count(extra, layout.code_extra.ce_size)?;
        size = size
            .saturating_add(u64::from(layout.code_extra.ce_extras))
            .saturating_add(extras.saturating_mul(8));
    }
    if let (Some(cache), Some(count), Some(code), Some(of_cache)) =
        (known.co_opcache, known.co_opcache_size, known.co_code, &layout.opcache)
        && !memory.read_pointer(at, cache)?.is_null()
    {
        let entries = u64::from(memory.read_byte(at, count)?);
        let bytecode = memory.read_pointer(at, code)?;
        let instructions = memory.read_count(bytecode, layout.var_object.ob_size)? / 2;
        size = size.saturating_add(entries * u64::from(of_cache.size)).saturating_add(instructions);
    }
    Ok(size)
}

/// `frame_sizeof` (`Objects/frameobject.c`).
fn read_frame<M: Memory>(python: &PythonHeap<'_, M>, at: Addr) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let known = &layout.frame_object;
    if let (Some(inner), Some(data), Some(frame)) =
        (known.f_frame, known._f_frame_data, &layout.interpreter_frame)
    {
        let code = memory.read_pointer(memory.read_pointer(at, inner)?, frame.executable)?.clear_bits(3);
        return Ok(u64::from(data)
            + u64::from(frame.localsplus)
            + read_slots(python, code)?.saturating_mul(8));
    }
    let Some(code) = known.f_code else { return Ok(u64::from(known.size)) };
    let code = memory.read_pointer(at, code)?;
    let of_code = &layout.code_object;
    let mut slots =
        read_unsigned(python, code, of_code.co_stacksize)? + read_unsigned(python, code, of_code.co_nlocals)?;
    for names in [of_code.co_cellvars, of_code.co_freevars].into_iter().flatten() {
        let names = memory.read_pointer(code, names)?;
        slots = slots.saturating_add(memory.read_count(names, layout.var_object.ob_size)?);
    }
    // The struct has room for one.
    Ok(u64::from(known.size).saturating_add(slots.saturating_mul(8)).saturating_sub(8))
}

/// `gen_sizeof` (`Objects/genobject.c`, 3.11 and newer).
fn read_generator<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let known = &layout.gen_object;
    let (Some(inner), Some(frame)) = (known.gi_iframe, &layout.interpreter_frame) else {
        return read_default_size(python, at, of);
    };
    let code = match known.gi_code {
        Some(code) => memory.read_pointer(at, code)?,
        None => memory.read_pointer(at.plus(u64::from(inner)), frame.executable)?.clear_bits(3),
    };
    Ok(u64::from(inner) + u64::from(frame.localsplus) + read_slots(python, code)?.saturating_mul(8))
}

/// How many slots a frame of some code has (`_PyFrame_NumSlotsForCodeObject`).
fn read_slots<M: Memory>(python: &PythonHeap<'_, M>, code: Addr) -> Result<u64, Unreadable> {
    let known = &python.layout.code_object;
    let head = python.layout.interpreter_frame.as_ref().map_or(0, |frame| u64::from(frame.localsplus / 8));
    if let Some(size) = known.co_framesize {
        return Ok(read_unsigned(python, code, size)?.saturating_sub(head));
    }
    let locals = known.co_nlocalsplus.map_or(Ok(0), |locals| read_unsigned(python, code, locals))?;
    Ok(locals + read_unsigned(python, code, known.co_stacksize)?)
}

/// A member of type `int` that is not negative.
fn read_unsigned<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, member: u32) -> Result<u64, Unreadable> {
    Ok(u64::try_from(python.memory.read_int(at, member)?).unwrap_or(0))
}

/// The values of attributes that are in no dict, and what stands around them (`new_values` and `init_inline_values` in
/// `Objects/dictobject.c`).
#[inline]
fn read_overhead<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    if of.flags & flags::MANAGED_DICT == 0 {
        return Ok(0);
    }
    let (memory, layout) = (python.memory, python.layout);
    let array = match layout.encodings.instance_attributes {
        InstanceAttributes::DictOffset => return Ok(0),
        InstanceAttributes::ValuesAndDict { values_before, .. } => {
            memory.read_pointer(at.minus(u64::from(values_before)), 0)?
        }
        InstanceAttributes::TaggedWord { word_before, .. } => {
            let word = memory.read_word(at.minus(u64::from(word_before)), 0)?;
            if word & 1 == 0 { Addr::NULL } else { Addr(word.wrapping_add(1)) }
        }
        InstanceAttributes::InlineValues { .. } => {
            if of.flags & flags::INLINE_VALUES == 0 {
                return Ok(0);
            }
            let values = instance::InlineValues::read(python, at, of)?;
            let head = layout.dict_values.as_ref().map_or(0, |known| u64::from(known.values));
            return Ok(head + values.capacity * 8 + values.capacity.next_multiple_of(8));
        }
    };
    if array.is_null() || layout.encodings.split_values != SplitValues::Prefixed {
        return Ok(0);
    }
    // The byte before the values is how many bytes stand before them.
    let before = u64::from(memory.read_u8(array.minus(1))?);
    let keys = memory.read_pointer(of.at, layout.heap_type_object.ht_cached_keys)?;
    let room = if keys.is_null() { 0 } else { KeysTable::read(memory, layout, keys)?.shared_room };
    Ok(before.saturating_add(room.saturating_mul(8)))
}
