//! Types, and what is known of their objects.

use memobj_process::addr::Addr;

use crate::heap::builtins::Builtin;
use crate::layout::{FixedShape, flags};

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
