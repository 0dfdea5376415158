//! Sizes of objects of extension modules.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::sizer::ObjectSizer;
use crate::heap::builtins::Builtin;
use crate::heap::numpy::NumpyArray;
use crate::layout::encoding::RefCounts;
use crate::object::memory_ext::MemoryExt;

/// More formats than any `struct.Struct` has.
const MAX_FORMATS: u64 = 1 << 20;
/// Longer than any format or error handler.
const MAX_STRING: usize = 1 << 20;
/// Where a multidict has the address of its table of keys, behind the head of an object: since 7.0; before it from Python 3.12 on; and before.
const MULTIDICT_KEYS: [u32; 3] = [8, 32, 40];
/// The head of that table. Some versions have a word more.
const MULTIDICT_HEAD: u64 = 24;
/// An entry of that table, and one of a compact table (since 7.1), which begins with a pointer, not with a hash.
const MULTIDICT_ENTRY: (u64, u64) = (32, 16);
/// Flags of a decimal's digits that are not its own (`MPD_DATAFLAGS` in `mpdecimal.h`).
const BORROWED_DIGITS: u8 = 32 | 64 | 128;

impl<M: Memory> ObjectSizer<'_, '_, M> {
    /// `array_array___sizeof___impl`.
    pub fn array(&self) -> Result<u64, Unreadable> {
        let known = self.layout.array_object.as_ref().ok_or(self.none)?;
        let of_item = self.layout.array_descr.as_ref().ok_or(self.none)?;
        let descr = self.pointer(known.ob_descr)?;
        let item = u64::try_from(self.memory.read_int(descr, of_item.itemsize)?).unwrap_or(0);
        Ok(self.plus(self.count(known.allocated)?.saturating_mul(item)))
    }

    /// `s_sizeof` of `struct.Struct`: the codes, with the one at their end.
    pub fn struct_formats(&self) -> Result<u64, Unreadable> {
        let known = self.layout.struct_object.as_ref().ok_or(self.none)?;
        let code = self.layout.struct_code.as_ref().ok_or(self.none)?;
        let mut next = self.pointer(known.s_codes)?;
        let mut codes = 1_u64;
        while !next.is_null() && codes < MAX_FORMATS && self.memory.read_word(next, code.fmtdef)? != 0 {
            next = next.plus(code.size.into());
            codes = codes.saturating_add(1);
        }
        Ok(self.plus(codes.saturating_mul(code.size.into())))
    }

    /// `dec_sizeof`.
    pub fn decimal(&self) -> Result<u64, Unreadable> {
        let known = self.layout.dec_object.as_ref().ok_or(self.none)?;
        let owned = self.memory.read_byte(self.at, known.flags)? & BORROWED_DIGITS == 0;
        self.words_at(owned.then_some(known.alloc))
    }

    /// `bytesio_sizeof`: the buffer, unless it was handed out.
    pub fn bytes_io(&self) -> Result<u64, Unreadable> {
        let buffer = self.pointer(self.layout.bytes_io.buf)?;
        if buffer.is_null() || self.is_shared(buffer)? {
            return Ok(self.ty.basicsize);
        }
        Ok(self.plus(self.length_of(buffer)?).saturating_add(self.bytes_head()))
    }

    /// `buffered_sizeof`.
    pub fn buffered(&self) -> Result<u64, Unreadable> {
        let known = &self.layout.buffered;
        let buffer = self.pointer(known.buffer)?;
        Ok(self.plus(if buffer.is_null() { 0 } else { self.count(known.buffer_size)? }))
    }

    /// `_elementtree_Element___sizeof___impl`.
    pub fn element(&self) -> Result<u64, Unreadable> {
        let known = self.layout.element_object.as_ref().ok_or(self.none)?;
        let of_extra = self.layout.element_extra.as_ref().ok_or(self.none)?;
        let extra = self.pointer(known.extra)?;
        if extra.is_null() {
            return Ok(self.ty.basicsize);
        }
        let children = self.memory.read_pointer(extra, of_extra.children)?;
        let inline = extra.plus(of_extra.children_inline.into());
        let room = if children == inline { 0 } else { self.memory.read_count(extra, of_extra.allocated)? };
        Ok(self.plus(room.saturating_mul(8)).saturating_add(of_extra.size.into()))
    }

    /// `product_sizeof`.
    pub fn product(&self) -> Result<u64, Unreadable> {
        let pools = self.pointer(self.layout.product_object.pools)?;
        Ok(self.plus(self.length_of(pools)?.saturating_mul(8)))
    }

    /// `permutations_sizeof`.
    pub fn permutations(&self) -> Result<u64, Unreadable> {
        let known = &self.layout.permutations_object;
        let pool = self.length_of(self.pointer(known.pool)?)?;
        Ok(self.words_at(known.r)?.saturating_add(pool.saturating_mul(8)))
    }

    /// `_pickle_Pickler___sizeof___impl`.
    pub fn pickler(&self) -> Result<u64, Unreadable> {
        let layout = self.layout;
        let known = layout.pickler.as_ref().ok_or(self.none)?;
        let of_memo = layout.pickler_memo.as_ref().ok_or(self.none)?;
        let of_entry = layout.pickler_memo_entry.as_ref().ok_or(self.none)?;
        let mut size = self.ty.basicsize;
        let memo = self.pointer(known.memo)?;
        if !memo.is_null() {
            let entries = self.memory.read_count(memo, of_memo.mt_allocated)?;
            size = size
                .saturating_add(of_memo.size.into())
                .saturating_add(entries.saturating_mul(of_entry.size.into()));
        }
        let output = self.pointer(known.output_buffer)?;
        if !output.is_null() {
            size = size.saturating_add(self.length_of(output)?).saturating_add(self.bytes_head());
        }
        Ok(size)
    }

    /// `_pickle_Unpickler___sizeof___impl`.
    pub fn unpickler(&self) -> Result<u64, Unreadable> {
        let known = self.layout.unpickler.as_ref().ok_or(self.none)?;
        let mut words = 0_u64;
        for (array, count) in [(known.memo, known.memo_size), (known.marks, known.marks_size)] {
            if !self.pointer(array)?.is_null() {
                words = words.saturating_add(self.count(count)?);
            }
        }
        let mut size = self.plus(words.saturating_mul(8));
        for string in [known.input_line, known.encoding, known.errors] {
            size = size.saturating_add(self.c_string_bytes(self.pointer(string)?)?);
        }
        Ok(size)
    }

    /// `PyCStgDict_sizeof`: adds what the struct has more than a dict to a size in which it already is.
    pub fn ctypes_dict(&self) -> Result<u64, Unreadable> {
        let known = self.layout.ctypes_dict.as_ref().ok_or(self.none)?;
        let more = u64::from(known.size.saturating_sub(self.layout.dict_object.size));
        let info = self.ctypes_info(self.at, (known.format, known.ffi_elements, known.length, known.ndim))?;
        Ok(self.dict()?.saturating_add(more).saturating_add(info))
    }

    /// `_ctypes_CType_Type___sizeof___impl`: what `ctypes` keeps of a type follows the struct of all types.
    pub fn ctypes_type(&self) -> Result<u64, Unreadable> {
        let known = self.layout.ctypes_info.as_ref().ok_or(self.none)?;
        let size = self.default()?;
        let Some(info) = self.python.read_ctypes_info(self.at)? else { return Ok(size) };
        let info = self.ctypes_info(info, (known.format, known.ffi_elements, known.length, known.ndim))?;
        Ok(size.saturating_add(info))
    }

    /// The format, the elements and the shape of a `ctypes` type, at the offsets of format, elements, length and dimensions.
    fn ctypes_info(&self, at: Addr, offsets: (u32, u32, u32, u32)) -> Result<u64, Unreadable> {
        let (format, elements, length, dimensions) = offsets;
        let dimensions = u64::try_from(self.memory.read_int(at, dimensions)?).unwrap_or(0);
        let mut words = dimensions;
        if !self.memory.read_pointer(at, elements)?.is_null() {
            words = words.saturating_add(self.memory.read_count(at, length)?).saturating_add(1);
        }
        let format = self.c_string_bytes(self.memory.read_pointer(at, format)?)?;
        Ok(words.saturating_mul(8).saturating_add(format))
    }

    /// `array_sizeof` (`numpy/core/src/multiarray/methods.c`).
    pub fn numpy_array(&self) -> Result<u64, Unreadable> {
        let head = self.layout.object.size;
        let Some(array) = NumpyArray::read(self.memory, head, self.at)? else { return Ok(self.ty.basicsize) };
        let item = if array.owns_data { array.read_item_size(self.memory, head)? } else { 0 };
        Ok(self.plus(array.dimensions.saturating_mul(16)).saturating_add(array.items.saturating_mul(item)))
    }

    /// `gentype_sizeof` (`numpy/core/src/multiarray/scalartypes.c.src`): the object, and its value once more.
    pub fn numpy_scalar(&self) -> Result<u64, Unreadable> {
        let value = match self.ty.kind {
            Some(Builtin::NumpyScalar(bytes)) => bytes.into(),
            _ => self.length_of(self.at)?,
        };
        Ok(self.default()?.saturating_add(value))
    }

    /// `multidict_sizeof` of multidict 6.5 and newer, a word too low in some versions.
    pub fn multidict(&self) -> Result<u64, Unreadable> {
        let head = self.layout.object.size;
        let mut members = MULTIDICT_KEYS.iter().map(|member| head.saturating_add(*member));
        let table = members.find_map(|member| {
            // Behind the end of the object, or no table: another version.
            let is_in_it = u64::from(member).saturating_add(8) <= self.ty.basicsize;
            self.multidict_table(self.pointer(member).ok().filter(|_| is_in_it)?)
        });
        Ok(self.plus(table.unwrap_or(0)))
    }

    /// The bytes of a multidict's table of keys; `None` if there is none at `at`.
    fn multidict_table(&self, at: Addr) -> Option<u64> {
        let byte = |offset| self.memory.read_byte(at, offset).ok();
        let (log2_slots, log2_index_bytes, is_compact) = (byte(0)?, byte(1)?, byte(2)? == 1);
        let entries = 1_u64.checked_shl(log2_slots.into())?.checked_mul(2)? / 3;
        let (unused, used) = (self.memory.read_word(at, 8).ok()?, self.memory.read_word(at, 16).ok()?);
        if unused.checked_add(used)? != entries {
            return None;
        }
        // All empty multidicts share one table, which belongs to none of them.
        if entries == 0 {
            return Some(0);
        }
        let indices = 1_u64.checked_shl(log2_index_bytes.into())?;
        let first = self.memory.read_word(at.plus(MULTIDICT_HEAD.saturating_add(indices)), 8);
        let (full, compact) = MULTIDICT_ENTRY;
        let is_compact = is_compact && first.is_ok_and(|word| word >> 48 == 0);
        let entry = if is_compact { compact } else { full };
        Some(MULTIDICT_HEAD.saturating_add(indices).saturating_add(entries.checked_mul(entry)?))
    }

    /// Bytes of a C string with its null; 0 if `at` is null.
    fn c_string_bytes(&self, at: Addr) -> Result<u64, Unreadable> {
        if at.is_null() {
            return Ok(0);
        }
        Ok((self.memory.read_c_string(at, MAX_STRING)?.len() as u64).saturating_add(1))
    }

    /// Whether more than one reference to an object exists (`SHARED_BUF`).
    fn is_shared(&self, at: Addr) -> Result<bool, Unreadable> {
        let (memory, known) = (self.memory, &self.layout.object);
        let encoding = self.layout.encodings.refcounts;
        Ok(match (encoding, known.ob_refcnt, known.ob_ref_local, known.ob_ref_shared) {
            (RefCounts::Biased, _, Some(local), Some(shared)) => {
                memory.read_int(at, local)? != 1 || memory.read_word(at, shared)? != 0
            }
            (RefCounts::HalfOrImmortal, Some(count), ..) => memory.read_int(at, count)? != 1,
            (_, Some(count), ..) => memory.read_signed(at, count)? > 1,
            _ => true,
        })
    }
}
