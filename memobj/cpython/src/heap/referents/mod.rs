//! What an object refers to: what the collector sees (`tp_traverse`, as `gc.get_referents` gives it), and what it does not.
//!
//! Facts: the `*_traverse` functions in CPython's sources, each named where it is followed.

mod classes;
mod containers;
mod frames;
mod others;
mod type_objects;

use crate::layout::flags;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::builtins::Builtin;
use super::python_heap::PythonHeap;
use super::types::{Traverse, Type, TypeRegistry};
use crate::object::memory_ext::MemoryExt;

pub use frames::read_running_frame;

/// How a reference was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// The object's `tp_traverse` visits it: `gc.get_referents` gives it.
    Visited,
    /// The object holds it, but does not show it to the collector.
    Hidden,
    /// A word in an object of unknown shape that points to an object.
    Guessed,
}

/// Calls `each` with what `gc.get_referents` gives of the object at `at`, as often as that does: its [`EdgeKind`] is
/// [`Visited`](EdgeKind::Visited), or [`Guessed`](EdgeKind::Guessed) where the shape of the object is not known.
///
/// # Errors
/// If some of it could not be read; what was read has been given.
pub fn read_referents<M: Memory>(
    types: &mut TypeRegistry<'_, '_, M>,
    at: Addr,
    of: &Type,
    mut each: impl FnMut(Addr, EdgeKind),
) -> Result<(), Unreadable> {
    ReferenceReader { python: types.python(), types }.read_visited(at, of, &mut each)
}

/// Calls `each` with what the object at `at` holds and does not show to the collector.
///
/// # Errors
/// As [`read_referents`].
pub fn read_hidden<M: Memory>(
    types: &mut TypeRegistry<'_, '_, M>,
    at: Addr,
    of: &Type,
    mut each: impl FnMut(Addr, EdgeKind),
) -> Result<(), Unreadable> {
    ReferenceReader { python: types.python(), types }.read_hidden(at, of, &mut each)
}

/// Takes the references of an object.
pub trait EdgeSink {
    /// A reference. Null ones too, and one for each word that turned out to be none: so it is known how much was looked at.
    fn edge(&mut self, to: Addr, kind: EdgeKind);
}

impl<F: FnMut(Addr, EdgeKind)> EdgeSink for F {
    #[inline]
    fn edge(&mut self, to: Addr, kind: EdgeKind) {
        if !to.is_null() {
            self(to, kind);
        }
    }
}

/// What is known while references are read.
pub struct ReferenceReader<'r, 'p, 'm, M> {
    /// The Python.
    pub python: &'p PythonHeap<'m, M>,
    /// Its types.
    pub types: &'r mut TypeRegistry<'p, 'm, M>,
}

impl<'p, 'm, M: Memory> ReferenceReader<'_, 'p, 'm, M> {
    /// The memory.
    #[inline]
    fn memory(&self) -> &'m M {
        self.python.memory
    }

    /// What the collector sees of the object at `at`, in the order and as often as its `tp_traverse` visits it.
    ///
    /// # Errors
    /// If some of it could not be read; what was read has been given.
    pub fn read_visited(&mut self, at: Addr, of: &Type, sink: &mut impl EdgeSink) -> Result<(), Unreadable> {
        if !of.is_gc() {
            return Ok(());
        }
        if of.is_metatype() && !self.is_heap_type(at)? {
            // `type_is_gc`: a static type is not the collector's.
            return Ok(());
        }
        if let Some(class) = &of.class {
            self.read_class_part(at, of, class, sink)?;
        }
        match of.traverse {
            Traverse::Nothing => return Ok(()),
            Traverse::Known(kind) => self.read_known(at, of, kind, sink)?,
            Traverse::Members(shape) => {
                for &member in shape.visited {
                    sink.edge(self.memory().read_pointer(at, member)?, EdgeKind::Visited);
                }
            }
            Traverse::Guess => self.read_guesses(at, of, EdgeKind::Guessed, sink)?,
        }
        if of.manages_dict_in_c {
            self.read_managed_dict(at, of, sink)?;
        }
        if of.visits_type {
            sink.edge(of.at, EdgeKind::Visited);
        }
        Ok(())
    }

    /// What the object at `at` holds besides.
    ///
    /// # Errors
    /// As [`read_visited`](Self::read_visited).
    pub fn read_hidden(&mut self, at: Addr, of: &Type, sink: &mut impl EdgeSink) -> Result<(), Unreadable> {
        match of.kind {
            Some(
                Builtin::Dict
                | Builtin::FrozenDict
                | Builtin::OrderedDict
                | Builtin::DefaultDict
                | Builtin::CtypesDict,
            ) => self.read_string_keys(at, sink),
            Some(Builtin::Type | Builtin::CtypesType) => self.read_hidden_of_type(at, sink),
            Some(Builtin::Code) => self.read_code(at, sink),
            Some(Builtin::Frame) => self.read_hidden_of_frame(at, sink),
            Some(Builtin::NumpyArray) => self.read_numpy_array(at, sink),
            // Of its other words, and those of generators, one is never set until 3.10 (`gi_exc_state.previous_item`): it is what was
            // there before.
            Some(Builtin::Coroutine) => {
                let origin = self.memory().read_pointer(at, self.python.layout.coro_object.cr_origin)?;
                sink.edge(origin, EdgeKind::Hidden);
                Ok(())
            }
            Some(
                Builtin::List
                | Builtin::Tuple
                | Builtin::StructSequence
                | Builtin::Set
                | Builtin::Str
                | Builtin::Int
                | Builtin::Number
                | Builtin::Bytes
                | Builtin::ByteArray
                | Builtin::Function
                | Builtin::Generator
                | Builtin::AsyncGenerator
                | Builtin::Deque
                | Builtin::LruCache
                | Builtin::WeakReference
                | Builtin::ContextVariable
                | Builtin::HamtItems
                | Builtin::HamtArray
                | Builtin::TeeData
                | Builtin::Array
                | Builtin::Decimal
                | Builtin::NumpyScalar(_),
            ) => Ok(()),
            _ if of.traverse == Traverse::Guess => Ok(()),
            _ => self.read_guesses(at, of, EdgeKind::Guessed, sink),
        }
    }

    #[inline]
    fn read_known(
        &mut self,
        at: Addr,
        of: &Type,
        kind: Builtin,
        sink: &mut impl EdgeSink,
    ) -> Result<(), Unreadable> {
        match kind {
            Builtin::List => self.read_list(at, sink),
            Builtin::Tuple => self.read_tuple(at, 0, sink),
            Builtin::StructSequence => self.read_struct_sequence(at, of, sink),
            Builtin::Dict | Builtin::FrozenDict => self.read_dict(at, sink),
            Builtin::OrderedDict => self.read_ordered_dict(at, sink),
            Builtin::DefaultDict => {
                let factory = self.python.layout.defdict_object.default_factory;
                sink.edge(self.memory().read_pointer(at, factory)?, EdgeKind::Visited);
                self.read_dict(at, sink)
            }
            Builtin::Set => self.read_set(at, sink),
            Builtin::Type => self.read_type(at, sink),
            Builtin::Module => self.read_module(at, sink),
            Builtin::Function => self.read_function(at, sink),
            Builtin::Frame => self.read_frame(at, sink),
            Builtin::Generator | Builtin::Coroutine | Builtin::AsyncGenerator => {
                self.read_generator(at, kind, sink)
            }
            Builtin::Deque => self.read_deque(at, sink),
            Builtin::LruCache => self.read_lru_cache(at, sink),
            Builtin::WeakReference => {
                let callback = self.python.layout.weakref_object.wr_callback;
                sink.edge(self.memory().read_pointer(at, callback)?, EdgeKind::Visited);
                Ok(())
            }
            Builtin::Element => self.read_element(at, sink),
            Builtin::HamtItems => {
                let count = self.memory().read_count(at, self.python.layout.var_object.ob_size)?;
                self.read_array(at.plus(u64::from(self.python.layout.hamt_node_bitmap.b_array)), count, sink)
            }
            Builtin::HamtArray => {
                let known = &self.python.layout.hamt_node_array;
                self.read_array(at.plus(u64::from(known.a_array)), u64::from(known.a_array_count), sink)
            }
            Builtin::TeeData => self.read_tee_data(at, sink),
            Builtin::Pickler => self.read_pickler(at, sink),
            Builtin::Unpickler => self.read_unpickler(at, sink),
            Builtin::CtypesType => self.read_ctypes_type(at, sink),
            Builtin::Code => {
                let consts = self.python.layout.code_object.co_consts;
                sink.edge(self.memory().read_pointer(at, consts)?, EdgeKind::Visited);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An array of references.
    fn read_array(&self, first: Addr, count: u64, sink: &mut impl EdgeSink) -> Result<(), Unreadable> {
        self.memory().read_words(first, count, |item| sink.edge(Addr(item), EdgeKind::Visited))
    }

    /// Every word of the object's part in C that points to an object, but for its list of weak references and its dict, which
    /// are known by the type.
    fn read_guesses(
        &mut self,
        at: Addr,
        of: &Type,
        kind: EdgeKind,
        sink: &mut impl EdgeSink,
    ) -> Result<(), Unreadable> {
        let head = u64::from(self.python.layout.object.size);
        let words = of.c_size.min(MAX_GUESSED).saturating_sub(head) / 8;
        let mut offset = head.cast_signed();
        let types = &mut *self.types;
        self.python.memory.read_words(at.plus(head), words, |word| {
            let is_reference = offset != of.weaklistoffset && types.is_object(Addr(word));
            sink.edge(if is_reference { Addr(word) } else { Addr::NULL }, kind);
            offset += 8;
        })
    }

    #[inline]
    fn is_heap_type(&self, at: Addr) -> Result<bool, Unreadable> {
        let tp_flags = self.memory().read_word(at, self.python.layout.type_object.tp_flags)?;
        Ok(tp_flags & flags::HEAPTYPE != 0)
    }
}

/// The most bytes of an object of unknown shape that are taken for references. A bound, no fact.
const MAX_GUESSED: u64 = 1 << 16;
