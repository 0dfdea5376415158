//! One object that is measured.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use crate::heap::instance;
use crate::heap::python_heap::PythonHeap;
use crate::heap::types::Type;
use crate::layout::Layout;
use crate::object::memory_ext::MemoryExt;

/// Measures one object. Each method is a `__sizeof__` of CPython's, or a part of one.
pub struct ObjectSizer<'a, 'm, M> {
    pub python: &'a PythonHeap<'m, M>,
    pub memory: &'m M,
    pub layout: &'m Layout,
    pub at: Addr,
    pub ty: &'a Type,
    /// The error of a layout that lacks a struct.
    pub none: Unreadable,
}

impl<'a, 'm, M: Memory> ObjectSizer<'a, 'm, M> {
    /// A sizer of the object at `at`, whose type is `ty`.
    #[inline]
    pub fn new(python: &'a PythonHeap<'m, M>, at: Addr, ty: &'a Type) -> Self {
        Self { python, memory: python.memory, layout: python.layout, at, ty, none: Unreadable { at } }
    }

    /// `object.__sizeof__`.
    #[inline]
    pub fn default(&self) -> Result<u64, Unreadable> {
        if self.ty.itemsize <= 0 {
            return Ok(self.ty.basicsize);
        }
        let items = instance::read_item_count(self.python, self.at, self.ty)?;
        Ok(self.plus(items.saturating_mul(self.ty.itemsize.unsigned_abs())))
    }

    /// The type's basic size and some bytes more.
    #[inline]
    pub const fn plus(&self, bytes: u64) -> u64 {
        self.ty.basicsize.saturating_add(bytes)
    }

    /// The type's basic size and as many words as the member at `count` says; none where a version has no such member.
    #[inline]
    pub fn words_at(&self, count: impl Into<Option<u32>>) -> Result<u64, Unreadable> {
        let words = count.into().map_or(Ok(0), |count| self.count(count))?;
        Ok(self.plus(words.saturating_mul(8)))
    }

    /// The member of type `Py_ssize_t` at `offset`; 0 if it is negative.
    #[inline]
    pub fn count(&self, offset: u32) -> Result<u64, Unreadable> {
        self.memory.read_count(self.at, offset)
    }

    /// The pointer at `offset`.
    #[inline]
    pub fn pointer(&self, offset: u32) -> Result<Addr, Unreadable> {
        self.memory.read_pointer(self.at, offset)
    }

    /// The `ob_size` of the object at `at`.
    pub fn length_of(&self, at: Addr) -> Result<u64, Unreadable> {
        self.memory.read_count(at, self.layout.var_object.ob_size)
    }

    /// Bytes of a `bytes` object without its content: the head and the null at its end.
    pub fn bytes_head(&self) -> u64 {
        u64::from(self.layout.bytes_object.ob_sval).saturating_add(1)
    }
}
