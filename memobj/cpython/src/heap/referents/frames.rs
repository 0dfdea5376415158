//! Functions, frames and what is suspended in them.
//!
//! Facts: `func_traverse` in `Objects/funcobject.c`, `frame_traverse` in `Objects/frameobject.c`, `_PyFrame_Traverse` in
//! `Python/frame.c` (3.11 and newer), `gen_traverse` in `Objects/genobject.c`.

use crate::layout::encoding::EndedGenerator;
use crate::layout::fields::{FrameOwner, InterpreterFrame};
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::reader::{EdgeKind, EdgeSink, ReadResult, ReferenceReader};
use crate::heap::builtins::Builtin;
use crate::heap::greenlets::{self, Greenlet};
use crate::heap::types::Type;
use crate::object::Objects;
use crate::object::memory_ext::MemoryExt;

/// More slots than any frame has.
const MAX_SLOTS: u64 = 1 << 20;

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    /// `func_traverse`.
    pub(super) fn read_function(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let known = &self.python.layout.function_object;
        let members = [
            Some(known.func_code),
            Some(known.func_globals),
            known.func_builtins,
            Some(known.func_module),
            Some(known.func_defaults),
            Some(known.func_kwdefaults),
            Some(known.func_doc),
            Some(known.func_name),
            Some(known.func_dict),
            Some(known.func_closure),
            Some(known.func_annotations),
            known.func_annotate,
            known.func_typeparams,
            Some(known.func_qualname),
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)
    }

    /// `frame_traverse`.
    pub(super) fn read_frame(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let known = &layout.frame_object;
        let members = [
            Some(known.f_back),
            known.f_code,
            known.f_builtins,
            known.f_globals,
            known.f_locals,
            Some(known.f_trace),
            known.f_extra_locals,
            known.f_locals_cache,
            known.f_overwritten_fast_locals,
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)?;
        if let (Some(inner), Some(frame)) = (known.f_frame, &layout.interpreter_frame) {
            let inner = memory.read_pointer(at, inner)?;
            if self.is_owned_by_frame_object(inner, frame)? {
                return self.read_inner_frame(inner, frame, EdgeKind::Visited, sink);
            }
            return Ok(());
        }
        self.read_old_slots(at, sink)
    }

    /// The locals and the value stack of a frame of 3.8 to 3.10.
    fn read_old_slots(&mut self, at: Addr, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let known = &self.python.layout.frame_object;
        let (Some(locals), Some(stack)) = (known.f_localsplus, known.f_valuestack) else { return Ok(()) };
        let locals = at.plus(u64::from(locals));
        let stack = memory.read_pointer(at, stack)?;
        let slots = stack.0.saturating_sub(locals.0) / 8;
        memory.read_words(locals, slots.min(MAX_SLOTS), |slot| sink.edge(Addr(slot), EdgeKind::Visited))?;
        let depth = if let Some(top) = known.f_stacktop {
            memory.read_word(at, top)?.saturating_sub(stack.0) / 8
        } else if let Some(depth) = known.f_stackdepth {
            u64::try_from(memory.read_int(at, depth)?).unwrap_or(0)
        } else {
            0
        };
        memory.read_words(stack, depth.min(MAX_SLOTS), |slot| sink.edge(Addr(slot), EdgeKind::Visited))
    }

    fn is_owned_by(
        &self,
        frame: Addr,
        known: &InterpreterFrame,
        owner: fn(&FrameOwner) -> Option<i32>,
    ) -> Result<bool, Unreadable> {
        let own = self.memory().read_byte(frame, known.owner)?;
        Ok(self.python.layout.frame_owner.as_ref().and_then(owner) == Some(i32::from(own)))
    }

    fn is_owned_by_frame_object(&self, frame: Addr, known: &InterpreterFrame) -> Result<bool, Unreadable> {
        self.is_owned_by(frame, known, |owners| owners.frame_owned_by_frame_object)
    }

    /// `_PyFrame_Traverse`.
    fn read_inner_frame(
        &mut self,
        at: Addr,
        known: &InterpreterFrame,
        kind: EdgeKind,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        let memory = self.memory();
        self.read_members(at, [Some(known.frame_obj), Some(known.f_locals)], kind, sink)?;
        for member in [known.f_funcobj, known.executable] {
            sink.edge(self.stack_ref(memory.read_word(at, member)?), kind);
        }
        let locals = at.plus(u64::from(known.localsplus));
        let slots = self.read_depth(at, known)?.unwrap_or(0);
        memory.read_words(locals, slots.min(MAX_SLOTS), |slot| sink.edge(self.stack_ref(slot), kind))
    }

    /// Reads the number of slots in use of a frame; `None` while its code runs.
    fn read_depth(&self, at: Addr, known: &InterpreterFrame) -> Result<Option<u64>, Unreadable> {
        let memory = self.memory();
        if let Some(pointer) = known.stackpointer {
            let top = memory.read_word(at, pointer)?;
            let locals = at.plus(u64::from(known.localsplus));
            return Ok(top.checked_sub(locals.0).map(|bytes| bytes / 8));
        }
        let Some(top) = known.stacktop else { return Ok(None) };
        Ok(u64::try_from(memory.read_int(at, top)?).ok())
    }

    /// The object that a slot of a frame refers to.
    #[inline]
    fn stack_ref(&self, slot: u64) -> Addr {
        self.python.layout.encodings.stack_refs.object(slot)
    }

    /// `gen_traverse`.
    pub(super) fn read_generator(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let known = &layout.gen_object;
        let members = [
            known.gi_frame,
            known.gi_code,
            Some(known.gi_name),
            Some(known.gi_qualname),
            known.exc_type,
            Some(known.exc_value),
            known.exc_traceback,
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)?;
        if let (Some(inner), Some(state), Some(frame)) =
            (known.gi_iframe, known.gi_frame_state, &layout.interpreter_frame)
        {
            let state = i32::from(memory.read_byte(at, state)?.cast_signed());
            let cleared = layout.frame_state.as_ref().and_then(|states| states.frame_cleared);
            if cleared.is_some_and(|cleared| state < cleared) {
                self.read_inner_frame(at.plus(u64::from(inner)), frame, EdgeKind::Visited, sink)?;
            } else if layout.encodings.ended_generator == EndedGenerator::VisitsCode {
                let code = memory.read_word(at.plus(u64::from(inner)), frame.executable)?;
                sink.edge(self.stack_ref(code), EdgeKind::Visited);
            }
        }
        Ok(())
    }

    /// `async_gen_traverse`.
    pub(super) fn read_async_generator(
        &mut self,
        at: Addr,
        ty: &Type,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        self.read_member(at, self.python.layout.async_gen_object.ag_finalizer, EdgeKind::Visited, sink)?;
        self.read_generator(at, ty, sink)
    }

    /// Reads `cr_origin` of a coroutine. Of its other words, and those of generators, one is never set until 3.10
    /// (`gi_exc_state.previous_item`): it is what was there before.
    pub(super) fn read_origin(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        self.read_member(at, self.python.layout.coro_object.cr_origin, EdgeKind::Hidden, sink)
    }

    /// Reads the references of the running frame that a frame object is a view of.
    pub(super) fn read_hidden_of_frame(
        &mut self,
        at: Addr,
        _: &Type,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        let layout = self.python.layout;
        let (Some(inner), Some(frame)) = (layout.frame_object.f_frame, &layout.interpreter_frame) else {
            return Ok(());
        };
        let inner = self.memory().read_pointer(at, inner)?;
        if inner.is_null() || self.is_owned_by_frame_object(inner, frame)? {
            return Ok(());
        }
        self.read_running(inner, frame, RUNNING, sink)
    }

    /// Reads the references of a frame whose code may be running. `kinds` are those of its references, and of the words of its stack.
    fn read_running(
        &mut self,
        at: Addr,
        known: &InterpreterFrame,
        kinds: (EdgeKind, EdgeKind),
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let (kind, of_stack) = kinds;
        self.read_members(at, [Some(known.f_globals), Some(known.f_builtins)], kind, sink)?;
        if self.read_depth(at, known)?.is_some() {
            return self.read_inner_frame(at, known, kind, sink);
        }
        self.read_members(at, [Some(known.frame_obj), Some(known.f_locals)], kind, sink)?;
        sink.edge(self.stack_ref(memory.read_word(at, known.f_funcobj)?), kind);
        let code = self.stack_ref(memory.read_word(at, known.executable)?);
        sink.edge(code, kind);
        // The stack's depth is in a register of the thread. Its slots past that hold what was there before, so that each is
        // taken only if it is an object.
        let Some(locals) = layout.code_object.co_nlocalsplus else { return Ok(()) };
        let is_code = self
            .types
            .type_of(code)
            .and_then(|id| self.types.get(id))
            .is_some_and(|ty| ty.kind == Some(Builtin::Code));
        if !is_code {
            return Ok(());
        }
        let locals = u64::try_from(memory.read_int(code, locals)?).unwrap_or(0).min(MAX_SLOTS);
        let stack = u64::try_from(memory.read_int(code, layout.code_object.co_stacksize)?).unwrap_or(0);
        let stack = stack.min(MAX_SLOTS.saturating_sub(locals));
        let first = at.plus(u64::from(known.localsplus));
        memory.read_words(first, locals, |slot| sink.edge(self.stack_ref(slot), kind))?;
        let encoding = layout.encodings.stack_refs;
        let types = &mut *self.types;
        memory.read_words(first.plus(locals.saturating_mul(8)), stack, |slot| {
            let to = encoding.object(slot);
            sink.edge(if types.is_object(to) { to } else { Addr::NULL }, of_stack);
        })
    }

    /// Reads what a greenlet has beside its object: the members of its struct, its frames and its C stack.
    pub(super) fn read_greenlet(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let objects = Objects::new(self.memory(), self.python.layout);
        self.read_unvisited_words(at, ty, sink)?;
        for to in greenlets::read_members(objects, at) {
            sink.edge(if self.types.is_object(to) { to } else { Addr::NULL }, EdgeKind::Guessed);
        }
        let Greenlet::Suspended(suspended) = greenlets::read_greenlet(objects, at) else { return Ok(()) };
        for &frame in &suspended.frames {
            match &self.python.layout.interpreter_frame {
                Some(known) => {
                    // That of a generator is in the generator, which has the references.
                    let is_own = !self.is_owned_by(frame, known, |owners| owners.frame_owned_by_generator)?;
                    let kind = if is_own { EdgeKind::Hidden } else { EdgeKind::Guessed };
                    self.read_running(frame, known, (kind, EdgeKind::Stack), sink)?;
                }
                None => self.read_running_old(frame, EdgeKind::Stack, sink)?,
            }
        }
        for part in [suspended.stack.copy(), suspended.stack.in_place()] {
            let words = part.end.0.saturating_sub(part.start.0) / 8;
            // The thread that it was on may have ended, and its stack with it.
            let _ = self.read_guessed_words(part.start, words, EdgeKind::Stack, sink);
        }
        Ok(())
    }
}

/// The kinds of the references of a running frame, and of the words of its stack.
const RUNNING: (EdgeKind, EdgeKind) = (EdgeKind::Hidden, EdgeKind::Guessed);

/// Reads the references of the frame at `at`, which is on the stack of a thread.
///
/// # Errors
/// A part cannot be read; references before it have been given.
pub fn read_running_frame<M: Memory>(
    reader: &mut ReferenceReader<'_, '_, '_, M>,
    at: Addr,
    sink: &mut impl EdgeSink,
) -> ReadResult {
    let layout = reader.python.layout;
    match &layout.interpreter_frame {
        Some(frame) => reader.read_running(at, frame, RUNNING, sink),
        None => reader.read_running_old(at, EdgeKind::Guessed, sink),
    }
}

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    /// Reads the value stack of a frame of 3.8 to 3.10, which `tp_traverse` does not visit while its code runs.
    fn read_running_old(&mut self, at: Addr, of_stack: EdgeKind, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let known = &layout.frame_object;
        sink.edge(at, EdgeKind::Hidden);
        let (Some(code), Some(stack)) = (known.f_code, known.f_valuestack) else { return Ok(()) };
        let code = memory.read_pointer(at, code)?;
        let stack = memory.read_pointer(at, stack)?;
        let depth = u64::try_from(memory.read_int(code, layout.code_object.co_stacksize)?).unwrap_or(0);
        self.read_guessed_words(stack, depth.min(MAX_SLOTS), of_stack, sink)
    }
}
