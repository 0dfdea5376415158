//! Types, and what is known of their objects.

use memobj_process::addr::Addr;

use crate::heap::builtins::Builtin;
use crate::heap::descriptors::DescriptorField;
use crate::layout::{FixedShape, flags};

/// A type in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// A type.
#[derive(Debug, Clone)]
pub struct Type {
    /// Its address.
    pub at: Addr,
    /// Its base.
    pub base: Addr,
    /// Its `__module__`: `builtins`, `collections`; `?` if it has none.
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
    /// The builtin that its objects are in C; `None` if it is not in the table.
    pub kind: Option<Builtin>,
    /// Where its objects have a file descriptor; `None` if they have none.
    pub descriptor: Option<DescriptorField>,
    /// The bytes of its objects' C struct: `tp_basicsize` of the nearest type that no `class` statement made.
    pub c_size: u64,
    /// Whether that type has a dict that the interpreter manages, and visits it.
    pub manages_dict_in_c: bool,
    /// The references of its objects that the collector sees.
    pub traverse: Traverse,
    /// Whether the `tp_traverse` of C visits the object's type.
    pub visits_type: bool,
    /// The parts of its objects that `class` statements added; `None` for a C type.
    pub class: Option<Class>,
    /// The builtin whose `__sizeof__` it has; `None`: basic size and items.
    pub sizeof: Option<Builtin>,
    /// Whether that is exact; otherwise its `__sizeof__` is unknown, and the size a lower bound.
    pub size_exact: bool,
}

/// The references that `tp_traverse` of a type's C part visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traverse {
    /// None.
    Nothing,
    /// Those of this builtin.
    Known(Builtin),
    /// The members of this struct.
    Members(&'static FixedShape),
    /// Unknown: each word of the object that points to an object counts as a reference.
    Guess,
}

/// The parts of an object that `class` statements add, and `subtype_traverse` visits.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Offsets of the object slots of `__slots__`, of all levels.
    pub slots: Box<[u32]>,
    /// Whether the class statements added a dict.
    pub dict: bool,
    /// Whether the object's type is visited.
    pub visits_type: bool,
}

impl Type {
    /// Whether the collector can track its objects.
    pub const fn is_gc(&self) -> bool {
        self.flags & flags::HAVE_GC != 0
    }

    /// Whether it was made at run time, by a `class` statement or by C (`PyType_FromSpec`), and is counted by its objects.
    pub const fn is_heap(&self) -> bool {
        self.flags & flags::HEAPTYPE != 0
    }

    /// Its full name: builtins bare, all others with their module.
    pub fn name(&self) -> String {
        if self.module == "builtins" {
            self.qualname.clone()
        } else {
            format!("{}.{}", self.module, self.qualname)
        }
    }

    /// Whether a `class` statement made it, and its objects are neither types nor those of a builtin.
    pub const fn is_plain_class(&self) -> bool {
        self.class.is_some() && self.kind.is_none() && !self.is_metatype()
    }

    /// Whether its objects are types.
    pub const fn is_metatype(&self) -> bool {
        self.flags & flags::TYPE_SUBCLASS != 0
    }
}
