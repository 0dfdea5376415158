//! The reader of references, and their receivers.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use crate::heap::python_heap::PythonHeap;
use crate::heap::types::{Traverse, Type, TypeRegistry};
use crate::object::memory_ext::MemoryExt;

/// Bytes of an object of unknown shape that are searched at most: enough for any C struct.
const MAX_GUESSED: u64 = 1 << 16;

/// Success, or the address that could not be read; references before it have been given.
pub type ReadResult = Result<(), Unreadable>;

/// The kind of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// The object's `tp_traverse` visits it: `gc.get_referents` gives it.
    Visited,
    /// The object has it, but `tp_traverse` does not visit it.
    Hidden,
    /// A word in an object of unknown shape that points to an object.
    Guessed,
    /// A word on a stack that is not running that points to an object: many are left from calls that have ended.
    Stack,
}

/// Receives the references of an object.
pub trait EdgeSink {
    /// Receives a reference. Null ones are passed on, too, as are words that are no reference: they measure the work.
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

/// Reads the references of objects.
pub struct ReferenceReader<'r, 'p, 'm, M> {
    /// The heap.
    pub python: &'p PythonHeap<'m, M>,
    /// Its types.
    pub types: &'r mut TypeRegistry<'p, 'm, M>,
}

impl<'m, M: Memory> ReferenceReader<'_, '_, 'm, M> {
    /// The memory.
    #[inline]
    pub(super) fn memory(&self) -> &'m M {
        self.python.memory
    }

    /// Reads the member at `offset` as a reference.
    #[inline]
    pub(super) fn read_member(
        &self,
        at: Addr,
        offset: u32,
        kind: EdgeKind,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        sink.edge(self.memory().read_pointer(at, offset)?, kind);
        Ok(())
    }

    /// Reads the members at the `offsets` that this version has.
    #[inline]
    pub(super) fn read_members<const N: usize>(
        &self,
        at: Addr,
        offsets: [Option<u32>; N],
        kind: EdgeKind,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        offsets.into_iter().flatten().try_for_each(|offset| self.read_member(at, offset, kind, sink))
    }

    /// Reads an array of references that `tp_traverse` visits.
    #[inline]
    pub(super) fn read_array(&self, first: Addr, count: u64, sink: &mut impl EdgeSink) -> ReadResult {
        self.memory().read_words(first, count, |item| sink.edge(Addr(item), EdgeKind::Visited))
    }

    /// Reads every word of an object's C struct that points to an object. Its dict and its list of weak references are known by the
    /// type, and left out.
    pub(super) fn read_guesses(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let head = u64::from(self.python.layout.object.size);
        let words = ty.c_size.min(MAX_GUESSED).saturating_sub(head) / 8;
        let mut offset = head.cast_signed();
        let types = &mut *self.types;
        self.python.memory.read_words(at.plus(head), words, |word| {
            let is_reference = offset != ty.weaklistoffset && types.is_object(Addr(word));
            sink.edge(if is_reference { Addr(word) } else { Addr::NULL }, EdgeKind::Guessed);
            offset = offset.wrapping_add(8);
        })
    }

    /// Reads `count` words that may be references: of a struct that is no object, or of a stack.
    ///
    /// # Errors
    /// If a word cannot be read; references before it have been given.
    pub fn read_guessed_words(
        &mut self,
        first: Addr,
        count: u64,
        kind: EdgeKind,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        let types = &mut *self.types;
        self.python.memory.read_words(first, count, |word| {
            let to = if types.is_object(Addr(word)) { Addr(word) } else { Addr::NULL };
            sink.edge(to, kind);
        })
    }

    /// Reads nothing: another function reads all, or the type is known by its size alone.
    #[inline]
    pub(super) fn read_nothing(&mut self, _: Addr, _: &Type, _: &mut impl EdgeSink) -> ReadResult {
        Ok(())
    }

    /// The entry of a builtin whose `tp_traverse` is unknown; never called.
    #[inline]
    pub(super) fn unknown(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        self.read_nothing(at, ty, sink)
    }

    /// Reads the words that point to objects, unless they were read for `tp_traverse` already.
    pub(super) fn read_unvisited_words(
        &mut self,
        at: Addr,
        ty: &Type,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        if ty.traverse == Traverse::Guess { Ok(()) } else { self.read_guesses(at, ty, sink) }
    }
}
