//! Where an object keeps its attributes.
//!
//! Facts: `_PyObject_GetDictPtr` and `_PyObject_ComputedDictPointer` in `Objects/object.c`.

use crate::layout::encoding::LongEncoding;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::builtins::Builtin;
use super::python_heap::PythonHeap;
use super::types::Type;
use crate::object::memory_ext::MemoryExt;

/// Values inside of an object (3.13 and newer).
#[derive(Debug, Clone, Copy)]
pub struct InlineValues {
    /// The first of them.
    pub first: Addr,
    /// Their number, used or not.
    pub capacity: u64,
    /// Whether they are the object's attributes, and not a dict that was made of them.
    pub valid: bool,
}

impl InlineValues {
    /// Reads the head of the values inside of an object.
    ///
    /// # Errors
    /// If it cannot be read.
    #[inline]
    pub fn read<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, ty: &Type) -> Result<Self, Unreadable> {
        let none = Unreadable { at };
        let known = python.layout.dict_values.as_ref().ok_or(none)?;
        let values = at.plus(ty.basicsize);
        Ok(Self {
            first: values.plus(u64::from(known.values)),
            capacity: u64::from(python.memory.read_byte(values, known.capacity.ok_or(none)?)?),
            valid: python.memory.read_byte(values, known.valid.ok_or(none)?)? != 0,
        })
    }
}

/// Finds the address of the pointer to an object's dict, if the interpreter does not manage it; `None` if its type has none.
///
/// # Errors
/// The size of the object is needed, and cannot be read.
pub fn read_dict_slot<M: Memory>(
    python: &PythonHeap<'_, M>,
    at: Addr,
    ty: &Type,
) -> Result<Option<Addr>, Unreadable> {
    if ty.dictoffset == 0 {
        return Ok(None);
    }
    if ty.dictoffset > 0 {
        return Ok(Some(at.plus(ty.dictoffset.unsigned_abs())));
    }
    // From the end of an object of variable size, which is rounded up to words.
    let items = read_item_count(python, at, ty)?;
    let size = ty.basicsize.wrapping_add(items.wrapping_mul(ty.itemsize.unsigned_abs()));
    let size = size.wrapping_add(7) & !7;
    Ok(Some(at.plus(size).minus(ty.dictoffset.unsigned_abs())))
}

/// Reads the number of items of an object of variable size. The number of an `int` includes its sign, and is elsewhere in newer versions.
///
/// # Errors
/// If it cannot be read.
#[inline]
pub fn read_item_count<M: Memory>(
    python: &PythonHeap<'_, M>,
    at: Addr,
    ty: &Type,
) -> Result<u64, Unreadable> {
    let (memory, layout) = (python.memory, python.layout);
    match layout.encodings.long {
        LongEncoding::LvTag if ty.kind == Some(Builtin::Int) => {
            let tag = memory.read_word(at, layout.long_object.lv_tag.ok_or(Unreadable { at })?)?;
            // The sign and a mark are in the low bits.
            Ok(tag >> 3)
        }
        _ => memory.read_signed(at, layout.var_object.ob_size).map(i64::unsigned_abs),
    }
}
