//! Registries of types.

use std::collections::HashMap;
use std::rc::Rc;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::inspect::TypeInspector;
use super::type_info::{Type, TypeId};
use crate::heap::instance;
use crate::heap::python_heap::PythonHeap;
use crate::object::memory_ext::MemoryExt;

/// Addresses without a type that are remembered.
const MAX_OTHERS: usize = 1 << 16;
/// Slots of the table of recent types, which needs no hash map. A power of two.
const HOT: usize = 512;

/// The types that were read so far. Each thread has its own; all agree, since they read the same memory.
#[derive(Debug)]
pub struct TypeRegistry<'p, 'm, M> {
    python: &'p PythonHeap<'m, M>,
    list: Vec<Rc<Type>>,
    ids: HashMap<Addr, Option<TypeId>>,
    hot: Vec<(Addr, TypeId)>,
    inspector: TypeInspector<'p, 'm, M>,
}

impl<'p, 'm, M: Memory> TypeRegistry<'p, 'm, M> {
    /// An empty registry.
    pub fn new(python: &'p PythonHeap<'m, M>) -> Self {
        Self {
            python,
            list: Vec::new(),
            ids: HashMap::new(),
            hot: vec![(Addr::NULL, TypeId(0)); HOT],
            inspector: TypeInspector::new(python),
        }
    }

    /// Their Python.
    pub fn python(&self) -> &'p PythonHeap<'m, M> {
        self.python
    }

    /// The types so far, by their [`TypeId`].
    pub fn list(&self) -> &[Rc<Type>] {
        &self.list
    }

    /// A type.
    #[inline]
    pub fn get(&self, id: TypeId) -> Option<&Rc<Type>> {
        self.list.get(id.0 as usize)
    }

    /// The type at `at`; `None` if there is none.
    #[inline]
    pub fn type_at(&mut self, at: Addr) -> Option<TypeId> {
        let slot = (at.0 >> 4) as usize & (HOT - 1);
        if let Some(&(hot, id)) = self.hot.get(slot)
            && hot == at
            && !at.is_null()
        {
            return Some(id);
        }
        let id = self.look_up(at)?;
        if let Some(hot) = self.hot.get_mut(slot) {
            *hot = (at, id);
        }
        Some(id)
    }

    /// The type of the object at `at`; `None` if that is no object.
    #[inline]
    pub fn type_of(&mut self, at: Addr) -> Option<TypeId> {
        let at = self.python.read_type_of(at).ok()?;
        self.type_at(at)
    }

    fn look_up(&mut self, at: Addr) -> Option<TypeId> {
        if let Some(&known) = self.ids.get(&at) {
            return known;
        }
        let id = self.inspector.read_type(at).ok().flatten().map(|found| {
            let id = TypeId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
            self.list.push(Rc::new(found));
            id
        });
        if id.is_some() || self.ids.len() < self.list.len().saturating_add(MAX_OTHERS) {
            self.ids.insert(at, id);
        }
        id
    }

    /// Whether an unknown address is that of an object: its type is a type, its reference count is plausible, and its header is
    /// one of an object. C tables of names and types look much like objects.
    #[inline]
    pub fn is_object(&mut self, at: Addr) -> bool {
        if !at.is_plausible() || !at.0.is_multiple_of(4) {
            return false;
        }
        let Some(ty) = self.type_of(at).and_then(|id| self.get(id)) else { return false };
        let collected = ty.is_gc() && !ty.is_metatype();
        self.is_referred(at) && (!collected || self.is_linked(at).unwrap_or(false)) && self.has_room(at, ty)
    }

    /// Whether the memory that the object claims for its items is there.
    fn has_room(&self, at: Addr, ty: &Type) -> bool {
        if ty.itemsize <= 0 || ty.sizeof.is_some() {
            return true;
        }
        instance::read_item_count(self.python, at, ty).is_ok_and(|items| {
            let end = items
                .checked_mul(ty.itemsize.unsigned_abs())
                .and_then(|bytes| bytes.checked_add(ty.basicsize));
            end.is_some_and(|end| self.python.memory.read_u8(at.plus(end.saturating_sub(1))).is_ok())
        })
    }

    /// Whether the count of references is one. A block that was freed has its type still, and where the count was the address of
    /// the next free one (`pymalloc_free` in `Objects/obmalloc.c`), which has bits that no count has: not even the flags that
    /// 3.14 has in the top 16 (`ob_flags` in `Include/object.h`).
    fn is_referred(&self, at: Addr) -> bool {
        const OF_ADDRESSES: u64 = 0x0000_ffff_0000_0000;
        let known = &self.python.layout.object;
        let memory = self.python.memory;
        let counted = |member| memory.read_word(at, member);
        match (known.ob_refcnt, known.ob_ref_local, known.ob_ref_shared) {
            (Some(count), ..) => counted(count).is_ok_and(|count| count != 0 && count & OF_ADDRESSES == 0),
            // One count of the thread that owns the object, and one, above two bits of flags, of all others.
            (None, Some(local), Some(shared)) => {
                memory.read_int(at, local).is_ok_and(|count| count != 0)
                    || counted(shared).is_ok_and(|count| count >> 2 != 0)
            }
            _ => true,
        }
    }

    /// Whether an object's head is that of one that the collector may track: it is in no list, or its neighbour in the list
    /// knows it; in free-threaded builds, its lock and its marks have values that these may have.
    fn is_linked(&self, at: Addr) -> Result<bool, Unreadable> {
        let memory = self.python.memory;
        let (known, head) = (&self.python.layout.object, &self.python.layout.gc_head);
        if let (Some(lock), Some(marks)) = (known.ob_mutex, known.ob_gc_bits) {
            return Ok(memory.read_byte(at, lock)? <= 3 && memory.read_byte(at, marks)? < 0x80);
        }
        let link = at.minus(u64::from(head.size));
        let next = memory.read_pointer(link, head._gc_next)?.clear_bits(3);
        Ok(next.is_null() || memory.read_pointer(next, head._gc_prev)?.clear_bits(3) == link)
    }
}
