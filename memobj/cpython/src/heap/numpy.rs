//! Arrays of numpy, which the collector does not see.
//!
//! Facts: `PyArrayObject_fields`, `PyArray_Descr` and `enum NPY_TYPES` in `numpy/core/include/numpy/ndarraytypes.h`: public and
//! the same in all versions, since extensions are compiled against them.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use crate::object::memory_ext::MemoryExt;

/// The most dimensions (`NPY_MAXDIMS` is 32, from 2.0 on 64).
const MAX_DIMENSIONS: i32 = 64;
/// `NPY_ARRAY_OWNDATA`.
const OWNS_DATA: u32 = 4;
/// `NPY_OBJECT`.
const OBJECT: i32 = 17;

/// The scalars by the bytes of their value, under their names before numpy 2.0 and since (`numpy/core/src/multiarray/scalartypes.c.src`).
const SCALARS: &[(u8, &[&str])] = &[
    (1, &["bool_", "bool", "int8", "uint8"]),
    (2, &["int16", "uint16", "float16"]),
    (4, &["int32", "uint32", "float32"]),
    (8, &["int64", "uint64", "longlong", "ulonglong", "float64", "complex64", "datetime64", "timedelta64"]),
    (16, &["float128", "longdouble", "complex128"]),
    (32, &["complex256", "clongdouble"]),
];

/// The bytes of the value of a scalar whose type has this name in C; `None` for other types.
pub fn scalar_bytes(tp_name: &[u8]) -> Option<u8> {
    let name = tp_name.strip_prefix(b"numpy.")?;
    SCALARS
        .iter()
        .find(|(_, names)| names.iter().any(|known| known.as_bytes() == name))
        .map(|(bytes, _)| *bytes)
}

/// The head of an array.
#[derive(Debug, Clone, Copy)]
pub struct NumpyArray {
    /// The address of its first item.
    pub data: Addr,
    /// The number of dimensions.
    pub dimensions: u64,
    /// The number of items.
    pub items: u64,
    /// The owner of its data; null if it owns them.
    pub base: Addr,
    /// The type of its items.
    pub descr: Addr,
    /// Whether it owns its data.
    pub owns_data: bool,
}

impl NumpyArray {
    /// Reads the head of an array; `None` if it is not an array. `head` is the size of an object's head.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read<M: Memory>(memory: &M, head: u32, at: Addr) -> Result<Option<Self>, Unreadable> {
        let dimensions = memory.read_int(at, head.saturating_add(8))?;
        if !(0..=MAX_DIMENSIONS).contains(&dimensions) {
            return Ok(None);
        }
        let dimensions = u64::from(dimensions.unsigned_abs());
        let mut items = 1_u64;
        let lengths = memory.read_pointer(at, head.saturating_add(16))?;
        memory.read_words(lengths, dimensions, |length| items = items.saturating_mul(length))?;
        let flags = memory.read_int(at, head.saturating_add(48))?.cast_unsigned();
        Ok(Some(Self {
            data: memory.read_pointer(at, head)?,
            dimensions,
            items,
            base: memory.read_pointer(at, head.saturating_add(32))?,
            descr: memory.read_pointer(at, head.saturating_add(40))?,
            owns_data: flags & OWNS_DATA != 0,
        }))
    }

    /// Whether it owns its items, and they are objects.
    ///
    /// # Errors
    /// If the type of its items cannot be read.
    pub fn owns_objects<M: Memory>(&self, memory: &M, head: u32) -> Result<bool, Unreadable> {
        Ok(self.owns_data && memory.read_int(self.descr, head.saturating_add(12))? == OBJECT)
    }

    /// Reads the bytes of an item.
    ///
    /// # Errors
    /// If the type of its items cannot be read.
    pub fn read_item_size<M: Memory>(&self, memory: &M, head: u32) -> Result<u64, Unreadable> {
        // Before numpy 2 an `int` size and an `int` alignment, which is never 0; from then on 8 bytes of flags, of which the
        // upper half is not used, and then an 8-byte size.
        if memory.read_int(self.descr, head.saturating_add(20))? != 0 {
            return Ok(u64::try_from(memory.read_int(self.descr, head.saturating_add(16))?).unwrap_or(0));
        }
        memory.read_count(self.descr, head.saturating_add(24))
    }
}
