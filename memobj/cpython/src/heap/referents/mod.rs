//! References of objects: those that the collector sees (`tp_traverse`, as `gc.get_referents` gives them), and the others.
//!
//! Facts: the `*_traverse` functions in CPython's sources, each named where it is followed.

mod classes;
mod containers;
mod frames;
mod others;
mod reader;
mod type_objects;

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::builtins::{Builtin, builtin_rows};
use super::types::{Traverse, Type};

pub use frames::read_running_frame;
pub use reader::{EdgeKind, EdgeSink, ReadResult, ReferenceReader};

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    /// Reads the references of the object at `at` that its `tp_traverse` visits, in the same order and number as `gc.get_referents`.
    ///
    /// # Errors
    /// If a part could not be read; references before it have been given.
    pub fn read_visited(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        if !ty.is_gc() {
            return Ok(());
        }
        if ty.is_metatype() && !self.python.read_is_heap_type(at)? {
            // `type_is_gc`: a static type is not the collector's.
            return Ok(());
        }
        if let Some(class) = &ty.class {
            self.read_class_part(at, ty, class, sink)?;
        }
        match ty.traverse {
            Traverse::Nothing => return Ok(()),
            Traverse::Known(builtin) => self.read_builtin_visited(builtin, at, ty, sink)?,
            Traverse::Members(shape) => {
                for &offset in shape.visited {
                    self.read_member(at, offset, EdgeKind::Visited, sink)?;
                }
            }
            Traverse::Guess => self.read_guesses(at, ty, sink)?,
        }
        if ty.manages_dict_in_c {
            self.read_managed_dict(at, ty, sink)?;
        }
        if ty.visits_type {
            sink.edge(ty.at, EdgeKind::Visited);
        }
        Ok(())
    }

    /// Reads the other references of the object at `at`.
    ///
    /// # Errors
    /// As [`read_visited`](Self::read_visited).
    pub fn read_hidden(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        self.read_unvisited_dict(at, ty, sink)?;
        match ty.kind {
            Some(builtin) => self.read_builtin_hidden(builtin, at, ty, sink),
            None => self.read_unvisited_words(at, ty, sink),
        }
    }
}

/// Expands to the dispatch by the columns `visits` and `hides`.
macro_rules! dispatch_references {
    ($(
        $(#[$doc:meta])+
        $builtin:ident $(($payload:ty))?: named [$($name:literal),* $(,)?] $struct_size:expr, sized |$o:ident| $size:expr,
        visits $visits:ident, hides $hides:ident, holds $content:ident, grows $growth:ident;
    )+) => {
        impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
            #[inline]
            fn read_builtin_visited(
                &mut self,
                builtin: Builtin,
                at: Addr,
                ty: &Type,
                sink: &mut impl EdgeSink,
            ) -> ReadResult {
                match builtin {
                    $(Builtin::$builtin { .. } => self.$visits(at, ty, sink),)+
                }
            }

            fn read_builtin_hidden(
                &mut self,
                builtin: Builtin,
                at: Addr,
                ty: &Type,
                sink: &mut impl EdgeSink,
            ) -> ReadResult {
                match builtin {
                    $(Builtin::$builtin { .. } => self.$hides(at, ty, sink),)+
                }
            }
        }
    };
}

builtin_rows!(dispatch_references);
