//! The types of a target's objects, each looked into once, when its first object is met.

mod inspect;

use crate::layout::flags;
use std::collections::HashMap;
use std::rc::Rc;

use crate::layout::FixedShape;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::builtins::Builtin;
use super::instance;
use super::python_heap::PythonHeap;
use crate::object::memory_ext::MemoryExt;
use crate::object::{dict, str_header};

/// How many addresses that are no types are remembered.
const MAX_STRANGERS: usize = 1 << 16;
/// Slots of the table in which the types of late are found without hashing. A power of two.
const HOT: usize = 512;

/// A type in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// A type.
#[derive(Debug, Clone)]
pub struct Type {
    /// Where it is.
    pub at: Addr,
    /// What it derives from.
    pub base: Addr,
    /// Its module, as Python says: `builtins`, `collections`; `?` if it has none.
    pub module: String,
    /// Its name in its module.
    pub qualname: String,
    /// `tp_flags`.
    pub flags: u64,
    /// `tp_basicsize`.
    pub basicsize: u64,
    /// `tp_itemsize`.
    pub itemsize: i64,
    /// `tp_dictoffset`.
    pub dictoffset: i64,
    /// `tp_weaklistoffset`.
    pub weaklistoffset: i64,
    /// What its objects are in C; `None`: nothing that is known here by name.
    pub kind: Option<Builtin>,
    /// Bytes of its objects that are a struct of C's: `tp_basicsize` of the nearest type that no `class` statement made.
    pub c_size: u64,
    /// Whether that type has a dict that the interpreter manages, and visits it.
    pub manages_dict_in_c: bool,
    /// What the collector sees of its objects.
    pub traverse: Traverse,
    /// Whether the `tp_traverse` of C visits the object's type.
    pub visits_type: bool,
    /// What a `class` statement added to its objects; `None` for a type of C.
    pub class: Option<Class>,
    /// How `sys.getsizeof` weighs its objects; `None`: by their basic size and items.
    pub sizeof: Option<Builtin>,
    /// Whether that is how it does, or only the best that can be known from outside.
    pub size_exact: bool,
}

/// What the `tp_traverse` of a type's C part visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traverse {
    /// Nothing: there is none.
    Nothing,
    /// What is known of this kind.
    Known(Builtin),
    /// The members of this shape.
    Members(&'static FixedShape),
    /// Nobody knows: every word of the object is taken for a reference that points to an object.
    Guess,
}

/// What a `class` statement adds to the objects of a type, and `subtype_traverse` visits.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Offsets of the object slots of `__slots__`, of all levels.
    pub slots: Box<[u32]>,
    /// Whether the class statements added a dict to what C has.
    pub dict: bool,
    /// Whether the object's type is visited.
    pub visits_type: bool,
}

impl Type {
    /// Whether its objects are the collector's business.
    #[must_use]
    pub const fn is_gc(&self) -> bool {
        self.flags & flags::HAVE_GC != 0
    }

    /// Whether it was made at run time, by a `class` statement or by C (`PyType_FromSpec`), and is counted by its objects.
    #[must_use]
    pub const fn is_heap(&self) -> bool {
        self.flags & flags::HEAPTYPE != 0
    }

    /// Its name as Python says it: builtins bare, all others with their module.
    #[must_use]
    pub fn name(&self) -> String {
        if self.module == "builtins" {
            self.qualname.clone()
        } else {
            format!("{}.{}", self.module, self.qualname)
        }
    }

    /// Whether its objects are types.
    #[must_use]
    pub const fn is_metatype(&self) -> bool {
        self.flags & flags::TYPE_SUBCLASS != 0
    }
}

/// The types that were met so far. One a thread: it is filled from foreign memory alone, so that two of the same memory agree.
#[derive(Debug)]
pub struct TypeRegistry<'p, 'm, M> {
    python: &'p PythonHeap<'m, M>,
    list: Vec<Rc<Type>>,
    ids: HashMap<Addr, Option<TypeId>>,
    hot: Vec<(Addr, TypeId)>,
    sizeofs: HashMap<Addr, bool>,
}

impl<'p, 'm, M: Memory> TypeRegistry<'p, 'm, M> {
    /// No types yet.
    #[must_use]
    pub fn new(python: &'p PythonHeap<'m, M>) -> Self {
        Self {
            python,
            list: Vec::new(),
            ids: HashMap::new(),
            hot: vec![(Addr::NULL, TypeId(0)); HOT],
            sizeofs: HashMap::new(),
        }
    }

    /// The Python that they are of.
    #[must_use]
    pub fn python(&self) -> &'p PythonHeap<'m, M> {
        self.python
    }

    /// Those met so far, by their [`TypeId`].
    #[must_use]
    pub fn list(&self) -> &[Rc<Type>] {
        &self.list
    }

    /// A type.
    #[must_use]
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
        let id = self.read_type(at).ok().flatten().map(|found| {
            let id = TypeId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
            self.list.push(Rc::new(found));
            id
        });
        if id.is_some() || self.ids.len() < MAX_STRANGERS + self.list.len() {
            self.ids.insert(at, id);
        }
        id
    }

    /// A string; `None` if the object at `at` is none.
    pub fn read_str(&self, at: Addr) -> Result<Option<String>, Unreadable> {
        let python = self.python;
        let flags = python.memory.read_word(python.read_type_of(at)?, python.layout.type_object.tp_flags)?;
        if flags & flags::UNICODE_SUBCLASS == 0 {
            return Ok(None);
        }
        str_header::read_text(python.memory, python.layout, at).map(Some)
    }

    /// An item of a dict; `None` if the object at `at` is no dict, or has none.
    pub fn read_dict_item(&self, at: Addr, name: &str) -> Result<Option<Addr>, Unreadable> {
        let python = self.python;
        let flags = python.memory.read_word(python.read_type_of(at)?, python.layout.type_object.tp_flags)?;
        if flags & flags::DICT_SUBCLASS == 0 {
            return Ok(None);
        }
        dict::read_item(python.memory, python.layout, at, name)
    }

    /// How many items an object of a named tuple of C has, hidden ones too (`REAL_SIZE_TP` in `Objects/structseq.c`): the
    /// `n_fields` of its type.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_struct_sequence_fields(&self, of: &Type) -> Result<u64, Unreadable> {
        let python = self.python;
        let dict = python.read_type_dict(of.at)?;
        let Some(fields) = self.read_dict_item(dict, "n_fields")? else { return Ok(0) };
        // A small `int`: its first digit.
        let digit = python.memory.read_int(fields, python.layout.long_object.ob_digit)?;
        Ok(u64::try_from(digit).unwrap_or(0))
    }

    /// Whether an object is at `at`, though nothing says so: its type is one, it is referred to, and what stands at its head is
    /// what stands there in an object. Tables of C's, of names and types side by side, look much like objects.
    #[inline]
    pub fn is_object(&mut self, at: Addr) -> bool {
        if at.0 < 4096 || !at.0.is_multiple_of(4) || at.0 >> 47 != 0 {
            return false;
        }
        let Some(of) = self.type_of(at).and_then(|id| self.get(id)) else { return false };
        let collected = of.is_gc() && !of.is_metatype();
        self.is_referred(at) && (!collected || self.is_linked(at).unwrap_or(false)) && self.has_room(at, of)
    }

    /// Whether the memory that the object claims for its items is there.
    fn has_room(&self, at: Addr, of: &Type) -> bool {
        if of.itemsize <= 0 || of.sizeof.is_some() {
            return true;
        }
        instance::read_item_count(self.python, at, of).is_ok_and(|items| {
            let end = items
                .checked_mul(of.itemsize.unsigned_abs())
                .and_then(|bytes| bytes.checked_add(of.basicsize));
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
