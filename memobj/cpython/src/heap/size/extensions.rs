//! What objects of extension modules weigh.

use crate::layout::Layout;
use crate::layout::encoding::{GetsizeofPrefix, LongEncoding, RefCounts};
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::super::builtins::Builtin;
use super::super::numpy;
use super::super::python_heap::PythonHeap;
use super::super::types::Type;
use super::{bytes_head, plus_words, read_default_size, read_dict};
use crate::object::memory_ext::MemoryExt;

/// The most formats of one `struct.Struct`. A bound, no fact.
const MAX_FORMATS: u64 = 1 << 20;
/// The longest format of a `ctypes` type. A bound, no fact.
const MAX_FORMAT: usize = 1 << 20;
/// Flags of a decimal's digits that are not its own (`MPD_DATAFLAGS` in `mpdecimal.h`).
const BORROWED_DIGITS: u8 = 32 | 64 | 128;

/// The bytes of an `int` without its digits, and the least digits that are counted.
pub(super) fn int_head(layout: &Layout, of: &Type) -> (u64, u64) {
    let head = u64::from(layout.long_object.ob_digit);
    match (layout.encodings.long, layout.encodings.getsizeof_prefix) {
        (LongEncoding::LvTag, _) => (of.basicsize, 1),
        (LongEncoding::SizeDigits, GetsizeofPrefix::PerObject) => (head, 0),
        (LongEncoding::SizeDigits, _) => (head, 1),
    }
}

/// A `__sizeof__` of an extension module.
pub(super) fn read_builtin_size<M: Memory>(
    python: &PythonHeap<'_, M>,
    at: Addr,
    of: &Type,
    kind: Builtin,
) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let none = Unreadable { at };
    Ok(match kind {
        Builtin::Array => {
            // `array_array___sizeof___impl`.
            let known = layout.array_object.as_ref().ok_or(none)?;
            let of_item = layout.array_descr.as_ref().ok_or(none)?;
            let descr = memory.read_pointer(at, known.ob_descr)?;
            let item = u64::try_from(memory.read_int(descr, of_item.itemsize)?).unwrap_or(0);
            of.basicsize.saturating_add(memory.read_count(at, known.allocated)?.saturating_mul(item))
        }
        Builtin::Struct => {
            // `s_sizeof`: the codes, with the one at their end.
            let known = layout.struct_object.as_ref().ok_or(none)?;
            let code = layout.struct_code.as_ref().ok_or(none)?;
            let mut next = memory.read_pointer(at, known.s_codes)?;
            let mut codes = 1;
            while !next.is_null() && codes < MAX_FORMATS && memory.read_word(next, code.fmtdef)? != 0 {
                next = next.plus(u64::from(code.size));
                codes += 1;
            }
            of.basicsize + codes * u64::from(code.size)
        }
        Builtin::Decimal => {
            // `dec_sizeof`.
            let known = layout.dec_object.as_ref().ok_or(none)?;
            let owned = memory.read_byte(at, known.flags)? & BORROWED_DIGITS == 0;
            plus_words(of, if owned { memory.read_count(at, known.alloc)? } else { 0 })
        }
        Builtin::BytesIo => {
            // `bytesio_sizeof`: the buffer, unless it was handed out.
            let buffer = memory.read_pointer(at, layout.bytes_io.buf)?;
            if buffer.is_null() || is_shared(python, buffer)? {
                of.basicsize
            } else {
                let bytes = memory.read_count(buffer, layout.var_object.ob_size)?;
                of.basicsize.saturating_add(bytes).saturating_add(bytes_head(python))
            }
        }
        Builtin::Buffered => {
            // `buffered_sizeof`.
            let buffer = memory.read_pointer(at, layout.buffered.buffer)?;
            let size =
                if buffer.is_null() { 0 } else { memory.read_count(at, layout.buffered.buffer_size)? };
            of.basicsize.saturating_add(size)
        }
        Builtin::SimpleQueue => {
            // `_queue_SimpleQueue___sizeof___impl` (3.15 and newer).
            let room = layout.simple_queue.as_ref().and_then(|known| known.buf_cap);
            plus_words(of, room.map_or(Ok(0), |room| memory.read_count(at, room))?)
        }
        Builtin::Pickler => read_pickler(python, at, of)?,
        Builtin::Unpickler => read_unpickler(python, at, of)?,
        Builtin::Element => {
            // `_elementtree_Element___sizeof___impl`.
            let known = layout.element_object.as_ref().ok_or(none)?;
            let of_extra = layout.element_extra.as_ref().ok_or(none)?;
            let extra = memory.read_pointer(at, known.extra)?;
            if extra.is_null() {
                return Ok(of.basicsize);
            }
            let children = memory.read_pointer(extra, of_extra.children)?;
            let inline = extra.plus(u64::from(of_extra.children_inline));
            let room = if children == inline { 0 } else { memory.read_count(extra, of_extra.allocated)? };
            plus_words(of, room).saturating_add(u64::from(of_extra.size))
        }
        Builtin::Product => {
            let pools = memory.read_pointer(at, layout.product_object.pools)?;
            plus_words(of, memory.read_count(pools, layout.var_object.ob_size)?)
        }
        Builtin::Combinations => plus_words(of, memory.read_count(at, layout.combinations_object.r)?),
        Builtin::Permutations => {
            let known = &layout.permutations_object;
            let pool = memory.read_pointer(at, known.pool)?;
            let pool = memory.read_count(pool, layout.var_object.ob_size)?;
            plus_words(of, pool.saturating_add(memory.read_count(at, known.r)?))
        }
        Builtin::CtypesDict => {
            // `PyCStgDict_sizeof`: adds what the struct has more than a dict to a size in which it already is.
            let known = layout.ctypes_dict.as_ref().ok_or(none)?;
            let more = u64::from(known.size.saturating_sub(layout.dict_object.size));
            let index = (known.format, known.ffi_elements, known.length, known.ndim);
            read_dict(python, at, of)?.saturating_add(more).saturating_add(read_ctypes(python, at, index)?)
        }
        Builtin::CtypesType => {
            // `_ctypes_CType_Type___sizeof___impl`: what `ctypes` keeps of a type follows the struct of all types.
            let known = layout.ctypes_info.as_ref().ok_or(none)?;
            let size = read_default_size(python, at, of)?;
            let Some(info) = read_ctypes_info(python, at)? else { return Ok(size) };
            let index = (known.format, known.ffi_elements, known.length, known.ndim);
            size.saturating_add(read_ctypes(python, info, index)?)
        }
        Builtin::NumpyArray => {
            // `array_sizeof` (`numpy/core/src/multiarray/methods.c`).
            let head = layout.object.size;
            let Some(array) = numpy::NumpyArray::read(memory, head, at)? else { return Ok(of.basicsize) };
            let data = if array.owns_data {
                array.items.saturating_mul(array.read_item_size(memory, head)?)
            } else {
                0
            };
            plus_words(of, array.dimensions * 2).saturating_add(data)
        }
        Builtin::NumpyGeneric => {
            // `gentype_sizeof` (`numpy/core/src/multiarray/scalartypes.c.src`): the object, and its value once more.
            let value = match of.kind {
                Some(Builtin::NumpyScalar(bytes)) => u64::from(bytes),
                _ => memory.read_count(at, layout.var_object.ob_size)?,
            };
            read_default_size(python, at, of)?.saturating_add(value)
        }
        _ => read_default_size(python, at, of)?,
    })
}

/// Whether more than one refer to an object (`SHARED_BUF`).
fn is_shared<M: Memory>(python: &PythonHeap<'_, M>, at: Addr) -> Result<bool, Unreadable> {
    let (memory, known) = (python.memory, &python.layout.object);
    Ok(match (python.layout.encodings.refcounts, known.ob_refcnt, known.ob_ref_local, known.ob_ref_shared) {
        (RefCounts::Biased, _, Some(local), Some(shared)) => {
            memory.read_int(at, local)? != 1 || memory.read_word(at, shared)? != 0
        }
        (RefCounts::HalfOrImmortal, Some(count), ..) => memory.read_int(at, count)? != 1,
        (_, Some(count), ..) => memory.read_signed(at, count)? > 1,
        _ => true,
    })
}

/// `_pickle_Pickler___sizeof___impl`.
fn read_pickler<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let none = Unreadable { at };
    let known = layout.pickler.as_ref().ok_or(none)?;
    let of_memo = layout.pickler_memo.as_ref().ok_or(none)?;
    let of_entry = layout.pickler_memo_entry.as_ref().ok_or(none)?;
    let mut size = of.basicsize;
    let memo = memory.read_pointer(at, known.memo)?;
    if !memo.is_null() {
        let entries = memory.read_count(memo, of_memo.mt_allocated)?;
        size = size
            .saturating_add(u64::from(of_memo.size))
            .saturating_add(entries.saturating_mul(u64::from(of_entry.size)));
    }
    let output = memory.read_pointer(at, known.output_buffer)?;
    if !output.is_null() {
        let bytes = memory.read_count(output, layout.var_object.ob_size)?;
        size = size.saturating_add(bytes).saturating_add(bytes_head(python));
    }
    Ok(size)
}

/// `_pickle_Unpickler___sizeof___impl`.
fn read_unpickler<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, of: &Type) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    let known = layout.unpickler.as_ref().ok_or(Unreadable { at })?;
    let mut words = 0_u64;
    if !memory.read_pointer(at, known.memo)?.is_null() {
        words = words.saturating_add(memory.read_count(at, known.memo_size)?);
    }
    if !memory.read_pointer(at, known.marks)?.is_null() {
        words = words.saturating_add(memory.read_count(at, known.marks_size)?);
    }
    let mut size = plus_words(of, words);
    for text in [known.input_line, known.encoding, known.errors] {
        let text = memory.read_pointer(at, text)?;
        if !text.is_null() {
            size = size.saturating_add(memory.read_c_string(text, MAX_FORMAT)?.len() as u64 + 1);
        }
    }
    Ok(size)
}

/// What `ctypes` keeps of a type behind the struct of all types (3.13 and newer); `None` of one that is abstract.
pub(in super::super) fn read_ctypes_info<M: Memory>(
    python: &PythonHeap<'_, M>,
    at: Addr,
) -> Result<Option<Addr>, Unreadable> {
    let Some(known) = &python.layout.ctypes_info else { return Ok(None) };
    // `PyObject_GetTypeData`: aligned for anything.
    let info = at.plus(u64::from(python.layout.heap_type_object.size).next_multiple_of(16));
    Ok((python.memory.read_int(info, known.initialized)? != 0).then_some(info))
}

/// The format, the elements and the shape of a `ctypes` type. `index` are those of format, elements, length and dimensions.
fn read_ctypes<M: Memory>(
    python: &PythonHeap<'_, M>,
    at: Addr,
    index: (u32, u32, u32, u32),
) -> Result<u64, Unreadable> {
    let memory = python.memory;
    let (format, elements, length, dimensions) = index;
    let format = memory.read_pointer(at, format)?;
    let mut size = u64::try_from(memory.read_int(at, dimensions)?).unwrap_or(0) * 8;
    if !format.is_null() {
        size = size.saturating_add(memory.read_c_string(format, MAX_FORMAT)?.len() as u64 + 1);
    }
    if !memory.read_pointer(at, elements)?.is_null() {
        size = size.saturating_add(memory.read_count(at, length)?.saturating_add(1).saturating_mul(8));
    }
    Ok(size)
}
